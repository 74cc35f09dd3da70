/* SPDX-License-Identifier: MIT */
/* The analysis of timelines: cases made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "timeline_seen.h"

/* A process 10 with threads 11 and 12; times in ns. */

#define EVENT(...) fixture_put(&f, FIXTURE_EVENT(__VA_ARGS__), 0)

static void begin_hand(struct fixture_trace *f)
{
	fixture_trace_new(f, NULL);
	for (uint32_t tid = 11; tid <= 12; tid++)
		fixture_put(f,
			    FIXTURE_EVENT(.tid = tid, .kind = EVT_THREAD,
					  .thread = { 10, trace_writer_string(f->w, "hand"),
						      EVENT_THREAD_BEFORE }),
			    0);
}

/* What thread 11 was doing: "user 10, futex 90, ..."; and the run is checked as ever. */
static void expect_hand(struct fixture_trace *f, uint64_t end, const char *expected,
			struct seen *seen, struct timeline_totals *totals)
{
	char text[512] = "";
	struct trace *t;
	size_t len = 0;

	fixture_trace_finish(f, end);
	t = fixture_trace_open(f);
	run(t, NULL, seen, totals);
	for (size_t i = 0; i < seen->nr_states; i++)
		if (seen->state_tids[i] == 11)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s %d",
						len ? ", " : "",
						thread_state_name(seen->states[i].state),
						(int)(seen->states[i].end - seen->states[i].start));
	assert_string_equal(text, expected);
	trace_close(t);
	unlink(f->path);
}

static void test_told_state(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f = { 0 };

	(void)state;
	/* It slept all the while, and before. */
	begin_hand(&f);
	EVENT(.tid = 11, .kind = EVT_STATE, .state = { THREAD_SLEEP, FIXTURE_START - 1000 });
	expect_hand(&f, 100, "sleep 100", &seen, &totals);
	/* Told in the middle: since when it was so is told, too. What came later tells nothing new. */
	begin_hand(&f);
	EVENT(.time = 50, .tid = 11, .kind = EVT_STATE,
	      .state = { THREAD_FUTEX, FIXTURE_START + 20, 7 });
	EVENT(.time = 60, .kind = EVT_WAKING, .waking = { 11 });
	EVENT(.time = 70, .tid = 11, .cpu = 3, .kind = EVT_SWITCH_IN);
	EVENT(.time = 80, .tid = 11, .kind = EVT_STATE, .state = { THREAD_SLEEP });
	expect_hand(&f, 100, "unknown 20, futex 40, runnable 10, user 30", &seen, &totals);
	assert_int_equal(totals.odd, 0);
}

/* The wakeup is told before the switch that it is about. */
static void test_woken_early(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f = { 0 };

	(void)state;
	begin_hand(&f);
	EVENT(.time = 10, .tid = 11, .kind = EVT_SWITCH_IN);
	EVENT(.time = 20, .tid = 12, .cpu = 1, .kind = EVT_WAKING, .waking = { 11 });
	EVENT(.time = 21, .tid = 11, .kind = EVT_SWITCH_OUT, .out = { THREAD_FUTEX });
	EVENT(.time = 50, .tid = 11, .kind = EVT_SWITCH_IN);
	/* This one is of a thread that did not sleep: it does so later, and is woken again. */
	EVENT(.time = 60, .tid = 12, .cpu = 1, .kind = EVT_WAKING, .waking = { 11 });
	EVENT(.time = 70, .tid = 11, .kind = EVT_SWITCH_OUT, .out = { THREAD_DISK });
	EVENT(.time = 80, .tid = 12, .cpu = 1, .kind = EVT_WAKING, .waking = { 11 });
	EVENT(.time = 90, .tid = 11, .kind = EVT_SWITCH_IN);
	expect_hand(&f, 100,
		    "unknown 10, user 11, runnable 29, user 20, disk 10, runnable 10, user 10",
		    &seen, &totals);
	for (size_t i = 0; i < seen.nr_states; i++)
		if (seen.states[i].state == THREAD_RUNNABLE)
			assert_int_equal(seen.states[i].waker, 12);
	assert_int_equal(totals.odd, 0);
}

