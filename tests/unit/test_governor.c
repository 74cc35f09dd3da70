/* SPDX-License-Identifier: MIT */
/* How dear a hit is in the target, from what its work costs with few probes and with all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/governor.h"

/*
 * Work of 3,000 ns a call; a hit takes 600 ns on ourselves, a return 400 more, and `dearer` times
 * that in the target. The second window has another number of calls.
 */
static double estimate(double dearer, uint64_t calls, uint64_t more_calls)
{
	struct governor_window units = {
		.cpu_ns = (uint64_t)((double)calls * (3000 + dearer * 600)),
		.units = calls,
		.units_ns = calls * 600,
	};
	struct governor_window all = {
		.cpu_ns = (uint64_t)((double)more_calls * (3000 + dearer * 1000)),
		.units = more_calls,
		.units_ns = more_calls * 600,
		.others = more_calls,
		.others_ns = more_calls * 400,
	};

	return governor_dearer(&units, &all);
}

static void known_prices(void **state)
{
	(void)state;
	assert_float_equal(estimate(1, 1000, 1000), 1, 1e-3);
	assert_float_equal(estimate(2.5, 1000, 700), 2.5, 1e-2);
	assert_float_equal(estimate(6, 20000, 9000), 6, 1e-2);
}

static void what_cannot_be(void **state)
{
	(void)state;
	/* Cheaper than on ourselves, where nothing else is done. */
	assert_float_equal(estimate(0.2, 1000, 1000), 1, 1e-3);
	assert_float_equal(estimate(100, 1000, 1000), GOVERNOR_MAX_DEARER, 1e-3);
}

static void too_few_to_tell(void **state)
{
	struct governor_window units = { .cpu_ns = 1000000, .units = 5000, .units_ns = 3000000 };
	struct governor_window all = units;

	(void)state;
	assert_float_equal(estimate(3, 20, 20), 0, 0);
	/* Nothing comes with the units. */
	assert_float_equal(governor_dearer(&units, &all), 0, 0);
	all.others = 5000; /* which cost nothing on ourselves */
	assert_float_equal(governor_dearer(&units, &all), 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_prices),
		cmocka_unit_test(what_cannot_be),
		cmocka_unit_test(too_few_to_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
