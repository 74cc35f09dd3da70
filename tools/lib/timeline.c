/* SPDX-License-Identifier: MIT */
/* The course of an analysis: every event once, in order; with a filter of requests twice. */
#include "timeline.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "timeline_impl.h"
#include "util.h"

/*
 * How far before the window the analysis begins. What is open then and began earlier is known by the
 * states that the file repeats, but of a request only that it was open.
 */
#define BEFORE UINT64_C(10000000000)

/* A flight recorder's condition held: the request is marked, if it is one's. */
static void trigger_event(struct analysis *a, const struct event *e)
{
	struct thread *t = e->tid ? thread_find(a, e->tid) : NULL;
	struct request *r = t ? request_find(a, t, e->trigger.request, false) : NULL;

	if (r)
		r->pub.trigger = (uint32_t)e->trigger.name;
	if (a->inside)
		TELL(a, instant, t ? &t->pub : NULL, e);
}

static void lost_event(struct analysis *a, const struct event *e)
{
	thread_lost(a, e);
	if (!a->inside)
		return;
	a->totals.losses++;
	a->totals.lost += e->lost.count;
	a->totals.lost_more = a->totals.lost_more || !e->lost.count;
	TELL(a, lost, e);
}

static void apply(struct analysis *a, const struct event *e)
{
	struct thread *t;

	switch (e->kind) {
	case EVT_PROCESS:
	case EVT_THREAD:
	case EVT_NAME:
	case EVT_EXEC:
	case EVT_EXIT:
	case EVT_STATE:
	case EVT_SWITCH_IN:
	case EVT_SWITCH_OUT:
	case EVT_WAKING:
		thread_event(a, e);
		break;
	case EVT_REQUEST_BEGIN:
	case EVT_REQUEST_END:
	case EVT_REQUEST_RUN:
	case EVT_REQUEST_PAUSE:
	case EVT_PHASE_BEGIN:
	case EVT_PHASE_END:
	case EVT_REQUEST_SUM:
	case EVT_ENQUEUE:
	case EVT_DEQUEUE:
	case EVT_REPLY:
		t = thread_of(a, e);
		if (t)
			request_event(a, t, e);
		break;
	case EVT_COMMIT_BEGIN:
	case EVT_COMMIT_END:
		t = thread_of(a, e);
		if (t) {
			span_event(a, t, e);
			request_event(a, t, e);
		}
		break;
	case EVT_SYSCALL_ENTER:
	case EVT_SYSCALL_EXIT:
	case EVT_FAULT_BEGIN:
	case EVT_FAULT_END:
	case EVT_SPAN_BEGIN:
	case EVT_SPAN_END:
	case EVT_INSTANT:
	case EVT_SAMPLE:
	case EVT_SIGNAL:
	case EVT_ALLOCATED:
		t = thread_of(a, e);
		if (t)
			span_event(a, t, e);
		break;
	case EVT_TRIGGER:
		trigger_event(a, e);
		break;
	case EVT_IO_ISSUE:
	case EVT_IO_COMPLETE:
		io_event(a, e);
		break;
	case EVT_COUNTER:
		if (a->inside)
			TELL(a, counter, e);
		break;
	case EVT_LEFT_OUT:
		left_out_event(a, e);
		break;
	case EVT_LOST:
		lost_event(a, e);
		break;
	default:
		break;
	}
}

static void begin_window(struct analysis *a)
{
	/* What is open is accounted for up to now, without anybody being told. */
	a->now = a->totals.start;
	threads_begin(a);
	requests_begin(a);
}

static void end_window(struct analysis *a)
{
	if (!a->inside)
		begin_window(a);
	a->now = a->totals.end;
	left_out_end(a);
	requests_end(a);
	threads_end(a);
}

