/* SPDX-License-Identifier: MIT */
#include "timeline_profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/unwind.h"
#include "profile.h"
#include "stacks.h"
#include "util.h"

const char *timeline_profile_name(enum timeline_profile_kind kind)
{
	static const char *const names[TIMELINE_NR_PROFILES] = {
		[TIMELINE_NETWORK] = "network",	 [TIMELINE_SYNC] = "sync",
		[TIMELINE_SYSCALLS] = "syscall", [TIMELINE_SCHEDULER] = "scheduler",
		[TIMELINE_CPU] = "cpu",
	};

	return names[kind];
}

struct filler {
	struct trace *trace;
	struct profile *p;
	enum timeline_profile_kind kind;
	/* Memos, of frames and objects of the trace: index in the profile + 1. */
	uint32_t *locations, *mappings;
	uint32_t kernel; /* mapping, or PROFILE_NONE */
	uint32_t key_tid, key_state, key_route;
};

/* -------- frames -------- */

static int kernel_mapping(struct filler *f, uint32_t *ret)
{
	int err = 0;

	if (f->kernel == PROFILE_NONE)
		err = profile_mapping(f->p, UINT64_C(1) << 63, UINT64_MAX, 0, "[kernel.kallsyms]",
				      "", &f->kernel);
	if (!err)
		f->p->mappings[f->kernel].has_functions = true;
	*ret = f->kernel;
	return err;
}

static int mapping_of(struct filler *f, const struct trace_frame *frame, uint32_t *ret)
{
	const struct trace_object_info *o;
	struct profile_mapping *m;
	int err;

	*ret = PROFILE_NONE;
	if (frame->where == TRACE_FRAME_KERNEL)
		return kernel_mapping(f, ret);
	if (frame->where != TRACE_FRAME_OBJECT || frame->object >= f->trace->nr_objects)
		return 0;
	o = &f->trace->objects[frame->object];
	if (!o->path)
		return 0;
	if (!f->mappings[frame->object]) {
		err = profile_mapping(f->p, o->start, o->end, o->offset, o->path, o->build_id, ret);
		if (err)
			return err;
		f->mappings[frame->object] = *ret + 1;
		m = &f->p->mappings[*ret];
		/* Without them pprof would look for the files itself. */
		m->has_functions = m->has_filenames = true;
		m->has_line_numbers = m->has_inline_frames = true;
	}
	*ret = f->mappings[frame->object] - 1;
	return 0;
}

static int add_function(struct filler *f, const char *name, const char *linkage, const char *file,
			const struct profile_function *like, uint32_t *ret)
{
	struct profile_function fn = *like;
	int err = profile_string(f->p, name, &fn.name);

	if (!err)
		err = profile_string(f->p, linkage, &fn.system_name);
	if (!err)
		err = profile_string(f->p, file, &fn.file);
	return err ? err : profile_function(f->p, &fn, ret);
}

/* The functions at a frame; one that is named after the address, if nobody knows any. */
static int add_lines(struct filler *f, uint32_t frame, struct profile_line *lines, size_t max,
		     size_t *ret_nr)
{
	const struct trace_frame *from = &f->trace->frames[frame];
	struct profile_function fn = { .kernel = from->where == TRACE_FRAME_KERNEL };
	size_t n = MIN(from->nr_lines, max);
	char name[256];
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		const struct trace_line *l = &f->trace->lines[from->first_line + i];

		fn.start_line = l->start_line;
		fn.guessed = l->flags & TRACE_SYMBOL_GUESSED;
		lines[i].line = l->line;
		err = add_function(f, trace_string(f->trace, l->function),
				   trace_string(f->trace, l->linkage),
				   trace_string(f->trace, l->file), &fn, &lines[i].function);
	}
	if (!n) {
		fn.guessed = true;
		trace_frame_name(f->trace, frame, name, sizeof(name));
		lines[n++].line = 0;
		err = add_function(f, name, name, "", &fn, &lines[0].function);
	}
	*ret_nr = n;
	return err;
}

static int location_of(struct filler *f, uint32_t frame, uint32_t *ret)
{
	const struct trace_frame *from = &f->trace->frames[frame];
	struct profile_line lines[64];
	uint64_t address = from->address;
	uint32_t mapping;
	size_t n;
	int err;

	if (f->locations[frame]) {
		*ret = f->locations[frame] - 1;
		return 0;
	}
	err = mapping_of(f, from, &mapping);
	if (!err)
		err = add_lines(f, frame, lines, ARRAY_SIZE(lines), &n);
	if (err)
		return err;
	if (from->where == TRACE_FRAME_OBJECT && mapping != PROFILE_NONE)
		address += f->trace->objects[from->object].bias;
	err = profile_location(f->p, address, mapping, lines, n, ret);
	if (!err)
		f->locations[frame] = *ret + 1;
	return err;
}

/* pprof leaves out samples that have no location at all. */
static int no_frames(struct filler *f, uint32_t stack, uint32_t *ret)
{
	struct profile_function fn = { .guessed = true };
	const char *name = stack ? "[stack lost]" : "[no stack]";
	struct profile_line line = { 0 };
	int err = add_function(f, name, name, "", &fn, &line.function);

	return err ? err : profile_location(f->p, 0, PROFILE_NONE, &line, 1, ret);
}

