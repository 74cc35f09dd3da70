/* SPDX-License-Identifier: MIT */
#include "offcpu_profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "stack_profile.h"
#include "util.h"

struct filler {
	struct profile *p;
	const struct capture_offcpu *c;
	const struct offcpu_profile_options *o;
	struct stack_profile_options so;
	struct stack_profile *sp;
};

static int begin(struct filler *f)
{
	const struct target *t = capture_offcpu_target(f->c);

	f->so = (struct stack_profile_options){
		.per_thread = f->o->per_thread,
		.label_pid = t->nr_seen > 1,
		.kernel = f->o->kernel,
		.no_user = !f->o->user,
	};
	f->sp = stack_profile_new(f->p, capture_offcpu_stacks(f->c), &t->objects, &f->so);
	return f->sp ? 0 : -errno;
}

static int add_type(struct profile *p, const char *name, const char *unit)
{
	uint32_t type;

	return profile_type(p, name, unit, &type);
}

static int add_label(struct profile *p, const char *key, const char *value,
		     struct profile_label *labels, size_t *n)
{
	struct profile_label *l = &labels[*n];
	int err;

	*l = (struct profile_label){ 0 };
	err = profile_string(p, key, &l->key);
	if (!err)
		err = profile_string(p, value, &l->str);
	++*n;
	return err;
}

/* The thread and its stack. */
static void describe(const struct filler *f, const struct offcpu_wait *w, struct stack_sample *s)
{
	ssize_t stack = capture_offcpu_stack(f->c, &w->key);
	const char *comm = offcpu_waits_comm(capture_offcpu_waits(f->c), w->key.tid);

	*s = (struct stack_sample){
		.stack = stack < 0 ? STACK_SAMPLE_NONE : (size_t)stack,
		.tgid = w->key.tgid,
		.tid = w->key.tid,
		.comm = comm ? comm : "[unknown]",
	};
	if (stack < 0)
		s->note = w->key.reason == OFFCPU_START ? "[not yet run]" : "[stack lost]";
}

static void describe_waker(const struct filler *f, const struct offcpu_wait *w,
			   struct stack_sample *s)
{
	ssize_t at = capture_offcpu_waker(f->c, &w->key);
	const struct stack *stack;

	if (at < 0)
		return;
	stack = &capture_offcpu_stacks(f->c)->items[at];
	s->chained = (size_t)at;
	s->chained_comm = stack->tid ? stack->comm : "[interrupt]";
}

static int add_wait(struct filler *f, const struct offcpu_wait *w)
{
	const char *reason = offcpu_reason_name(w->key.reason);
	const char state[] = { w->key.state, '\0' };
	struct profile_label labels[STACK_SAMPLE_LABELS];
	const int64_t values[OFFCPU_NR_TYPES] = {
		[OFFCPU_TYPE_WAITS] = (int64_t)w->value.waits,
		[OFFCPU_TYPE_BLOCKED] = (int64_t)w->value.blocked,
		[OFFCPU_TYPE_RUNQUEUE] = (int64_t)w->value.runnable,
		[OFFCPU_TYPE_OFFCPU] = (int64_t)(w->value.blocked + w->value.runnable),
	};
	struct stack_sample s;
	char note[32];
	size_t n = 0;
	int err;

	describe(f, w, &s);
	describe_waker(f, w, &s);
	snprintf(note, sizeof(note), "[%s]", reason);
	if (f->o->show_reason && !s.note)
		s.note = note;
	err = add_label(f->p, "reason", reason, labels, &n);
	if (!err)
		err = add_label(f->p, "state", state, labels, &n);
	if (!err && w->key.idle)
		err = add_label(f->p, "idle", "yes", labels, &n);
	if (!err && s.chained_comm)
		err = add_label(f->p, "waker", s.chained_comm, labels, &n);
	s.labels = labels;
	s.nr_labels = n;
	s.values = values;
	return err ? err : stack_profile_add(f->sp, &s);
}

int offcpu_profile_waits(struct profile *p, const struct capture_offcpu *c,
			 const struct offcpu_profile_options *o)
{
	const struct offcpu_waits *waits = capture_offcpu_waits(c);
	struct filler f = { .p = p, .c = c, .o = o };
	int err = add_type(p, "waits", "count");

	if (!err)
		err = add_type(p, "blocked", "nanoseconds");
	if (!err)
		err = add_type(p, "runqueue", "nanoseconds");
	if (!err)
		err = add_type(p, "offcpu", "nanoseconds");
	p->default_type = OFFCPU_TYPE_OFFCPU;
	if (!err)
		err = begin(&f);
	for (size_t i = 0; i < waits->nr && !err; i++)
		if (waits->items[i].key.reason != OFFCPU_RUNNING)
			err = add_wait(&f, &waits->items[i]);
	stack_profile_free(f.sp);
	return err;
}

/* One part of a thread's time: nanoseconds with a stack in a state. */
static int add_time(struct filler *f, const struct offcpu_wait *w, const char *state, uint64_t ns)
{
	struct profile_label labels[STACK_SAMPLE_LABELS];
	int64_t value = (int64_t)ns;
	struct stack_sample s;
	char note[40];
	size_t n = 0;
	int err;

	if (!ns)
		return 0;
	describe(f, w, &s);
	snprintf(note, sizeof(note), "[%s]", state);
	if (w->key.reason != OFFCPU_RUNNING)
		s.note = note;
	err = add_label(f->p, "state", state, labels, &n);
	s.labels = labels;
	s.nr_labels = n;
	s.values = &value;
	return err ? err : stack_profile_add(f->sp, &s);
}

int offcpu_profile_wall(struct profile *p, const struct capture_offcpu *c,
			const struct offcpu_profile_options *o)
{
	const struct offcpu_waits *waits = capture_offcpu_waits(c);
	struct filler f = { .p = p, .c = c, .o = o };
	int err = add_type(p, "wall", "nanoseconds");

	if (!err)
		err = begin(&f);
	for (size_t i = 0; i < waits->nr && !err; i++) {
		const struct offcpu_wait *w = &waits->items[i];
		char blocked[32];

		if (w->key.reason == OFFCPU_RUNNING) {
			err = add_time(&f, w, "running", w->value.waits * (uint64_t)o->period_ns);
			continue;
		}
		snprintf(blocked, sizeof(blocked), "blocked:%s", offcpu_reason_name(w->key.reason));
		err = add_time(&f, w, blocked, w->value.blocked);
		if (!err)
			err = add_time(&f, w, "runnable", w->value.runnable);
	}
	stack_profile_free(f.sp);
	return err;
}
