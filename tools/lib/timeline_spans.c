/* SPDX-License-Identifier: MIT */
/*
 * What a thread is in: system calls, page faults, commits and the program's own spans, one in
 * another. What has no end of its own ends with what it is in. And block I/O, which is in nothing.
 */
#include <errno.h>
#include <string.h>

#include "timeline_impl.h"
#include "util.h"

#define MAX_IOS 4096 /* under way at once; the oldest is given up for a new one */

void span_push(struct analysis *a, struct thread *t, const struct timeline_span *s,
	       const struct event *e)
{
	struct timeline_span *mine;

	if (t->depth == TIMELINE_MAX_DEPTH) {
		a->totals.odd++;
		return;
	}
	if (array_grow((void **)&t->spans, t->depth, &t->cap_spans, sizeof(*t->spans))) {
		a->err = -ENOMEM;
		return;
	}
	mine = &t->spans[t->depth++];
	*mine = *s;
	mine->shown = thread_shown(a, t);
	if (mine->shown)
		TELL(a, span_begin, &t->pub, mine, e);
}

static void pop(struct analysis *a, struct thread *t, uint64_t time, const struct event *e)
{
	struct timeline_span *s = &t->spans[t->depth - 1];

	s->cut = !e;
	/* What was shown to begin is shown to end, whatever the thread works on by now. */
	if (s->shown)
		TELL(a, span_end, &t->pub, s, MAX(time, s->start), e);
	t->depth--;
}

/* End the span at this place by e, and what is in it by that. */
static void pop_to(struct analysis *a, struct thread *t, size_t depth, const struct event *e)
{
	while (t->depth > depth + 1)
		pop(a, t, a->now, NULL);
	pop(a, t, a->now, e);
}

void spans_cut(struct analysis *a, struct thread *t, uint64_t time)
{
	while (t->depth)
		pop(a, t, time, NULL);
}

void spans_begin(struct analysis *a, struct thread *t)
{
	for (size_t i = 0; i < t->depth; i++) {
		struct timeline_span *s = &t->spans[i];

		s->inherited = true;
		s->start = MAX(s->start, a->totals.start);
		s->shown = true;
		TELL(a, span_begin, &t->pub, s, NULL);
	}
}

/* The innermost open one that e ends, or t->depth. */
static size_t find_open(const struct thread *t, enum timeline_span_kind kind, const struct event *e)
{
	for (size_t i = t->depth; i--;) {
		const struct timeline_span *s = &t->spans[i];

		if (s->kind != kind)
			continue;
		if (kind == TIMELINE_SPAN && s->name != e->span.name)
			continue;
		if (kind == TIMELINE_COMMIT && s->number != e->commit.commit)
			continue;
		return i;
	}
	return t->depth;
}

static void end(struct analysis *a, struct thread *t, enum timeline_span_kind kind,
		const struct event *e)
{
	size_t at = find_open(t, kind, e);

	if (at < t->depth)
		pop_to(a, t, at, e);
}

static void enter_syscall(struct analysis *a, struct thread *t, const struct event *e)
{
	struct timeline_span s = { .kind = TIMELINE_SYSCALL,
				   .start = a->now,
				   .number = e->enter.nr };
	size_t open = find_open(t, TIMELINE_SYSCALL, e);

	/* The end of the last one is missing, or it had none. */
	if (open < t->depth)
		pop_to(a, t, open, NULL);
	thread_close(a, t, a->now);
	t->pub.syscall = (uint32_t)e->enter.nr + 1;
	if (thread_state_running(t->pub.state))
		thread_set(a, t, a->now, THREAD_SYSCALL);
	if (thread_shown(a, t))
		t->pub.syscalls++;
	if (t->pub.request)
		t->pub.request->syscalls++;
	span_push(a, t, &s, e);
}

static void leave_syscall(struct analysis *a, struct thread *t, const struct event *e)
{
	thread_close(a, t, a->now);
	end(a, t, TIMELINE_SYSCALL, e);
	t->pub.syscall = 0;
	if (thread_state_running(t->pub.state))
		thread_set(a, t, a->now, THREAD_USER);
}

