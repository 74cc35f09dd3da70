/* SPDX-License-Identifier: MIT */
#include "request_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request_names.h"
#include "util.h"

#define PROBE_ABORTED 1 /* server/probes.h: request__done's flags */

void request_table_init(struct request_table *t)
{
	*t = (struct request_table){ .naming.unnamed = "(requests)" };
	dedup_init(&t->index);
}

static void release_route(struct request_route_stats *s)
{
	free(s->name);
	free(s->stmts);
	hist_release(&s->latency);
}

void request_table_release(struct request_table *t)
{
	for (size_t i = 0; i < t->nr_routes; i++)
		release_route(&t->routes[i]);
	free(t->routes);
	dedup_release(&t->index);
	request_table_init(t);
}

void request_table_reset(struct request_table *t)
{
	struct request_naming naming = t->naming;

	request_table_release(t);
	t->naming = naming;
}

/* ---------------------------------------------------------------- routes ---- */

/* What a route is known by. */
struct route_key {
	const struct request_table *t;
	bool numbered;
	int64_t route;
	uint64_t method;
	const char *name; /* of one without a number */
};

static bool is_route(const void *ctx, uint32_t i)
{
	const struct route_key *key = ctx;
	const struct request_route_stats *s = &key->t->routes[i];

	if (s->numbered != key->numbered || s->method != key->method)
		return false;
	return key->numbered ? s->route == key->route : !strcmp(s->name, key->name);
}

static uint64_t hash_key(const struct route_key *key)
{
	uint64_t numbers[2] = { (uint64_t)key->route, key->method };

	if (key->numbered)
		return hash_bytes(numbers, sizeof(numbers));
	return hash_bytes(key->name, strlen(key->name));
}

static int add_route(struct request_table *t, const struct route_key *key, const char *name,
		     struct request_route_stats **ret)
{
	struct request_route_stats *s;
	int err = dedup_reserve(&t->index);

	if (!err)
		err = array_grow((void **)&t->routes, t->nr_routes, &t->cap_routes, sizeof(*s));
	if (err)
		return err;
	s = &t->routes[t->nr_routes];
	*s = (struct request_route_stats){ .route = key->route,
					   .method = key->method,
					   .numbered = key->numbered };
	s->name = strdup(name);
	if (!s->name)
		return -ENOMEM;
	hist_init(&s->latency);
	dedup_insert(&t->index, hash_key(key), t->nr_routes++);
	*ret = s;
	return 0;
}

/* The route of that key, made at need with that name. */
static int get_route(struct request_table *t, struct route_key *key, const char *name,
		     struct request_route_stats **ret)
{
	uint32_t i = dedup_find(&t->index, hash_key(key), is_route, key);

	if (i == DEDUP_NONE && t->nr_routes >= REQUEST_MAX_ROUTES) {
		*key = (struct route_key){ .t = t, .name = "(other routes)" };
		name = key->name;
		t->other++;
		i = dedup_find(&t->index, hash_key(key), is_route, key);
	}
	if (i == DEDUP_NONE)
		return add_route(t, key, name, ret);
	*ret = &t->routes[i];
	return 0;
}

/* A route is called by the path that its requests share. */
static int widen_name(struct request_route_stats *s, const char *path)
{
	char *merged;

	if (!s->numbered || s->route < 0 || request_path_fits(s->name, path))
		return 0;
	merged = request_merge_paths(s->name, path);
	if (!merged)
		return -ENOMEM;
	free(s->name);
	s->name = merged;
	return 0;
}

static int route_of(struct request_table *t, const struct request_record *r,
		    struct request_route_stats **ret)
{
	char number[32], values[2 * REQUEST_LONG_NAME];
	const char *name = request_raw_name(t, r, number), *mark = request_mark(r);
	struct route_key key = {
		.t = t, .numbered = t->naming.has_routes, .route = r->route, .method = r->method
	};
	int err;

