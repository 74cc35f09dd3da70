/* SPDX-License-Identifier: MIT */
#include "heap_profile.h"

#include <errno.h>
#include <stdlib.h>

#include "heap_callers.h"
#include "stack_profile.h"
#include "util.h"

const char *const heap_type_names[HEAP_NR_TYPES] = {
	[HEAP_ALLOC_OBJECTS] = "alloc_objects",
	[HEAP_ALLOC_SPACE] = "alloc_space",
	[HEAP_INUSE_OBJECTS] = "inuse_objects",
	[HEAP_INUSE_SPACE] = "inuse_space",
};

/* Types come in pairs, of blocks and of bytes. */
static const char *const view_types[HEAP_NR_VIEWS][2] = {
	[HEAP_VIEW_PEAK] = { "peak_objects", "peak_space" },
	[HEAP_VIEW_TEMPORARY] = { "temporary_objects", "temporary_space" },
	[HEAP_VIEW_OUTSTANDING] = { "outstanding_objects", "outstanding_space" },
};

/* What a site's blocks came to that are older than asked for. */
struct outstanding {
	int64_t blocks, bytes;
};

struct build {
	const struct capture_heap *c;
	const struct heap_profile_options *o;
	struct profile *p;
	struct stack_profile *sp;
	const struct heap_routes *routes; /* NULL: none */
	uint32_t bytes_key, bytes_unit, route_key;
	struct outstanding *outstanding; /* by site */
	uint64_t before_ns;
};

static int add_types(struct build *b)
{
	const struct heap_profile_options *o = b->o;
	size_t nr = o->alloc_only ? HEAP_INUSE_OBJECTS : HEAP_NR_TYPES;
	const char *const *names = heap_type_names;
	uint32_t type;
	int err = 0;

	if (o->view != HEAP_VIEW_HEAP) {
		names = view_types[o->view];
		nr = 2;
	}
	for (size_t i = 0; i < nr && !err; i++)
		err = profile_type(b->p, names[i], i & 1 ? "bytes" : "count", &type);
	if (err)
		return err;
	b->p->default_type = o->view == HEAP_VIEW_HEAP ? MIN((size_t)o->type, nr - 1) : 1;
	/* As Go: each allocation counts, not one in so many bytes. */
	b->p->period = 1;
	err = profile_string(b->p, "space", &b->p->period_type.name);
	return err ? err : profile_string(b->p, "bytes", &b->p->period_type.unit);
}

static void values_of(const struct build *b, const struct heap_site_view *v, int64_t *ret)
{
	const struct heap_counts *n = &v->n;

	switch (b->o->view) {
	case HEAP_VIEW_PEAK:
		ret[0] = n->peak;
		ret[1] = n->peak_bytes;
		return;
	case HEAP_VIEW_TEMPORARY:
		ret[0] = (int64_t)n->temps;
		ret[1] = (int64_t)n->temp_bytes;
		return;
	case HEAP_VIEW_OUTSTANDING:
		ret[0] = b->outstanding[v->index].blocks;
		ret[1] = b->outstanding[v->index].bytes;
		return;
	default:
		ret[HEAP_ALLOC_OBJECTS] = (int64_t)n->allocs;
		ret[HEAP_ALLOC_SPACE] = (int64_t)n->alloc_bytes;
		ret[HEAP_INUSE_OBJECTS] = n->live;
		ret[HEAP_INUSE_SPACE] = n->live_bytes;
	}
}

static int add_route_label(struct build *b, uint32_t route, struct profile_label *ret)
{
	const char *name = heap_routes_name(b->routes, route);

	*ret = (struct profile_label){ .key = b->route_key };
	return profile_string(b->p, name ? name : "(unnamed route)", &ret->str);
}

static int add_site(struct build *b, const struct heap_site_view *v)
{
	const struct heap_thread_name *t = capture_heap_thread(b->c, v->key.thread);
	ssize_t at = stacks_find(capture_heap_stacks(b->c), v->key.stack);
	int64_t values[PROFILE_MAX_TYPES] = { 0 };
	struct profile_label labels[2] = { {
		.key = b->bytes_key,
		.num = (int64_t)v->size,
		.unit = b->bytes_unit,
	} };
	struct stack_sample sample = {
		.stack = at < 0 ? STACK_SAMPLE_NONE : (size_t)at,
		.note = at < 0 ? "[no stack]" : NULL,
		.tgid = t->tgid,
		.tid = t->tid,
		.comm = t->comm[0] ? t->comm : "[unknown thread]",
		.labels = labels,
		.nr_labels = 1,
		.values = values,
	};
	size_t i = 0;
	int err;

	values_of(b, v, values);
	while (i < b->p->nr_types && !values[i])
		i++;
	if (i == b->p->nr_types)
		return 0;
	if (b->routes && v->key.route != HEAP_ROUTE_NONE) {
		err = add_route_label(b, v->key.route, &labels[sample.nr_labels++]);
		if (err)
			return err;
	}
	return stack_profile_add(b->sp, &sample);
}

static int count_outstanding(void *arg, uint64_t key, const struct heap_block *block)
{
	struct build *b = arg;

	(void)key;
	if (block->site < HEAP_MAX_SITES && block->time <= b->before_ns) {
		b->outstanding[block->site].blocks++;
		b->outstanding[block->site].bytes += (int64_t)block->size;
	}
	return 0;
}

static int find_outstanding(struct build *b, const struct heap_snapshot *s)
{
	if (b->o->view != HEAP_VIEW_OUTSTANDING)
		return 0;
	b->outstanding = calloc(HEAP_MAX_SITES, sizeof(*b->outstanding));
	if (!b->outstanding)
		return -ENOMEM;
	b->before_ns = s->time_ns - MIN(s->time_ns, b->o->older_ns);
	return heap_table_blocks(capture_heap_table(b->c), count_outstanding, b);
}

static int fill(struct build *b, const struct heap_snapshot *s)
{
	int err = add_types(b);

	if (!err)
		err = find_outstanding(b, s);
	if (!err)
		err = profile_string(b->p, "bytes", &b->bytes_key);
	b->bytes_unit = b->bytes_key;
	if (!err)
		err = profile_string(b->p, "route", &b->route_key);
	for (size_t i = 0; i < s->nr && !err; i++)
		err = add_site(b, &s->items[i]);
	return err;
}

int heap_profile(const struct capture_heap *c, const struct heap_snapshot *s,
		 const struct heap_profile_options *o, struct profile **ret)
{
	const struct target *t = capture_heap_target(c);
	const struct stack_profile_options so = {
		.per_thread = o->per_thread,
		.label_pid = t->nr_seen > 1,
		.hide_leaves = heap_wrappers,
	};
	struct build b = { .c = c, .o = o, .p = profile_new(), .routes = capture_heap_routes(c) };
	int err;

	if (!b.p)
		return -errno;
	b.sp = stack_profile_new(b.p, capture_heap_stacks(c), &t->objects, &so);
	err = b.sp ? fill(&b, s) : -ENOMEM;
	stack_profile_free(b.sp);
	free(b.outstanding);
	if (err) {
		profile_free(b.p);
		return err;
	}
	*ret = b.p;
	return 0;
}
