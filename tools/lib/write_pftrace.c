/* SPDX-License-Identifier: MIT */
#include "write_pftrace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pftrace_impl.h"
#include "sink.h"
#include "util.h"

/* -------- threads -------- */

static int on_thread(void *ctx, struct timeline_thread *t)
{
	struct pftrace *p = ctx;

	pftrace_describe_thread(p, t);
	return pftrace_flush(p, PFTRACE_CHUNK);
}

static int on_thread_end(void *ctx, struct timeline_thread *t)
{
	struct pftrace *p = ctx;

	pftrace_forget_thread(p, t);
	return p->err;
}

static int on_run(void *ctx, struct timeline_thread *t, uint16_t cpu, uint64_t start, uint64_t end,
		  unsigned int then)
{
	struct pftrace *p = ctx;

	pftrace_run(p, t, cpu, start, end, then);
	return pftrace_flush(p, PFTRACE_CHUNK);
}

/* The number of the flow that its last wakeup began; nothing of it is allocated. */
static uint64_t take_flow(struct timeline_thread *t)
{
	uint64_t flow = (uintptr_t)t->data;

	t->data = NULL;
	return flow;
}

static int on_state(void *ctx, struct timeline_thread *t, const struct timeline_interval *i)
{
	struct pftrace *p = ctx;
	struct pftrace_event e = {
		.type = TYPE_BEGIN,
		.time = i->start,
		.name = pftrace_word(WORD_STATES + i->state),
		.category = pftrace_word(WORD_STATE),
		.correlation = pftrace_correlation(i->request),
	};
	struct pftrace_nested n;

	if (thread_state_running(i->state))
		return 0;
	e.track = pftrace_state_track(p, t);
	if (i->state != THREAD_UNKNOWN)
		e.stack = pftrace_stack(p, i->stack);
	if (i->state == THREAD_RUNNABLE)
		e.ended_flow = take_flow(t);
	n = pftrace_begin(p, &e);
	if (i->waker)
		pftrace_note_uint(p, WORD_WAKER, i->waker);
	pftrace_end(p, n);
	pftrace_put(p,
		    &(struct pftrace_event){ .type = TYPE_END, .time = i->end, .track = e.track });
	return pftrace_flush(p, PFTRACE_CHUNK);
}

static int on_waking(void *ctx, struct timeline_thread *waker, struct timeline_thread *wakee,
		     const struct event *event)
{
	struct pftrace *p = ctx;
	struct pftrace_event e = {
		.type = TYPE_INSTANT,
		.time = event->time,
		.name = pftrace_word(WORD_WAKES),
		.category = pftrace_word(WORD_WAKES),
	};
	struct pftrace_nested n;

	pftrace_waking(p, wakee, event);
	if (!waker)
		return pftrace_flush(p, PFTRACE_CHUNK);
	e.track = pftrace_thread_track(p, waker);
	e.correlation = pftrace_correlation(waker->request);
	e.stack = pftrace_stack(p, (uint32_t)event->waking.stack);
	e.flow = ++p->flows;
	wakee->data = (void *)(uintptr_t)e.flow;
	n = pftrace_begin(p, &e);
	pftrace_note_uint(p, WORD_WAKEE, wakee->tid);
	pftrace_end(p, n);
	return pftrace_flush(p, PFTRACE_CHUNK);
}

/* -------- spans -------- */

static void span_names(struct pftrace *p, const struct timeline_span *s, struct pftrace_event *e)
{
	switch (s->kind) {
	case TIMELINE_SYSCALL:
		e->name = pftrace_syscall(p, s->number);
		e->category = pftrace_word(WORD_SYSCALL);
		break;
	case TIMELINE_FAULT:
		e->name = e->category = pftrace_word(WORD_FAULT);
		break;
	case TIMELINE_COMMIT:
		e->name = e->category = pftrace_word(WORD_COMMIT);
		break;
	default:
		e->name = pftrace_name(p, s->name);
		e->category = pftrace_category(p, s->category);
	}
}

static int on_span_begin(void *ctx, struct timeline_thread *t, const struct timeline_span *s,
			 const struct event *event)
{
	struct pftrace *p = ctx;
	struct pftrace_event e = {
		.type = TYPE_BEGIN,
		.time = s->start,
		.correlation = pftrace_correlation(t->request),
	};
	struct pftrace_nested n;

	span_names(p, s, &e);
	pftrace_intern_args(p, event);
	e.track = pftrace_thread_track(p, t);
	e.stack = pftrace_stack(p, s->stack);
	n = pftrace_begin(p, &e);
	if (s->kind == TIMELINE_SYSCALL && event)
		pftrace_note_uint(p, WORD_ARG0, event->enter.arg0);
	if (s->kind == TIMELINE_FAULT)
		pftrace_note(p, pftrace_word(WORD_ADDRESS), ANNOTATION_POINTER, s->number);
	if (s->kind == TIMELINE_COMMIT)
		pftrace_note_uint(p, WORD_ID, s->number);
	pftrace_note_args(p, event);
	pftrace_end(p, n);
	return pftrace_flush(p, PFTRACE_CHUNK);
}

