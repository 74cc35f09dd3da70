/* SPDX-License-Identifier: MIT */
/*
 * The histogram against the sorted values themselves: for every percentile, the error that it
 * promises, over the whole range, for values of every kind of distribution.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hist.h"
#include "lib/util.h"

#define HOUR	   3600000000000ULL
#define MAX_VALUES 5000

static uint64_t state_of_random = 88172645463325252ULL;

/* xorshift64 (Marsaglia, 2003): the same values in every run. */
static uint64_t next_random(void)
{
	state_of_random ^= state_of_random << 13;
	state_of_random ^= state_of_random >> 7;
	state_of_random ^= state_of_random << 17;
	return state_of_random;
}

/* |a - b| / b, exactly enough. */
static long double error_of(uint64_t a, uint64_t b)
{
	uint64_t distance = a > b ? a - b : b - a;

	return distance ? (long double)distance / (long double)b : 0;
}

/* All that is promised of buckets, at a value. */
static void check_value(uint64_t v)
{
	uint32_t bucket = hist_bucket(v);
	uint64_t low = hist_bucket_low(bucket), high = hist_bucket_high(bucket);

	assert_true(bucket < HIST_BUCKETS(64));
	assert_true(low <= v && v <= high);
	assert_int_equal(hist_bucket(low), bucket);
	assert_int_equal(hist_bucket(high), bucket);
	if (v)
		assert_true(error_of(low + (high - low) / 2, v) <= 1.0L / 128);
	assert_int_equal(hist_log2(v), v ? 63 - __builtin_clzll(v) : 0);
}

/* Each bucket follows the one before without a gap, and the error bound holds at both its ends. */
static void test_buckets(void **state)
{
	uint64_t next = 0;

	(void)state;
	for (uint32_t i = 0; i < HIST_BUCKETS(64); i++) {
		assert_true(hist_bucket_low(i) == next);
		check_value(hist_bucket_low(i));
		check_value(hist_bucket_high(i));
		next = hist_bucket_high(i) + 1;
	}
	assert_int_equal(next, 0); /* the last one ends at 2^64 - 1 */
	for (int bit = 0; bit < 64; bit++)
		assert_int_equal(hist_bucket_low(hist_bucket(1ULL << bit)), 1ULL << bit);
	assert_true(HIST_BUCKETS(42) == hist_bucket((1ULL << 42) - 1) + 1);
	for (int i = 0; i < 200000; i++)
		check_value(next_random() >> (next_random() % 64));
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Nearest rank by its definition: the ceil(p * n)-th of the sorted values. */
static uint64_t true_percentile(const uint64_t *sorted, size_t n, uint32_t milli)
{
	size_t rank = (n * milli + 99999) / 100000;

	return sorted[rank ? rank - 1 : 0];
}

static void check_against_values(const struct hist *h, uint64_t *values, size_t n)
{
	unsigned __int128 sum = 0;

	qsort(values, n, sizeof(*values), compare);
	for (size_t i = 0; i < n; i++)
		sum += values[i];
	assert_true(h->count == n && h->sum == sum);
	assert_true(h->min == values[0] && h->max == values[n - 1]);
	assert_true(hist_mean(h) == (uint64_t)((sum + n / 2) / n));
	for (uint32_t milli = 0; milli <= 100000; milli += 25) {
		uint64_t want = true_percentile(values, n, milli);
		uint64_t is = hist_percentile(h, milli);

		if (error_of(is, want) > 0.01L)
			fail_msg("p%.3f of %zu is %llu, and not %llu", milli / 1000.0, n,
				 (unsigned long long)is, (unsigned long long)want);
	}
	assert_true(hist_percentile(h, 0) == values[0]);
	assert_true(hist_percentile(h, 100000) == values[n - 1]);
	assert_true(hist_count_between(h, 0, UINT64_MAX) == n);
}

/* Values of the n-th kind of distribution, from kindly to hostile. */
static uint64_t draw(int kind, size_t i)
{
	static const uint64_t edges[] = {
		0,	   1, 63, 64, 65, 127, 128, 129, 255, 256, HOUR, UINT64_MAX, UINT64_MAX - 1,
		1ULL << 63
	};
	uint64_t r = next_random();

	switch (kind) {
	case 0:
		return r % HOUR; /* even */
	case 1:
		return r >> (r % 60); /* each power of two alike */
	case 2:
		return (uint64_t)(50e3 * exp(5 * ((double)(r >> 11) / 0x1p53))); /* a long tail */
	case 3:
		return 1000000; /* all the same */
	case 4:
		return r % 100 ? 20000 : 5 * HOUR; /* one in a hundred far away */
	case 5:
		return edges[r % ARRAY_SIZE(edges)];
	case 6:
		return hist_bucket_high(
			(uint32_t)(r % HIST_BUCKETS(43))); /* worst of each bucket */
	case 7:
		return hist_bucket_low((uint32_t)(r % HIST_BUCKETS(64)));
	case 8:
		return i; /* small and all different */
	default:
		return r % 3;
	}
}

#define NR_KINDS 10

static void test_percentiles(void **state)
{
	static const size_t sizes[] = { 1, 2, 3, 10, 99, 100, 101, 1000, MAX_VALUES };
	uint64_t *values = calloc(MAX_VALUES, sizeof(*values));

	(void)state;
	assert_non_null(values);
	for (int kind = 0; kind < NR_KINDS; kind++) {
		for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
			struct hist h;

			hist_init(&h);
			for (size_t i = 0; i < sizes[s]; i++) {
				values[i] = draw(kind, i);
				assert_int_equal(hist_record(&h, values[i]), 0);
			}
			check_against_values(&h, values, sizes[s]);
			hist_release(&h);
		}
	}
	free(values);
}

