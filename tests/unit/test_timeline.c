/* SPDX-License-Identifier: MIT */
/* The analysis of timelines: against traces of which every number is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "timeline_seen.h"

/* -------- whole traces -------- */

static struct trace *make(struct fixture_trace *f, struct synthetic *s,
			  const struct synthetic_options *o)
{
	struct trace_writer_options options = { .start = SYNTHETIC_START, .max_events = 5000 };
	int fd;

	snprintf(f->path, sizeof(f->path), "/tmp/periscope-trace.XXXXXX");
	fd = mkstemp(f->path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(trace_file_create(f->path, SYNTHETIC_START, 1700000000000000000, &f->file),
			 0);
	assert_int_equal(trace_writer_new(f->file, &options, &f->w), 0);
	assert_int_equal(synthetic_make(s, o, f->w), 0);
	assert_int_equal(trace_writer_finish(f->w, s->end), 0);
	trace_writer_free(f->w);
	assert_int_equal(trace_file_close(f->file), 0);
	return fixture_trace_open(f);
}

static void expect_thread(const struct seen *s, const struct synthetic_thread *was)
{
	for (size_t i = 0; i < s->nr_threads; i++) {
		const struct timeline_thread *is = &s->threads[i].end;

		if (is->tid != was->tid)
			continue;
		for (unsigned int j = 0; j < THREAD_NR_STATES; j++)
			assert_int_equal(is->total[j], was->total[j]);
		assert_int_equal(is->runs, was->runs);
		assert_int_equal(is->wakeups, was->wakeups);
		assert_int_equal(s->threads[i].wakings, was->wakeups);
		assert_int_equal(is->syscalls, was->syscalls);
		assert_int_equal(is->preemptions, was->preemptions);
		assert_int_equal(is->faults, was->faults);
		assert_int_equal(is->samples, was->samples);
		assert_int_equal(s->threads[i].instants, was->samples);
		return;
	}
	fail_msg("thread %u was not seen", was->tid);
}

static void expect_sums(const struct synthetic_sums *is, const struct synthetic_sums *was)
{
	assert_int_equal(is->count, was->count);
	assert_int_equal(is->latency, was->latency);
	for (unsigned int i = 0; i < REQUEST_NR_STATES; i++)
		assert_int_equal(is->by_state[i], was->by_state[i]);
	for (unsigned int i = 0; i < SYNTHETIC_NR_PHASES; i++)
		assert_int_equal(is->by_phase[i], was->by_phase[i]);
	assert_int_equal(is->syscalls, was->syscalls);
	assert_int_equal(is->pieces, was->pieces);
	assert_int_equal(is->switches, was->switches);
}

static void test_known(void **state)
{
	static const struct synthetic_options options[] = {
		{ .events = 300, .loops = 1, .seed = 1 },
		{ .events = 60000, .loops = 1, .seed = 2 },
		{ .events = 60000, .loops = 3, .seed = 3 },
	};
	uint64_t running = 0, latency = 0;
	struct timeline_totals totals;
	static struct synthetic s;
	static struct seen seen;
	struct fixture_trace f = { 0 };
	struct trace *t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		t = make(&f, &s, &options[i]);
		run(t, NULL, &seen, &totals);
		running = latency = 0;
		for (unsigned int j = 0; j < s.o.loops; j++) {
			expect_thread(&seen, &s.loops[j]);
			expect_thread(&seen, &s.writers[j]);
			running += s.loops[j].total[THREAD_USER] + s.loops[j].total[THREAD_SYSCALL];
			running += s.writers[j].total[THREAD_USER] +
				   s.writers[j].total[THREAD_SYSCALL];
		}
		for (unsigned int j = 0; j < SYNTHETIC_NR_ROUTES; j++) {
			expect_sums(&seen.routes[j], &s.routes[j]);
			latency += s.routes[j].latency;
		}
		assert_int_equal(seen.nr_threads, 2 * s.o.loops);
		assert_int_equal(totals.threads, 2 * s.o.loops);
		assert_int_equal(seen.requests, s.requests);
		assert_int_equal(totals.requests, s.requests);
		assert_int_equal(seen.partial, 0);
		assert_int_equal(seen.lost_requests, 0);
		assert_int_equal(seen.slowest, s.slowest);
		/* What is drawn is what is added up. */
		assert_int_equal(seen.cpu_time, running);
		assert_int_equal(seen.intervals, latency);
		assert_int_equal(totals.odd, 0);
		assert_int_equal(totals.losses, 0);
		assert_int_equal(totals.end, s.end);
		assert_int_equal(t->nr_events, s.emitted);
		trace_close(t);
		unlink(f.path);
	}
}