static int on_span_end(void *ctx, struct timeline_thread *t, const struct timeline_span *s,
		       uint64_t end, const struct event *event)
{
	struct pftrace *p = ctx;
	struct pftrace_event e = { .type = TYPE_END, .time = end };
	struct pftrace_nested n;

	pftrace_intern_args(p, event);
	e.track = pftrace_thread_track(p, t);
	n = pftrace_begin(p, &e);
	if (s->cut)
		pftrace_note_uint(p, WORD_CUT, 1);
	else if (s->kind == TIMELINE_SYSCALL)
		pftrace_note_int(p, WORD_RET, (int64_t)event->leave.ret);
	else if (s->kind == TIMELINE_FAULT)
		pftrace_note_uint(p, WORD_MAJOR, (event->fault_end.flags & EVENT_FAULT_MAJOR) != 0);
	else if (s->kind == TIMELINE_COMMIT) {
		pftrace_note_uint(p, WORD_ITEMS, event->commit.items);
		pftrace_note_int(p, WORD_RESULT, (int64_t)event->commit.result);
	}
	pftrace_note_args(p, event);
	pftrace_end(p, n);
	return pftrace_flush(p, PFTRACE_CHUNK);
}

/* -------- moments -------- */

static void put_sample(struct pftrace *p, const struct timeline_thread *t, const struct event *e)
{
	uint64_t stack = pftrace_stack(p, (uint32_t)e->sample.stack);
	struct pb *pb = &p->pb;
	size_t packet, sample, at;

	packet = pb_begin(pb, TRACE_PACKET);
	pb_uint(pb, PACKET_TIMESTAMP, e->time - p->trace->start);
	pb_uint(pb, PACKET_SEQUENCE_ID, SEQUENCE_MAIN);
	pb_uint(pb, PACKET_SEQUENCE_FLAGS, FLAG_NEEDS_STATE);
	sample = pb_begin(pb, PACKET_STACK_SAMPLE);
	at = pb_begin(pb, 1); /* task_context */
	pb_uint(pb, 2, t->pid);
	pb_uint(pb, 3, t->tid);
	pb_end(pb, at);
	if (e->cpu != EVENT_NO_CPU) {
		at = pb_begin(pb, 3); /* execution_context */
		pb_uint(pb, 2, e->cpu);
		pb_end(pb, at);
	}
	if (stack)
		pb_uint(pb, 6, stack); /* callstack_iid */
	pb_uint(pb, 11, e->sample.weight);
	pb_end(pb, sample);
	pb_end(pb, packet);
}

static enum pftrace_word word_of(const struct event *e)
{
	switch (e->kind) {
	case EVT_EXEC:
		return WORD_EXEC;
	case EVT_EXIT:
		return WORD_EXIT;
	case EVT_SIGNAL:
		return WORD_SIGNAL;
	case EVT_TRIGGER:
		return WORD_TRIGGER;
	default:
		return WORD_FAULT;
	}
}

static int on_instant(void *ctx, struct timeline_thread *t, const struct event *event)
{
	struct pftrace *p = ctx;
	enum pftrace_word word = word_of(event);
	struct pftrace_event e = {
		.type = TYPE_INSTANT,
		.time = event->time,
		.name = pftrace_word(word),
		.category = pftrace_word(word),
		.correlation = t ? pftrace_correlation(t->request) : 0,
	};
	struct pftrace_nested n;

	if (event->kind == EVT_SAMPLE && t) {
		put_sample(p, t, event);
		return pftrace_flush(p, PFTRACE_CHUNK);
	}
	if (event->kind == EVT_INSTANT || event->kind == EVT_TRIGGER) {
		e.name = pftrace_name(p, (uint32_t)event->span.name);
		if (event->kind == EVT_INSTANT)
			e.category = pftrace_category(p, (uint32_t)event->span.category);
	}
	if (event->kind == EVT_INSTANT)
		e.stack = pftrace_stack(p, (uint32_t)event->span.stack);
	if (event->kind == EVT_SIGNAL)
		e.stack = pftrace_stack(p, (uint32_t)event->signal.stack);
	pftrace_intern_args(p, event);
	e.track = t ? pftrace_thread_track(p, t) : 0;
	n = pftrace_begin(p, &e);
	if (event->kind == EVT_SIGNAL) {
		pftrace_note_uint(p, WORD_SIGNAL, event->signal.signo);
		pftrace_note_int(p, WORD_CODE, (int64_t)event->signal.code);
		pftrace_note(p, pftrace_word(WORD_ADDRESS), ANNOTATION_POINTER,
			     event->signal.address);
	} else if (event->kind == EVT_EXIT) {
		pftrace_note_uint(p, WORD_CODE, event->exit.code);
	} else if (event->kind == EVT_TRIGGER) {
		pftrace_note_uint(p, WORD_REQUEST, event->trigger.request);
	} else if (event->kind == EVT_FAULT_BEGIN) {
		pftrace_note(p, pftrace_word(WORD_ADDRESS), ANNOTATION_POINTER,
			     event->fault.address);
	}
	pftrace_note_args(p, event);
	pftrace_end(p, n);
	return pftrace_flush(p, PFTRACE_CHUNK);
}

