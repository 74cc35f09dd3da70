/* SPDX-License-Identifier: MIT */
/*
 * Waits in user space: what is under way at the end, sums, threads whose numbers come again, stacks of
 * sleepers and what the kernel leaves out of them, a waker's stack behind the one that it woke.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "offcpu_waits.h"
#include "profile_fixture.h"
#include "sleepers.h"
#include "stack_profile.h"
#include "write_folded.h"

#define START 1000
#define END   2000

static struct offcpu_value open_wait(struct offcpu_thread *t)
{
	struct offcpu_value v;

	offcpu_open_wait(t, START, END, &v);
	return v;
}

static void assert_value(struct offcpu_value v, uint64_t waits, uint64_t blocked, uint64_t runnable)
{
	assert_int_equal(v.waits, waits);
	assert_int_equal(v.blocked, blocked);
	assert_int_equal(v.runnable, runnable);
	assert_int_equal(v.longest, blocked + runnable);
}

static void test_open_waits(void **state)
{
	struct offcpu_thread blocked = { .doing = OFFCPU_IS_BLOCKED, .since = 1700, .woken = 1699 };
	struct offcpu_thread before = { .doing = OFFCPU_IS_BLOCKED, .since = 10 };
	struct offcpu_thread woken = { .doing = OFFCPU_IS_BLOCKED, .since = 1200, .woken = 1900 };
	struct offcpu_thread early = { .doing = OFFCPU_IS_BLOCKED, .since = 100, .woken = 900 };
	struct offcpu_thread late = { .doing = OFFCPU_IS_BLOCKED, .since = 1500, .woken = 2100 };
	struct offcpu_thread after = { .doing = OFFCPU_IS_BLOCKED, .since = 2001 };
	struct offcpu_thread ready = { .doing = OFFCPU_IS_RUNNABLE, .since = 1600, .woken = 1800 };
	struct offcpu_thread runs = { .doing = OFFCPU_IS_RUNNING, .since = 1400, .running = 7 };

	(void)state;
	assert_value(open_wait(&blocked), 1, 300, 0);
	assert_value(open_wait(&before), 1, 1000, 0);
	assert_value(open_wait(&woken), 1, 700, 100);
	assert_value(open_wait(&early), 1, 0, 1000);
	assert_value(open_wait(&late), 1, 500, 0);
	assert_value(open_wait(&after), 0, 0, 0);
	assert_value(open_wait(&ready), 1, 0, 400);
	assert_value(open_wait(&runs), 0, 0, 0);
	assert_int_equal(runs.running, 607);
	assert_int_equal(woken.blocked, 700);
	assert_int_equal(woken.runnable, 100);
	assert_int_equal(woken.waits, 1);
}

static void test_sums(void **state)
{
	struct offcpu_value v = { .waits = 2, .blocked = 30, .runnable = 4, .longest = 20 };
	struct offcpu_waits w = { 0 };

	(void)state;
	for (int round = 0; round < 3; round++)
		for (uint32_t i = 0; i < 1009; i++) {
			struct offcpu_key key = { .stack = i, .tid = i % 7, .state = 'S' };

			v.longest = i;
			assert_int_equal(offcpu_waits_add(&w, &key, &v), 0);
		}
	assert_int_equal(w.nr, 1009);
	for (size_t i = 0; i < w.nr; i++) {
		assert_int_equal(w.items[i].value.waits, 6);
		assert_int_equal(w.items[i].value.blocked, 90);
		assert_int_equal(w.items[i].value.runnable, 12);
		assert_int_equal(w.items[i].value.longest, w.items[i].key.stack);
	}
	offcpu_waits_release(&w);
}

/* Every thread stays in the list; of two with one number the later one gives the name. */
static void test_numbers_come_again(void **state)
{
	struct offcpu_thread first = { .tid = 5, .comm = "first" },
			     other = { .tid = 6, .comm = "x" };
	struct offcpu_thread second = { .tid = 5, .comm = "second" };
	struct offcpu_waits w = { 0 };

	(void)state;
	assert_null(offcpu_waits_comm(&w, 5));
	assert_int_equal(offcpu_waits_thread(&w, &first), 0);
	assert_int_equal(offcpu_waits_thread(&w, &other), 0);
	assert_string_equal(offcpu_waits_comm(&w, 5), "first");
	assert_int_equal(offcpu_waits_thread(&w, &second), 0);
	assert_string_equal(offcpu_waits_comm(&w, 5), "second");
	assert_string_equal(offcpu_waits_comm(&w, 6), "x");
	assert_null(offcpu_waits_comm(&w, 7));
	assert_int_equal(w.nr_threads, 3);
	offcpu_waits_release(&w);
}