/* 1 ns to 1 h and beyond, each value on its own: the bound holds everywhere, not only on average. */
static void test_whole_range(void **state)
{
	(void)state;
	for (uint64_t v = 1; v < 4 * HOUR; v += v / 1000 + 1) {
		struct hist h;

		hist_init(&h);
		/* Three values, so that the middle one is not held by min and max. */
		hist_record(&h, v - v / 2);
		hist_record(&h, v);
		hist_record(&h, 2 * v);
		assert_true(error_of(hist_percentile(&h, HIST_P50), v) <= 0.01L);
		hist_release(&h);
	}
}

/* Parts brought together in any way are the same as the whole. */
static void test_merge(void **state)
{
	struct hist whole, parts[7], sum;

	(void)state;
	hist_init(&whole);
	hist_init(&sum);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		hist_init(&parts[i]);
	for (int i = 0; i < 20000; i++) {
		uint64_t v = draw(i % NR_KINDS, (size_t)i);

		/* The last part stays empty. */
		assert_int_equal(hist_record(&parts[next_random() % (ARRAY_SIZE(parts) - 1)], v),
				 0);
		assert_int_equal(hist_record(&whole, v), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		assert_int_equal(hist_merge(&sum, &parts[i]), 0);
	assert_true(sum.count == whole.count && sum.sum == whole.sum);
	assert_true(sum.min == whole.min && sum.max == whole.max);
	for (uint32_t milli = 0; milli <= 100000; milli += 10)
		assert_true(hist_percentile(&sum, milli) == hist_percentile(&whole, milli));
	assert_true(hist_count_between(&sum, 1 << 10, (1 << 20) - 1) ==
		    hist_count_between(&whole, 1 << 10, (1 << 20) - 1));
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		hist_release(&parts[i]);
	hist_release(&whole);
	hist_release(&sum);
}

/* As a BPF program counts: buckets in an array, those beyond its end in the last one. */
static void test_from_kernel(void **state)
{
	uint64_t counts[HIST_BUCKETS(42)] = { 0 }, sum = 0, min = UINT64_MAX, max = 0;
	struct hist h, direct;

	(void)state;
	hist_init(&h);
	hist_init(&direct);
	assert_int_equal(hist_add_buckets(&h, counts, ARRAY_SIZE(counts), 0, UINT64_MAX, 0), 0);
	assert_int_equal(h.count, 0);
	for (int i = 0; i < 10000; i++) {
		uint64_t v = next_random() >> (next_random() % 42 + 22);

		counts[hist_bucket(v)]++;
		sum += v;
		min = MIN(min, v);
		max = MAX(max, v);
		hist_record(&direct, v);
	}
	assert_int_equal(hist_add_buckets(&h, counts, ARRAY_SIZE(counts), sum, min, max), 0);
	for (uint32_t milli = 0; milli <= 100000; milli += 10)
		assert_true(hist_percentile(&h, milli) == hist_percentile(&direct, milli));
	assert_true(hist_mean(&h) == hist_mean(&direct));
	counts[ARRAY_SIZE(counts) - 1] = 1;
	assert_int_equal(hist_add_buckets(&h, counts, ARRAY_SIZE(counts), 0, 5, 4), -EINVAL);
	assert_int_equal(h.count, 10000);
	assert_int_equal(hist_add_buckets(&h, counts, ARRAY_SIZE(counts), 2 * HOUR, 1, 2 * HOUR),
			 0);
	assert_true(hist_percentile(&h, 100000) == 2 * HOUR);
	hist_release(&h);
	hist_release(&direct);
}

static void test_empty(void **state)
{
	struct hist h, other;

	(void)state;
	hist_init(&h);
	hist_init(&other);
	assert_int_equal(hist_percentile(&h, HIST_P99), 0);
	assert_int_equal(hist_mean(&h), 0);
	assert_int_equal(hist_count_between(&h, 0, UINT64_MAX), 0);
	assert_int_equal(hist_merge(&h, &other), 0);
	assert_int_equal(h.count, 0);
	hist_record(&h, 0);
	assert_int_equal(hist_percentile(&h, HIST_P50), 0);
	assert_int_equal(h.max, 0);
	hist_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets),	    cmocka_unit_test(test_percentiles),
		cmocka_unit_test(test_whole_range), cmocka_unit_test(test_merge),
		cmocka_unit_test(test_from_kernel), cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
