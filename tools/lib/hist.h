/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_LIB_HIST_H
#define PERISCOPE_LIB_HIST_H

/*
 * A histogram of values from 0 to 2^64 - 1, made for latencies in nanoseconds: it takes any number
 * of values in a few KB, and gives percentiles that are wrong by less than 1 % (by 1/128 = 0.79 % at
 * most; see bpf/hist.h for the buckets). Number, sum, mean, least and greatest value are exact.
 * Histograms can be added up; the result is that of all the values together.
 */

#include <stddef.h>
#include <stdint.h>

#include "bpf/hist.h"

struct hist {
	uint64_t *counts; /* of buckets 0 to nr - 1; those beyond are empty */
	size_t nr;
	uint64_t count;
	unsigned __int128 sum; /* cannot overflow: 2^64 values of 64 bits */
	uint64_t min, max;     /* of no values: UINT64_MAX and 0 */
};

void hist_init(struct hist *h);
void hist_release(struct hist *h);

/* All three return 0 or -ENOMEM, after which h is as before. */
int hist_record(struct hist *h, uint64_t value);
int hist_merge(struct hist *h, const struct hist *more);
/*
 * Add what was counted in the kernel: nr buckets of hist_bucket(), and what was kept exactly beside
 * them. Where the program put values beyond its buckets into its last one (and only there), they
 * count as values of that bucket; sum and max are still true. Also -EINVAL for min or max of no
 * values (min > max while something was counted) or more than HIST_BUCKETS(64) buckets.
 */
int hist_add_buckets(struct hist *h, const uint64_t *counts, size_t nr, uint64_t sum, uint64_t min,
		     uint64_t max);

/*
 * Percentiles by nearest rank: the least value such that at least this share of all values are not
 * above it (the ceil(share * n)-th in ascending order). `milli` is in thousandths of a percent:
 * 50000 is the median, 99900 p99.9, 0 the least and 100000 the greatest value (both exact). The
 * value is the middle of its bucket, never beyond min and max. 0 for no values.
 */
#define HIST_P50  50000
#define HIST_P90  90000
#define HIST_P99  99000
#define HIST_P999 99900
uint64_t hist_percentile(const struct hist *h, uint32_t milli);

/* Rounded to the nearest integer. 0 for no values. */
uint64_t hist_mean(const struct hist *h);

/* How many values are in the buckets from that of `low` to that of `high`. */
uint64_t hist_count_between(const struct hist *h, uint64_t low, uint64_t high);

#endif
