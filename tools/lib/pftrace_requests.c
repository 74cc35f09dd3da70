/* SPDX-License-Identifier: MIT */
/* Requests: a slice each, in it their phases, and in these what they waited for. */
#include <string.h>

#include "pftrace_impl.h"
#include "util.h"

static void put_in_flight(struct pftrace *p, uint64_t time, int change)
{
	struct pftrace_event e = { .type = TYPE_COUNTER, .time = time };
	struct pftrace_nested n;

	p->in_flight += change;
	e.track = pftrace_counter_track(p, COUNTER_IN_FLIGHT, 0, EVENT_NO_CPU);
	n = pftrace_begin(p, &e);
	pb_uint(&p->pb, EVENT_COUNTER_VALUE, (uint64_t)p->in_flight);
	pftrace_end(p, n);
}

int pftrace_request_begin(void *ctx, struct timeline_request *r, const struct event *event)
{
	struct pftrace *p = ctx;
	struct pftrace_lane *lane = pftrace_request_lane(p, r->route);
	struct pftrace_event e = {
		.type = TYPE_BEGIN,
		.time = event ? event->time : MAX(r->begin, p->window),
		.category = pftrace_word(WORD_REQUEST),
		.correlation = pftrace_correlation(r),
	};
	struct pftrace_nested n;

	if (!lane)
		return p->err;
	r->data = lane;
	put_in_flight(p, e.time, 1);
	pftrace_intern_args(p, event);
	e.name = r->route ? pftrace_name(p, r->route) : pftrace_word(WORD_REQUEST);
	e.track = lane->uuid;
	n = pftrace_begin(p, &e);
	pftrace_note_uint(p, WORD_ID, r->id);
	pftrace_note_args(p, event);
	pftrace_end(p, n);
	return pftrace_flush(p, PFTRACE_CHUNK);
}

int pftrace_phase_begin(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time)
{
	struct pftrace *p = ctx;
	const struct pftrace_lane *lane = r->data;

	pftrace_put(p, &(struct pftrace_event){
			       .type = TYPE_BEGIN,
			       .time = time,
			       .track = lane->uuid,
			       .name = pftrace_name(p, phase),
			       .category = pftrace_word(WORD_PHASE),
			       .correlation = pftrace_correlation(r),
		       });
	return pftrace_flush(p, PFTRACE_CHUNK);
}

int pftrace_phase_end(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time)
{
	struct pftrace *p = ctx;
	const struct pftrace_lane *lane = r->data;

	(void)phase;
	pftrace_put(p,
		    &(struct pftrace_event){ .type = TYPE_END, .time = time, .track = lane->uuid });
	return pftrace_flush(p, PFTRACE_CHUNK);
}

int pftrace_request_state(void *ctx, struct timeline_request *r, const struct timeline_interval *i)
{
	struct pftrace *p = ctx;
	const struct pftrace_lane *lane = r->data;
	struct pftrace_event e = {
		.type = TYPE_BEGIN,
		.time = i->start,
		.track = lane->uuid,
		.name = pftrace_word(WORD_STATES + i->state),
		.category = pftrace_word(WORD_STATE),
		.correlation = pftrace_correlation(r),
	};
	struct pftrace_nested n;

	if (thread_state_running(i->state))
		return 0;
	e.stack = pftrace_stack(p, i->stack);
	n = pftrace_begin(p, &e);
	if (i->thread)
		pftrace_note_uint(p, WORD_THREAD, i->thread->tid);
	if (i->waker)
		pftrace_note_uint(p, WORD_WAKER, i->waker);
	if (i->queue)
		pftrace_note_text(p, pftrace_word(WORD_QUEUE), trace_string(p->trace, i->queue));
	if (i->state == REQUEST_LOOP || i->state == REQUEST_WAIT)
		pftrace_note_uint(p, WORD_LOOP_NS, i->loop);
	pftrace_end(p, n);
	pftrace_put(p, &(struct pftrace_event){
			       .type = TYPE_END, .time = i->end, .track = lane->uuid });
	return pftrace_flush(p, PFTRACE_CHUNK);
}

int pftrace_request_end(void *ctx, struct timeline_request *r, const struct event *event)
{
	struct pftrace *p = ctx;
	struct pftrace_lane *lane = r->data;
	struct pftrace_event e = { .type = TYPE_END, .time = r->end, .track = lane->uuid };
	struct pftrace_nested n;

	pftrace_intern_args(p, event);
	n = pftrace_begin(p, &e);
	if (event) {
		pftrace_note_int(p, WORD_STATUS, r->status);
		pftrace_note_uint(p, WORD_BYTES, r->bytes);
	}
	if (r->allocs) {
		pftrace_note_uint(p, WORD_ALLOCS, r->allocs);
		pftrace_note_uint(p, WORD_ALLOCATED, r->alloc_bytes);
	}
	if (r->trigger)
		pftrace_note_text(p, pftrace_word(WORD_TRIGGER),
				  trace_string(p->trace, r->trigger));
	if (r->partial)
		pftrace_note_uint(p, WORD_PARTIAL, 1);
	if (r->lost)
		pftrace_note_uint(p, WORD_LOST, 1);
	pftrace_note_args(p, event);
	pftrace_end(p, n);
	put_in_flight(p, r->end, -1);
	pftrace_free_lane(p, lane);
	return pftrace_flush(p, PFTRACE_CHUNK);
}
