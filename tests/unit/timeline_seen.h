/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_SEEN_H
#define PERISCOPE_TIMELINE_SEEN_H

/*
 * A visitor of timelines that holds what it is told against what visitors are promised: states
 * without gap or overlap, spans that nest, partitions that add up. After cmocka.h.
 */

#include "tests/synthetic/synthetic.h"
#include "lib/util.h"
#include "trace_fixture.h"

#define MAX_SEEN 64

/* What a visitor has seen: whatever does not fit fails at once. */
struct seen_thread {
	uint32_t tid;
	uint64_t first, last; /* states reach from first to last without a gap */
	unsigned int depth;
	uint64_t span_time, instants, wakings;
	struct timeline_thread end; /* as it was at its end */
	bool ended;
};

struct seen {
	struct trace *trace;
	bool pieces;
	struct seen_thread threads[MAX_SEEN];
	size_t nr_threads;
	uint64_t cpu_last[64];
	uint64_t cpu_time;
	struct synthetic_sums routes[SYNTHETIC_NR_ROUTES];
	uint64_t requests, partial, lost_requests, slowest, intervals, phases_open, ios, counters;
	struct timeline_request last;		   /* the request that ended last */
	struct timeline_interval states[MAX_SEEN]; /* of threads, the first */
	uint32_t state_tids[MAX_SEEN];
	size_t nr_states;
	uint64_t lost, lost_until;
};

static inline struct seen_thread *find(struct seen *s, const struct timeline_thread *t)
{
	assert_non_null(t->data);
	assert_ptr_equal(((struct seen_thread *)t->data)->end.data, s);
	return t->data;
}

static inline int on_thread(void *ctx, struct timeline_thread *t)
{
	struct seen *s = ctx;
	struct seen_thread *mine;

	assert_false(t->foreign);
	if (t->data)
		return 0;
	assert_true(s->nr_threads < MAX_SEEN);
	mine = &s->threads[s->nr_threads++];
	mine->tid = t->tid;
	mine->first = mine->last = t->born;
	mine->end.data = s;
	t->data = mine;
	return 0;
}

static inline int on_thread_end(void *ctx, struct timeline_thread *t)
{
	struct seen_thread *mine = find(ctx, t);

	assert_false(mine->ended);
	assert_int_equal(mine->depth, 0);
	mine->ended = true;
	mine->end = *t;
	return 0;
}

static inline int on_state(void *ctx, struct timeline_thread *t, const struct timeline_interval *i)
{
	struct seen *s = ctx;
	struct seen_thread *mine = find(s, t);

	assert_true(i->end > i->start);
	/* A filter of requests cuts pieces out. */
	if (s->pieces)
		assert_true(i->start >= mine->last);
	else
		assert_int_equal(i->start, mine->last);
	mine->last = i->end;
	if (s->nr_states < MAX_SEEN) {
		s->states[s->nr_states] = *i;
		s->state_tids[s->nr_states++] = t->tid;
	}
	return 0;
}

static inline int on_run(void *ctx, struct timeline_thread *t, uint16_t cpu, uint64_t start,
			 uint64_t end, unsigned int then)
{
	struct seen *s = ctx;

	find(s, t);
	assert_true(then < THREAD_NR_STATES && then != THREAD_SYSCALL);
	assert_true(cpu < ARRAY_SIZE(s->cpu_last));
	assert_true(end > start);
	assert_true(start >= s->cpu_last[cpu]);
	s->cpu_last[cpu] = end;
	s->cpu_time += end - start;
	return 0;
}

static inline int on_span_begin(void *ctx, struct timeline_thread *t, const struct timeline_span *s,
				const struct event *e)
{
	(void)s;
	(void)e;
	find(ctx, t)->depth++;
	return 0;
}

static inline int on_span_end(void *ctx, struct timeline_thread *t, const struct timeline_span *s,
			      uint64_t end, const struct event *e)
{
	struct seen_thread *mine = find(ctx, t);

	assert_true(mine->depth > 0);
	assert_true(end >= s->start);
	assert_int_equal(s->cut, !e);
	if (s->kind == TIMELINE_SPAN)
		mine->span_time += end - s->start;
	mine->depth--;
	return 0;
}

static inline int on_instant(void *ctx, struct timeline_thread *t, const struct event *e)
{
	(void)e;
	if (t)
		find(ctx, t)->instants++;
	return 0;
}

static inline int on_waking(void *ctx, struct timeline_thread *waker, struct timeline_thread *wakee,
			    const struct event *e)
{
	(void)waker;
	(void)e;
	find(ctx, wakee)->wakings++;
	return 0;
}