/* -------- samples -------- */

static int add(struct filler *f, const struct timeline_thread *t, uint32_t stack, const char *state,
	       uint64_t ns)
{
	const struct trace_stack_info *info = trace_stack(f->trace, stack);
	uint32_t frames[TRACE_MAX_FRAMES], locations[TRACE_MAX_FRAMES];
	struct profile_label labels[3] = { { .key = f->key_tid, .num = t->tid } };
	struct profile_sample_key key = { .locations = locations, .labels = labels };
	int64_t values[] = { 1, (int64_t)MIN(ns, INT64_MAX) };
	size_t n = trace_stack_frames(f->trace, stack, frames, ARRAY_SIZE(frames));
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		if (frames[i] < f->trace->nr_frames)
			err = location_of(f, frames[i], &locations[key.nr_locations++]);
	if (!err && !key.nr_locations)
		err = no_frames(f, stack, &locations[key.nr_locations++]);
	key.nr_labels = 1;
	if (!err && state) {
		labels[key.nr_labels].key = f->key_state;
		err = profile_string(f->p, state, &labels[key.nr_labels++].str);
	}
	if (!err && t->request && t->request->route) {
		labels[key.nr_labels].key = f->key_route;
		err = profile_string(f->p, trace_string(f->trace, t->request->route),
				     &labels[key.nr_labels++].str);
	}
	if (!err)
		err = profile_string(f->p, trace_string(f->trace, t->name), &key.comm);
	if (!err && info->known && info->end != UNWIND_COMPLETE)
		err = profile_string(f->p, unwind_end_name(info->end), &key.truncated);
	return err ? err : profile_add(f->p, &key, values);
}

static bool counts(enum timeline_profile_kind kind, const struct timeline_interval *i)
{
	switch (kind) {
	case TIMELINE_NETWORK:
		return i->state == THREAD_NETWORK || i->state == THREAD_EPOLL;
	case TIMELINE_SYNC:
		return i->state == THREAD_FUTEX;
	case TIMELINE_SYSCALLS:
		return i->syscall && thread_state_blocked(i->state) && i->state != THREAD_NETWORK &&
		       i->state != THREAD_EPOLL && i->state != THREAD_FUTEX;
	case TIMELINE_SCHEDULER:
		return i->state == THREAD_RUNNABLE || i->state == THREAD_PREEMPTED;
	default:
		return false;
	}
}

static int on_state(void *ctx, struct timeline_thread *t, const struct timeline_interval *i)
{
	struct filler *f = ctx;

	if (!counts(f->kind, i))
		return 0;
	return add(f, t, i->stack, thread_state_name(i->state), i->end - i->start);
}

static int on_instant(void *ctx, struct timeline_thread *t, const struct event *e)
{
	struct filler *f = ctx;

	if (f->kind != TIMELINE_CPU || e->kind != EVT_SAMPLE || !t ||
	    e->sample.why != EVENT_SAMPLE_CLOCK)
		return 0;
	return add(f, t, (uint32_t)e->sample.stack, NULL, e->sample.weight);
}

/* -------- the whole -------- */

static int begin(struct filler *f)
{
	bool cpu = f->kind == TIMELINE_CPU;
	uint32_t type;
	int err;

	f->p = profile_new();
	f->locations = calloc(f->trace->nr_frames + 1, sizeof(*f->locations));
	f->mappings = calloc(f->trace->nr_objects + 1, sizeof(*f->mappings));
	if (!f->p || !f->locations || !f->mappings)
		return -ENOMEM;
	f->kernel = PROFILE_NONE;
	err = profile_type(f->p, cpu ? "samples" : "contentions", "count", &type);
	if (!err)
		err = profile_type(f->p, cpu ? "cpu" : "delay", "nanoseconds", &type);
	f->p->default_type = 1;
	if (!err)
		err = profile_string(f->p, "tid", &f->key_tid);
	if (!err)
		err = profile_string(f->p, "state", &f->key_state);
	if (!err)
		err = profile_string(f->p, "route", &f->key_route);
	return err;
}

static int describe(struct filler *f, const struct timeline_totals *totals)
{
	char *text;
	int err = 0;

	f->p->time_ns = (int64_t)(f->trace->realtime + (totals->start - f->trace->start));
	f->p->duration_ns = (int64_t)(totals->end - totals->start);
	f->p->period_type = f->p->types[1];
	f->p->period = 1;
	for (size_t i = 0; i < f->trace->nr_infos && !err; i++) {
		if (asprintf(&text, "%s: %s", f->trace->infos[i].key, f->trace->infos[i].value) < 0)
			return -ENOMEM;
		err = profile_comment(f->p, text);
		free(text);
	}
	return err;
}

int timeline_profile(const struct timeline_view *v, enum timeline_profile_kind kind,
		     struct profile **ret)
{
	static const struct timeline_visitor visitor = { .state = on_state, .instant = on_instant };
	struct filler f = { .trace = v->trace, .kind = kind };
	struct timeline_totals totals;
	int err = begin(&f);

	if (!err)
		err = timeline_run(v->trace, &v->filter, &visitor, &f, &totals);
	if (!err)
		err = describe(&f, &totals);
	free(f.locations);
	free(f.mappings);
	if (err)
		profile_free(f.p);
	else
		*ret = f.p;
	return err;
}