/* Preempted, moved to another CPU, given up, and in a system call all the while. */
static void test_moves(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f = { 0 };

	(void)state;
	begin_hand(&f);
	EVENT(.time = 0, .tid = 11, .cpu = 1, .kind = EVT_SWITCH_IN);
	EVENT(.time = 10, .tid = 11, .cpu = 1, .kind = EVT_SYSCALL_ENTER, .enter = { 5 });
	EVENT(.time = 30, .tid = 11, .cpu = 1, .kind = EVT_SWITCH_OUT, .out = { THREAD_PREEMPTED });
	EVENT(.time = 50, .tid = 11, .cpu = 2, .kind = EVT_SWITCH_IN);
	EVENT(.time = 60, .tid = 11, .cpu = 2, .kind = EVT_SYSCALL_EXIT, .leave = { 5 });
	EVENT(.time = 70, .tid = 11, .cpu = 2, .kind = EVT_SWITCH_OUT, .out = { THREAD_RUNNABLE });
	EVENT(.time = 75, .tid = 12, .cpu = 2, .kind = EVT_SWITCH_IN);
	EVENT(.time = 80, .tid = 12, .cpu = 2, .kind = EVT_SWITCH_OUT, .out = { THREAD_OTHER });
	EVENT(.time = 85, .tid = 11, .cpu = 2, .kind = EVT_SWITCH_IN);
	expect_hand(&f, 100,
		    "user 10, syscall 20, preempted 20, syscall 10, user 10, runnable 15, user 15",
		    &seen, &totals);
	assert_int_equal(seen.cpu_time, 30 + 20 + 5 + 15);
	assert_int_equal(totals.odd, 0);
}

/* What is not known is not said: from the last sure event to the next. */
static void test_lost_on_its_cpu(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f = { 0 };

	(void)state;
	begin_hand(&f);
	fixture_put(&f, FIXTURE_EVENT(.time = 10, .tid = 11, .kind = EVT_SWITCH_IN), 1);
	fixture_put(&f,
		    FIXTURE_EVENT(.time = 20, .tid = 11, .kind = EVT_SYSCALL_ENTER, .enter = { 5 }),
		    2);
	/* 3 and 4 are missing; then it is another's CPU. */
	fixture_put(&f, FIXTURE_EVENT(.time = 50, .tid = 12, .kind = EVT_SWITCH_IN), 5);
	fixture_put(&f,
		    FIXTURE_EVENT(.time = 60, .tid = 12, .kind = EVT_SWITCH_OUT,
				  .out = { THREAD_FUTEX }),
		    6);
	fixture_put(&f, FIXTURE_EVENT(.time = 60, .tid = 11, .kind = EVT_SWITCH_IN), 7);
	expect_hand(&f, 100, "unknown 10, user 10, unknown 40, user 40", &seen, &totals);
	assert_int_equal(totals.lost, 2);
	assert_int_equal(totals.odd, 0);
	/* The call that was open was cut where knowledge ends. */
	assert_int_equal(seen.cpu_time, 10 + 10 + 40);
}

/* A thread that sleeps is not on the CPU that has lost events; its wakeup may be one of them. */
static void test_lost_elsewhere(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f = { 0 };

	(void)state;
	for (int woken = 0; woken < 2; woken++) {
		begin_hand(&f);
		EVENT(.time = 0, .tid = 11, .cpu = 1, .kind = EVT_SWITCH_IN);
		EVENT(.time = 10, .tid = 11, .cpu = 1, .kind = EVT_SWITCH_OUT,
		      .out = { THREAD_FUTEX });
		fixture_put(&f, FIXTURE_EVENT(.time = 20, .tid = 12, .kind = EVT_SWITCH_IN), 1);
		fixture_put(&f, FIXTURE_EVENT(.time = 40, .tid = 12, .kind = EVT_INSTANT), 3);
		if (woken)
			EVENT(.time = 60, .tid = 12, .kind = EVT_WAKING, .waking = { 11 });
		EVENT(.time = 70, .tid = 11, .cpu = 1, .kind = EVT_SWITCH_IN);
		expect_hand(&f, 100,
			    woken ? "user 10, futex 50, runnable 10, user 30"
				  : "user 10, futex 10, unknown 50, user 30",
			    &seen, &totals);
		assert_int_equal(totals.losses, 1);
	}
}

/* Without a loss between, what does not fit is counted, and nothing is made up. */
static void test_odd(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f = { 0 };

	(void)state;
	begin_hand(&f);
	EVENT(.time = 0, .tid = 11, .kind = EVT_SWITCH_IN);
	EVENT(.time = 10, .tid = 11, .kind = EVT_SWITCH_OUT, .out = { THREAD_FUTEX });
	EVENT(.time = 30, .tid = 11, .kind = EVT_SYSCALL_ENTER, .enter = { 1 });
	EVENT(.time = 50, .tid = 12, .kind = EVT_SWITCH_IN);
	expect_hand(&f, 100, "user 10, futex 20, syscall 20, unknown 50", &seen, &totals);
	assert_int_equal(totals.odd, 2);
}

