/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_FUNC_COUNTS_H
#define PERISCOPE_FUNC_COUNTS_H

/* What the kernel has counted of functions at one moment, and what lies between two of those. */

#include <stddef.h>
#include <stdint.h>

#include "capture_funcs.h"

struct func_bucket_count {
	struct func_bucket key;
	uint64_t count;
};

struct func_counts {
	struct func_stat *stats; /* by function, summed over CPUs; min_ns as it is */
	size_t nr;
	struct func_bucket_count *buckets; /* by function, then bucket */
	size_t nr_buckets, cap_buckets;
};

/*
 * Read the maps `funcs` and `buckets`, of the first `nr` functions. Counting may go on meanwhile:
 * what comes during the call may be in one and not in the other. Returns 0 or a negative errno.
 */
int func_counts_read(struct func_counts *ret, int funcs_fd, int buckets_fd, size_t nr);
void func_counts_release(struct func_counts *c);

/*
 * A result for each of now's functions, without site: what is in `now` and was not in `before`, a
 * reading of the same maps or NULL. Returns 0 or -ENOMEM.
 */
int func_counts_results(const struct func_counts *now, const struct func_counts *before,
			struct func_result **ret);

#endif
