/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_ID_MAP_H
#define PERISCOPE_ID_MAP_H

/* Things found by a pair of numbers, that come and go: threads by TID, requests by process and id. */

#include <stddef.h>
#include <stdint.h>

struct id_map_slot {
	uint64_t a, b;
	void *value; /* NULL: free */
};

/* Starts as { 0 }. */
struct id_map {
	struct id_map_slot *slots;
	size_t nr, cap; /* cap: 0 or a power of two */
};

/* NULL: there is none. */
void *id_map_find(const struct id_map *m, uint64_t a, uint64_t b);
/* Make room for one more. Returns 0 or -ENOMEM. */
int id_map_reserve(struct id_map *m);
/* Add what id_map_find did not find, after id_map_reserve. value is not NULL. */
void id_map_add(struct id_map *m, uint64_t a, uint64_t b, void *value);
/* Returns what was there, or NULL. */
void *id_map_remove(struct id_map *m, uint64_t a, uint64_t b);
/* To go through all of them: start with *at = 0. NULL at the end. Nothing may be added or removed
 * meanwhile. */
void *id_map_each(const struct id_map *m, size_t *at);
void id_map_release(struct id_map *m);

#endif