/* Its end is its last switch, or, if nobody saw that, when it said that it exits. */
static void test_exit(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f = { 0 };

	(void)state;
	for (int how = 0; how < 3; how++) {
		begin_hand(&f);
		EVENT(.time = 0, .tid = 11, .kind = EVT_SWITCH_IN);
		EVENT(.time = 10, .tid = 11, .kind = EVT_EXIT);
		if (how == 0)
			EVENT(.time = 20, .tid = 11, .kind = EVT_SWITCH_OUT,
			      .out = { THREAD_DEAD });
		else if (how == 1)
			EVENT(.time = 30, .tid = 12, .kind = EVT_SWITCH_IN);
		expect_hand(&f, 100, how ? "user 10" : "user 20", &seen, &totals);
		assert_int_equal(totals.odd, 0);
		assert_int_equal(seen.threads[0].end.died, FIXTURE_START + (how ? 10 : 20));
	}
}

/* A number that is used again is another thread. */
static void test_tid_again(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f = { 0 };

	(void)state;
	begin_hand(&f);
	EVENT(.time = 0, .tid = 11, .kind = EVT_SWITCH_IN);
	EVENT(.time = 10, .tid = 11, .kind = EVT_EXIT);
	EVENT(.time = 20, .tid = 11, .kind = EVT_SWITCH_OUT, .out = { THREAD_DEAD });
	EVENT(.time = 50, .tid = 11, .kind = EVT_THREAD, .thread = { 99 });
	EVENT(.time = 60, .tid = 11, .kind = EVT_SWITCH_IN);
	expect_hand(&f, 100, "user 20, runnable 10, user 40", &seen, &totals);
	assert_int_equal(seen.nr_threads, 3);
	assert_int_equal(totals.threads, 3);
}

/* Without the scheduler's events nobody knows when a thread slept. */
static void test_no_sched(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f = { 0 };

	(void)state;
	begin_hand(&f);
	assert_int_equal(trace_writer_info(f.w, "sched", "off"), 0);
	EVENT(.time = 10, .tid = 11, .kind = EVT_SYSCALL_ENTER, .enter = { 1 });
	EVENT(.time = 40, .tid = 11, .kind = EVT_SYSCALL_EXIT, .leave = { 1 });
	expect_hand(&f, 100, "unknown 10, unknown 30, unknown 60", &seen, &totals);
}

/* Recursion, ends without begins, begins without ends. */
static void test_spans(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f = { 0 };
	uint32_t a, b;

	(void)state;
	begin_hand(&f);
	a = trace_writer_string(f.w, "a");
	b = trace_writer_string(f.w, "b");
	EVENT(.time = 0, .tid = 11, .kind = EVT_SWITCH_IN);
	EVENT(.time = 5, .tid = 11, .kind = EVT_SPAN_END, .span = { a }); /* none */
	EVENT(.time = 10, .tid = 11, .kind = EVT_SPAN_BEGIN, .span = { a });
	EVENT(.time = 20, .tid = 11, .kind = EVT_SPAN_BEGIN, .span = { a });
	EVENT(.time = 25, .tid = 11, .kind = EVT_SPAN_BEGIN, .span = { b });	 /* no end */
	EVENT(.time = 26, .tid = 11, .kind = EVT_SYSCALL_ENTER, .enter = { 1 }); /* likewise */
	EVENT(.time = 30, .tid = 11, .kind = EVT_SPAN_END, .span = { a });
	EVENT(.time = 60, .tid = 11, .kind = EVT_SPAN_END, .span = { a });
	EVENT(.time = 70, .tid = 11, .kind = EVT_SPAN_BEGIN, .span = { b });
	expect_hand(&f, 100, "user 26, syscall 74", &seen, &totals);
	/* a: 10 to 60 and 20 to 30; b: 25 to 30 and 70 to 100. */
	assert_int_equal(seen.threads[0].span_time, 50 + 10 + 5 + 30);
}

