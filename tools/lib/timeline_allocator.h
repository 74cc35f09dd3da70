/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_ALLOCATOR_H
#define PERISCOPE_TIMELINE_ALLOCATOR_H

/*
 * Which stacks of a trace are in the allocator: those with a frame in one of the functions that the
 * recording tells of (TIMELINE_ALLOCATOR in timeline_allocs.h). What a probe costs the target looks
 * as if the probed function had taken it; it is told apart by the kernel's frames.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace_file_reader.h"

enum timeline_place {
	TIMELINE_ELSEWHERE,
	TIMELINE_IN_ALLOCATOR,
	TIMELINE_IN_PROBE, /* of somebody's: the kernel is at work on a breakpoint */
};

struct timeline_allocator {
	const struct trace *trace; /* borrowed */
	struct timeline_allocator_range {
		uint32_t object;
		uint64_t start, end;
	} * ranges;
	size_t nr, cap;
	uint8_t *places; /* by stack: enum timeline_place + 1, or 0 */
};

/* Returns 0 or -ENOMEM. A trace that tells of no allocator has none. */
int timeline_allocator_init(struct timeline_allocator *a, const struct trace *t);
void timeline_allocator_release(struct timeline_allocator *a);

enum timeline_place timeline_allocator_place(struct timeline_allocator *a, uint64_t stack);

#endif
