/* SPDX-License-Identifier: MIT */
#include "suggest.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"

#define LENGTH_MAX 256 /* names are compared up to here: hostile ones are megabytes long */

void suggest_init(struct suggest *s, const char *mistyped)
{
	*s = (struct suggest){ .mistyped = mistyped };
}

void suggest_release(struct suggest *s)
{
	while (s->nr)
		free(s->items[--s->nr].name);
}

/* Levenshtein's distance of two names; one row of the table is kept. */
static size_t edit_distance(const char *a, size_t la, const char *b, size_t lb)
{
	size_t row[LENGTH_MAX + 1];

	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t changed = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = MIN(changed, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[lb];
}

void suggest_add(struct suggest *s, const char *name)
{
	size_t la = strnlen(s->mistyped, LENGTH_MAX), lb = strnlen(name, LENGTH_MAX);
	size_t most = la / 3 + 1, distance, at;
	char *copy;

	if (la > lb + most || lb > la + most)
		return;
	distance = edit_distance(s->mistyped, la, name, lb);
	if (distance > most)
		return;
	for (at = 0; at < s->nr && s->items[at].distance <= distance; at++)
		if (!strcmp(s->items[at].name, name))
			return;
	if (at == SUGGEST_MAX)
		return;
	copy = strdup(name);
	if (!copy)
		return;
	if (s->nr == SUGGEST_MAX)
		free(s->items[--s->nr].name);
	memmove(&s->items[at + 1], &s->items[at], (s->nr - at) * sizeof(s->items[0]));
	s->items[at] = (struct suggest_item){ copy, distance };
	s->nr++;
}

size_t suggest_put(const struct suggest *s, struct strbuf *b)
{
	for (size_t i = 0; i < s->nr; i++)
		strbuf_printf(b, "%s%s", i ? ", " : "", s->items[i].name);
	return s->nr;
}
