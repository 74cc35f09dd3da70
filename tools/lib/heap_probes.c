/* SPDX-License-Identifier: MIT */
#include "heap_probes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "loading.h"
#include "util.h"

static void probed_release(struct heap_probed *o)
{
	attach_release(&o->attach);
	free(o->classes);
	free(o->calls);
	free(o->returns);
	free(o->ranges);
}

void heap_probes_take_away(struct heap_probes *p)
{
	struct attach all = { 0 };

	/* In one go: links that are closed at the same time take half as long. */
	for (size_t i = 0; i < p->nr_probed; i++)
		attach_move(&all, &p->probed[i].attach);
	attach_release(&all);
}

void heap_probes_release(struct heap_probes *p)
{
	heap_probes_take_away(p);
	for (size_t i = 0; i < p->nr_probed; i++)
		probed_release(&p->probed[i]);
	free(p->probed);
	free(p->execed);
	p->execed = NULL;
	p->nr_execed = p->cap_execed = 0;
	p->probed = NULL;
	p->nr_probed = p->cap_probed = 0;
}

static bool is_probed(const struct heap_probes *p, const struct object *obj, pid_t pid)
{
	for (size_t i = 0; i < p->nr_probed; i++)
		if (p->probed[i].object == obj &&
		    (p->probed[i].pid == pid || p->probed[i].pid == -1))
			return true;
	return false;
}

void heap_probes_forget(struct heap_probes *p, pid_t pid)
{
	size_t n = 0;

	for (size_t i = 0; i < p->nr_probed; i++) {
		if (p->probed[i].pid == pid)
			probed_release(&p->probed[i]);
		else
			p->probed[n++] = p->probed[i];
	}
	p->nr_probed = n;
}

/* Has the object been probed in any process? Then its sites are counted. */
static bool is_known(const struct heap_probes *p, const struct object *obj)
{
	for (size_t i = 0; i < p->nr_probed; i++)
		if (p->probed[i].object == obj)
			return true;
	return false;
}

/* Which functions' returns must be seen: all but those that only count their calls. */
static bool needs_return(const struct heap_probes *p, enum heap_kind kind)
{
	if (kind == HEAP_FREE)
		return false;
	return !p->alloc_only || (kind != HEAP_ALLOC && kind != HEAP_CALLOC);
}

static int attach_object(struct heap_probes *p, struct heap_probed *o)
{
	struct attach_to to = { .elf = o->object->elf, .pid = o->pid };
	struct attach_site *sites[] = { o->returns, o->calls };
	size_t nr[] = { o->nr_returns, o->nr_calls };
	int n, err = 0;

	/* Returns first: a call that is seen leaves a record for its return. */
	for (int i = 0; i < 2 && !err; i++) {
		to.returns = i == 0;
		to.prog_fd = to.returns ? p->return_prog : p->call_prog;
		n = attach_sites(&o->attach, &to, sites[i], nr[i]);
		for (size_t j = 0; j < nr[i] && !err; j++)
			err = sites[i][j].err;
		if (n < 0)
			err = n;
	}
	if (err)
		snprintf(p->error, sizeof(p->error), "cannot probe %s: %s", o->object->path,
			 attach_error(err));
	return err;
}

int heap_probes_place_all(struct heap_probes *p)
{
	int err = 0;

	for (size_t i = 0; i < p->nr_probed && !err; i++)
		if (!p->probed[i].attach.nr)
			err = attach_object(p, &p->probed[i]);
	return err;
}

/* The functions [first, first + n) of an allocator, all of one object. */
static int describe_object(struct heap_probes *p, const struct allocator *a, size_t first, size_t n,
			   struct heap_probed *o)
{
	bool known = is_known(p, o->object);

	o->classes = calloc(n, sizeof(*o->classes));
	o->calls = calloc(n, sizeof(*o->calls));
	o->returns = calloc(n, sizeof(*o->returns));
	o->ranges = calloc(n, sizeof(*o->ranges));
	if (!o->classes || !o->calls || !o->returns || !o->ranges)
		return -ENOMEM;
	for (size_t i = first; i < first + n; i++) {
		const struct allocator_function *f = &a->items[i];
		struct attach_site site = {
			.offset = f->site.offset,
			.cookie = probe_site_cookie(&f->site, f->kind),
		};
		struct heap_site_class class = {
			.stepped = f->site.class == PROBE_STEPPED,
			.returns = needs_return(p, f->kind),
			.frees = f->kind == HEAP_FREE,
		};

		o->ranges[o->nr_ranges++] = (struct heap_range){ f->vaddr, f->vaddr + f->size };
		if (class.frees && p->alloc_only)
			continue;
		o->classes[o->nr_calls] = class;
		o->calls[o->nr_calls++] = site;
		if (class.returns)
			o->returns[o->nr_returns++] = site;
		p->nr_sites += !known;
		p->nr_stepped += !known && class.stepped;
	}
	return 0;
}

