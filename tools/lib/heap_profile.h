/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_PROFILE_H
#define PERISCOPE_HEAP_PROFILE_H

/*
 * Profiles of a heap capture. What pprof can show together, under Go's names, is one: all that was
 * allocated and what of it is held. The views that Go does not have are profiles of their own,
 * because pprof merges and compares files of the same types only.
 */

#include <stdbool.h>
#include <stdint.h>

#include "capture_heap.h"
#include "profile.h"

enum heap_view {
	HEAP_VIEW_HEAP,	       /* alloc_objects, alloc_space, inuse_objects, inuse_space */
	HEAP_VIEW_PEAK,	       /* peak_objects, peak_space: held when all together held most */
	HEAP_VIEW_TEMPORARY,   /* temporary_objects, temporary_space: freed at once */
	HEAP_VIEW_OUTSTANDING, /* outstanding_objects, outstanding_space: held for long */
	HEAP_NR_VIEWS,
};

/* Types of HEAP_VIEW_HEAP, in the file's order. Without frees only the first two are there. */
enum heap_type {
	HEAP_ALLOC_OBJECTS,
	HEAP_ALLOC_SPACE,
	HEAP_INUSE_OBJECTS,
	HEAP_INUSE_SPACE,
	HEAP_NR_TYPES,
};

extern const char *const heap_type_names[HEAP_NR_TYPES];

struct heap_profile_options {
	enum heap_view view;
	enum heap_type type; /* the default of HEAP_VIEW_HEAP */
	bool alloc_only;
	bool per_thread;
	uint64_t
		older_ns; /* HEAP_VIEW_OUTSTANDING: allocated at least so long before the snapshot */
};

/*
 * Make a profile of a snapshot. Labels: tid, pid if there were several processes, bytes: the
 * block's size, or the largest of its class where a stack's blocks differ; route: of the request
 * that the thread worked on, if any. Frames of C++'s operator
 * new are left out where they are innermost: not they asked for the memory. Returns 0 and the
 * caller's profile, or -ENOMEM.
 */
int heap_profile(const struct capture_heap *c, const struct heap_snapshot *s,
		 const struct heap_profile_options *o, struct profile **ret);

#endif