static inline int on_request_begin(void *ctx, struct timeline_request *r, const struct event *e)
{
	(void)e;
	assert_null(r->data);
	r->data = ctx;
	return 0;
}

static inline int on_phase(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time)
{
	(void)time;
	(void)phase;
	assert_ptr_equal(r->data, ctx);
	((struct seen *)ctx)->phases_open++;
	return 0;
}

static inline int on_phase_end(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time)
{
	(void)time;
	(void)phase;
	assert_ptr_equal(r->data, ctx);
	assert_true(((struct seen *)ctx)->phases_open-- > 0);
	return 0;
}

static inline int on_request_state(void *ctx, struct timeline_request *r,
				   const struct timeline_interval *i)
{
	assert_ptr_equal(r->data, ctx);
	assert_true(i->end > i->start);
	((struct seen *)ctx)->intervals += i->end - i->start;
	return 0;
}

static inline int on_request_end(void *ctx, struct timeline_request *r, const struct event *e)
{
	struct seen *s = ctx;
	uint64_t states = 0, phases = 0, latency = r->end - r->begin;

	assert_ptr_equal(r->data, ctx);
	s->last = *r;
	s->requests++;
	s->partial += r->partial;
	s->lost_requests += r->lost;
	assert_true(e || r->partial);
	for (unsigned int i = 0; i < REQUEST_NR_STATES; i++)
		states += r->by_state[i];
	for (unsigned int i = 0; i < TIMELINE_MAX_PHASES; i++)
		phases += r->by_phase[i];
	assert_int_equal(states, latency);
	assert_int_equal(phases, latency);
	for (unsigned int i = 1; i < TIMELINE_WAITS; i++)
		assert_true(r->waits[i].end - r->waits[i].start <=
			    r->waits[i - 1].end - r->waits[i - 1].start);
	s->slowest = MAX(s->slowest, latency);
	for (unsigned int i = 0; i < SYNTHETIC_NR_ROUTES; i++) {
		struct synthetic_sums *sums = &s->routes[i];

		if (strcmp(trace_string(s->trace, r->route), synthetic_routes[i]) != 0)
			continue;
		sums->count++;
		sums->latency += latency;
		sums->syscalls += r->syscalls;
		sums->pieces += r->pieces;
		sums->switches += r->switches;
		for (unsigned int j = 0; j < REQUEST_NR_STATES; j++)
			sums->by_state[j] += r->by_state[j];
		/* In these traces phases come up in the order of their numbers. */
		for (unsigned int j = 0; j < SYNTHETIC_NR_PHASES; j++)
			sums->by_phase[j] += r->by_phase[j];
	}
	return 0;
}

static inline int on_io(void *ctx, const struct timeline_io *io)
{
	assert_true(io->end > io->start);
	((struct seen *)ctx)->ios++;
	return 0;
}

static inline int on_counter(void *ctx, const struct event *e)
{
	(void)e;
	((struct seen *)ctx)->counters++;
	return 0;
}

static inline int on_lost(void *ctx, const struct event *e)
{
	struct seen *s = ctx;

	s->lost += e->lost.count;
	s->lost_until = e->lost.until;
	return 0;
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
	.request_begin = on_request_begin,
	.phase_begin = on_phase,
	.phase_end = on_phase_end,
	.request_state = on_request_state,
	.request_end = on_request_end,
	.io = on_io,
	.counter = on_counter,
	.lost = on_lost,
};

static inline void run(struct trace *t, const struct timeline_filter *filter, struct seen *s,
		       struct timeline_totals *totals)
{
	struct timeline_filter none = { 0 };

	*s = (struct seen){ .trace = t, .pieces = filter && (filter->route || filter->slower) };
	assert_int_equal(timeline_run(t, filter ? filter : &none, &visitor, s, totals), 0);
	assert_int_equal(s->phases_open, 0);
	for (size_t i = 0; i < s->nr_threads; i++) {
		const struct timeline_thread *end = &s->threads[i].end;
		uint64_t sum = 0;

		assert_true(s->threads[i].ended);
		for (unsigned int j = 0; j < THREAD_NR_STATES; j++)
			sum += end->total[j];
		/* All of its time, and no more. */
		if (!s->pieces) {
			assert_int_equal(s->threads[i].last, end->died ? end->died : totals->end);
			assert_int_equal(sum, s->threads[i].last - s->threads[i].first);
		}
	}
}

#endif
