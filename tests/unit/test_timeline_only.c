/* SPDX-License-Identifier: MIT */
/*
 * What is kept of a timeline when only some requests matter: their events whole, of the others begin,
 * end and sums that add up, and every event that is not there is counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "timeline.h"
#include "timeline_only.h"
#include "trace_file_reader.h"
#include "trace_file_writer.h"

#define START UINT64_C(1000000000000)
#define MS    UINT64_C(1000000)
#define TID   7

struct fixture {
	struct only_condition conditions[4];
	struct only *only;
	struct trace_chunks *file;
	struct trace_writer *writer;
	char path[64];
	uint64_t put; /* events */
	struct trace *trace;
	/* What is in the file. */
	uint64_t by_kind[EVT_NR], left_out;
	/* And what became of requests: whole, by sums, in no way. */
	uint64_t whole, summed, partial;
};

static void begin(struct fixture *f, const char *const *texts, size_t nr)
{
	struct trace_writer_options o = { .start = START };
	const char *why;

	memset(f, 0, sizeof(*f));
	for (size_t i = 0; i < nr; i++)
		assert_int_equal(only_parse(texts[i], &f->conditions[i], &why), 0);
	f->only = only_new(f->conditions, nr);
	assert_non_null(f->only);
	o.sieve = only_sieve(f->only);
	snprintf(f->path, sizeof(f->path), "/tmp/test_timeline_only.%d.periscope", getpid());
	assert_int_equal(trace_file_create(f->path, START, 0, &f->file), 0);
	assert_int_equal(trace_writer_new(f->file, &o, &f->writer), 0);
	only_set_writer(f->only, f->writer);
}

/* An event of the thread on CPU 0, whose first two fields are a and b. */
static void put(struct fixture *f, unsigned int kind, uint64_t ms, uint64_t a, uint64_t b)
{
	struct event e = { .time = START + ms * MS, .tid = TID, .kind = kind, .v = { a, b } };
	struct event_arg arg = { .type = EVENT_ARG_TEXT, .text = "/x" };

	if (kind == EVT_REQUEST_BEGIN) {
		arg.name = trace_writer_string(f->writer, "path");
		e.args = &arg;
		e.nr_args = 1;
		e.begin.flags = EVENT_REQUEST_RUNS;
	}
	f->put++;
	assert_int_equal(trace_writer_event(f->writer, &e, f->put), 0);
}

/* One that takes so many ms, with two system calls in it. */
static void request(struct fixture *f, uint64_t id, uint64_t ms, uint64_t takes, uint64_t status)
{
	put(f, EVT_REQUEST_BEGIN, ms, id, 0);
	put(f, EVT_SYSCALL_ENTER, ms, 1, 0);
	put(f, EVT_SYSCALL_EXIT, ms + takes / 2, 1, 0);
	put(f, EVT_SYSCALL_ENTER, ms + takes, 1, 0);
	put(f, EVT_SYSCALL_EXIT, ms + takes, 1, 0);
	put(f, EVT_REQUEST_PAUSE, ms + takes, id, 0);
	put(f, EVT_REQUEST_END, ms + takes, id, status);
}

static int on_end(void *ctx, struct timeline_request *r, const struct event *e)
{
	struct fixture *f = ctx;
	uint64_t states = 0, phases = 0;

	(void)e;
	if (r->partial || r->lost) {
		f->partial++;
		return 0;
	}
	if (r->summed)
		f->summed++;
	else
		f->whole++;
	for (unsigned int i = 0; i < REQUEST_NR_STATES; i++)
		states += r->by_state[i];
	for (unsigned int i = 0; i < TIMELINE_MAX_PHASES; i++)
		phases += r->by_phase[i];
	assert_int_equal(states, r->end - r->begin);
	assert_int_equal(phases, r->end - r->begin);
	if (r->end - r->begin > 1)
		assert_int_equal(r->by_state[THREAD_UNKNOWN], 0);
	assert_int_equal(r->syscalls, 2);
	return 0;
}

static int on_event(void *ctx, const struct event *e)
{
	struct fixture *f = ctx;

	f->by_kind[e->kind]++;
	if (e->kind == EVT_LEFT_OUT)
		f->left_out += e->left_out.count;
	return 0;
}