static void test_names(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < OFFCPU_NR_REASONS; i++) {
		assert_string_not_equal(offcpu_reason_name(i), "unknown");
		for (unsigned int j = 0; j < i; j++)
			assert_string_not_equal(offcpu_reason_name(i), offcpu_reason_name(j));
	}
	assert_string_equal(offcpu_reason_name(OFFCPU_NR_REASONS), "unknown");
}

/* ---------------------------------------------------------------- stacks ---- */

#define KERNEL(n) (UINT64_C(0xffffffff81000000) + (n))
#define SLEEP(n)  (UINT64_C(0xffffffff82000000) + (n))

/* A stack whose first nr_kernel frames are the kernel's; frames end at 0. */
static void add_stack(struct stacks *s, uint64_t name, uint16_t nr_kernel, const uint64_t *frames)
{
	struct stack_event *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	*e = (struct stack_event){ .header = { EVENT_STACK, 1, name },
				   .tid = 9,
				   .nr_kernel = nr_kernel,
				   .end = UNWIND_COMPLETE,
				   .comm = "waker" };
	while (frames[e->nr_frames]) {
		e->frames[e->nr_frames] = frames[e->nr_frames];
		e->nr_frames++;
	}
	assert_int_equal(stacks_event(s, e, sizeof(*e)), 0);
	free(e);
}

static void test_sleepers_are_completed(void **state)
{
	/* What sched_switch shows, and what the kernel tells of a sleeping thread. */
	const uint64_t whole[] = { SLEEP(1), SLEEP(2), KERNEL(3), KERNEL(4), 0x10, 0x20, 0 };
	const uint64_t cut[] = { KERNEL(3), KERNEL(4), 0x10, 0x20, 0 };
	/* Interrupted at the same place: other kernel frames, of which none sleeps. */
	const uint64_t preempted[] = { KERNEL(9), KERNEL(3), KERNEL(4), 0x10, 0x20, 0 };
	const uint64_t elsewhere[] = { KERNEL(3), KERNEL(4), 0x10, 0x21, 0 };
	struct sleeper items[] = { { 1, 2, 100 }, { 2, 2, 102 }, { 3, 4, 104 } };
	struct watch watch = { 0 };
	struct sleepers s = { .watch = &watch, .sleeping = { SLEEP(0), SLEEP(100) } };

	(void)state;
	stacks_init(&watch.stacks);
	add_stack(&watch.stacks, 201, 3, preempted);
	add_stack(&watch.stacks, 203, 4, whole);
	add_stack(&watch.stacks, 100, 2, cut);
	add_stack(&watch.stacks, 102, 2, elsewhere);
	s.items = items;
	s.nr = 3;
	assert_int_equal(sleepers_complete(&s), 0);
	assert_int_equal(items[0].stack, 203);
	assert_int_equal(items[1].stack, 102);
	assert_int_equal(items[2].stack, 104); /* whose frames never came */
	stacks_release(&watch.stacks);
}

static void test_waker_is_turned_around(void **state)
{
	const uint64_t woken[] = { 0xa, 0xb, 0xc, 0 }, waker[] = { 0xd, 0xe, 0xf, 0 };
	struct stack_profile_options o = { .weights = { 1 } };
	struct write_options w = WRITE_OPTIONS_DEFAULT;
	struct profile *p = fixture_empty();
	int64_t values[PROFILE_MAX_TYPES] = { 1499, 7 };
	struct objects objects = { 0 };
	struct stack_profile *sp;
	struct stack_sample sample = { .tgid = 1, .tid = 2, .comm = "woken", .values = values };
	struct stacks s;
	struct strbuf out;

	(void)state;
	stacks_init(&s);
	add_stack(&s, 1, 0, woken);
	add_stack(&s, 3, 0, waker);
	sp = stack_profile_new(p, &s, &objects, &o);
	assert_non_null(sp);
	sample.chained = 1;
	sample.chained_comm = s.items[1].comm;
	assert_int_equal(stack_profile_add(sp, &sample), 0);
	sample.chained_comm = NULL;
	sample.note = "[futex]";
	assert_int_equal(stack_profile_add(sp, &sample), 0);
	sample.stack = STACK_SAMPLE_NONE;
	values[0] = 499;
	assert_int_equal(stack_profile_add(sp, &sample), 0);
	stack_profile_free(sp);
	/* In thousands, rounded; what rounds to nothing is left out. */
	w.folded_unit = 1000;
	fixture_write(write_folded, p, &w, &out);
	assert_string_equal(strbuf_str(&out),
			    "woken;[unknown 0xc];[unknown 0xb];[unknown 0xa];--;[unknown 0xd];"
			    "[unknown 0xe];[unknown 0xf];waker 1\n"
			    "woken;[unknown 0xc];[unknown 0xb];[unknown 0xa];[futex] 1\n");
	strbuf_release(&out);
	stacks_release(&s);
	profile_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_waits),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_numbers_come_again),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_sleepers_are_completed),
		cmocka_unit_test(test_waker_is_turned_around),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