/* -------- the rest -------- */

static int on_io(void *ctx, const struct timeline_io *io)
{
	struct pftrace *p = ctx;
	struct pftrace_event e = {
		.type = TYPE_BEGIN,
		.time = io->start,
		.track = pftrace_io_track(p, io),
		.name = pftrace_word(io->flags & EVENT_IO_WRITE ? WORD_WRITE : WORD_READ),
		.category = pftrace_word(WORD_IO),
	};
	struct pftrace_nested n = pftrace_begin(p, &e);

	pftrace_note_uint(p, WORD_SECTOR, io->sector);
	pftrace_note_uint(p, WORD_BYTES, io->bytes);
	pftrace_note_uint(p, WORD_THREAD, io->tid);
	if (io->error)
		pftrace_note_int(p, WORD_ERROR, io->error);
	pftrace_end(p, n);
	pftrace_put(p,
		    &(struct pftrace_event){ .type = TYPE_END, .time = io->end, .track = e.track });
	return pftrace_flush(p, PFTRACE_CHUNK);
}

static int on_counter(void *ctx, const struct event *event)
{
	struct pftrace *p = ctx;
	struct pftrace_event e = { .type = TYPE_COUNTER };
	struct pftrace_nested n;
	int64_t value;
	int any = timeline_rate(&p->rates, event, &e.time, &value);

	if (any <= 0)
		return any;
	e.track = pftrace_counter_track(p, (unsigned int)event->counter.counter, event->tid,
					event->cpu);
	n = pftrace_begin(p, &e);
	pb_uint(&p->pb, EVENT_COUNTER_VALUE, (uint64_t)value);
	pftrace_end(p, n);
	return pftrace_flush(p, PFTRACE_CHUNK);
}

static void put_lost(struct pftrace *p, uint64_t time, uint64_t track, unsigned int type,
		     const char *name, bool dropped)
{
	struct pb *pb = &p->pb;
	size_t packet = pb_begin(pb, TRACE_PACKET), event;

	pb_uint(pb, PACKET_TIMESTAMP, time - p->trace->start);
	/*
	 * A sequence of its own: to Perfetto, packets that are missing mean that what was interned
	 * before is not known any more, and of ours nothing that was interned is missing.
	 */
	pb_uint(pb, PACKET_SEQUENCE_ID, SEQUENCE_LOST);
	if (dropped)
		pb_uint(pb, PACKET_PREVIOUS_DROPPED, 1);
	event = pb_begin(pb, PACKET_TRACK_EVENT);
	pb_uint(pb, EVENT_TYPE, type);
	pb_uint(pb, EVENT_TRACK, track);
	if (name) {
		pb_string(pb, EVENT_NAME, name);
		pb_string(pb, EVENT_CATEGORIES, dropped ? "lost" : "left_out");
	}
	pb_end(pb, event);
	pb_end(pb, packet);
}

static int on_lost(void *ctx, const struct event *e)
{
	struct pftrace *p = ctx;
	uint64_t track = pftrace_loss_track(p, e->cpu);
	char name[48] = "LOST some";

	if (e->lost.count)
		snprintf(name, sizeof(name), "LOST %llu", (unsigned long long)e->lost.count);
	put_lost(p, e->time, track, TYPE_BEGIN, name, true);
	put_lost(p, e->lost.until, track, TYPE_END, NULL, true);
	pftrace_lost(p, e);
	return pftrace_flush(p, PFTRACE_CHUNK);
}