/* Ends the recording, and reads it. */
static void finish(struct fixture *f, uint64_t ms)
{
	const struct timeline_visitor v = { .request_end = on_end, .event = on_event };
	const struct timeline_filter all = { 0 };
	struct timeline_totals totals;
	struct trace_writer_stats st;
	struct read_error error;
	uint64_t kept = 0;

	assert_int_equal(trace_writer_finish(f->writer, START + ms * MS), 0);
	trace_writer_stats(f->writer, &st);
	trace_writer_free(f->writer);
	assert_int_equal(trace_file_close(f->file), 0);
	assert_int_equal(trace_open(f->path, &f->trace, &error), 0);
	assert_int_equal(timeline_run(f->trace, &all, &v, f, &totals), 0);
	assert_int_equal(totals.odd, 0);
	assert_int_equal(totals.left_out, st.left_out);
	assert_int_equal(f->left_out, st.left_out);
	for (unsigned int kind = 1; kind < EVT_NR; kind++)
		if (kind != EVT_LEFT_OUT && kind != EVT_STATE && kind != EVT_REQUEST_SUM)
			kept += f->by_kind[kind];
	assert_int_equal(kept + st.left_out, f->put);
}

static void end(struct fixture *f)
{
	trace_close(f->trace);
	unlink(f->path);
	only_free(f->only);
}

static void test_slow_one_among_others(void **state)
{
	static const char *const texts[] = { "latency>20ms" };
	struct only_stats st;
	struct fixture f;

	(void)state;
	begin(&f, texts, 1);
	put(&f, EVT_SWITCH_IN, 0, 0, 0);
	for (uint64_t i = 1; i <= 100; i++)
		request(&f, i, i * 100, i == 37 ? 40 : 4, 200);
	finish(&f, 20000);
	assert_int_equal(f.whole, 1);
	assert_int_equal(f.summed, 99);
	assert_int_equal(f.partial, 0);
	assert_int_equal(f.by_kind[EVT_SYSCALL_ENTER], 2);
	assert_int_equal(f.by_kind[EVT_REQUEST_PAUSE], 1);
	assert_int_equal(f.by_kind[EVT_REQUEST_END], 100);
	only_stats(f.only, &st);
	assert_int_equal(st.requests, 100);
	assert_int_equal(st.whole, 1);
	assert_int_equal(st.late + st.cut, 0);
	end(&f);
}

static void test_alternatives(void **state)
{
	static const char *const texts[] = { "status>=500", "1/10" };
	struct fixture f;

	(void)state;
	begin(&f, texts, 2);
	for (uint64_t i = 1; i <= 100; i++)
		request(&f, i, i * 10, 4, i == 37 || i == 41 ? 503 : 200); /* 41 is a tenth, too */
	finish(&f, 20000);
	assert_int_equal(f.whole, 11);
	assert_int_equal(f.summed, 89);
	end(&f);
}

/* What a trigger marks matters, whatever it is. */
static void test_marked(void **state)
{
	static const char *const texts[] = { "latency>1h" };
	struct fixture f;

	(void)state;
	begin(&f, texts, 1);
	request(&f, 1, 10, 4, 200);
	put(&f, EVT_REQUEST_BEGIN, 20, 2, 0);
	put(&f, EVT_SYSCALL_ENTER, 20, 1, 0);
	put(&f, EVT_SYSCALL_EXIT, 22, 1, 0);
	put(&f, EVT_SYSCALL_ENTER, 22, 1, 0);
	put(&f, EVT_SYSCALL_EXIT, 23, 1, 0);
	put(&f, EVT_TRIGGER, 23, 0, 2);
	put(&f, EVT_REQUEST_END, 23, 2, 200);
	request(&f, 3, 30, 4, 200);
	finish(&f, 100);
	assert_int_equal(f.whole, 1);
	assert_int_equal(f.summed, 2);
	assert_int_equal(f.by_kind[EVT_SYSCALL_ENTER], 2);
	end(&f);
}

