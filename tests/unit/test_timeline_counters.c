/* SPDX-License-Identifier: MIT */
/* Counters that only grow, as what they grow by in a second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "timeline_rates.h"

#define SECOND 1000000000ULL

static int rate(struct timeline_rates *r, uint64_t time, uint32_t pid, unsigned int counter,
		uint64_t value, uint64_t *from, int64_t *ret)
{
	struct event e = { .time = time, .tid = pid, .kind = EVT_COUNTER };

	e.counter.counter = counter;
	e.counter.value = value;
	return timeline_rate(r, &e, from, ret);
}

static void test_value_of_the_moment(void **state)
{
	struct timeline_rates r = { 0 };
	uint64_t from;
	int64_t value;

	(void)state;
	assert_int_equal(rate(&r, 7, 1, COUNTER_RSS, 4096, &from, &value), 1);
	assert_int_equal(from, 7);
	assert_int_equal(value, 4096);
	timeline_rates_release(&r);
}

static void test_growth_holds_from_the_time_before(void **state)
{
	struct timeline_rates r = { 0 };
	uint64_t from = 0;
	int64_t value = 0;

	(void)state;
	assert_int_equal(rate(&r, SECOND, 1, COUNTER_ALLOCS, 1000, &from, &value), 0);
	assert_int_equal(rate(&r, SECOND, 2, COUNTER_ALLOCS, 5, &from, &value), 0);
	assert_int_equal(rate(&r, SECOND, 1, COUNTER_ALLOC_BYTES, 0, &from, &value), 0);
	assert_int_equal(rate(&r, SECOND * 3 / 2, 1, COUNTER_ALLOCS, 1017, &from, &value), 1);
	assert_int_equal(from, SECOND);
	assert_int_equal(value, 34);
	/* Other processes and counters are not mixed up. */
	assert_int_equal(rate(&r, SECOND * 3, 2, COUNTER_ALLOCS, 5, &from, &value), 1);
	assert_int_equal(value, 0);
	assert_int_equal(rate(&r, SECOND * 3, 1, COUNTER_ALLOC_BYTES, 26, &from, &value), 1);
	assert_int_equal(value, 13);
	/* It can only have begun anew. */
	assert_int_equal(rate(&r, SECOND * 4, 1, COUNTER_ALLOCS, 3, &from, &value), 0);
	assert_int_equal(rate(&r, SECOND * 5, 1, COUNTER_ALLOCS, 10, &from, &value), 1);
	assert_int_equal(value, 7);
	timeline_rates_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value_of_the_moment),
		cmocka_unit_test(test_growth_holds_from_the_time_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
