/* SPDX-License-Identifier: MIT */
#include "flametree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

struct node_key {
	const struct flame_tree *t;
	uint32_t parent, symbol;
	bool inlined;
};

static bool node_equal(const void *ctx, uint32_t index)
{
	const struct node_key *key = ctx;
	const struct flame_node *n = &key->t->nodes[index];

	return n->parent == key->parent && n->symbol == key->symbol && n->inlined == key->inlined;
}

static int add_node(struct flame_tree *t, const struct flame_node *node)
{
	if (t->nr_nodes == DEDUP_NONE)
		return -E2BIG;
	if (array_grow((void **)&t->nodes, t->nr_nodes, &t->cap_nodes, sizeof(*t->nodes)))
		return -ENOMEM;
	t->nodes[t->nr_nodes++] = *node;
	t->max_depth = MAX(t->max_depth, node->depth);
	return 0;
}

/* The child of `parent` that stands for frame, made at need. */
static int get_child(struct flame_tree *t, uint32_t parent, const struct frame *frame,
		     uint32_t *ret)
{
	struct node_key key = {
		.t = t, .parent = parent, .symbol = frame->symbol, .inlined = frame->inlined
	};
	uint32_t words[] = { parent, frame->symbol, frame->inlined };
	uint64_t hash = hash_bytes(words, sizeof(words));
	struct flame_node node = {
		.symbol = frame->symbol,
		.inlined = frame->inlined,
		.parent = parent,
		.depth = t->nodes[parent].depth + 1,
	};
	int err;

	*ret = dedup_find(&t->index, hash, node_equal, &key);
	if (*ret != DEDUP_NONE)
		return 0;
	err = dedup_reserve(&t->index);
	if (!err)
		err = add_node(t, &node);
	if (err)
		return err;
	*ret = (uint32_t)(t->nr_nodes - 1);
	dedup_insert(&t->index, hash, *ret);
	return 0;
}

static void count_in(struct flame_node *n, int64_t value, int64_t samples)
{
	n->total = profile_sum(n->total, value);
	n->samples = profile_sum(n->samples, samples);
}

static int add_stack(struct flame_tree *t, const struct frame_stack *stack, uint32_t sample,
		     size_t type)
{
	const struct profile_sample *samples = t->frames.profile->samples;
	int64_t value = samples[sample].values[type];
	uint32_t at = FLAME_ROOT;
	struct flame_node *leaf;
	int err;

	count_in(&t->nodes[at], value, samples[sample].values[0]);
	for (size_t i = 0; i < stack->n; i++) {
		err = get_child(t, at, &stack->items[i], &at);
		if (err)
			return err;
		count_in(&t->nodes[at], value, samples[sample].values[0]);
	}
	leaf = &t->nodes[at];
	if (!leaf->self || value > samples[leaf->heaviest].values[type])
		leaf->heaviest = sample;
	leaf->self = profile_sum(leaf->self, value);
	return 0;
}

static int by_parent_and_name(const void *a, const void *b, void *ctx)
{
	const struct flame_tree *t = ctx;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	const struct flame_node *x = &t->nodes[i], *y = &t->nodes[j];
	const struct frame_symbol *s = flame_symbol(t, i), *u = flame_symbol(t, j);
	int order;

	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	order = strcmp(s->name, u->name);
	if (!order)
		order = strcmp(s->module, u->module);
	if (!order)
		order = (int)s->origin - (int)u->origin;
	return order ? order : (int)x->inlined - (int)y->inlined;
}

/* Link every node into its parent's list, in the order of names. */
static int link_children(struct flame_tree *t)
{
	uint32_t *order = calloc(t->nr_nodes, sizeof(*order));

	if (!order)
		return -ENOMEM;
	for (uint32_t i = 1; i < t->nr_nodes; i++)
		order[i] = i;
	qsort_r(order + 1, t->nr_nodes - 1, sizeof(*order), by_parent_and_name, t);
	for (size_t i = t->nr_nodes; --i;) {
		struct flame_node *n = &t->nodes[order[i]];

		n->next_sibling = t->nodes[n->parent].first_child;
		t->nodes[n->parent].first_child = order[i];
	}
	free(order);
	return 0;
}

int flame_tree_init(struct flame_tree *t, const struct profile *p, size_t type)
{
	struct frame_stack stack = { 0 };
	struct flame_node root = { 0 };
	int err;

	*t = (struct flame_tree){ 0 };
	err = frames_init(&t->frames, p);
	if (!err)
		err = add_node(t, &root);
	for (uint32_t i = 0; i < p->nr_samples && !err; i++) {
		if (type >= p->nr_types || p->samples[i].values[type] <= 0)
			continue;
		err = frames_stack(&t->frames, &p->samples[i], &stack);
		if (!err)
			err = add_stack(t, &stack, i, type);
	}
	if (!err)
		err = link_children(t);
	frame_stack_release(&stack);
	if (err)
		flame_tree_release(t);
	return err;
}

void flame_tree_release(struct flame_tree *t)
{
	frames_release(&t->frames);
	dedup_release(&t->index);
	free(t->nodes);
	*t = (struct flame_tree){ 0 };
}

const struct frame_symbol *flame_symbol(const struct flame_tree *t, uint32_t node)
{
	static const struct frame_symbol all = { .name = "all",
						 .module = "",
						 .origin = FRAME_NOTE };

	return node == FLAME_ROOT ? &all : &t->frames.symbols[t->nodes[node].symbol];
}

uint32_t flame_next(const struct flame_tree *t, uint32_t top, uint32_t at, bool descend)
{
	if (descend && t->nodes[at].first_child)
		return t->nodes[at].first_child;
	while (at != top && !t->nodes[at].next_sibling)
		at = t->nodes[at].parent;
	return at == top ? FLAME_ROOT : t->nodes[at].next_sibling;
}
