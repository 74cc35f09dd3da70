/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_HEAPS_H
#define PERISCOPE_TIMELINE_HEAPS_H

/*
 * The heaps of a timeline's processes, as its programs count them (bpf/timeline_heap.bpf.h): told as
 * gauges every now and then, with the highest in between. Blocks of memory that is gone, because its
 * process has ended or runs another program, are swept out of the table.
 */

#include <stddef.h>
#include <stdint.h>

#include "timeline_gauges.h"
#include "timeline_records.h"

#define TIMELINE_MAX_BLOCKS 500000 /* followed at once; 98 bytes of kernel memory each */

/* A fact about a recording: how many blocks could not be followed. */
#define TIMELINE_HEAP_UNTRACKED "heap_untracked"

struct heap_bucket;

struct timeline_heaps {
	int heaps_fd;
	struct heap_bucket *live; /* mapped */
	size_t nr_buckets;
	uint32_t *epoch, *spaces; /* the programs' */
	uint32_t spaces_before;	  /* when it was last told */
	uint32_t swept;		  /* spaces that are gone from the table */
	uint64_t swept_at;
};

/* The size that the map `live` is to have. */
size_t timeline_heaps_buckets(void);

/*
 * heaps_fd, live_fd: the maps; live is mapped. epoch, spaces: the programs' variables. Returns 0 or a
 * negative errno.
 */
int timeline_heaps_init(struct timeline_heaps *h, int heaps_fd, int live_fd, uint32_t *epoch,
			uint32_t *spaces);
void timeline_heaps_release(struct timeline_heaps *h);

/* Tell of all heaps, and begin the next stretch. Returns 0, -ENOMEM or the writer's error. */
int timeline_heaps_tell(struct timeline_heaps *h, struct timeline_gauges *g,
			struct timeline_records *r, uint64_t now);

#endif
