/* SPDX-License-Identifier: MIT */
/* From the kernel's counts to results, of all calls and of those between two readings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "func_counts.h"

#define NR 3

static struct func_stat stat(uint64_t returns, uint64_t ns, uint64_t min, uint64_t max)
{
	return (struct func_stat){ .calls = returns + 1,
				   .returns = returns,
				   .missing = 1,
				   .ns = ns,
				   .min_ns = ~min,
				   .max_ns = max };
}

static void all_and_the_difference(void **state)
{
	/* Function 0: 5, 5 and 1000 ns, then 70,000 more; 1: nothing; 2: 30, then nothing more. */
	struct func_bucket_count first[] = { { { 0, hist_bucket(5) }, 2 },
					     { { 0, hist_bucket(1000) }, 1 },
					     { { 2, hist_bucket(30) }, 1 } };
	struct func_bucket_count second[] = { { { 0, hist_bucket(5) }, 2 },
					      { { 0, hist_bucket(1000) }, 1 },
					      { { 0, hist_bucket(70000) }, 4 },
					      { { 2, hist_bucket(30) }, 1 } };
	struct func_stat stats1[NR] = { stat(3, 1010, 5, 1000), { 0 }, stat(1, 30, 30, 30) };
	struct func_stat stats2[NR] = { stat(7, 281010, 5, 70000), { 0 }, stat(1, 30, 30, 30) };
	struct func_counts before = { stats1, NR, first, 3, 3 }, now = { stats2, NR, second, 4, 4 };
	struct func_result *r;

	(void)state;
	assert_int_equal(func_counts_results(&before, NULL, &r), 0);
	assert_int_equal(r[0].latency.count, 3);
	assert_int_equal(hist_percentile(&r[0].latency, 0), 5);
	assert_int_equal(hist_percentile(&r[0].latency, 100000), 1000);
	assert_int_equal(r[1].latency.count, 0);
	assert_int_equal(hist_percentile(&r[2].latency, HIST_P50), 30);
	func_results_free(r, NR);

	assert_int_equal(func_counts_results(&now, &before, &r), 0);
	assert_int_equal(r[0].sum.calls, 4);
	assert_int_equal(r[0].sum.returns, 4);
	assert_int_equal(r[0].sum.missing, 0);
	assert_int_equal(r[0].sum.ns, 280000);
	assert_int_equal(r[0].latency.count, 4);
	assert_in_range(hist_percentile(&r[0].latency, HIST_P50), 69300, 70700);
	assert_in_range(~r[0].sum.min_ns, 68000, 70000);
	assert_in_range(r[0].sum.max_ns, 70000, 72000);
	assert_int_equal(r[2].sum.calls, 0);
	assert_int_equal(r[2].latency.count, 0);
	func_results_free(r, NR);

	/* The first interval begins with nothing; functions may have been added since. */
	before = (struct func_counts){ 0 };
	assert_int_equal(func_counts_results(&now, &before, &r), 0);
	assert_int_equal(r[0].latency.count, 7);
	func_results_free(r, NR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_and_the_difference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
