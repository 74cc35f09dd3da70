/* SPDX-License-Identifier: MIT */
/* What a slow request is drawn as, also where not all of it was kept. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "report_fixture.h"
#include "request_waterfall.h"

#define START 5000
#define STEP  10

/* It changes between running and runnable every STEP; the phase once, with the segment `half`. */
static void fill(struct request_slow *s, uint32_t nr, uint32_t half, uint32_t lost, uint64_t length)
{
	*s = (struct request_slow){ .request = { .start = START,
						 .word = REQUEST_WORD(START + length, 0) },
				    .detail = { .nr = nr, .lost = lost } };
	for (uint32_t i = 0; i < nr; i++)
		s->detail.segments[i] = (struct request_segment){
			.at = START + i * STEP,
			.tid = 7,
			.state = i % 2 ? STATE_RUNNABLE : STATE_ON_CPU,
			.phase = i < half ? PHASE_PARSE : PHASE_SQL,
		};
}

static struct report *draw(const struct request_slow *s, bool phases, struct report_trace **ret)
{
	struct report *r = report_new();
	struct report_waterfall *w = report_waterfall(report_section(r, "s", "S"), "w", NULL);

	report_class(w, "on CPU");
	if (s->detail.lost)
		report_unknown(w, "not kept");
	*ret = report_trace(w, "request", 0, request_latency(&s->request), NULL);
	assert_int_equal(request_spans(*ret, s, phases, NULL), 0);
	assert_int_equal(report_error(r), 0);
	return r;
}

static void assert_span(const struct report_trace *t, size_t i, const char *name, uint64_t start,
			uint64_t duration, unsigned int depth)
{
	assert_true(i < t->nr_spans);
	assert_string_equal(t->spans[i].name, name);
	assert_int_equal(t->spans[i].start_ns, start);
	assert_int_equal(t->spans[i].duration_ns, duration);
	assert_int_equal(t->spans[i].depth, depth);
}

static void all_kept(void **state)
{
	struct request_slow s;
	struct report_trace *t;
	struct report *r;

	(void)state;
	fill(&s, 3, 2, 0, 100);
	r = draw(&s, true, &t);
	assert_int_equal(t->nr_spans, 5);
	assert_span(t, 0, "parse", 0, 20, 0);
	assert_span(t, 1, "SQL", 20, 80, 0);
	assert_span(t, 2, "on CPU, thread 7", 0, 10, 1);
	assert_span(t, 3, "runnable, thread 7", 10, 10, 1);
	assert_span(t, 4, "on CPU, thread 7", 20, 80, 1);
	report_free(r);
}

/* The last that was kept did not last until the end: how long it did is not known. */
static void not_all_kept(void **state)
{
	const uint64_t known = (REQUEST_SEGMENTS - 1) * STEP, length = 4 * known;
	struct request_slow s;
	struct report_trace *t;
	struct report *r;
	uint64_t sum = 0;

	(void)state;
	fill(&s, REQUEST_SEGMENTS, 2, 17, length);
	r = draw(&s, false, &t);
	assert_int_equal(t->nr_spans, REQUEST_SEGMENTS);
	assert_span(t, REQUEST_SEGMENTS - 2, "on CPU, thread 7", known - STEP, STEP, 0);
	assert_span(t, REQUEST_SEGMENTS - 1, "not kept, 17 changes", known, length - known, 0);
	assert_int_equal(t->spans[REQUEST_SEGMENTS - 1].class + 1, t->waterfall->unknown);
	for (size_t i = 0; i < t->nr_spans; i++)
		sum += t->spans[i].duration_ns;
	assert_int_equal(sum, length);
	report_free(r);

	/* Neither did its phase. */
	r = draw(&s, true, &t);
	assert_span(t, 1, "SQL", 2 * STEP, known - 2 * STEP, 0);
	assert_span(t, t->nr_spans - 1, "not kept, 17 changes", known, length - known, 0);
	report_free(r);
}

static void marks(void **state)
{
	const struct write_options plain = { .width = 80 };
	struct request_slow s;
	struct report_trace *t;
	struct report *r;
	struct strbuf out;

	(void)state;
	fill(&s, REQUEST_SEGMENTS, 2, 17, 4 * REQUEST_SEGMENTS * STEP);
	r = draw(&s, false, &t);
	fixture_write_report(write_report_text, r, &plain, &out);
	assert_non_null(strstr(strbuf_str(&out), "????????|\n"));
	assert_null(strstr(strbuf_str(&out), "##"));
	strbuf_release(&out);
	fixture_write_report(write_report_svg, r, &plain, &out);
	/* In the legend and of the span; the ninth colour is none's. */
	assert_non_null(strstr(strbuf_str(&out), "<rect class=\"c8\""));
	assert_non_null(
		strstr(strstr(strbuf_str(&out), "<rect class=\"c8\"") + 1, "<rect class=\"c8\""));
	assert_non_null(strstr(strbuf_str(&out), "\n.c8{"));
	strbuf_release(&out);
	report_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_kept),
		cmocka_unit_test(not_all_kept),
		cmocka_unit_test(marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