/* A request that stays open holds the others up for a second; then it is decided. */
static void test_given_up(void **state)
{
	static const char *const texts[] = { "status>=500" };
	struct only_stats st;
	struct fixture f;

	(void)state;
	begin(&f, texts, 1);
	put(&f, EVT_REQUEST_BEGIN, 0, 1000, 0);
	put(&f, EVT_REQUEST_PAUSE, 0, 1000, 0);
	for (uint64_t i = 1; i <= 300; i++) {
		request(&f, i, i * 10, 4, i == 250 ? 500 : 200);
		assert_int_equal(trace_writer_poll(f.writer, START + i * 10 * MS), 0);
	}
	put(&f, EVT_SYSCALL_ENTER, 3998, 1, 0);
	put(&f, EVT_SYSCALL_EXIT, 3999, 1, 0);
	put(&f, EVT_REQUEST_RUN, 4000, 1000, 0);
	put(&f, EVT_SYSCALL_ENTER, 4000, 1, 0);
	put(&f, EVT_SYSCALL_EXIT, 4000, 1, 0);
	put(&f, EVT_SYSCALL_ENTER, 4000, 1, 0);
	put(&f, EVT_SYSCALL_EXIT, 4001, 1, 0);
	put(&f, EVT_REQUEST_END, 4001, 1000, 500);
	finish(&f, 5000);
	only_stats(f.only, &st);
	assert_int_equal(st.late, 1);
	assert_int_equal(st.whole, 1);
	assert_int_equal(f.whole, 1);
	assert_int_equal(f.summed, 300);
	end(&f);
}

/* One that is slow and never ends is followed for ten seconds, not for ever. */
static void test_cut(void **state)
{
	static const char *const texts[] = { "latency>20ms" };
	struct only_stats st;
	struct fixture f;

	(void)state;
	begin(&f, texts, 1);
	put(&f, EVT_REQUEST_BEGIN, 0, 1000, 0);
	put(&f, EVT_REQUEST_PAUSE, 0, 1000, 0);
	for (uint64_t i = 1; i <= 200; i++) {
		request(&f, i, i * 100, 4, 200);
		assert_int_equal(trace_writer_poll(f.writer, START + i * 100 * MS), 0);
	}
	finish(&f, 30000);
	only_stats(f.only, &st);
	assert_int_equal(st.cut, 1);
	/* Until 10 s they are in the time of one that matters. */
	assert_in_range(f.by_kind[EVT_REQUEST_PAUSE], 99, 102);
	assert_int_equal(f.by_kind[EVT_REQUEST_END], 200);
	assert_int_equal(f.partial, 1);
	end(&f);
}

/* The end of one was lost, and its number is used again; a writer that does not finish. */
static void test_number_again(void **state)
{
	static const char *const texts[] = { "latency>20ms" };
	struct fixture f;

	(void)state;
	begin(&f, texts, 1);
	put(&f, EVT_REQUEST_BEGIN, 0, 1, 0);
	put(&f, EVT_REQUEST_PAUSE, 0, 1, 0);
	request(&f, 1, 100, 4, 200);
	request(&f, 2, 200, 4, 200);
	finish(&f, 1000);
	assert_int_equal(f.partial, 1);
	assert_int_equal(f.summed, 2);
	end(&f);
	begin(&f, texts, 1);
	request(&f, 1, 100, 40, 200);
	put(&f, EVT_REQUEST_BEGIN, 200, 2, 0);
	assert_int_equal(trace_writer_poll(f.writer, START + 201 * MS), 0);
	trace_writer_free(f.writer);
	trace_file_close(f.file);
	unlink(f.path);
	only_free(f.only);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"",	"1/0",	   "1/",      "1/x",	   "2/3",
		"exit", "rss>1MB", "latency", "latency>x", "f(arg1==1)"
	};
	struct only_condition c;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const char *why = NULL;

		assert_int_equal(only_parse(bad[i], &c, &why), -EINVAL);
		assert_non_null(why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_one_among_others),
		cmocka_unit_test(test_alternatives),
		cmocka_unit_test(test_marked),
		cmocka_unit_test(test_given_up),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_number_again),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
