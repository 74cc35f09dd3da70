/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_TABLE_H
#define PERISCOPE_HEAP_TABLE_H

/*
 * The heap programs' tables (bpf/heap.h) as user space sees them: mapped, so that looking costs no
 * system call. What leaves the live table other than by a free is done here: blocks whose address
 * space is gone are swept out, and remembered by their sites.
 *
 * Figures that are read while the programs run are each exact, but not of the same moment.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/heap.h"

/* What a site did. Of all processes that were watched. */
struct heap_counts {
	uint64_t allocs, alloc_bytes;
	uint64_t frees, free_bytes;
	uint64_t temps, temp_bytes;	     /* of the frees */
	uint64_t untracked, untracked_bytes; /* whose free will not be seen */
	uint64_t exited, exited_bytes;	     /* not freed when their process exited */
	uint64_t execed, execed_bytes;	     /* likewise when it ran another program */
	int64_t live, live_bytes;	     /* the rest: what is held */
	int64_t peak, peak_bytes;	     /* held when all sites together held most */
};

struct heap_site_view {
	uint32_t index; /* of the site in the tables; struct heap_block names it by that */
	struct heap_site_key key;
	uint64_t size; /* of each block; where they differ, the largest that is in key.class */
	bool mixed;    /* they differ */
	struct heap_counts n;
};

/* All sites at one time. Zero-initialised is empty. */
struct heap_snapshot {
	struct heap_site_view *items; /* by index; without those that were never used */
	size_t nr;
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	struct heap_counts sum;
	uint64_t peak_time_ns; /* CLOCK_MONOTONIC; 0: peaks were not followed */
};

/* Add up, field by field. */
void heap_counts_add(struct heap_counts *to, const struct heap_counts *n);

void heap_snapshot_release(struct heap_snapshot *s);
/* Returns 0 or -ENOMEM. */
int heap_snapshot_copy(struct heap_snapshot *to, const struct heap_snapshot *from);

/* Make it what changed since an earlier snapshot of the same table; peaks stay as they are. */
void heap_snapshot_since(struct heap_snapshot *s, const struct heap_snapshot *before);

/* Multiply what was counted of allocations, rounded; the rest becomes 0. */
void heap_snapshot_scale(struct heap_snapshot *s, double factor);

/* Count what processes held when they exited as held. */
void heap_snapshot_keep_exited(struct heap_snapshot *s);

struct heap_size {
	uint64_t size, count;
};

/* Which sizes were asked for how often. */
struct heap_sizes {
	struct heap_size *items; /* by size */
	size_t nr;
	uint64_t others[64]; /* sizes for which there was no room, by their highest bit */
	uint64_t count;	     /* of all */
};

void heap_sizes_release(struct heap_sizes *s);

/* What of a loaded heap object the table needs; borrowed. */
struct heap_table_maps {
	int sites, lifetimes, live, spaces, sizes, large_sizes, other_sizes;
	size_t nr_buckets;
	/* In the object's mapped data. */
	uint32_t *nr_sites;
	int64_t *in_use;
	uint64_t *peak_epoch, *peak_time;
};

struct heap_table {
	struct heap_table_maps maps;
	struct heap_site *sites;
	struct heap_lifetimes *lifetimes;
	struct heap_bucket *live;
	uint64_t *spaces;
	uint8_t *gone; /* by space: to be swept; enum heap_gone + 1 */
	size_t nr_gone;
};

/* Returns 0 or a negative errno. Release also after a failure. */
int heap_table_init(struct heap_table *t, const struct heap_table_maps *maps);
void heap_table_release(struct heap_table *t);

/* An address space is gone. Its blocks stay until the next sweep, or for good if there is none. */
void heap_table_gone(struct heap_table *t, uint32_t space, enum heap_gone why);

/*
 * Take out the blocks of spaces that are gone, exited: also those whose process has exited; reads the whole live table (100 MB for a million
 * blocks that there may be).
 */
void heap_table_sweep(struct heap_table *t, bool exited);

/* Returns 0 or -ENOMEM. Release *ret on success. */
int heap_table_snapshot(const struct heap_table *t, struct heap_snapshot *ret);

/* The sums alone, without peaks: cheap. */
void heap_table_sum(const struct heap_table *t, struct heap_counts *ret);

/* Returns 0 or a negative errno. Release *ret on success. */
int heap_table_sizes(const struct heap_table *t, struct heap_sizes *ret);

/* Of a site's freed blocks; never NULL for an index of a snapshot. */
const struct heap_lifetimes *heap_table_lifetimes(const struct heap_table *t, uint32_t site);

/*
 * fn for each live block; it returns 0 to go on. While the programs run a block that is freed
 * meanwhile may be seen damaged. Returns what fn returned last.
 */
int heap_table_blocks(const struct heap_table *t,
		      int (*fn)(void *arg, uint64_t key, const struct heap_block *block),
		      void *arg);

#endif
