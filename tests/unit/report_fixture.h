/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REPORT_FIXTURE_H
#define PERISCOPE_REPORT_FIXTURE_H

/*
 * Reports for the tests of their writers: one as a capture of requests and allocations ends in, and
 * one of the worst names. Include after cmocka.h.
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hist.h"
#include "lib/report.h"
#include "lib/sink.h"
#include "lib/strbuf.h"
#include "lib/util.h"
#include "lib/write_report.h"

static const struct report_column fixture_routes[] = {
	{ "route", "route", REPORT_PLACE },
	{ "requests", "requests", REPORT_COUNT },
	{ "rate", "rate", REPORT_RATE },
	{ "errors", "5xx", REPORT_PERCENT },
	REPORT_LATENCY_COLUMNS,
	{ "allocated", "allocated", REPORT_BYTES },
};

static const struct report_column fixture_leaks[] = {
	{ "bytes", "bytes", REPORT_BYTES },
	{ "blocks", "blocks", REPORT_COUNT },
	{ "age", "age", REPORT_NS },
	{ "stack", "allocated by", REPORT_STACK },
};

static const struct report_column fixture_lines[] = {
	{ "in_use", "in use", REPORT_BYTES },
	{ "rss", "resident", REPORT_BYTES },
};

/* Latencies of two kinds, the same in every run: 1000 values, of which 600 are 2 to 4 ms. */
static inline void fixture_latencies(struct hist *h, uint64_t scale)
{
	hist_init(h);
	for (uint64_t i = 0; i < 600; i++)
		assert_int_equal(hist_record(h, scale * (2000 + 3 * i)), 0);
	for (uint64_t i = 0; i < 400; i++)
		assert_int_equal(hist_record(h, scale * (100000 + 400 * i)), 0);
}

static inline void fixture_add_routes(struct report *r)
{
	static const char *const routes[] = { "GET /rooms", "POST /bookings",
					      "GET /bookings/{id}/participants/{participant}",
					      "DELETE /bookings/{id}", "GET /health" };
	struct report_section *s = report_section(r, "routes", "Requests by route");
	struct report_table *t;
	struct hist h;

	report_note(s,
		    "%d requests were still open at the end and are left out of the "
		    "percentiles; the oldest of them began 4.2s before the end.",
		    3);
	report_fact(s, "requests", "requests", REPORT_COUNT, 5000);
	report_fact_real(s, "rate", "rate", REPORT_RATE, 499.5);
	report_fact(s, "open", "still open", REPORT_COUNT, 3);
	report_fact_text(s, "server", "server", "coworkingd");
	t = report_table(s, "routes", NULL, fixture_routes, ARRAY_SIZE(fixture_routes));
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		fixture_latencies(&h, 10 * (i + 1));
		report_add_text(t, routes[i]);
		report_add(t, (int64_t)h.count * (int64_t)(i + 1));
		report_add_real(t, 100.0 * (double)(i + 1));
		report_add_real(t, 0.25 * (double)i);
		report_add_latency(t, &h);
		if (i == 4)
			report_add_none(t);
		else
			report_add(t, 4711 << i);
		hist_release(&h);
	}
	report_sort(t, "requests");
	fixture_latencies(&h, 1000);
	report_histogram_of(s, "latency", "Latency of all routes", REPORT_NS, "requests", &h);
	hist_release(&h);
}

static inline void fixture_add_heap(struct report *r)
{
	struct report_section *s = report_section(r, "heap", "Allocations");
	struct report_histogram *h;
	struct report_table *t;
	struct report_series *series;

	h = report_histogram(s, "sizes", "By size", REPORT_BYTES, "allocations");
	report_second(h, "sum", "bytes", REPORT_BYTES);
	for (unsigned int i = 3; i < 21; i++) {
		uint64_t count = i > 9 && i < 15 ? 0 : 100000 >> (i - 3);

		report_bucket(h, 1ULL << i, (2ULL << i) - 1, count, count * (3ULL << i) / 2);
	}
	report_bucket(h, 1 << 21, UINT64_MAX, 2, 5 << 20);
	t = report_table(s, "outstanding", "Never freed, oldest first", fixture_leaks,
			 ARRAY_SIZE(fixture_leaks));
	report_add(t, 1 << 20);
	report_add(t, 17);
	report_add(t, 61000000000);
	report_add_text(t, "cache_insert  cache.c:120\n"
			   "handle_get_room  handlers_rooms.c:88\non_request  http.c:301\n"
			   "h2o_dispatch_request  [libh2o-evloop.so.0.15]\nmain  main.c:44");
	report_add(t, 4096);
	report_add(t, 1);
	report_add(t, 30500000);
	report_add_text(t, "sqlite3MemMalloc  [libsqlite3.so.0]");
	series = report_series(s, "growth", "Over time", fixture_lines, ARRAY_SIZE(fixture_lines));
	for (int i = 0; i <= 60; i++) {
		int64_t values[] = { (10 << 20) + i * (i % 7 + 20) * 10000,
				     (30 << 20) + (i > 20 ? i * 700000 : 0) };

		report_point(series, (uint64_t)i * 1000000000, values);
	}
}

