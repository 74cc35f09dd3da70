/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "stacks.h"

#define HEAD (sizeof(struct stack_event) - sizeof(((struct stack_event *)0)->frames))

static size_t event(struct stack_event *e, uint64_t hash, uint32_t tid, uint16_t nr_frames,
		    uint8_t end)
{
	memset(e, 0, HEAD);
	e->header = (struct event_header){ EVENT_STACK, 100, hash };
	e->tid = tid;
	e->nr_frames = nr_frames;
	e->end = end;
	strcpy(e->comm, "thread");
	for (unsigned int i = 0; i < nr_frames; i++)
		e->frames[i] = hash * 1000 + i;
	return HEAD + nr_frames * sizeof(*e->frames);
}

static uint64_t key(uint64_t hash, uint32_t tid)
{
	return stack_key_hash((struct stack_key){ hash, 100, tid });
}

/* 1,009 stacks of 7 threads, each sent twice: each is kept once, with its frames and its count. */
static void test_counts(void **state)
{
	static struct stack_event e;
	uint64_t ends[UNWIND_NR_ENDS];
	struct stacks s;

	(void)state;
	stacks_init(&s);
	for (int round = 0; round < 2; round++)
		for (uint64_t h = 1; h <= 1009; h++)
			for (uint32_t tid = 1; tid <= 7; tid++) {
				size_t size = event(&e, h, tid, h % 13,
						    h % 11 ? UNWIND_COMPLETE : UNWIND_BAD_READ);

				assert_int_equal(stacks_event(&s, &e, size), 0);
				assert_int_equal(stacks_count(&s, key(h, tid), 3), 0);
			}
	assert_int_equal(s.nr, 1009);
	assert_int_equal(s.nr_counts, 7 * 1009);
	for (size_t i = 0; i < s.nr_counts; i++) {
		const struct stack *st = &s.items[s.counts[i].stack];

		assert_int_equal(s.counts[i].count, 6);
		assert_string_equal(s.counts[i].comm, "thread");
		assert_int_equal(st->hash, s.counts[i].key.stack);
		assert_int_equal(st->nr_frames, st->hash % 13);
		for (size_t f = 0; f < st->nr_frames; f++)
			assert_int_equal(s.frames[st->first_frame + f], st->hash * 1000 + f);
	}
	stacks_by_end(&s, ends);
	assert_int_equal(ends[UNWIND_BAD_READ], 1009 / 11 * 7 * 6);
	assert_int_equal(ends[UNWIND_COMPLETE], (1009 - 1009 / 11) * 7 * 6);
	stacks_release(&s);
}

static void test_unknown_keys(void **state)
{
	static struct stack_event e;
	struct stacks s;

	(void)state;
	stacks_init(&s);
	assert_int_equal(stacks_count(&s, key(5, 1), 1), -ENOENT);
	assert_int_equal(stacks_event(&s, &e, event(&e, 5, 2, 1, UNWIND_COMPLETE)), 0);
	assert_int_equal(stacks_count(&s, key(5, 1), 1), -ENOENT);
	stacks_release(&s);
}

static void test_bad_records(void **state)
{
	static struct stack_event e;
	struct stacks s;
	size_t size;

	(void)state;
	stacks_init(&s);
	size = event(&e, 1, 1, 5, UNWIND_COMPLETE);
	assert_int_equal(stacks_event(&s, &e, size - 1), -EINVAL);
	assert_int_equal(stacks_event(&s, &e, HEAD - 1), -EINVAL);
	e.nr_kernel = 6;
	assert_int_equal(stacks_event(&s, &e, size), -EINVAL);
	e.nr_kernel = 0;
	e.nr_frames = STACK_MAX_FRAMES + 1;
	assert_int_equal(stacks_event(&s, &e, sizeof(e) + 64), -EINVAL);
	assert_int_equal(s.nr_counts, 0);
	stacks_release(&s);
}

static void test_every_end_has_words(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < UNWIND_NR_ENDS; i++) {
		assert_non_null(unwind_end_name(i));
		assert_null(strpbrk(unwind_end_name(i), " ;=")); /* a key in summaries */
		assert_non_null(unwind_end_text(i));
	}
	assert_non_null(unwind_end_name(200));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_unknown_keys),
		cmocka_unit_test(test_bad_records),
		cmocka_unit_test(test_every_end_has_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
