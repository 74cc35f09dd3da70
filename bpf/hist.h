/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HIST_H
#define PERISCOPE_HIST_H

/*
 * Which bucket of a histogram a value belongs to; the same arithmetic where it is counted, in the
 * kernel, and where it is read. Integers only, shifts in place of divisions.
 *
 * Log-linear buckets: values below 2^(HIST_SUB_BITS + 1) = 128 have a bucket each; above, every
 * power of two is cut into 2^HIST_SUB_BITS = 64 buckets of equal width. So a bucket is never wider
 * than 1/64 of any value in it, its middle is within 1/128 = 0.79 % of them all, and every power of
 * two begins a bucket.
 */

#include <linux/types.h>

#define HIST_SUB_BITS 6
#define HIST_SUB      (1 << HIST_SUB_BITS)

/* Buckets for all values below 2^bits: 2368 for 42 bits (73 minutes in ns), 3776 for 64. */
#define HIST_BUCKETS(bits) (((bits)-HIST_SUB_BITS + 1) << HIST_SUB_BITS)

/* The position of the highest bit that is set; 0 for 0. BPF has no instruction for it. */
static inline __attribute__((always_inline)) __u32 hist_log2(__u64 v)
{
	__u32 low = (v > 0xffffffff) << 5, step;

	v >>= low;
	step = (v > 0xffff) << 4;
	v >>= step;
	low |= step;
	step = (v > 0xff) << 3;
	v >>= step;
	low |= step;
	step = (v > 0xf) << 2;
	v >>= step;
	low |= step;
	step = (v > 0x3) << 1;
	v >>= step;
	low |= step;
	return low | (__u32)(v >> 1);
}

/*
 * The bucket of a value, below HIST_BUCKETS(64). A program with fewer buckets holds it against its
 * own number, which the verifier wants to see anyway; what is beyond belongs into the last one.
 */
static inline __attribute__((always_inline)) __u32 hist_bucket(__u64 v)
{
	__u32 shift;

	if (v < 2 * HIST_SUB)
		return (__u32)v;
	shift = hist_log2(v) - HIST_SUB_BITS;
	return (shift << HIST_SUB_BITS) + (__u32)(v >> shift);
}

/* The least value of a bucket. */
static inline __attribute__((always_inline)) __u64 hist_bucket_low(__u32 bucket)
{
	__u32 shift = bucket >> HIST_SUB_BITS;

	if (shift < 2)
		return bucket;
	return (__u64)(HIST_SUB + (bucket & (HIST_SUB - 1))) << (shift - 1);
}

/* And the greatest. */
static inline __attribute__((always_inline)) __u64 hist_bucket_high(__u32 bucket)
{
	__u32 shift = bucket >> HIST_SUB_BITS;

	return hist_bucket_low(bucket) + ((__u64)1 << (shift < 2 ? 0 : shift - 1)) - 1;
}

#endif
