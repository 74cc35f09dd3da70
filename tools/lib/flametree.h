/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_FLAMETREE_H
#define PERISCOPE_FLAMETREE_H

/*
 * The samples of a profile merged into one tree of frames by name, from the root down: what a flame
 * graph draws. Samples whose value is not positive are left out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dedup.h"
#include "frames.h"

#define FLAME_ROOT 0 /* the node above all stacks; as no node's child it also ends lists */

struct flame_node {
	uint32_t symbol; /* of the tree's frames; the root has none */
	bool inlined;
	uint32_t parent, first_child, next_sibling; /* nodes; siblings are sorted by name */
	uint32_t depth;				    /* of the root: 0 */
	int64_t total, self;			    /* of the value; saturating */
	int64_t samples;   /* what total is for type 0: the number of events; saturating */
	uint32_t heaviest; /* of the samples that end here, the one of the greatest value */
};

struct flame_tree {
	struct frames frames;
	struct flame_node *nodes; /* parents before children */
	size_t nr_nodes, cap_nodes;
	uint32_t max_depth;
	struct dedup index;
};

/* The profile is borrowed and must not change meanwhile. Returns 0 or -ENOMEM, -E2BIG. */
int flame_tree_init(struct flame_tree *t, const struct profile *p, size_t type);
void flame_tree_release(struct flame_tree *t);

/*
 * The node after `at` in the subtree of `top`, parents before children and siblings in order;
 * without descend the children of `at` are passed over. FLAME_ROOT at the end.
 */
uint32_t flame_next(const struct flame_tree *t, uint32_t top, uint32_t at, bool descend);

/* The node's name, module and origin; of the root "all". */
const struct frame_symbol *flame_symbol(const struct flame_tree *t, uint32_t node);

#endif
