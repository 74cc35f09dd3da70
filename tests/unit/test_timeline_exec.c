/* SPDX-License-Identifier: MIT */
/* Another program in the same process, called by a thread that is not the first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "timeline_seen.h"

/* A process 10 whose thread 11 calls; numbers of system calls do not matter. */

#define EVENT(...) fixture_put(&f, FIXTURE_EVENT(__VA_ARGS__), 0)
#define EXECVE	   59
#define BY_OTHER   0xffffffffU

static void begin_hand(struct fixture_trace *f)
{
	fixture_trace_new(f, &(struct trace_writer_options){ .key_ns = 1 });
	for (uint32_t tid = 10; tid <= 11; tid++)
		fixture_put(f,
			    FIXTURE_EVENT(.tid = tid, .cpu = EVENT_NO_CPU, .kind = EVT_THREAD,
					  .thread = { 10,
						      trace_writer_string(
							      f->w, tid == 10 ? "first" : "caller"),
						      EVENT_THREAD_BEFORE }),
			    0);
}

/* The first runs on CPU 1 until it is killed, the caller on CPU 0. */
static void begin_call(struct fixture_trace *f)
{
	begin_hand(f);
	fixture_put(f, FIXTURE_EVENT(.tid = 10, .cpu = 1, .kind = EVT_SWITCH_IN), 0);
	fixture_put(f, FIXTURE_EVENT(.tid = 11, .kind = EVT_SWITCH_IN), 0);
	fixture_put(f,
		    FIXTURE_EVENT(.time = 10, .tid = 11, .kind = EVT_SYSCALL_ENTER,
				  .enter = { EXECVE }),
		    0);
	fixture_put(f, FIXTURE_EVENT(.time = 20, .tid = 10, .cpu = 1, .kind = EVT_EXIT), 0);
}

/* "TID NAME from-until: state ns, ...;" of each thread, in the order in which they came. */
static void expect(struct fixture_trace *f, const struct timeline_filter *filter,
		   const char *expected)
{
	struct timeline_totals totals;
	static struct seen seen;
	char text[1024] = "";
	struct trace *t = fixture_trace_open(f);
	size_t len = 0;

	run(t, filter, &seen, &totals);
	for (size_t i = 0; i < seen.nr_threads; i++) {
		const struct seen_thread *mine = &seen.threads[i];

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u %s %d-%d",
					len ? "; " : "", mine->tid, trace_string(t, mine->end.name),
					(int)(mine->first - FIXTURE_START),
					(int)(mine->last - FIXTURE_START));
		for (unsigned int j = 0; j < THREAD_NR_STATES; j++)
			if (mine->end.total[j])
				len += (size_t)snprintf(text + len, sizeof(text) - len, " %s %d",
							thread_state_name(j),
							(int)mine->end.total[j]);
		assert_int_equal(mine->end.pid, 10);
	}
	assert_string_equal(text, expected);
	assert_int_equal(totals.odd, 0);
	assert_int_equal(totals.threads, seen.nr_threads);
	trace_close(t);
}

/* The new program runs from 60 on. */
static void end_call(struct fixture_trace *f, uint32_t old)
{
	fixture_put(f,
		    FIXTURE_EVENT(.time = 50, .tid = 10, .kind = EVT_EXEC,
				  .exec = { trace_writer_string(f->w, "second"), old }),
		    0);
	fixture_put(
		f,
		FIXTURE_EVENT(.time = 60, .tid = 10, .kind = EVT_SYSCALL_EXIT, .leave = { EXECVE }),
		0);
}

#define FIRST  "10 first 0-20 user 20; "
#define CALLER "11 caller 0-40 user 10 syscall 30; "
#define SECOND "10 second 40-100 user 40 syscall 20"

/* The name comes before the exec: there the number has changed hands already. */
static void test_takes_the_number(void **state)
{
	static const uint32_t olds[] = { 11, BY_OTHER };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(olds); i++) {
		struct fixture_trace f = { 0 };

		begin_call(&f);
		EVENT(.time = 20, .tid = 10, .cpu = 1, .kind = EVT_SWITCH_OUT,
		      .out = { THREAD_DEAD });
		EVENT(.time = 40, .tid = 10, .kind = EVT_NAME,
		      .name = { trace_writer_string(f.w, "second") });
		end_call(&f, olds[i]);
		fixture_trace_finish(&f, 100);
		expect(&f, NULL, FIRST CALLER SECOND);
		unlink(f.path);
	}
}