static int on_left_out(void *ctx, uint64_t start, uint64_t end, uint64_t count)
{
	struct pftrace *p = ctx;
	uint64_t track = pftrace_left_out_track(p);
	char name[48];

	snprintf(name, sizeof(name), "left out %llu", (unsigned long long)count);
	put_lost(p, start, track, TYPE_BEGIN, name, false);
	put_lost(p, end, track, TYPE_END, NULL, false);
	return pftrace_flush(p, PFTRACE_CHUNK);
}

static const struct timeline_visitor visitor = {
	.thread = on_thread,
	.thread_end = on_thread_end,
	.state = on_state,
	.run = on_run,
	.span_begin = on_span_begin,
	.span_end = on_span_end,
	.instant = on_instant,
	.waking = on_waking,
	.request_begin = pftrace_request_begin,
	.phase_begin = pftrace_phase_begin,
	.phase_end = pftrace_phase_end,
	.request_state = pftrace_request_state,
	.request_end = pftrace_request_end,
	.io = on_io,
	.counter = on_counter,
	.lost = on_lost,
	.left_out = on_left_out,
};

/* -------- the whole -------- */

static void put_clock(struct pb *pb, unsigned int clock, uint64_t time)
{
	size_t at = pb_begin(pb, 1);

	pb_uint(pb, 1, clock);
	pb_uint(pb, 2, time);
	pb_end(pb, at);
}

/* Which moment 0 is: on the wall, and since the machine's start. */
static void put_clocks(struct pftrace *p)
{
	struct pb *pb = &p->pb;
	size_t packet = pb_begin(pb, TRACE_PACKET), at;

	pb_uint(pb, PACKET_SEQUENCE_ID, SEQUENCE_MAIN);
	at = pb_begin(pb, PACKET_CLOCK_SNAPSHOT);
	put_clock(pb, 6, 0); /* BOOTTIME */
	put_clock(pb, 1, p->trace->realtime);
	put_clock(pb, 3, p->trace->start); /* MONOTONIC */
	pb_end(pb, at);
	pb_end(pb, packet);
}

/* Without the kernel's version Perfetto takes the states of threads for those of Linux 4.4. */
static void put_system(struct pftrace *p)
{
	const char *release = trace_info(p->trace, "kernel"), *machine;
	struct pb *pb = &p->pb;
	size_t packet = pb_begin(pb, TRACE_PACKET), info, uts;

	machine = p->trace->header.machine == 183 ? "aarch64" : "x86_64"; /* EM_AARCH64 */
	pb_uint(pb, PACKET_SEQUENCE_ID, SEQUENCE_MAIN);
	info = pb_begin(pb, PACKET_SYSTEM_INFO);
	uts = pb_begin(pb, 1);
	pb_string(pb, 1, "Linux");
	pb_string(pb, 3, release && *release ? release : "5.15.0 or later (not recorded)");
	pb_string(pb, 4, machine);
	pb_end(pb, uts);
	pb_end(pb, info);
	pb_end(pb, packet);
}

/* The state that all other packets need: our words, and what samples are. */
static void put_first(struct pftrace *p)
{
	struct pb *pb = &p->pb;
	size_t packet = pb_begin(pb, TRACE_PACKET), at, samples, counter;

	pb_uint(pb, PACKET_SEQUENCE_ID, SEQUENCE_MAIN);
	pb_uint(pb, PACKET_SEQUENCE_FLAGS, FLAG_CLEARED);
	at = pb_begin(pb, PACKET_INTERNED_DATA);
	pftrace_words(p);
	pb_end(pb, at);
	at = pb_begin(pb, PACKET_DEFAULTS);
	samples = pb_begin(pb, 100); /* stack_sample_defaults */
	pb_string(pb, 1, "periscope");
	counter = pb_begin(pb, 2); /* primary_descriptor */
	pb_string(pb, 2, "cpu");
	pb_uint(pb, 3, 1); /* UNIT_NANOSECONDS */
	pb_end(pb, counter);
	pb_end(pb, samples);
	pb_end(pb, at);
	pb_end(pb, packet);
}

int write_pftrace(const struct timeline_view *v, const struct write_options *o, struct sink *out)
{
	struct pftrace p = { .trace = v->trace, .out = out };
	struct timeline_totals totals;
	int err;

	(void)o;
	p.window = v->trace->start + v->filter.from;
	put_clocks(&p);
	put_system(&p);
	put_first(&p);
	err = timeline_run(v->trace, &v->filter, &visitor, &p, &totals);
	if (!err) {
		pftrace_sched_end(&p);
		err = pftrace_flush(&p, 0);
	}
	pftrace_sched_release(&p);
	pftrace_tracks_release(&p);
	pftrace_intern_release(&p);
	pb_release(&p.pb);
	return err;
}