#define REQUEST(kind_of, at, who, id, ...) \
	EVENT(.kind = kind_of, .time = at, .tid = who, .cpu = who, .begin = { id, ##__VA_ARGS__ })

/* Two threads at once, a number used again, and one that never ends. */
static void test_requests(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f = { 0 };

	(void)state;
	begin_hand(&f);
	EVENT(.tid = 11, .cpu = 11, .kind = EVT_SWITCH_IN);
	EVENT(.tid = 12, .cpu = 12, .kind = EVT_SWITCH_IN);
	REQUEST(EVT_REQUEST_BEGIN, 10, 11, 7, 0, EVENT_REQUEST_RUNS);
	/* The other begins before the first has stopped: it is the one that counts. */
	REQUEST(EVT_REQUEST_RUN, 20, 12, 7);
	EVENT(.time = 30, .tid = 12, .cpu = 12, .kind = EVT_SWITCH_OUT, .out = { THREAD_DISK });
	REQUEST(EVT_REQUEST_PAUSE, 40, 11, 7);
	EVENT(.time = 45, .kind = EVT_WAKING, .waking = { 12, 0, EVENT_WAKING_IRQ });
	EVENT(.time = 50, .tid = 12, .cpu = 12, .kind = EVT_SWITCH_IN);
	REQUEST(EVT_REQUEST_PAUSE, 60, 12, 7);
	REQUEST(EVT_REQUEST_END, 70, 11, 7);
	expect_hand(&f, 100, "user 10, user 30, user 60", &seen, &totals);
	assert_int_equal(seen.last.by_state[THREAD_USER], 10 + 10 + 10);
	assert_int_equal(seen.last.by_state[THREAD_DISK], 15);
	assert_int_equal(seen.last.by_state[THREAD_RUNNABLE], 5);
	/* Its own thread was busy with something else. */
	assert_int_equal(seen.last.by_state[REQUEST_LOOP], 10);
	assert_int_equal(seen.last.pieces, 2);

	begin_hand(&f);
	EVENT(.tid = 11, .cpu = 11, .kind = EVT_SWITCH_IN);
	REQUEST(EVT_REQUEST_BEGIN, 10, 11, 7, 0, EVENT_REQUEST_RUNS);
	REQUEST(EVT_REQUEST_BEGIN, 50, 11, 7, 0, EVENT_REQUEST_RUNS);
	REQUEST(EVT_REQUEST_END, 60, 11, 7);
	REQUEST(EVT_REQUEST_RUN, 70, 11, 8); /* its begin was before the recording */
	REQUEST(EVT_REQUEST_END, 80, 11, 9); /* nothing is known of it */
	expect_hand(&f, 100, "user 10, user 40, user 10, user 10, user 30", &seen, &totals);
	assert_int_equal(seen.requests, 3);
	assert_int_equal(seen.partial, 2);
	assert_int_equal(totals.requests, 3);
}

/* Phases in one another: the innermost counts; and they end with what they are in. */
static void test_phases(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f = { 0 };
	uint32_t auth, sql;

	(void)state;
	begin_hand(&f);
	auth = trace_writer_string(f.w, "auth");
	sql = trace_writer_string(f.w, "sql");
	EVENT(.tid = 11, .cpu = 11, .kind = EVT_SWITCH_IN);
	REQUEST(EVT_REQUEST_BEGIN, 10, 11, 7, 0, EVENT_REQUEST_RUNS);
	REQUEST(EVT_PHASE_BEGIN, 15, 11, 7, auth);
	REQUEST(EVT_PHASE_BEGIN, 20, 11, 7, sql);
	REQUEST(EVT_PHASE_END, 30, 11, 7, sql);
	REQUEST(EVT_PHASE_BEGIN, 32, 11, 7, sql);
	REQUEST(EVT_PHASE_END, 40, 11, 7, auth);
	REQUEST(EVT_PHASE_END, 45, 11, 7, sql); /* not open any more */
	REQUEST(EVT_REQUEST_END, 60, 11, 7);
	expect_hand(&f, 100, "user 10, user 50, user 40", &seen, &totals);
	assert_int_equal(seen.last.by_phase[0], 5 + 20);
	assert_int_equal(seen.last.by_phase[1], 5 + 2);
	assert_int_equal(seen.last.by_phase[2], 10 + 8);
	assert_int_equal(totals.names.nr_phases, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told_state),     cmocka_unit_test(test_woken_early),
		cmocka_unit_test(test_moves),	       cmocka_unit_test(test_lost_on_its_cpu),
		cmocka_unit_test(test_lost_elsewhere), cmocka_unit_test(test_odd),
		cmocka_unit_test(test_exit),	       cmocka_unit_test(test_tid_again),
		cmocka_unit_test(test_no_sched),       cmocka_unit_test(test_spans),
		cmocka_unit_test(test_requests),       cmocka_unit_test(test_phases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
