/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_GAUGES_H
#define PERISCOPE_TIMELINE_GAUGES_H

/* What is read of the target every now and then: memory, threads, page faults, as counters. */

#include <stddef.h>
#include <stdint.h>

#include "target.h"
#include "timeline_records.h"

#define TIMELINE_GAUGE_NS 100000000ULL

struct timeline_gauges {
	struct {
		pid_t pid;
		uint64_t values[4];
	} * items;
	size_t nr, cap;
	uint64_t read_at;
};

/*
 * If it is time: a COUNTER for each that has changed since it was last read. Returns 0, -ENOMEM or
 * the writer's error.
 */
int timeline_gauges_read(struct timeline_gauges *g, const struct target *t,
			 struct timeline_records *r, uint64_t now);
void timeline_gauges_release(struct timeline_gauges *g);

#endif
