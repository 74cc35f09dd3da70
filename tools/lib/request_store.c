/* SPDX-License-Identifier: MIT */
#include "request_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define MAX_WAITING 64 /* details whose record is not there yet: of requests that end at once */

int request_store_init(struct request_store *s, size_t max)
{
	*s = (struct request_store){ .max = max };
	if (!max)
		return 0;
	s->slow = calloc(max, sizeof(*s->slow));
	s->waiting = calloc(MAX_WAITING, sizeof(*s->waiting));
	return s->slow && s->waiting ? 0 : -ENOMEM;
}

void request_store_release(struct request_store *s)
{
	for (size_t i = 0; i < s->nr_sql; i++)
		free(s->sql[i].text);
	free(s->sql);
	free(s->slow);
	free(s->waiting);
	*s = (struct request_store){ 0 };
}

/* ---------------------------------------------------------------- details ---- */

void request_store_detail(struct request_store *s, const struct request_detail *d, size_t size)
{
	if (!s->max || size < offsetof(struct request_detail, segments) ||
	    d->nr > REQUEST_SEGMENTS || size < offsetof(struct request_detail, segments[d->nr]))
		return;
	/* The oldest one gives way: its record was lost. */
	memcpy(&s->waiting[s->next_waiting], d, offsetof(struct request_detail, segments[d->nr]));
	s->next_waiting = (s->next_waiting + 1) % MAX_WAITING;
	s->nr_waiting = MIN(s->nr_waiting + 1, MAX_WAITING);
}

static struct request_detail *find_waiting(struct request_store *s, const struct request_record *r)
{
	for (size_t i = 0; i < s->nr_waiting; i++) {
		struct request_detail *d = &s->waiting[i];

		if (d->header.type == EVENT_REQUEST_DETAIL && d->header.arg == r->header.arg &&
		    d->header.tgid == r->header.tgid)
			return d;
	}
	return NULL;
}

/* Where the next one goes: in place of the fastest once there are enough; NULL: it is faster. */
static struct request_slow *find_place(struct request_store *s, uint64_t latency)
{
	size_t fastest = 0;

	if (s->nr_slow < s->max)
		return &s->slow[s->nr_slow++];
	for (size_t i = 1; i < s->nr_slow; i++)
		if (request_latency(&s->slow[i].request) <
		    request_latency(&s->slow[fastest].request))
			fastest = i;
	return request_latency(&s->slow[fastest].request) < latency ? &s->slow[fastest] : NULL;
}

void request_store_request(struct request_store *s, const struct request_record *r, size_t size)
{
	struct request_slow *place;
	struct request_detail *d;

	if (!s->nr_waiting || size > sizeof(*r))
		return;
	d = find_waiting(s, r);
	if (!d)
		return;
	s->matched++;
	place = find_place(s, request_latency(r));
	if (place) {
		memset(place, 0, sizeof(*place));
		memcpy(&place->request, r, size);
		request_end_names(&place->request);
		place->detail = *d;
	}
	d->header.type = 0;
}

static int by_latency(const void *a, const void *b)
{
	const struct request_slow *x = a, *y = b;
	uint64_t i = request_latency(&x->request), j = request_latency(&y->request);

	return i < j ? 1 : i > j ? -1 : 0;
}

void request_store_sort(struct request_store *s)
{
	if (s->nr_slow)
		qsort(s->slow, s->nr_slow, sizeof(*s->slow), by_latency);
}

/* ---------------------------------------------------------------- SQL ---- */

struct request_sql *request_store_sql(struct request_store *s, uint32_t tgid, uint32_t stmt)
{
	for (size_t i = 0; i < s->nr_sql; i++)
		if (s->sql[i].stmt == stmt && s->sql[i].tgid == tgid)
			return &s->sql[i];
	if (array_grow((void **)&s->sql, s->nr_sql, &s->cap_sql, sizeof(*s->sql)))
		return NULL;
	s->sql[s->nr_sql] = (struct request_sql){ .tgid = tgid, .stmt = stmt };
	return &s->sql[s->nr_sql++];
}

int request_store_text(struct request_store *s, const struct request_text *t, size_t size)
{
	struct request_sql *sql;

	if (size < sizeof(*t))
		return 0;
	sql = request_store_sql(s, t->header.tgid, t->header.arg);
	if (!sql)
		return -ENOMEM;
	free(sql->text);
	sql->text = strndup(t->text, sizeof(t->text));
	return sql->text ? 0 : -ENOMEM;
}
