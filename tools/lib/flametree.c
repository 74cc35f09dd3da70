/* SPDX-License-Identifier: MIT */
#include "flametree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

struct node_key {
	const struct flame_tree *t;
	uint32_t parent, symbol, thread;
	bool inlined;
};

static bool node_is(const struct flame_node *n, const struct node_key *key)
{
	return n->parent == key->parent && n->symbol == key->symbol && n->inlined == key->inlined &&
	       n->thread == key->thread;
}

static bool node_equal(const void *ctx, uint32_t index)
{
	const struct node_key *key = ctx;

	return node_is(&key->t->nodes[index], key);
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

/* The child that the key describes, made at need. */
static int get_child(struct flame_tree *t, const struct node_key *key, uint32_t *ret)
{
	uint32_t words[] = { key->parent, key->symbol, key->inlined, key->thread };
	uint64_t hash = hash_bytes(words, sizeof(words));
	struct flame_node node = {
		.symbol = key->symbol,
		.inlined = key->inlined,
		.thread = key->thread,
		.parent = key->parent,
		.depth = t->nodes[key->parent].depth + 1,
	};
	int err;

	*ret = dedup_find(&t->index, hash, node_equal, key);
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

/* The node of frame i of a stack: as in the stack before, while the two agree, else looked up. */
static int step_down(struct flame_tree *t, size_t i, const struct node_key *key, uint32_t *ret)
{
	int err;

	if (i < t->nr_path && node_is(&t->nodes[t->path[i]], key)) {
		*ret = t->path[i];
		return 0;
	}
	t->nr_path = i;
	err = get_child(t, key, ret);
	if (!err)
		err = array_grow((void **)&t->path, t->nr_path, &t->cap_path, sizeof(*t->path));
	if (!err)
		t->path[t->nr_path++] = *ret;
	return err;
}

static void count_in(struct flame_node *n, int64_t value, int64_t samples)
{
	n->total = profile_sum(n->total, value);
	n->samples = profile_sum(n->samples, samples);
}

static uint32_t thread_of(const struct profile *p, const struct profile_sample *s)
{
	for (uint32_t i = 0; i < s->nr_labels; i++) {
		const struct profile_label *l = &p->labels[s->first_label + i];

		if (!l->str && !strcmp(profile_str(p, l->key), "tid"))
			return (uint32_t)l->num;
	}
	return 0;
}

static int add_stack(struct flame_tree *t, const struct frame_stack *stack, uint32_t sample,
		     size_t type, unsigned int flags)
{
	const struct profile *p = t->frames.profile;
	const struct profile_sample *samples = p->samples;
	int64_t value = MAX(samples[sample].values[type], 0);
	int64_t events = MAX(samples[sample].values[0], 0);
	struct node_key key = { .t = t };
	struct flame_node *leaf;
	uint32_t at = FLAME_ROOT;
	int err;

	if (flags & FLAME_BY_THREAD)
		key.thread = thread_of(p, &samples[sample]);
	count_in(&t->nodes[at], value, events);
	for (size_t i = 0; i < stack->n; i++) {
		key.parent = at;
		key.symbol = stack->items[i].symbol;
		key.inlined = stack->items[i].inlined;
		err = step_down(t, i, &key, &at);
		if (err)
			return err;
		count_in(&t->nodes[at], value, events);
		key.thread = 0;
	}
	leaf = &t->nodes[at];
	if (!leaf->self || value > samples[leaf->heaviest].values[type])
		leaf->heaviest = sample;
	leaf->self = profile_sum(leaf->self, value);
	leaf->self_samples = profile_sum(leaf->self_samples, events);
	return 0;
}

static int by_name(const void *a, const void *b, void *ctx)
{
	const struct frame_symbol *symbols = ctx;
	const struct frame_symbol *s = &symbols[*(const uint32_t *)a];
	const struct frame_symbol *u = &symbols[*(const uint32_t *)b];
	int order = strcmp(s->name, u->name);

	if (!order)
		order = strcmp(s->module, u->module);
	return order ? order : (int)s->origin - (int)u->origin;
}

static int rank_symbols(struct flame_tree *t)
{
	size_t n = t->frames.nr_symbols;
	uint32_t *order = calloc(n + 1, sizeof(*order));

	t->ranks = calloc(n + 1, sizeof(*t->ranks));
	if (!order || !t->ranks) {
		free(order);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, n, sizeof(*order), by_name, t->frames.symbols);
	for (size_t i = 0; i < n; i++)
		t->ranks[order[i]] = (uint32_t)i;
	free(order);
	return 0;
}

/* What siblings are sorted by besides their thread. */
static size_t sort_key(const struct flame_tree *t, uint32_t node)
{
	return 2 * (size_t)t->ranks[t->nodes[node].symbol] + t->nodes[node].inlined;
}

/* All nodes in the order of their names, by counting: order[0] to order[nr_nodes - 2]. */
static int sort_nodes(const struct flame_tree *t, uint32_t *order)
{
	size_t *first = calloc(2 * t->frames.nr_symbols + 2, sizeof(*first));

	if (!first)
		return -ENOMEM;
	for (uint32_t i = 1; i < t->nr_nodes; i++)
		first[sort_key(t, i) + 1]++;
	for (size_t i = 1; i < 2 * t->frames.nr_symbols + 2; i++)
		first[i] += first[i - 1];
	for (uint32_t i = 1; i < t->nr_nodes; i++)
		order[first[sort_key(t, i)]++] = i;
	free(first);
	return 0;
}

static void insert_by_thread(struct flame_tree *t, uint32_t *list, uint32_t node)
{
	const struct flame_node *nodes = t->nodes;

	while (*list && sort_key(t, *list) == sort_key(t, node) &&
	       nodes[*list].thread < nodes[node].thread)
		list = &t->nodes[*list].next_sibling;
	t->nodes[node].next_sibling = *list;
	*list = node;
}

/* Link every node into its parent's list, in the order of names. */
static int link_children(struct flame_tree *t)
{
	uint32_t *order = calloc(t->nr_nodes, sizeof(*order));
	int err = order ? rank_symbols(t) : -ENOMEM;

	if (!err)
		err = sort_nodes(t, order);
	for (size_t i = err ? 0 : t->nr_nodes - 1; i--;)
		insert_by_thread(t, &t->nodes[t->nodes[order[i]].parent].first_child, order[i]);
	free(order);
	return err;
}

static bool counts(const struct profile *p, const struct profile_sample *s, size_t type,
		   unsigned int flags)
{
	return type < p->nr_types &&
	       (s->values[type] > 0 || ((flags & FLAME_BOTH) && s->values[0] > 0));
}

int flame_tree_init(struct flame_tree *t, const struct profile *p, size_t type, unsigned int flags)
{
	struct frame_stack stack = { 0 };
	struct flame_node root = { 0 };
	int err;

	*t = (struct flame_tree){ 0 };
	err = frames_init(&t->frames, p);
	if (!err)
		err = add_node(t, &root);
	for (uint32_t i = 0; i < p->nr_samples && !err; i++) {
		if (!counts(p, &p->samples[i], type, flags))
			continue;
		err = frames_stack(&t->frames, &p->samples[i], &stack);
		if (!err)
			err = add_stack(t, &stack, i, type, flags);
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
	free(t->ranks);
	free(t->path);
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
