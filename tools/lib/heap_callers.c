/* SPDX-License-Identifier: MIT */
#include "heap_callers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stack_profile.h"
#include "util.h"

/* The Itanium C++ ABI's names of operator new and new[]. */
const char *const heap_wrappers[] = { "_Znw", "_Zna", NULL };

#define NO_FUNCTION UINT32_MAX

struct build {
	struct heap_callers *l;
	const struct capture_heap *c;
	struct profile *p; /* names */
	struct stack_profile *sp;
	uint32_t *slots; /* hash table of callers: index + 1 */
	size_t nr_slots;
};

void heap_callers_release(struct heap_callers *l)
{
	for (size_t i = 0; i < l->nr; i++) {
		free(l->items[i]->name);
		free(l->items[i]);
	}
	free(l->items);
	free(l->of_site);
	*l = (struct heap_callers){ 0 };
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static char *name_of(const struct build *b, uint32_t function, uint32_t line)
{
	const char *name = "[no stack]", *file = "";
	char *text;
	int n;

	if (function != NO_FUNCTION) {
		name = profile_str(b->p, b->p->functions[function].name);
		file = profile_str(b->p, b->p->functions[function].file);
	}
	if (*file && line)
		n = asprintf(&text, "%s (%s:%u)", name, base_name(file), line);
	else
		n = asprintf(&text, "%s", name);
	return n < 0 ? NULL : text;
}

static int add_caller(struct build *b, uint32_t function, uint32_t line)
{
	struct heap_callers *l = b->l;
	struct heap_caller *caller;
	int err;

	err = array_grow((void **)&l->items, l->nr, &l->cap, sizeof(struct heap_caller *));
	caller = err ? NULL : calloc(1, sizeof(*caller));
	if (!caller)
		return -ENOMEM;
	caller->name = name_of(b, function, line);
	if (!caller->name) {
		free(caller);
		return -ENOMEM;
	}
	caller->function = function;
	caller->line = line;
	caller->smallest = UINT64_MAX;
	l->items[l->nr++] = caller;
	return 0;
}

/* The caller of that function and line, made at first. */
static int find_caller(struct build *b, uint32_t function, uint32_t line, uint32_t *ret)
{
	uint64_t key = (uint64_t)function << 32 | line;
	size_t at = hash_bytes(&key, sizeof(key)) & (b->nr_slots - 1);
	int err;

	while (b->slots[at]) {
		const struct heap_caller *c = b->l->items[b->slots[at] - 1];

		if (c->function == function && c->line == line) {
			*ret = b->slots[at] - 1;
			return 0;
		}
		at = (at + 1) & (b->nr_slots - 1);
	}
	err = add_caller(b, function, line);
	if (!err) {
		b->slots[at] = b->l->nr;
		*ret = b->l->nr - 1;
	}
	return err;
}

/* Who asked, by the stack: function and line of the profile. */
static int asked_by(struct build *b, const struct heap_site_view *v, uint32_t *function,
		    uint32_t *line)
{
	const struct stacks *stacks = capture_heap_stacks(b->c);
	ssize_t at = stacks_find(stacks, v->key.stack);
	const struct profile_location *l;
	uint32_t location;
	int err;

	*function = NO_FUNCTION;
	*line = 0;
	if (at < 0 || !stacks->items[at].nr_frames)
		return 0;
	err = stack_profile_caller(b->sp, capture_heap_thread(b->c, v->key.thread)->tgid, at,
				   &location);
	if (err)
		return err;
	l = &b->p->locations[location];
	if (l->nr_lines) {
		*function = b->p->lines[l->first_line].function;
		*line = b->p->lines[l->first_line].line;
	}
	return 0;
}

static void add_site(const struct build *b, struct heap_caller *c, const struct heap_site_view *v)
{
	const struct heap_lifetimes *life =
		heap_table_lifetimes(capture_heap_table(b->c), v->index);
	uint64_t low = v->size;

	/* Of a class of sizes only the bounds are known. */
	if (v->mixed)
		low = v->key.class ? heap_class_max(v->key.class - 1) + 1 : 0;
	heap_counts_add(&c->n, &v->n);
	c->smallest = MIN(c->smallest, low);
	c->largest = MAX(c->largest, v->size);
	c->by_class[MIN(v->key.class, HEAP_CLASSES - 1)] += v->n.allocs;
	for (int i = 0; i < HEAP_LIFETIMES; i++)
		c->lifetimes[i] += life->n[i];
}

static int fill(struct build *b, const struct heap_snapshot *s)
{
	uint32_t function, line, caller;
	int err = 0;

	b->nr_slots = 64;
	while (b->nr_slots < 2 * s->nr + 2)
		b->nr_slots *= 2;
	b->slots = calloc(b->nr_slots, sizeof(*b->slots));
	b->l->of_site = calloc(s->nr + 1, sizeof(struct heap_caller *));
	if (!b->slots || !b->l->of_site)
		err = -ENOMEM;
	for (size_t i = 0; i < s->nr && !err; i++) {
		err = asked_by(b, &s->items[i], &function, &line);
		if (!err)
			err = find_caller(b, function, line, &caller);
		if (err)
			break;
		b->l->of_site[i] = b->l->items[caller];
		add_site(b, b->l->of_site[i], &s->items[i]);
	}
	free(b->slots);
	return err;
}

int heap_callers_init(struct heap_callers *ret, const struct capture_heap *c,
		      const struct heap_snapshot *s)
{
	const struct stack_profile_options so = { .hide_leaves = heap_wrappers };
	struct build b = { .l = ret, .c = c, .p = profile_new() };
	int err;

	*ret = (struct heap_callers){ 0 };
	if (!b.p)
		return -errno;
	b.sp = stack_profile_new(b.p, capture_heap_stacks(c), &capture_heap_target(c)->objects,
				 &so);
	err = b.sp ? fill(&b, s) : -ENOMEM;
	stack_profile_free(b.sp);
	profile_free(b.p);
	if (err)
		heap_callers_release(ret);
	return err;
}

static int64_t measure_of(const struct heap_caller *c, enum heap_order order)
{
	switch (order) {
	case HEAP_BY_ALLOCS:
		return (int64_t)c->n.allocs;
	case HEAP_BY_ALLOC_BYTES:
		return (int64_t)c->n.alloc_bytes;
	case HEAP_BY_LIVE:
		return c->n.live;
	case HEAP_BY_LIVE_BYTES:
		return c->n.live_bytes;
	case HEAP_BY_FREES:
		return (int64_t)c->n.frees;
	}
	return 0;
}

static int compare(const void *x, const void *y, void *arg)
{
	const struct heap_caller *a = *(const struct heap_caller *const *)x;
	const struct heap_caller *b = *(const struct heap_caller *const *)y;
	int64_t of_a = measure_of(a, *(enum heap_order *)arg);
	int64_t of_b = measure_of(b, *(enum heap_order *)arg);

	if (of_a == of_b) {
		of_a = (int64_t)a->n.alloc_bytes;
		of_b = (int64_t)b->n.alloc_bytes;
	}
	return of_a != of_b ? (of_b > of_a) - (of_b < of_a) : strcmp(a->name, b->name);
}

void heap_callers_sort(struct heap_callers *l, enum heap_order order)
{
	if (l->nr)
		qsort_r(l->items, l->nr, sizeof(struct heap_caller *), compare, &order);
}
