/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_GAUGES_H
#define PERISCOPE_TIMELINE_GAUGES_H

/*
 * What is told of the target's processes every now and then, as counters: memory, threads, page
 * faults, which are read then; calls of the allocator, if they are counted, and what is in use of
 * the blocks. And what the time of day is, at the begin and when somebody has set it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "target.h"
#include "timeline_records.h"

struct timeline_heaps;

#define TIMELINE_GAUGE_NS 100000000ULL

struct timeline_gauges {
	struct timeline_gauge_row {
		pid_t pid;
		bool told; /* once */
		bool allocates;
		uint64_t values[4];
		uint64_t allocs, alloc_bytes;
		bool has_heap;
		uint64_t heap, heap_most;
	} * items;
	size_t nr, cap;
	uint64_t read_at;
	uint64_t allocs;	      /* of all processes */
	int64_t clocks_differ;	      /* CLOCK_REALTIME less CLOCK_MONOTONIC, as last told */
	struct timeline_heaps *heaps; /* borrowed; NULL: blocks are not followed */
};

/*
 * If it is time: a COUNTER for each that has changed since it was last told, and for all that only
 * grow. Returns 0, -ENOMEM or the writer's error.
 */
int timeline_gauges_read(struct timeline_gauges *g, const struct target *t,
			 struct timeline_records *r, uint64_t now);

/* It is the last time. */
int timeline_gauges_finish(struct timeline_gauges *g, const struct target *t,
			   struct timeline_records *r, uint64_t now);

/* A thread of process pid has called the allocator so often. Returns 0 or -ENOMEM. */
int timeline_gauges_alloc(struct timeline_gauges *g, pid_t pid, uint64_t calls, uint64_t bytes);

/* What it holds of the blocks that it has allocated, and at most since the last time. As above. */
int timeline_gauges_heap(struct timeline_gauges *g, struct timeline_records *r, pid_t pid,
			 uint64_t held, uint64_t most, uint64_t now);

void timeline_gauges_release(struct timeline_gauges *g);

#endif
