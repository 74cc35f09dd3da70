/* SPDX-License-Identifier: MIT */
/* What a flight recorder waits for: conditions as people write them, and the events that fulfil them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "timeline_triggers.h"

#define MS UINT64_C(1000000)

static void accepts(const char *text, enum trigger_kind kind, enum timeline_op op, uint64_t value)
{
	struct trigger t;
	const char *why;

	assert_int_equal(trigger_parse(text, &t, &why), 0);
	assert_int_equal(t.kind, kind);
	assert_int_equal(t.when.op, op);
	assert_int_equal(t.when.value, value);
	trigger_release(&t);
}

static void test_conditions(void **state)
{
	(void)state;
	accepts("latency>50ms", TRIGGER_LATENCY, TIMELINE_GT, 50 * MS);
	accepts("latency>=1s", TRIGGER_LATENCY, TIMELINE_GE, 1000 * MS);
	accepts("status>=500", TRIGGER_STATUS, TIMELINE_GE, 500);
	accepts("status!=200", TRIGGER_STATUS, TIMELINE_NE, 200);
	accepts("status==503", TRIGGER_STATUS, TIMELINE_EQ, 503);
	accepts("blocked>0.5s", TRIGGER_BLOCKED, TIMELINE_GT, 500 * MS);
	accepts("runqueue>20ms", TRIGGER_RUNQUEUE, TIMELINE_GT, 20 * MS);
	accepts("rss>512MB", TRIGGER_RSS, TIMELINE_GT, UINT64_C(512) << 20);
	accepts("signal", TRIGGER_SIGNAL, 0, 0);
	accepts("exit", TRIGGER_EXIT, 0, 0);
	accepts("oom", TRIGGER_OOM, 0, 0);
}

static void test_probes(void **state)
{
	struct trigger t;
	const char *why;

	(void)state;
	assert_int_equal(trigger_parse("shop:sold(arg3<=-7)", &t, &why), 0);
	assert_string_equal(t.probe, "shop:sold");
	assert_true(t.usdt);
	assert_int_equal(t.when.arg, 2);
	assert_int_equal(t.when.op, TIMELINE_LE);
	assert_int_equal(t.when.value, -7);
	trigger_release(&t);
	assert_int_equal(trigger_parse("ns::fail()", &t, &why), 0);
	assert_string_equal(t.probe, "ns::fail");
	assert_false(t.usdt);
	assert_int_equal(t.when.op, TIMELINE_ANY);
	trigger_release(&t);
	assert_int_equal(trigger_parse("write(arg1==0x10)", &t, &why), 0);
	assert_int_equal(t.when.value, 16);
	trigger_release(&t);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"latency",
		"latency>",
		"latency>fast",
		"latency50ms>",
		"status>=5xx",
		"status>=",
		"signal>3",
		"exit==1",
		"rss>much",
		"f(arg7==1)",
		"f(arg1=1)",
		"f(arg1==1",
		"f(x==1)",
		"(arg1==1)",
		"f(arg1==)",
		"f(arg1==1)junk",
		"latency > 5s",
		"f(arg0==1)",
		"f(arg99999999==1)",
		"blocked>-1s",
	};
	struct trigger t = { .when.arg = 77 };
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		why = NULL;
		if (trigger_parse(bad[i], &t, &why) != -EINVAL)
			fail_msg("'%s' was accepted", bad[i]);
		assert_non_null(why);
		assert_int_equal(t.when.arg, 77);
	}
}

/* ---------------------------------------------------------------- events ---- */

struct fixture {
	struct trigger item;
	struct triggers *all;
	struct trigger_hit hit;
};

static void begin(struct fixture *f, const char *text)
{
	const char *why;

	assert_int_equal(trigger_parse(text, &f->item, &why), 0);
	f->all = triggers_new(&f->item, 1);
	assert_non_null(f->all);
}

static void end(struct fixture *f)
{
	triggers_free(f->all);
	trigger_release(&f->item);
}

static int event(struct fixture *f, unsigned int kind, uint64_t ms, uint32_t tid, uint64_t a,
		 uint64_t b)
{
	struct event e = { .time = ms * MS, .tid = tid, .kind = kind, .v = { a, b } };

	return triggers_event(f->all, &e, &f->hit);
}

