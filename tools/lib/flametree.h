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
	/* What total and self are for type 0: the number of events, or the value before. */
	int64_t samples, self_samples;
	uint32_t thread;   /* FLAME_BY_THREAD: of the root's children, the number; 0 unknown */
	uint32_t heaviest; /* of the samples that end here, the one of the greatest value */
};

struct flame_tree {
	struct frames frames;
	struct flame_node *nodes; /* parents before children */
	size_t nr_nodes, cap_nodes;
	uint32_t max_depth;
	uint32_t *ranks; /* of each symbol, in the order of names, modules and origins */
	struct dedup index;
	uint32_t *path; /* nodes of the stack added last: the next one shares its beginning */
	size_t nr_path, cap_path;
};

/* The root's children are told apart by thread number, too, where samples have the label "tid". */
#define FLAME_BY_THREAD 1
/* Samples count that are not positive in the type but are in type 0: what was there before. */
#define FLAME_BOTH 2

/*
 * The profile is borrowed and must not change meanwhile; flags are FLAME_*. Returns 0 or -ENOMEM,
 * -E2BIG.
 */
int flame_tree_init(struct flame_tree *t, const struct profile *p, size_t type, unsigned int flags);
void flame_tree_release(struct flame_tree *t);

/*
 * The node after `at` in the subtree of `top`, parents before children and siblings in order;
 * without descend the children of `at` are passed over. FLAME_ROOT at the end.
 */
uint32_t flame_next(const struct flame_tree *t, uint32_t top, uint32_t at, bool descend);

/* The node's name, module and origin; of the root "all". */
const struct frame_symbol *flame_symbol(const struct flame_tree *t, uint32_t node);

#endif
