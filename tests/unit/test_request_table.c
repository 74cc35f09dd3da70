/* SPDX-License-Identifier: MIT */
/* What records add up to, and what routes are called. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "request_names.h"
#include "request_store.h"
#include "request_table.h"

static void assert_merged(const char *a, const char *b, const char *expected)
{
	char *both = request_merge_paths(a, b), *again;

	assert_string_equal(both, expected);
	assert_true(request_path_fits(both, a));
	assert_true(request_path_fits(both, b));
	again = request_merge_paths(b, both);
	assert_string_equal(again, expected);
	free(again);
	free(both);
}

static void paths(void **state)
{
	(void)state;
	assert_merged("/rooms", "/rooms", "/rooms");
	assert_merged("/rooms/1", "/rooms/2", "/rooms/*");
	assert_merged("/rooms/1/photos", "/rooms/27/photos", "/rooms/*/photos");
	assert_merged("/a/1/b/2", "/a/3/b/4", "/a/*/b/*");
	assert_merged("/", "/", "/");
	assert_merged("/a", "/a/b", "/a/...");
	assert_merged("/", "/a/b", "/*/...");
	assert_merged("", "/a", "/...");
	assert_merged("no path", "none either", "/...");
	assert_false(request_path_fits("/rooms/*", "/rooms"));
	assert_false(request_path_fits("/rooms/*", "/rooms/1/photos"));
	assert_false(request_path_fits("/rooms", "/room"));
	assert_false(request_path_fits("/room", "/rooms"));
}

static void assert_folded(const char *text, const char *expected)
{
	char out[400];

	assert_int_equal(request_put_without_values(out, sizeof(out), text), strlen(expected));
	assert_string_equal(out, expected);
}

static void values(void **state)
{
	char small[8];

	(void)state;
	assert_folded("SELECT 1", "SELECT ?");
	assert_folded("UPDATE t SET a = a + -3121 WHERE id = 84;",
		      "UPDATE t SET a = a + ? WHERE id = ?;");
	assert_folded("SELECT a1, b_2 FROM t3", "SELECT a1, b_2 FROM t3");
	assert_folded("WHERE x='it''s' AND y = 'a\\'b'", "WHERE x=? AND y = ?");
	assert_folded("VALUES (1.5e-3, 0x1F, +7)", "VALUES (?, ?, ?)");
	assert_folded("a-1", "a-?");
	assert_folded("f(x)-1", "f(x)-?");
	assert_folded("$1 ?2", "$1 ??"); /* placeholders keep their mark */
	assert_folded("  a \n\t b  ", "a b");
	assert_folded("'never ends", "?");
	assert_folded("", "");
	assert_folded("e1+2", "e1+?");
	request_put_without_values(small, sizeof(small), "abcdefghijkl");
	assert_string_equal(small, "abcdef");
}

/* ---------------------------------------------------------------- records ---- */

static struct request_record record(const char *name, uint64_t latency, int64_t status)
{
	struct request_record r = {
		.header = { .type = EVENT_REQUEST, .tgid = 10, .arg = 77 },
		.start = 1000,
		.word = REQUEST_WORD(1000 + latency, STATE_ON_CPU),
		.status = status,
		.pieces = 1,
		.end = END_DONE,
	};

	r.states[STATE_ON_CPU] = latency / 4;
	r.states[STATE_COMMIT] = latency - latency / 4;
	r.phases[PHASE_SQL] = latency;
	snprintf(r.name, sizeof(r.name), "%s", name);
	return r;
}

static void add(struct request_table *t, struct request_record *r)
{
	assert_int_equal(
		request_table_add(t, r, offsetof(struct request_record, stmts[r->nr_stmts])), 0);
}