static void test_latency(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "latency>50ms");
	assert_int_equal(event(&f, EVT_REQUEST_BEGIN, 100, 7, 1, 0), 0);
	assert_int_equal(event(&f, EVT_REQUEST_BEGIN, 101, 7, 2, 0), 0);
	assert_int_equal(event(&f, EVT_REQUEST_END, 150, 8, 1, 200),
			 0); /* 50 is not more than 50 */
	assert_int_equal(event(&f, EVT_REQUEST_END, 152, 8, 2, 200), 1);
	assert_int_equal(f.hit.request, 2);
	assert_int_equal(f.hit.begin, 101 * MS);
	assert_int_equal(f.hit.time, 152 * MS);
	assert_int_equal(f.hit.tid, 8);
	/* One whose begin was not seen has no latency. */
	assert_int_equal(event(&f, EVT_REQUEST_END, 900, 8, 3, 200), 0);
	assert_int_equal(f.item.fired, 1);
	end(&f);
}

static void test_status(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "status>=500");
	assert_int_equal(event(&f, EVT_REQUEST_END, 1, 7, 1, 499), 0);
	assert_int_equal(event(&f, EVT_REQUEST_END, 2, 7, 2, 503), 1);
	assert_int_equal(f.hit.request, 2);
	end(&f);
}

static void test_blocked_on_a_request(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "blocked>10ms");
	assert_int_equal(event(&f, EVT_REQUEST_RUN, 1, 7, 42, 0), 0);
	assert_int_equal(event(&f, EVT_SWITCH_OUT, 2, 7, THREAD_FUTEX, 0), 0);
	assert_int_equal(event(&f, EVT_WAKING, 11, 9, 7, 0), 0);
	/* 9 ms blocked; then it waits for a CPU, which is something else. */
	assert_int_equal(event(&f, EVT_SWITCH_IN, 60, 7, 0, 0), 0);
	assert_int_equal(event(&f, EVT_SWITCH_OUT, 61, 7, THREAD_DISK, 0), 0);
	assert_int_equal(event(&f, EVT_WAKING, 72, 9, 7, 0), 0);
	assert_int_equal(event(&f, EVT_SWITCH_IN, 73, 7, 0, 0), 1);
	assert_int_equal(f.hit.request, 42);
	assert_int_equal(f.hit.begin, 61 * MS);
	/* A thread that works on nothing may wait for as long as it likes. */
	assert_int_equal(event(&f, EVT_REQUEST_PAUSE, 74, 7, 42, 0), 0);
	assert_int_equal(event(&f, EVT_SWITCH_OUT, 75, 7, THREAD_FUTEX, 0), 0);
	assert_int_equal(event(&f, EVT_SWITCH_IN, 975, 7, 0, 0), 0);
	end(&f);
}

static void test_blocked_without_requests(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "blocked>10ms");
	assert_int_equal(event(&f, EVT_SWITCH_OUT, 1, 7, THREAD_EPOLL, 0), 0);
	assert_int_equal(event(&f, EVT_SWITCH_IN, 100, 7, 0, 0), 0);
	assert_int_equal(event(&f, EVT_SWITCH_OUT, 101, 7, THREAD_SLEEP, 0), 0);
	assert_int_equal(event(&f, EVT_SWITCH_IN, 200, 7, 0, 0), 1);
	end(&f);
}

static void test_runqueue(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "runqueue>20ms");
	assert_int_equal(event(&f, EVT_SWITCH_OUT, 1, 7, THREAD_FUTEX, 0), 0);
	assert_int_equal(event(&f, EVT_WAKING, 500, 9, 7, 0), 0);
	assert_int_equal(event(&f, EVT_SWITCH_IN, 519, 7, 0, 0), 0);
	assert_int_equal(event(&f, EVT_SWITCH_OUT, 520, 7, THREAD_PREEMPTED, 0), 0);
	assert_int_equal(event(&f, EVT_SWITCH_IN, 541, 7, 0, 0), 1);
	assert_int_equal(f.hit.begin, 520 * MS);
	end(&f);
}