static void fault(struct analysis *a, struct thread *t, const struct event *e)
{
	struct timeline_span s = {
		.kind = TIMELINE_FAULT,
		.start = a->now,
		.number = e->fault.address,
		.flags = (uint8_t)e->fault.flags,
	};

	if (thread_shown(a, t))
		t->pub.faults++;
	if (t->pub.request)
		t->pub.request->faults++;
	if (!(e->fault.flags & EVENT_FAULT_INSTANT))
		span_push(a, t, &s, e);
	else if (thread_shown(a, t))
		TELL(a, instant, &t->pub, e);
}

static void begin(struct analysis *a, struct thread *t, const struct event *e)
{
	struct timeline_span s = {
		.kind = TIMELINE_SPAN,
		.start = a->now,
		.name = (uint32_t)e->span.name,
		.category = (uint32_t)e->span.category,
		.stack = (uint32_t)e->span.stack,
	};

	span_push(a, t, &s, e);
}

/* Not a sign that it runs: it may have been told when the recording ended. */
static void allocated(struct analysis *a, struct thread *t, const struct event *e)
{
	a->totals.allocs = true;
	if (thread_shown(a, t)) {
		t->pub.allocs += e->allocated.allocs;
		t->pub.alloc_bytes += e->allocated.bytes;
	}
	if (t->pub.request) {
		t->pub.request->allocs += e->allocated.allocs;
		t->pub.request->alloc_bytes += e->allocated.bytes;
	}
}

void span_event(struct analysis *a, struct thread *t, const struct event *e)
{
	struct timeline_span commit = { .kind = TIMELINE_COMMIT,
					.start = a->now,
					.number = e->commit.commit };

	if (t->pub.foreign)
		return;
	if (e->kind == EVT_ALLOCATED) {
		allocated(a, t, e);
		return;
	}
	thread_runs(a, t, e->cpu);
	switch (e->kind) {
	case EVT_SYSCALL_ENTER:
		enter_syscall(a, t, e);
		break;
	case EVT_SYSCALL_EXIT:
		leave_syscall(a, t, e);
		break;
	case EVT_FAULT_BEGIN:
		fault(a, t, e);
		break;
	case EVT_FAULT_END:
		end(a, t, TIMELINE_FAULT, e);
		break;
	case EVT_SPAN_BEGIN:
		begin(a, t, e);
		break;
	case EVT_SPAN_END:
		end(a, t, TIMELINE_SPAN, e);
		break;
	case EVT_COMMIT_BEGIN:
		span_push(a, t, &commit, e);
		break;
	case EVT_COMMIT_END:
		end(a, t, TIMELINE_COMMIT, e);
		break;
	default: /* INSTANT, SAMPLE, SIGNAL, TRIGGER */
		if (e->kind == EVT_SAMPLE && thread_shown(a, t))
			t->pub.samples++;
		if (thread_shown(a, t))
			TELL(a, instant, &t->pub, e);
	}
}

/* -------- block I/O -------- */

static void issue(struct analysis *a, const struct event *e)
{
	if (a->nr_ios == MAX_IOS) {
		memmove(a->ios, a->ios + 1, (MAX_IOS - 1) * sizeof(*a->ios));
		a->nr_ios--;
	}
	if (array_grow((void **)&a->ios, a->nr_ios, &a->cap_ios, sizeof(*a->ios))) {
		a->err = -ENOMEM;
		return;
	}
	a->ios[a->nr_ios++] = (struct timeline_io){
		.start = a->now,
		.dev = e->issue.dev,
		.sector = e->issue.sector,
		.bytes = e->issue.bytes,
		.flags = (uint32_t)e->issue.flags,
		.tid = e->tid,
	};
}

static void complete(struct analysis *a, const struct event *e)
{
	for (size_t i = a->nr_ios; i--;) {
		struct timeline_io io = a->ios[i];

		if (io.dev != e->complete.dev || io.sector != e->complete.sector)
			continue;
		memmove(a->ios + i, a->ios + i + 1, (--a->nr_ios - i) * sizeof(*a->ios));
		io.start = MAX(io.start, a->totals.start);
		io.end = a->now;
		io.error = (int64_t)e->complete.error;
		if (a->inside && !a->by_request)
			TELL(a, io, &io);
		return;
	}
}

void io_event(struct analysis *a, const struct event *e)
{
	if (e->kind == EVT_IO_ISSUE)
		issue(a, e);
	else
		complete(a, e);
}
