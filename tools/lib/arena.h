/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_ARENA_H
#define PERISCOPE_ARENA_H

/* Memory for many small things that are given back all at once. */

#include <stddef.h>

struct arena_block;

/* Starts as { 0 }. */
struct arena {
	struct arena_block *blocks;
	size_t used; /* bytes handed out since the last reset */
};

/* Aligned for any type; lives until the next reset. NULL for lack of memory. */
void *arena_take(struct arena *a, size_t size);
/* Forget all that was taken, and keep a block for the next use. */
void arena_reset(struct arena *a);
void arena_release(struct arena *a);

#endif