static void test_memory_once_at_the_line(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "rss>1000");
	assert_int_equal(event(&f, EVT_COUNTER, 1, 7, COUNTER_RSS, 1000), 0);
	assert_int_equal(event(&f, EVT_COUNTER, 2, 7, COUNTER_THREADS, 5000), 0);
	assert_int_equal(event(&f, EVT_COUNTER, 3, 7, COUNTER_RSS, 1001), 1);
	assert_int_equal(event(&f, EVT_COUNTER, 4, 7, COUNTER_RSS, 9000), 0);
	assert_int_equal(event(&f, EVT_COUNTER, 5, 8, COUNTER_RSS, 9000), 1); /* another process */
	assert_int_equal(event(&f, EVT_COUNTER, 6, 7, COUNTER_RSS, 10), 0);
	assert_int_equal(event(&f, EVT_COUNTER, 7, 7, COUNTER_RSS, 2000), 1);
	end(&f);
}

/* Each line by itself. */
static void test_memory_lines(void **state)
{
	struct trigger items[2];
	struct trigger_hit hit;
	struct triggers *all;
	struct event e = { .tid = 7, .kind = EVT_COUNTER, .counter = { .counter = COUNTER_RSS } };
	const char *why;

	(void)state;
	assert_int_equal(trigger_parse("rss>1000", &items[0], &why), 0);
	assert_int_equal(trigger_parse("rss>5000", &items[1], &why), 0);
	all = triggers_new(items, 2);
	assert_non_null(all);
	e.counter.value = 2000;
	assert_int_equal(triggers_event(all, &e, &hit), 1);
	assert_ptr_equal(hit.trigger, &items[0]);
	e.counter.value = 6000;
	assert_int_equal(triggers_event(all, &e, &hit), 1);
	assert_ptr_equal(hit.trigger, &items[1]);
	assert_int_equal(triggers_event(all, &e, &hit), 0);
	triggers_free(all);
}

/* What they say that they need not see is told of no event that would have mattered. */
static void test_kinds(void **state)
{
	static const struct {
		const char *text;
		unsigned int wants;
	} cases[] = {
		{ "blocked>1ms", EVT_SWITCH_IN },
		{ "runqueue>1ms", EVT_WAKING },
		{ "blocked>1ms", EVT_SWITCH_OUT },
		{ "rss>1", EVT_COUNTER },
		{ "signal", EVT_SIGNAL },
		{ "exit", EVT_EXIT },
		{ "oom", EVT_EXIT },
		{ "latency>1s", EVT_REQUEST_END },
		{ "status>1", EVT_REQUEST_END },
		{ "f(arg1==1)", EVT_REQUEST_RUN },
	};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin(&f, cases[i].text);
		assert_true(triggers_kinds(f.all) >> cases[i].wants & 1);
		end(&f);
	}
	/* Switches are most of a recording. */
	begin(&f, "coworking:trace__request");
	assert_false(triggers_kinds(f.all) >> EVT_SWITCH_IN & 1);
	assert_false(triggers_kinds(f.all) >> EVT_SYSCALL_ENTER & 1);
	end(&f);
}

/* Threads whose numbers are alike, and one whose number comes again. */
static void test_threads_apart(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "blocked>10ms");
	assert_int_equal(event(&f, EVT_SWITCH_OUT, 1, 7, THREAD_SLEEP, 0), 0);
	assert_int_equal(event(&f, EVT_SWITCH_OUT, 2, 7 + 4096, THREAD_SLEEP, 0), 0);
	assert_int_equal(event(&f, EVT_SWITCH_IN, 3, 7 + 4096, 0, 0), 0);
	assert_int_equal(event(&f, EVT_SWITCH_IN, 30, 7, 0, 0), 1);
	assert_int_equal(f.hit.tid, 7);
	assert_int_equal(event(&f, EVT_SWITCH_OUT, 31, 7, THREAD_SLEEP, 0), 0);
	assert_int_equal(event(&f, EVT_EXIT, 32, 7, 0, 0), 0);
	assert_int_equal(event(&f, EVT_SWITCH_IN, 90, 7, 0, 0), 0);
	end(&f);
}

static int handled(struct fixture *f, uint64_t signo)
{
	struct event e = { .time = MS, .tid = 7, .kind = EVT_SIGNAL };

	e.signal.signo = signo;
	e.signal.flags = EVENT_SIGNAL_HANDLED;
	return triggers_event(f->all, &e, &f->hit);
}