static void sums(void **state)
{
	struct request_table t, more;
	struct request_record r;
	struct request_route_stats *s;

	(void)state;
	request_table_init(&t);
	r = record("get 17", 1000, 200);
	r.nr_stmts = 2;
	r.stmts[0] =
		(struct request_stmt){ .stmt = 3, .count = 2, .ns = 50, .max_ns = 40, .rows = 5 };
	r.stmts[1] = (struct request_stmt){ .stmt = 4, .count = 1, .ns = 10, .max_ns = 10 };
	r.shared = 7;
	add(&t, &r);
	r = record("get 23", 3000, 503);
	r.nr_stmts = 1;
	r.stmts[0] =
		(struct request_stmt){ .stmt = 3, .count = 1, .ns = 70, .max_ns = 70, .rows = 6 };
	add(&t, &r);
	r = record("put", 500, 42);
	r.flags = REQUEST_SPLIT;
	add(&t, &r);
	assert_int_equal(t.nr_routes, 2);
	s = &t.routes[0];
	assert_string_equal(s->name, "get ?");
	assert_int_equal(s->count, 2);
	assert_int_equal(s->by_class[2], 1);
	assert_int_equal(s->by_class[5], 1);
	assert_int_equal((uint64_t)s->latency.sum, 4000);
	assert_int_equal(s->states[STATE_ON_CPU], 1000);
	assert_int_equal(s->states[STATE_COMMIT], 3000);
	assert_int_equal(s->committed, 1);
	assert_int_equal(s->shared, 7);
	assert_int_equal(s->nr_stmts, 2);
	assert_int_equal(s->stmts[0].count, 3);
	assert_int_equal(s->stmts[0].requests, 2);
	assert_int_equal(s->stmts[0].ns, 120);
	assert_int_equal(s->stmts[0].max_ns, 70);
	assert_int_equal(s->stmts[0].rows, 11);
	s = &t.routes[1];
	assert_int_equal(s->by_class[0], 1);
	assert_int_equal(s->split, 1);
	assert_int_equal(s->split_ns, 500);
	assert_int_equal(s->states[STATE_ON_CPU], 0);
	assert_int_equal(t.inconsistent, 0);

	/* sums of sums, whatever the order of the routes */
	request_table_init(&more);
	r = record("put", 100, 200);
	add(&more, &r);
	r = record("get 5", 2000, 200);
	r.nr_stmts = 1;
	r.stmts[0] = (struct request_stmt){ .stmt = 4, .count = 1, .ns = 1, .max_ns = 1 };
	add(&more, &r);
	assert_int_equal(request_table_merge(&t, &more), 0);
	assert_int_equal(t.nr_routes, 2);
	assert_int_equal(t.routes[0].count, 3);
	assert_int_equal(t.routes[0].stmts[1].count, 2);
	assert_int_equal(t.routes[1].count, 2);
	assert_int_equal(request_table_count(&t), 5);
	request_table_release(&more);
	request_table_release(&t);
}

static void numbered_routes(void **state)
{
	static const char *const methods[] = { "GET", "HEAD" };
	static const char *const paths[] = { "/rooms/1", "/rooms/2", "/rooms" };
	struct request_table t;
	struct request_record r;
	char *name;

	(void)state;
	request_table_init(&t);
	t.naming.has_routes = true;
	t.naming.methods = methods;
	t.naming.nr_methods = 2;
	for (int i = 0; i < 3; i++) {
		r = record(paths[i], 10, 200);
		r.route = i < 2 ? 5 : 4;
		add(&t, &r);
	}
	r = record("/rooms/9", 10, 200);
	r.route = 5;
	r.method = 1;
	r.end_flags = 1;
	add(&t, &r);
	r = record("/elsewhere", 10, 404);
	r.route = -1;
	add(&t, &r);
	r = record("/nowhere", 10, 404);
	r.route = -1;
	r.method = 9;
	add(&t, &r);
	assert_int_equal(t.nr_routes, 5);
	assert_string_equal(t.routes[0].name, "/rooms/*");
	assert_int_equal(t.routes[0].count, 2);
	assert_string_equal(t.routes[1].name, "/rooms");
	assert_string_equal(t.routes[2].name, "/rooms/9");
	assert_int_equal(t.routes[2].aborted, 1);
	assert_string_equal(t.routes[3].name, "(no route)");
	assert_string_equal(request_method(&t, 1), "HEAD");
	assert_string_equal(request_method(&t, 9), "?");
	r = record("/rooms/9", 10, 200);
	name = request_name(&t, &r);
	assert_string_equal(name, "GET /rooms/9");
	free(name);
	request_table_release(&t);
}

static void odd_records(void **state)
{
	const size_t whole = offsetof(struct request_record, past);
	struct request_table t;
	struct request_record r = record("x", 1000, 200);
	uint64_t number = 4711;

	(void)state;
	request_table_init(&t);
	assert_int_equal(request_table_add(&t, &r, 40), 0);
	r.nr_stmts = 2;
	assert_int_equal(request_table_add(&t, &r, offsetof(struct request_record, stmts[1])), 0);
	r.nr_stmts = REQUEST_STMTS + 1;
	assert_int_equal(request_table_add(&t, &r, sizeof(r)), 0);
	assert_int_equal(t.damaged, 3);
	assert_int_equal(t.nr_routes, 0);
	r.nr_stmts = 0;
	r.end = END_REUSED;
	add(&t, &r);
	r.end = END_THREAD;
	add(&t, &r);
	assert_int_equal(t.reused, 1);
	assert_int_equal(t.thread_gone, 1);
	r.told = 0x1234 | REQUEST_PENDING;
	add(&t, &r);
	assert_int_equal(t.thread_gone, 1);
	assert_int_equal(t.helpers, 1);
	assert_int_equal(request_table_count(&t), 0);
	r = record("", 1000, 0);
	r.states[STATE_COMMIT]--;
	add(&t, &r);
	assert_int_equal(t.inconsistent, 1);
	assert_string_equal(t.routes[0].name, "(requests)");
	/* a name without an end, and one that is a number */
	r = record("", 1000, 0);
	memset(r.long_name, 'n', sizeof(r.long_name));
	r.flags = REQUEST_NAME_CUT | REQUEST_NAME_LONG;
	assert_int_equal(request_table_add(&t, &r, whole - 1), 0);
	assert_int_equal(t.damaged, 4);
	assert_int_equal(request_table_add(&t, &r, whole), 0);
	assert_int_equal(strlen(t.routes[1].name), sizeof(r.long_name) - 1 + 3);
	r = record("", 1000, 0);
	memcpy(r.name, &number, sizeof(number));
	r.flags = REQUEST_NAME_NUMBER;
	add(&t, &r);
	assert_string_equal(t.routes[2].name, "?");
	/* ... which is what the requests are to be told apart by */
	t.naming.by_number = true;
	add(&t, &r);
	assert_string_equal(t.routes[3].name, "4711");
	request_table_release(&t);
}