static inline void fixture_add_slow(struct report *r)
{
	struct report_section *s = report_section(r, "slow", "Slowest requests");
	struct report_waterfall *w = report_waterfall(s, "slowest", NULL);
	struct report_trace *t;

	report_class(w, "running");
	report_class(w, "runnable");
	report_class(w, "blocked");
	report_class(w, "queued");
	t = report_trace(w, "POST /bookings", 1234567890, 182000000, "status 201, thread loop/1");
	report_span(t, "running", "parse", 0, 210000, 0, NULL);
	report_span(t, "running", "auth", 210000, 1700000, 0, NULL);
	report_span(t, "queued", "waiting for the writer", 1910000, 120000000, 0, NULL);
	report_span(t, "running", "SQL: INSERT INTO bookings(room, start, stop) VALUES (?, ?, ?)",
		    121910000, 50000000, 0, NULL);
	report_span(
		t, "blocked", "disk", 130000000, 36000000, 1,
		"fdatasync  [libc.so.6]\nunixSync  [libsqlite3.so.0]\nwriter_run  db_writer.c:77");
	report_span(t, "runnable", "waiting for a CPU", 170000000, 1900000, 1, NULL);
	report_span(t, "running", "send", 181910000, 90000, 0, NULL);
	t = report_trace(w, "GET /rooms", 3000000000, 91000000, NULL);
	for (uint64_t i = 0; i < 90; i++)
		report_span(t, i % 2 ? "blocked" : "running", i % 2 ? "futex" : "on CPU",
			    i * 1000000, i % 2 ? 1500000 : 500000 + i * 1000, 0, NULL);
}

static inline struct report *fixture_report(void)
{
	struct report *r = report_new();

	assert_non_null(r);
	fixture_add_routes(r);
	fixture_add_heap(r);
	fixture_add_slow(r);
	assert_int_equal(report_error(r), 0);
	return r;
}

#define FIXTURE_BAD_NAMES 9

static inline const char *fixture_bad_name(int i)
{
	static char longest[20001];
	const char *const names[FIXTURE_BAD_NAMES] = {
		"",
		"\033[31mred\033[0m\a\b\r",
		"two\nlines\tand a tab",
		"\xff\xc0\xafnot utf-8\xed\xa0\x80",
		"<script>alert(1)</script>&amp;\"'",
		"]]>--><![CDATA[",
		"\\\"\\u0000{}[],:",
		"\xe2\x80\xaeright to left\xe2\x80\x8f \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
		longest,
	};

	memset(longest, 'L', sizeof(longest) - 1);
	return names[i];
}

/* Every text that may come from a target is bad, in every part of a report. */
static inline struct report *fixture_bad_report(void)
{
	struct report *r = report_new();
	struct report_section *s;
	struct report_table *t;
	struct report_waterfall *w;

	assert_non_null(r);
	s = report_section(r, "bad", fixture_bad_name(1));
	for (int i = 0; i < FIXTURE_BAD_NAMES; i++)
		report_note(s, "%s", fixture_bad_name(i));
	report_fact_text(s, "text", "text", fixture_bad_name(4));
	t = report_table(s, "names", fixture_bad_name(5), fixture_routes,
			 ARRAY_SIZE(fixture_routes));
	for (int i = 0; i < FIXTURE_BAD_NAMES; i++) {
		report_add_text(t, fixture_bad_name(i));
		report_add(t, INT64_MAX);
		report_add_real(t, i % 2 ? NAN : 1e300);
		report_add_real(t, -INFINITY);
		for (int k = 0; k < 5; k++)
			report_add(t, k ? INT64_MIN : 0);
		report_add(t, INT64_MAX);
	}
	t = report_table(s, "stacks", NULL, fixture_leaks, ARRAY_SIZE(fixture_leaks));
	for (int i = 0; i < FIXTURE_BAD_NAMES; i++) {
		report_add(t, -1);
		report_add_none(t);
		report_add(t, 0);
		report_add_text(t, fixture_bad_name(i));
	}
	w = report_waterfall(s, "spans", fixture_bad_name(8));
	for (int i = 0; i < FIXTURE_BAD_NAMES; i++) {
		struct report_trace *trace = report_trace(w, fixture_bad_name(i), UINT64_MAX,
							  i ? 1000 : 0, fixture_bad_name(i));

		/* Before the end, at it, beyond it, of no and of all length. */
		for (int k = 0; k < FIXTURE_BAD_NAMES; k++)
			report_span(trace, fixture_bad_name(k), fixture_bad_name(i),
				    k == 3 ? UINT64_MAX : (uint64_t)k * 300,
				    k == 4 ? UINT64_MAX : (uint64_t)(k % 2) * 100,
				    (unsigned int)k * 40, fixture_bad_name(k));
	}
	assert_int_equal(report_error(r), 0);
	return r;
}

/* What a writer makes of a report, in `out`, to be released. */
static inline void fixture_write_report(int (*write)(const struct report *,
						     const struct write_options *, struct sink *),
					const struct report *r, const struct write_options *o,
					struct strbuf *out)
{
	struct strbuf_sink sink;

	strbuf_init(out);
	strbuf_sink_init(&sink, out);
	assert_int_equal(write(r, o, &sink.sink), 0);
}

#endif
