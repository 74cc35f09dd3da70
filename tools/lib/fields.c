/* SPDX-License-Identifier: MIT */
#include "fields.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "profile.h"
#include "util.h"

int fields_add(struct fields *f, const char *key, const char *value)
{
	struct write_field *field;

	if (array_grow((void **)&f->items, f->nr, &f->cap, sizeof(*f->items)))
		return -ENOMEM;
	field = &f->items[f->nr++]; /* released with the rest, also when half of it is there */
	field->key = strdup(key);
	field->value = strdup(value);
	return field->key && field->value ? 0 : -ENOMEM;
}

int fields_addf(struct fields *f, const char *key, const char *format, ...)
{
	va_list args;
	char *text;
	int err;

	va_start(args, format);
	err = vasprintf(&text, format, args);
	va_end(args);
	if (err < 0)
		return -ENOMEM;
	err = fields_add(f, key, text);
	free(text);
	return err;
}

/* Captures leave their summary's keys in the comments; people read words and units. */
static int add_fact(struct fields *f, const char *key, const char *value)
{
	static const char *const known[][3] = { { "seconds", "duration", "s" },
						{ "hz", "rate", " Hz" } };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(key, known[i][0]))
			return fields_addf(f, known[i][1], "%s%s", value, known[i][2]);
	return fields_add(f, key, value);
}

static int add_comment(struct fields *f, const char *text)
{
	const char *colon = strstr(text, ": ");
	char *key;
	int err;

	if (!colon || colon == text || colon - text > 40)
		return fields_add(f, "note", text);
	key = strndup(text, (size_t)(colon - text));
	err = key ? add_fact(f, key, colon + 2) : -ENOMEM;
	free(key);
	return err;
}

int fields_add_profile(struct fields *f, const struct profile *p)
{
	char text[MEASURE_LEN];
	bool duration = p->duration_ns > 0;
	int err = 0;

	for (size_t i = 0; i < p->nr_comments && !err; i++) {
		const char *comment = profile_str(p, p->comments[i]);

		duration = duration && strncmp(comment, "seconds: ", 9) != 0;
		err = add_comment(f, comment);
	}
	if (!err && duration)
		err = fields_add(f, "duration",
				 measure_value(measure_for(p->duration_ns, "nanoseconds"),
					       p->duration_ns, text));
	return err;
}

void fields_release(struct fields *f)
{
	for (size_t i = 0; i < f->nr; i++) {
		free((char *)f->items[i].key); /* ours; const for all others */
		free((char *)f->items[i].value);
	}
	free(f->items);
	*f = (struct fields){ 0 };
}