/* Two processes number their requests from 1. */
static void test_latency_by_process(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "latency>50ms");
	assert_int_equal(event(&f, EVT_THREAD, 1, 7, 7, 0), 0);
	assert_int_equal(event(&f, EVT_THREAD, 1, 8, 8, 0), 0);
	assert_int_equal(event(&f, EVT_REQUEST_BEGIN, 100, 7, 1, 0), 0);
	assert_int_equal(event(&f, EVT_REQUEST_BEGIN, 140, 8, 1, 0), 0);
	assert_int_equal(event(&f, EVT_REQUEST_END, 160, 8, 1, 200), 0);
	assert_int_equal(event(&f, EVT_REQUEST_END, 161, 7, 1, 200), 1);
	assert_int_equal(f.hit.begin, 100 * MS);
	end(&f);
}

static void test_signal_and_exit(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "signal");
	assert_int_equal(event(&f, EVT_SIGNAL, 1, 7, SIGCHLD, 0), 0);
	assert_int_equal(event(&f, EVT_SIGNAL, 1, 7, SIGKILL, 0), 0); /* another thread's end */
	assert_int_equal(handled(&f, SIGSEGV), 0);
	assert_int_equal(handled(&f, SIGTERM), 0);
	assert_int_equal(event(&f, EVT_SIGNAL, 1, 7, SIGTERM, 0), 1);
	assert_int_equal(event(&f, EVT_REQUEST_RUN, 2, 7, 13, 0), 0);
	assert_int_equal(event(&f, EVT_SIGNAL, 3, 7, SIGSEGV, 0), 1);
	assert_int_equal(f.hit.request, 13);
	end(&f);
	begin(&f, "exit");
	assert_int_equal(event(&f, EVT_EXIT, 1, 8, 0, 0), 0); /* a thread among others */
	assert_int_equal(event(&f, EVT_EXIT, 2, 7, 0, EVENT_EXIT_GROUP), 1);
	end(&f);
	begin(&f, "oom");
	assert_int_equal(event(&f, EVT_EXIT, 2, 7, 0, EVENT_EXIT_GROUP), 0);
	assert_int_equal(event(&f, EVT_EXIT, 3, 9, 0, EVENT_EXIT_OOM), 0); /* others follow */
	assert_int_equal(event(&f, EVT_EXIT, 3, 8, 0, EVENT_EXIT_GROUP | EVENT_EXIT_OOM), 1);
	end(&f);
}

static void test_probe_arguments(void **state)
{
	const uint64_t args[] = { 3, (uint64_t)-8 };
	struct fixture f;

	(void)state;
	begin(&f, "shop:sold(arg2<-7)");
	assert_int_equal(triggers_probe(f.all, 1, args, 2, 1, 7, &f.hit), 1);
	assert_int_equal(triggers_probe(f.all, 2, args, 2, 1, 7, &f.hit), 0);
	/* An argument that is not there is 0. */
	assert_int_equal(triggers_probe(f.all, 1, args, 1, 1, 7, &f.hit), 0);
	end(&f);
}

static bool holds(const char *text, uint64_t word)
{
	const char *why;
	struct trigger t;
	bool yes;

	assert_int_equal(trigger_parse(text, &t, &why), 0);
	yes = timeline_holds(&t.when, word);
	trigger_release(&t);
	return yes;
}

/* A function's int has zeros above it in its register; a USDT probe's is extended. */
static void test_ints_below_zero(void **state)
{
	(void)state;
	assert_true(holds("f(arg1==-1)", UINT32_MAX));
	assert_true(holds("f(arg1<0)", UINT32_MAX));
	assert_true(holds("f(arg1<0)", UINT64_MAX));
	assert_false(holds("f(arg1<0)", INT32_MAX));
	assert_false(holds("f(arg1!=-1)", UINT32_MAX));
	assert_true(holds("f(arg1>7)", UINT32_MAX));
	assert_true(holds("f(arg1==4294967295)", UINT32_MAX));
	assert_false(holds("f(arg1==0)", UINT64_C(1) << 32));
	assert_false(holds("a:b(arg1==-1)", UINT32_MAX));
	assert_true(holds("a:b(arg1==-1)", UINT64_MAX));
	assert_true(holds("f()", 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_probes),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_latency),
		cmocka_unit_test(test_latency_by_process),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_blocked_on_a_request),
		cmocka_unit_test(test_blocked_without_requests),
		cmocka_unit_test(test_runqueue),
		cmocka_unit_test(test_memory_once_at_the_line),
		cmocka_unit_test(test_memory_lines),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_threads_apart),
		cmocka_unit_test(test_signal_and_exit),
		cmocka_unit_test(test_probe_arguments),
		cmocka_unit_test(test_ints_below_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