	if (!t->naming.has_routes) {
		strcpy(values, mark);
		if (t->naming.by_number && (r->flags & REQUEST_NAME_NUMBER))
			strcat(values, name);
		else
			request_put_without_values(values + strlen(mark),
						   sizeof(values) - strlen(mark), name);
		/* A text that was cut may end within a value, differently each time. */
		if (r->flags & REQUEST_NAME_CUT)
			strcat(values, "...");
		key.route = -1;
		key.name = name = values;
	} else if (r->route < 0) {
		name = "(no route)";
	}
	err = get_route(t, &key, name, ret);
	return err || !key.numbered ? err : widen_name(*ret, name);
}

/* ---------------------------------------------------------------- records ---- */

void request_end_names(struct request_record *r)
{
	r->name[sizeof(r->name) - 1] = 0;
	r->long_name[sizeof(r->long_name) - 1] = 0;
}

uint64_t request_latency(const struct request_record *r)
{
	return REQUEST_WORD_TIME(r->word) - r->start;
}

static int get_stmt(struct request_route_stats *s, uint32_t tgid, uint32_t stmt,
		    struct request_statement **ret)
{
	int err;

	for (size_t i = 0; i < s->nr_stmts; i++) {
		*ret = &s->stmts[i];
		if ((*ret)->stmt == stmt && (*ret)->tgid == tgid)
			return 0;
	}
	err = array_grow((void **)&s->stmts, s->nr_stmts, &s->cap_stmts, sizeof(*s->stmts));
	if (err)
		return err;
	*ret = &s->stmts[s->nr_stmts++];
	**ret = (struct request_statement){ .tgid = tgid, .stmt = stmt };
	return 0;
}

static int add_stmts(struct request_route_stats *s, const struct request_record *r)
{
	struct request_statement *to;

	for (size_t i = 0; i < r->nr_stmts; i++) {
		const struct request_stmt *from = &r->stmts[i];
		int err = get_stmt(s, r->header.tgid, from->stmt, &to);

		if (err)
			return err;
		to->count += from->count;
		to->requests++;
		to->ns += from->ns;
		to->max_ns = MAX(to->max_ns, from->max_ns);
		to->rows += from->rows;
		to->steps += from->steps;
	}
	return 0;
}

static void add_times(struct request_table *t, struct request_route_stats *s,
		      const struct request_record *r)
{
	uint64_t latency = request_latency(r), states = 0, phases = 0;

	for (size_t i = 0; i < STATE_NR; i++)
		states += r->states[i];
	for (size_t i = 0; i < PHASE_NR; i++)
		phases += r->phases[i];
	/* To the nanosecond: anything else is a mistake of ours, and shown. */
	if (states != latency || phases != latency)
		t->inconsistent++;
	if (r->flags & REQUEST_SPLIT) {
		s->split++;
		s->split_ns += latency;
		return;
	}
	for (size_t i = 0; i < STATE_NR; i++)
		s->states[i] += r->states[i];
	for (size_t i = 0; i < PHASE_NR; i++)
		s->phases[i] += r->phases[i];
}

static int add_done(struct request_table *t, const struct request_record *r)
{
	struct request_route_stats *s;
	int err = route_of(t, r, &s);

	if (!err)
		err = hist_record(&s->latency, request_latency(r));
	if (err)
		return err;
	s->count++;
	s->by_class[r->status >= 100 && r->status < 600 ? r->status / 100 : 0]++;
	s->aborted += t->naming.has_routes && (r->end_flags & PROBE_ABORTED);
	add_times(t, s, r);
	s->faults += r->faults;
	s->device_faults += r->device_faults;
	s->syscalls += r->syscalls;
	s->waits += r->waits;
	s->pieces += r->pieces;
	s->moves += r->moves;
	s->hits += r->hits;
	s->allocs += r->allocs;
	s->alloc_bytes += r->alloc_bytes;
	if (r->shared) {
		s->committed++;
		s->shared += r->shared;
	}
	s->lost_stmts += r->lost_stmts;
	t->not_executed += r->told & REQUEST_PENDING;
	t->lost_cut += !!(r->flags & REQUEST_NAME_CUT);
	return add_stmts(s, r);
}