/* What the first does last comes under the caller's number, and makes no thread of its own. */
static void test_first_lingers(void **state)
{
	struct fixture_trace f = { 0 };

	(void)state;
	begin_call(&f);
	EVENT(.time = 40, .tid = 10, .kind = EVT_NAME,
	      .name = { trace_writer_string(f.w, "second") });
	EVENT(.time = 45, .tid = 11, .cpu = 1, .kind = EVT_SWITCH_OUT, .out = { THREAD_DEAD });
	end_call(&f, 11);
	fixture_trace_finish(&f, 100);
	expect(&f, NULL, "10 first 0-40 user 40; " CALLER SECOND);
	unlink(f.path);
}

/* Off its CPU and back under the other number. */
static void test_waits_meanwhile(void **state)
{
	struct fixture_trace f = { 0 };

	(void)state;
	begin_call(&f);
	EVENT(.time = 20, .tid = 10, .cpu = 1, .kind = EVT_SWITCH_OUT, .out = { THREAD_DEAD });
	EVENT(.time = 40, .tid = 10, .kind = EVT_SWITCH_OUT, .out = { THREAD_DISK });
	EVENT(.time = 46, .tid = 10, .kind = EVT_SWITCH_IN);
	end_call(&f, 11);
	fixture_trace_finish(&f, 100);
	expect(&f, NULL, FIRST CALLER "10 second 40-100 user 40 syscall 14 disk 6");
	unlink(f.path);
}

/* Nothing in between, and the scheduler's events not recorded: the exec itself says whose it was. */
static void test_told_by_the_exec(void **state)
{
	struct fixture_trace f = { 0 };

	(void)state;
	begin_call(&f);
	EVENT(.time = 20, .tid = 10, .cpu = 1, .kind = EVT_SWITCH_OUT, .out = { THREAD_DEAD });
	end_call(&f, 11);
	fixture_trace_finish(&f, 100);
	expect(&f, NULL,
	       FIRST "11 caller 0-50 user 10 syscall 40; 10 second 50-100 user 40 syscall 10");
	unlink(f.path);

	begin_hand(&f);
	assert_int_equal(trace_writer_info(f.w, "sched", "off"), 0);
	EVENT(.time = 20, .tid = 10, .cpu = 1, .kind = EVT_EXIT);
	end_call(&f, 11);
	fixture_trace_finish(&f, 100);
	expect(&f, NULL,
	       "10 first 0-20 unknown 20; 11 caller 0-50 unknown 50; 10 second 50-100 unknown 50");
	unlink(f.path);
}

/*
 * Whoever begins to read later finds one thread, of that process; CPUs are written one by one, and the
 * first's end before the exec or behind it.
 */
static void read_from_the_middle(bool apart)
{
	struct timeline_filter late = { .from = 20000000000 };
	struct timeline_totals totals;
	struct fixture_trace f = { 0 };
	static struct seen seen;
	struct trace *t;

	begin_call(&f);
	EVENT(.time = 30, .tid = 10, .cpu = 1, .kind = EVT_SWITCH_OUT, .out = { THREAD_DEAD });
	if (apart)
		assert_int_equal(trace_writer_flush(f.w), 0);
	end_call(&f, 11);
	EVENT(.time = 70, .tid = 10, .kind = EVT_SWITCH_OUT, .out = { THREAD_SLEEP });
	assert_int_equal(trace_writer_flush(f.w), 0);
	/* What is before the window by more than the analysis looks back. */
	for (uint64_t s = 1; s < 30; s++) {
		EVENT(.time = s * 1000000000, .tid = 10, .cpu = EVENT_NO_CPU, .kind = EVT_COUNTER,
		      .counter = { COUNTER_RSS, s });
		assert_int_equal(trace_writer_flush(f.w), 0);
	}
	fixture_trace_finish(&f, 30000000000);
	t = fixture_trace_open(&f);
	run(t, &late, &seen, &totals);
	assert_int_equal(seen.nr_threads, 1);
	assert_int_equal(seen.threads[0].tid, 10);
	assert_int_equal(seen.threads[0].end.pid, 10);
	assert_string_equal(trace_string(t, seen.threads[0].end.name), "second");
	assert_int_equal(seen.threads[0].end.total[THREAD_SLEEP], 10000000000);
	trace_close(t);
	unlink(f.path);
}

static void test_read_from_the_middle(void **state)
{
	(void)state;
	read_from_the_middle(false);
	read_from_the_middle(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_takes_the_number),
		cmocka_unit_test(test_first_lingers),
		cmocka_unit_test(test_waits_meanwhile),
		cmocka_unit_test(test_told_by_the_exec),
		cmocka_unit_test(test_read_from_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
