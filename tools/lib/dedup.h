/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_DEDUP_H
#define PERISCOPE_DEDUP_H

/*
 * An index over an array that only grows: finds the element equal to a key without holding either.
 * The owner keeps the array and says what equal means. To add an element: dedup_find, if there is
 * none dedup_reserve (the only step that can fail), append to the array, dedup_insert.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEDUP_NONE UINT32_MAX

struct dedup_slot {
	uint32_t index; /* DEDUP_NONE: free */
	uint32_t hash;	/* upper half: spares most calls of the comparison */
};

struct dedup {
	struct dedup_slot *slots;
	size_t n, cap; /* cap: 0 or a power of two */
};

/* Is element `index` of the array that `ctx` knows the key that `ctx` holds? */
typedef bool (*dedup_equal_fn)(const void *ctx, uint32_t index);

void dedup_init(struct dedup *d);
void dedup_release(struct dedup *d);
/* Returns the index of the equal element or DEDUP_NONE. */
uint32_t dedup_find(const struct dedup *d, uint64_t hash, dedup_equal_fn equal, const void *ctx);
/* Make room for one more element. Returns 0 or -ENOMEM. */
int dedup_reserve(struct dedup *d);
/* Add an element that dedup_find did not find, after dedup_reserve. */
void dedup_insert(struct dedup *d, uint64_t hash, uint32_t index);

#endif
