/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_SERIES_H
#define PERISCOPE_HEAP_SERIES_H

/*
 * The heap over time: a point every now and then, in a bounded number: when there are too many,
 * every other one goes, and from then on they are taken half as often.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap_table.h"
#include "target.h"

struct heap_point {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint64_t allocs, alloc_bytes;
	int64_t live, live_bytes;
	uint64_t rss_bytes; /* of all processes of the target */
};

struct heap_series {
	struct heap_point *points;
	size_t nr;
	uint64_t between_ns; /* two of them */
};

/* Returns 0 or -ENOMEM. */
int heap_series_init(struct heap_series *s);
void heap_series_release(struct heap_series *s);

/* Take a point if it is time for one, or in any case. */
void heap_series_take(struct heap_series *s, const struct heap_table *table, const struct target *t,
		      uint64_t now, bool always);

#endif