/* With losses nothing overlaps, all adds up, and what they touched is marked. */
static void test_with_losses(void **state)
{
	const struct synthetic_options rare = {
		.events = 40000, .loops = 2, .seed = 4, .lose = 5003
	};
	const struct synthetic_options often = {
		.events = 40000, .loops = 2, .seed = 5, .lose = 7
	};
	struct timeline_totals totals;
	static struct synthetic s;
	static struct seen seen;
	struct fixture_trace f = { 0 };
	struct trace *t;

	(void)state;
	t = make(&f, &s, &rare);
	run(t, NULL, &seen, &totals);
	assert_int_equal(totals.lost, s.lost);
	assert_int_equal(seen.lost, s.lost);
	assert_true(seen.lost_requests >= 1 && seen.lost_requests < 4 * s.lost);
	/* All but those few are exact: the sum of what is left is near. */
	assert_true(seen.requests + 2 * s.lost >= s.requests &&
		    seen.requests <= s.requests + s.lost);
	trace_close(t);
	unlink(f.path);
	t = make(&f, &s, &often);
	run(t, NULL, &seen, &totals);
	assert_int_equal(totals.lost, s.lost);
	trace_close(t);
	unlink(f.path);
}

/* -------- filters -------- */

static void test_window(void **state)
{
	const struct synthetic_options o = { .events = 40000, .loops = 2, .seed = 6 };
	struct timeline_filter filter = { 0 };
	struct timeline_totals totals;
	static struct synthetic s;
	static struct seen seen;
	struct fixture_trace f = { 0 };
	uint64_t sums[THREAD_NR_STATES] = { 0 }, requests = 0, span;
	struct trace *t;

	(void)state;
	t = make(&f, &s, &o);
	span = s.end - SYNTHETIC_START;
	/* The parts, taken one by one, make the whole. */
	for (int part = 0; part < 5; part++) {
		filter.from = span / 5 * part;
		filter.to = part == 4 ? 0 : span / 5 * (part + 1);
		run(t, &filter, &seen, &totals);
		assert_int_equal(totals.start, SYNTHETIC_START + filter.from);
		for (size_t i = 0; i < seen.nr_threads; i++) {
			assert_int_equal(seen.threads[i].first, totals.start);
			for (unsigned int j = 0; j < THREAD_NR_STATES; j++)
				sums[j] += seen.threads[i].end.total[j];
		}
		requests += seen.requests - seen.partial;
	}
	for (unsigned int j = 0; j < THREAD_NR_STATES; j++) {
		for (unsigned int i = 0; i < s.o.loops; i++)
			sums[j] -= s.loops[i].total[j] + s.writers[i].total[j];
		assert_int_equal(sums[j], 0);
	}
	assert_int_equal(requests, s.requests);
	/* Beyond the end there is nothing, and that is no error. */
	filter.from = filter.to = 2 * span;
	run(t, &filter, &seen, &totals);
	assert_int_equal(totals.start, totals.end);
	assert_int_equal(seen.requests, 0);
	trace_close(t);
	unlink(f.path);
}

static void test_choice(void **state)
{
	const struct synthetic_options o = { .events = 40000, .loops = 2, .seed = 7 };
	struct timeline_filter filter = { .route = "POST *" };
	const uint32_t tid = SYNTHETIC_PID + 3;
	struct timeline_totals totals;
	static struct synthetic s;
	static struct seen seen;
	struct fixture_trace f = { 0 };
	uint64_t on_cpu = 0;
	struct trace *t;

	(void)state;
	t = make(&f, &s, &o);
	run(t, &filter, &seen, &totals);
	assert_int_equal(seen.requests, s.routes[SYNTHETIC_ROUTE_BOOK].count);
	assert_int_equal(totals.unchosen, s.requests - seen.requests);
	expect_sums(&seen.routes[SYNTHETIC_ROUTE_BOOK], &s.routes[SYNTHETIC_ROUTE_BOOK]);
	/* Of threads, what they did for these requests. */
	for (size_t i = 0; i < seen.nr_threads; i++)
		on_cpu += seen.threads[i].end.total[THREAD_USER];
	assert_int_equal(on_cpu, s.routes[SYNTHETIC_ROUTE_BOOK].by_state[THREAD_USER]);

	filter = (struct timeline_filter){ .slower = s.slowest };
	run(t, &filter, &seen, &totals);
	assert_int_equal(seen.requests, 1);
	assert_int_equal(seen.slowest, s.slowest);
	filter.slower = s.slowest + 1;
	run(t, &filter, &seen, &totals);
	assert_int_equal(seen.requests, 0);
	assert_int_equal(seen.nr_threads, 0);

	filter = (struct timeline_filter){ .tids = &tid, .nr_tids = 1 };
	run(t, &filter, &seen, &totals);
	assert_int_equal(seen.nr_threads, 1);
	expect_thread(&seen, &s.loops[1]);
	assert_int_equal(seen.requests, s.requests);
	trace_close(t);
	unlink(f.path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_with_losses),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_choice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