/* What was told and never executed is kept apart from what was. */
static void not_executed(void **state)
{
	struct request_table t, more;
	struct request_record r;
	char *name;

	(void)state;
	request_table_init(&t);
	request_table_init(&more);
	r = record("SELECT 17", 1000, 0);
	r.told = 0x1234;
	add(&t, &r);
	r.told |= REQUEST_PENDING;
	add(&t, &r);
	add(&more, &r);
	assert_int_equal(request_table_merge(&t, &more), 0);
	assert_int_equal(t.nr_routes, 2);
	assert_string_equal(t.routes[0].name, "SELECT ?");
	assert_string_equal(t.routes[1].name, "(not executed) SELECT ?");
	assert_int_equal(t.routes[0].count, 1);
	assert_int_equal(t.routes[1].count, 2);
	assert_int_equal(t.not_executed, 2);
	name = request_name(&t, &r);
	assert_string_equal(name, "(not executed) SELECT 17");
	free(name);
	request_table_release(&t);
	request_table_release(&more);
}

static void too_many_routes(void **state)
{
	struct request_table t;
	struct request_record r;
	char name[32];

	(void)state;
	request_table_init(&t);
	for (int i = 0; i < REQUEST_MAX_ROUTES + 50; i++) {
		snprintf(name, sizeof(name), "n%c%c%c", 'a' + i % 26, 'a' + i / 26 % 26,
			 'a' + i / 676);
		r = record(name, 1, 200);
		add(&t, &r);
	}
	assert_int_equal(t.nr_routes, REQUEST_MAX_ROUTES + 1);
	assert_string_equal(t.routes[REQUEST_MAX_ROUTES].name, "(other routes)");
	assert_int_equal(t.routes[REQUEST_MAX_ROUTES].count, 50);
	assert_int_equal(t.other, 50);
	request_table_release(&t);
}

/* ---------------------------------------------------------------- the slowest ---- */

static void slowest(void **state)
{
	static const uint64_t latencies[] = { 30, 90, 10, 70, 50, 20 };
	struct request_detail d = { .header = { .type = EVENT_REQUEST_DETAIL, .tgid = 10 },
				    .nr = 1 };
	struct request_store s;
	struct request_record r;
	size_t size = offsetof(struct request_record, stmts);

	(void)state;
	assert_int_equal(request_store_init(&s, 3), 0);
	for (size_t i = 0; i < 6; i++) {
		d.header.arg = i;
		d.segments[0].at = i;
		request_store_detail(&s, &d, offsetof(struct request_detail, segments[1]));
		r = record("r", latencies[i], 200);
		r.header.arg = i + 1000;
		request_store_request(&s, &r, size); /* another one's */
		r.header.arg = i;
		request_store_request(&s, &r, size);
		request_store_request(&s, &r, size); /* the detail is taken */
	}
	d.nr = REQUEST_SEGMENTS + 1;
	request_store_detail(&s, &d, sizeof(d));
	d.nr = 2;
	request_store_detail(&s, &d, offsetof(struct request_detail, segments[1]));
	request_store_sort(&s);
	assert_int_equal(s.matched, 6);
	assert_int_equal(s.nr_slow, 3);
	assert_int_equal(request_latency(&s.slow[0].request), 90);
	assert_int_equal(request_latency(&s.slow[1].request), 70);
	assert_int_equal(request_latency(&s.slow[2].request), 50);
	assert_int_equal(s.slow[0].detail.segments[0].at, 1);
	assert_int_equal(s.slow[2].detail.segments[0].at, 4);
	request_store_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),       cmocka_unit_test(values),
		cmocka_unit_test(sums),	       cmocka_unit_test(numbered_routes),
		cmocka_unit_test(odd_records), cmocka_unit_test(too_many_routes),
		cmocka_unit_test(slowest),     cmocka_unit_test(not_executed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