int request_table_add(struct request_table *t, const struct request_record *r, size_t size)
{
	struct request_record copy;
	size_t least = offsetof(struct request_record, stmts);

	if (size >= least && r->nr_stmts <= REQUEST_STMTS)
		least = r->flags & REQUEST_NAME_LONG
				? offsetof(struct request_record, past)
				: offsetof(struct request_record, stmts[r->nr_stmts]);
	if (size < least || r->nr_stmts > REQUEST_STMTS) {
		t->damaged++;
		return 0;
	}
	switch (r->end) {
	case END_REUSED:
		t->reused++;
		return 0;
	case END_THREAD:
		if (r->told & REQUEST_PENDING)
			t->helpers++;
		else
			t->thread_gone++;
		return 0;
	default:
		memcpy(&copy, r, least);
		request_end_names(&copy);
		return add_done(t, &copy);
	}
}

/* ---------------------------------------------------------------- sums ---- */

static int merge_stmts(struct request_route_stats *to, const struct request_route_stats *from)
{
	struct request_statement *s;

	for (size_t i = 0; i < from->nr_stmts; i++) {
		const struct request_statement *more = &from->stmts[i];
		int err = get_stmt(to, more->tgid, more->stmt, &s);

		if (err)
			return err;
		s->count += more->count;
		s->requests += more->requests;
		s->ns += more->ns;
		s->max_ns = MAX(s->max_ns, more->max_ns);
		s->rows += more->rows;
		s->steps += more->steps;
	}
	return 0;
}

static int merge_route(struct request_route_stats *to, const struct request_route_stats *from)
{
	int err = widen_name(to, from->name);

	if (!err)
		err = hist_merge(&to->latency, &from->latency);
	if (err)
		return err;
	to->count += from->count;
	for (size_t i = 0; i < ARRAY_SIZE(to->by_class); i++)
		to->by_class[i] += from->by_class[i];
	for (size_t i = 0; i < STATE_NR; i++)
		to->states[i] += from->states[i];
	for (size_t i = 0; i < PHASE_NR; i++)
		to->phases[i] += from->phases[i];
	to->aborted += from->aborted;
	to->split += from->split;
	to->split_ns += from->split_ns;
	to->faults += from->faults;
	to->device_faults += from->device_faults;
	to->syscalls += from->syscalls;
	to->waits += from->waits;
	to->pieces += from->pieces;
	to->moves += from->moves;
	to->hits += from->hits;
	to->allocs += from->allocs;
	to->alloc_bytes += from->alloc_bytes;
	to->committed += from->committed;
	to->shared += from->shared;
	to->lost_stmts += from->lost_stmts;
	return merge_stmts(to, from);
}

int request_table_merge(struct request_table *t, const struct request_table *more)
{
	struct request_route_stats *to;
	int err = 0;

	for (size_t i = 0; i < more->nr_routes && !err; i++) {
		const struct request_route_stats *from = &more->routes[i];
		struct route_key key = { .t = t,
					 .numbered = from->numbered,
					 .route = from->route,
					 .method = from->method,
					 .name = from->name };

		err = get_route(t, &key, from->name, &to);
		if (!err)
			err = merge_route(to, from);
	}
	t->reused += more->reused;
	t->thread_gone += more->thread_gone;
	t->helpers += more->helpers;
	t->not_executed += more->not_executed;
	t->inconsistent += more->inconsistent;
	t->damaged += more->damaged;
	t->other += more->other;
	t->lost_cut += more->lost_cut;
	return err;
}

uint64_t request_table_count(const struct request_table *t)
{
	uint64_t n = 0;

	for (size_t i = 0; i < t->nr_routes; i++)
		n += t->routes[i].count;
	return n;
}