/* One pass. Returns 0 or a negative errno. */
static int pass(struct analysis *a)
{
	struct trace_cursor *c;
	const struct event *e;
	struct event early;
	uint64_t from = a->filter->from ? a->totals.start : 0;
	int err = trace_cursor_new(a->trace, from, BEFORE, &c);

	while (!err && !a->err) {
		err = trace_next(c, &e);
		if (err || !e)
			break;
		/* A moment belongs to the window that begins with it. */
		if (e->time > a->totals.end ||
		    (e->time == a->totals.end && e->time < a->trace->end))
			break;
		if (!a->inside && e->time >= a->totals.start)
			begin_window(a);
		/* Nothing is older than the trace: what is, was told late. */
		if (e->time < a->trace->first) {
			early = *e;
			early.time = a->trace->first;
			e = &early;
		}
		a->now = MAX(e->time, a->now);
		if (a->inside) {
			a->totals.events++;
			TELL(a, event, e);
		}
		exec_before(a, e);
		apply(a, e);
	}
	if (!err && !a->err)
		end_window(a);
	trace_cursor_free(c);
	/* More threads or requests than is believable are the file's fault, too. */
	if (a->err == -EFBIG)
		a->trace->err = a->err;
	return err ? err : a->err;
}

static void release(struct analysis *a)
{
	requests_release(a);
	threads_release(a);
}

static void init(struct analysis *a, struct trace *t, const struct timeline_filter *f,
		 const struct timeline_visitor *v, void *ctx)
{
	const char *sched = trace_info(t, "sched");

	*a = (struct analysis){ .trace = t, .filter = f, .v = v, .ctx = ctx };
	a->now = t->first;
	a->totals.start = t->start + MIN(f->from, t->end - t->start);
	a->totals.end = f->to ? t->start + MIN(f->to, t->end - t->start) : t->end;
	a->totals.end = MAX(a->totals.end, a->totals.start);
	a->no_sched = sched && !strcmp(sched, "off");
}

/* Which requests the filter leaves, by their serial numbers. */
static int choose_requests(struct analysis *a)
{
	static const struct timeline_visitor nobody;
	struct analysis first;
	int err;

	init(&first, a->trace, a->filter, &nobody, NULL);
	first.choosing = true;
	err = pass(&first);
	a->chosen = first.chosen;
	a->chosen_bytes = first.chosen_bytes;
	a->by_request = true;
	first.chosen = NULL;
	release(&first);
	return err;
}

bool timeline_matches(const struct analysis *a, const struct timeline_request *r)
{
	const struct timeline_filter *f = a->filter;

	if (f->route && fnmatch(f->route, trace_string(a->trace, r->route), 0) != 0)
		return false;
	return r->end - r->begin >= f->slower;
}

int timeline_run(struct trace *t, const struct timeline_filter *filter,
		 const struct timeline_visitor *v, void *ctx, struct timeline_totals *ret)
{
	struct analysis a;
	int err = 0;

	init(&a, t, filter, v, ctx);
	if (filter->route || filter->slower)
		err = choose_requests(&a);
	if (!err)
		err = pass(&a);
	if (!err)
		*ret = a.totals;
	release(&a);
	return err;
}

/* -------- without a file -------- */

struct timeline_stream {
	struct analysis a;
	struct trace trace; /* empty */
	struct timeline_filter filter;
};

int timeline_stream_new(const struct timeline_visitor *v, void *ctx, uint64_t start,
			struct timeline_stream **ret)
{
	struct timeline_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->trace.first = s->trace.start = start;
	s->trace.end = UINT64_MAX;
	init(&s->a, &s->trace, &s->filter, v, ctx);
	begin_window(&s->a);
	*ret = s;
	return 0;
}

int timeline_stream_event(struct timeline_stream *s, const struct event *e)
{
	s->a.now = MAX(e->time, s->a.now);
	exec_before(&s->a, e);
	apply(&s->a, e);
	return s->a.err;
}

const struct timeline_names *timeline_stream_names(const struct timeline_stream *s)
{
	return &s->a.totals.names;
}

void timeline_stream_free(struct timeline_stream *s)
{
	if (!s)
		return;
	release(&s->a);
	free(s);
}