static int probe_object(struct heap_probes *p, const struct allocator *a, size_t first, size_t n,
			pid_t pid)
{
	struct heap_probed o = { .object = a->items[first].object, .pid = pid };
	int err;

	err = array_grow((void **)&p->probed, p->nr_probed, &p->cap_probed, sizeof(*p->probed));
	if (!err)
		err = describe_object(p, a, first, n, &o);
	if (!err && !p->away)
		err = attach_object(p, &o);
	if (err)
		probed_release(&o);
	else
		p->probed[p->nr_probed++] = o;
	return err;
}

static int probe(struct heap_probes *p, const struct allocator *a, pid_t pid)
{
	size_t n;
	int err = 0;

	if (p->everywhere)
		pid = -1;
	for (size_t i = 0; i < a->nr && !err; i += n) {
		struct object *obj = a->items[i].object;

		for (n = 1; i + n < a->nr && a->items[i + n].object == obj;)
			n++;
		if (!is_probed(p, obj, pid))
			err = probe_object(p, a, i, n, pid);
	}
	if (err == -ENOMEM)
		snprintf(p->error, sizeof(p->error), "out of memory");
	return err;
}

int heap_probes_add(struct heap_probes *p, const struct target *t, pid_t pid)
{
	struct allocator a;
	int err;

	err = allocator_find(&a, t, pid);
	if (err)
		snprintf(p->error, sizeof(p->error), "process %d: %s", pid, a.error);
	else
		err = probe(p, &a, pid);
	allocator_release(&a);
	return err;
}

int heap_probes_update(struct heap_probes *p, const struct target *t)
{
	size_t seen = t->nr_seen + t->objects.nr;
	int err;

	if (seen == p->seen)
		return 0;
	p->seen = seen;
	for (size_t i = 0; i < t->nr_procs; i++) {
		err = heap_probes_add(p, t, t->procs[i]->pid);
		/* Not yet, or not any more. */
		if (err && err != -ENOENT && err != -ESRCH)
			return err;
	}
	return 0;
}

/* ---------------------------------------------------------------- another program ---- */

#define EXEC_NS 5000000000ULL

int heap_probes_execed(struct heap_probes *p, pid_t pid)
{
	if (array_grow((void **)&p->execed, p->nr_execed, &p->cap_execed, sizeof(*p->execed)))
		return -ENOMEM;
	p->execed[p->nr_execed++] = (struct heap_execed){ .pid = pid, .until = now_ns() + EXEC_NS };
	return 0;
}

/* Returns whether to look again when there are new mappings. */
static bool reprobe_one(struct heap_probes *p, const struct target *t, struct heap_execed *e,
			uint64_t now, size_t *given_up)
{
	const struct target_process *process = target_find(t, e->pid);
	uint32_t generation = process && process->region ? process->region->generation : 0;

	if (!process)
		return false;
	if (generation != e->generation) {
		e->generation = generation;
		if (!heap_probes_add(p, t, e->pid))
			return false;
	}
	if (now < e->until)
		return true;
	++*given_up;
	return false;
}

bool heap_probes_reprobe(struct heap_probes *p, const struct target *t, size_t *ret_given_up)
{
	uint64_t now = p->nr_execed ? now_ns() : 0;
	size_t before = p->nr_execed, n = 0;

	*ret_given_up = 0;
	for (size_t i = 0; i < before; i++)
		if (reprobe_one(p, t, &p->execed[i], now, ret_given_up))
			p->execed[n++] = p->execed[i];
	p->nr_execed = n;
	return n != before;
}

/* ---------------------------------------------------------------- a command ---- */

int heap_probes_lead(struct heap_probes *p, const struct target *t, pid_t pid, uint64_t pc)
{
	const struct target_process *process = target_find(t, pid);
	uint32_t generation = process && process->region ? process->region->generation : 0;
	bool loaded = loading_is_over(t, pid, pc);
	struct allocator a = { 0 };
	int err = 0;

	/* Its malloc may be there while other names are in objects that are still to come. */
	if (!p->complete && (generation != p->generation || loaded)) {
		p->generation = generation;
		err = allocator_find(&a, t, pid);
		snprintf(p->error, sizeof(p->error), "%s", a.error);
		if (!err) {
			p->complete = a.complete;
			err = probe(p, &a, pid);
		} else if (err == -ENOENT && !loaded) {
			err = 0;
		}
		allocator_release(&a);
	}
	return err ? err : loaded;
}
