/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_CALLERS_H
#define PERISCOPE_HEAP_CALLERS_H

/*
 * A snapshot's sites brought together by who asked for the memory: the line of the innermost
 * function on the stack, operator new left out. Inlined functions count as functions.
 */

#include <stddef.h>
#include <stdint.h>

#include "capture_heap.h"
#include "profile.h"

#define HEAP_CLASSES 256 /* of sizes; heap_class() never gives as many */

struct heap_caller {
	char *name;		 /* "function (file.c:123)", "function", "[no stack]" */
	uint32_t function, line; /* of the profile; line 0: unknown */
	struct heap_counts n;
	size_t place;			    /* for who goes through them */
	uint64_t smallest, largest;	    /* sizes asked for; classes' bounds where not known */
	uint64_t by_class[HEAP_CLASSES];    /* allocations */
	uint64_t lifetimes[HEAP_LIFETIMES]; /* of freed blocks, as struct heap_lifetimes */
};

struct heap_callers {
	struct heap_caller **items;
	size_t nr, cap;
	/* The snapshot's sites, in its order: who asked. */
	struct heap_caller **of_site;
};

/* Returns 0, or -ENOMEM. Release *ret on success. */
int heap_callers_init(struct heap_callers *ret, const struct capture_heap *c,
		      const struct heap_snapshot *s);
void heap_callers_release(struct heap_callers *l);

enum heap_order {
	HEAP_BY_ALLOCS,
	HEAP_BY_ALLOC_BYTES,
	HEAP_BY_LIVE,
	HEAP_BY_LIVE_BYTES,
	HEAP_BY_FREES,
};

/* Greatest first. */
void heap_callers_sort(struct heap_callers *l, enum heap_order order);

/* Names of functions that nobody would take for who asked; for stack_profile_options. */
extern const char *const heap_wrappers[];

#endif
