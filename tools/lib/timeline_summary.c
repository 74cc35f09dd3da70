/* SPDX-License-Identifier: MIT */
#include "timeline_summary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "id_map.h"
#include "timeline_allocator.h"
#include "util.h"

#define MAX_STATES 512 /* kept of a request */
#define MAX_PHASES 128

struct collector {
	struct timeline_summary *s;
	const struct trace *trace;
	struct id_map routes; /* by string: index + 1, as a pointer */
	struct timeline_allocator allocator;
	struct id_map counters;	      /* by counter and process: their last values */
	struct timeline_slow **spare; /* to be used again */
	size_t nr_spare, cap_spare;
	uint64_t in_flight;
};

struct last_value {
	int64_t first, last;
};

/* -------- threads -------- */

static struct timeline_thread_row *thread_row(struct timeline_summary *s)
{
	if (s->nr_threads == TIMELINE_MAX_ROWS)
		return &s->threads[TIMELINE_MAX_ROWS - 1];
	if (array_grow((void **)&s->threads, s->nr_threads, &s->cap_threads, sizeof(*s->threads)))
		return NULL;
	s->threads[s->nr_threads] = (struct timeline_thread_row){ 0 };
	return &s->threads[s->nr_threads++];
}

static int on_thread_end(void *ctx, struct timeline_thread *t)
{
	struct timeline_summary *s = ((struct collector *)ctx)->s;
	struct timeline_thread_row *row = thread_row(s);

	if (!row)
		return -ENOMEM;
	if (row->threads++) {
		row->tid = row->pid = row->name = row->process = 0;
	} else {
		row->tid = t->tid;
		row->pid = t->pid;
		row->name = t->name;
		row->process = t->process;
		row->serial = t->serial;
		row->born = t->born;
		row->died = t->died;
	}
	for (unsigned int i = 0; i < THREAD_NR_STATES; i++) {
		row->total[i] += t->total[i];
		s->states[i] += t->total[i];
	}
	row->runs += t->runs;
	row->preemptions += t->preemptions;
	row->wakeups += t->wakeups;
	row->syscalls += t->syscalls;
	row->faults += t->faults;
	row->samples += t->samples;
	row->lost += t->lost;
	row->allocs += t->allocs;
	row->alloc_bytes += t->alloc_bytes;
	s->allocs += t->allocs;
	s->alloc_bytes += t->alloc_bytes;
	return 0;
}

/* Arguments of a signal are registers; somebody else's file may have anything there. */
static int keep_registers(struct timeline_mark *m, const struct event *e)
{
	if (!e->nr_args)
		return 0;
	m->registers = calloc(e->nr_args, sizeof(*m->registers));
	if (!m->registers)
		return -ENOMEM;
	for (unsigned int i = 0; i < e->nr_args; i++)
		if (e->args[i].type == EVENT_ARG_HEX)
			m->registers[m->nr_registers++] =
				(struct timeline_register){ e->args[i].name, e->args[i].u };
	return 0;
}

static int add_mark(struct timeline_summary *s, const struct timeline_thread *t,
		    const struct event *e)
{
	struct timeline_mark m = { .time = e->time, .tid = e->tid, .thread = t ? t->name : 0 };

	if (s->nr_marks == TIMELINE_MAX_MARKS)
		return 0;
	if (array_grow((void **)&s->marks, s->nr_marks, &s->cap_marks, sizeof(*s->marks)))
		return -ENOMEM;
	if (e->kind == EVT_TRIGGER) {
		m.name = (uint32_t)e->trigger.name;
		m.request = e->trigger.request;
		if (e->nr_args && e->args[0].type == EVENT_ARG_UINT)
			m.lasted = e->args[0].u;
		if (e->nr_args > 1 && e->args[1].type == EVENT_ARG_TEXT)
			snprintf(m.what, sizeof(m.what), "%s", e->args[1].text);
	} else {
		if (keep_registers(&m, e))
			return -ENOMEM;
		m.signo = (uint32_t)e->signal.signo;
		m.code = (int32_t)e->signal.code;
		m.stack = (uint32_t)e->signal.stack;
		/* sigaction(2): a signal that somebody sent has its sender there. */
		m.address = (int64_t)e->signal.code > 0 ? e->signal.address : 0;
	}
	s->marks[s->nr_marks++] = m;
	return 0;
}

/* Of the time of CPU samples, not of what a snapshot has seen. */
static void add_sample(struct collector *c, const struct event *e)
{
	enum timeline_place place;

	if (!c->allocator.nr || e->sample.why != EVENT_SAMPLE_CLOCK)
		return;
	place = timeline_allocator_place(&c->allocator, e->sample.stack);
	c->s->sampled_ns += e->sample.weight;
	if (place == TIMELINE_IN_PROBE)
		c->s->probe_ns += e->sample.weight;
	if (place != TIMELINE_IN_ALLOCATOR)
		return;
	c->s->allocator_samples++;
	c->s->allocator_ns += e->sample.weight;
}

static int on_instant(void *ctx, struct timeline_thread *t, const struct event *e)
{
	struct timeline_summary *s = ((struct collector *)ctx)->s;

	if (e->kind == EVT_SAMPLE)
		add_sample(ctx, e);
	s->samples += e->kind == EVT_SAMPLE;
	s->signals += e->kind == EVT_SIGNAL;
	s->triggers += e->kind == EVT_TRIGGER;
	return e->kind == EVT_SIGNAL || e->kind == EVT_TRIGGER ? add_mark(s, t, e) : 0;
}

/* -------- requests -------- */

static struct timeline_route_row *route_row(struct collector *c, uint32_t route)
{
	struct timeline_summary *s = c->s;
	uintptr_t at = (uintptr_t)id_map_find(&c->routes, route, 0);

	if (at)
		return &s->routes[at - 1];
	if (s->nr_routes == TIMELINE_MAX_ROUTES) {
		s->routes[s->nr_routes - 1].route = 0;
		return &s->routes[s->nr_routes - 1];
	}
	if (id_map_reserve(&c->routes) ||
	    array_grow((void **)&s->routes, s->nr_routes, &s->cap_routes, sizeof(*s->routes)))
		return NULL;
	memset(&s->routes[s->nr_routes], 0, sizeof(*s->routes));
	s->routes[s->nr_routes].route = route;
	hist_init(&s->routes[s->nr_routes].latency);
	id_map_add(&c->routes, route, 0, (void *)(uintptr_t)++s->nr_routes);
	return &s->routes[s->nr_routes - 1];
}

static int add_request(struct timeline_route_row *row, const struct timeline_request *r)
{
	if (r->partial || r->lost) {
		row->partial += r->partial;
		row->lost += r->lost && !r->partial;
		return 0;
	}
	for (unsigned int i = 0; i < REQUEST_NR_STATES; i++)
		row->by_state[i] += r->by_state[i];
	for (unsigned int i = 0; i < TIMELINE_MAX_PHASES; i++)
		row->by_phase[i] += r->by_phase[i];
	row->failed += r->status >= 500;
	row->syscalls += r->syscalls;
	row->faults += r->faults;
	row->switches += r->switches;
	row->pieces += r->pieces;
	row->allocs += r->allocs;
	row->alloc_bytes += r->alloc_bytes;
	return hist_record(&row->latency, r->end - r->begin);
}

static struct timeline_slow *slow_new(struct collector *c)
{
	struct timeline_slow *slow;

	if (!c->nr_spare)
		return calloc(1, sizeof(*slow));
	slow = c->spare[--c->nr_spare];
	slow->nr_states = slow->nr_phases = 0;
	slow->depth = 0;
	slow->cut = false;
	return slow;
}

static void slow_release(struct timeline_slow *slow)
{
	free(slow->states);
	free(slow->phases);
}

static void slow_free(struct collector *c, struct timeline_slow *slow)
{
	if (array_grow((void **)&c->spare, c->nr_spare, &c->cap_spare,
		       sizeof(struct timeline_slow *))) {
		slow_release(slow);
		free(slow);
		return;
	}
	c->spare[c->nr_spare++] = slow;
}

static uint64_t latency(const struct timeline_slow *slow)
{
	return slow->request.end - slow->request.begin;
}

/* Among the slowest, if it is one of them. */
static void keep_slow(struct collector *c, struct timeline_slow *slow,
		      const struct timeline_request *r)
{
	struct timeline_summary *s = c->s;
	struct timeline_slow mine;
	size_t at = s->nr_slowest;

	slow->request = *r;
	slow->request.data = NULL;
	if (r->partial || r->lost || !s->max_slowest ||
	    (at == s->max_slowest && latency(slow) <= latency(&s->slowest[at - 1]))) {
		slow_free(c, slow);
		return;
	}
	mine = *slow;
	if (at == s->max_slowest) {
		/* The fastest of them leaves its memory. */
		*slow = s->slowest[--at];
		slow_free(c, slow);
	} else {
		s->nr_slowest++;
		free(slow);
	}
	for (; at && latency(&mine) > latency(&s->slowest[at - 1]); at--)
		s->slowest[at] = s->slowest[at - 1];
	s->slowest[at] = mine;
}

static int on_request_begin(void *ctx, struct timeline_request *r, const struct event *e)
{
	struct collector *c = ctx;

	(void)e;
	c->in_flight++;
	c->s->in_flight_max = MAX(c->s->in_flight_max, c->in_flight);
	r->data = slow_new(c);
	return r->data ? 0 : -ENOMEM;
}

static int on_phase_begin(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time)
{
	struct timeline_slow *slow = r->data;
	unsigned int depth = slow->depth++;

	(void)ctx;
	if (slow->nr_phases == MAX_PHASES) {
		slow->cut = true;
		return 0;
	}
	if (array_grow((void **)&slow->phases, slow->nr_phases, &slow->cap_phases,
		       sizeof(*slow->phases)))
		return -ENOMEM;
	slow->phases[slow->nr_phases++] = (struct timeline_stretch){ time, 0, phase, depth };
	return 0;
}

static int on_phase_end(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time)
{
	struct timeline_slow *slow = r->data;

	(void)ctx;
	(void)phase;
	slow->depth--;
	for (size_t i = slow->nr_phases; i--;) {
		if (slow->phases[i].depth != slow->depth || slow->phases[i].end)
			continue;
		slow->phases[i].end = time;
		break;
	}
	return 0;
}

static int on_request_state(void *ctx, struct timeline_request *r,
			    const struct timeline_interval *i)
{
	struct timeline_slow *slow = r->data;
	struct timeline_interval *mine;

	(void)ctx;
	if (thread_state_running(i->state))
		return 0;
	if (slow->nr_states == MAX_STATES) {
		slow->cut = true;
		return 0;
	}
	if (array_grow((void **)&slow->states, slow->nr_states, &slow->cap_states,
		       sizeof(*slow->states)))
		return -ENOMEM;
	mine = &slow->states[slow->nr_states++];
	*mine = *i;
	mine->thread = NULL;
	mine->request = NULL;
	return 0;
}

static int on_request_end(void *ctx, struct timeline_request *r, const struct event *e)
{
	struct collector *c = ctx;
	struct timeline_route_row *row = route_row(c, r->route);
	int err = row ? add_request(row, r) : -ENOMEM;

	(void)e;
	if (!err)
		err = add_request(&c->s->all, r);
	c->in_flight--;
	keep_slow(c, r->data, r);
	return err;
}

/* -------- counters -------- */

static int on_counter(void *ctx, const struct event *e)
{
	struct collector *c = ctx;
	unsigned int counter = (unsigned int)MIN(e->counter.counter, COUNTER_NR);
	struct timeline_gauge *g = &c->s->counters[counter % COUNTER_NR];
	struct last_value *last = id_map_find(&c->counters, counter, e->tid);
	int64_t value = (int64_t)e->counter.value;

	if (counter == COUNTER_NONE || counter == COUNTER_NR)
		return 0;
	if (!last) {
		last = calloc(1, sizeof(*last));
		if (!last || id_map_reserve(&c->counters)) {
			free(last);
			return -ENOMEM;
		}
		last->first = last->last = value;
		id_map_add(&c->counters, counter, e->tid, last);
	}
	g->max = g->told ? MAX(g->max, value) : value;
	g->growth += value - last->last;
	g->told++;
	last->last = value;
	return 0;
}

static int on_io(void *ctx, const struct timeline_io *io)
{
	struct timeline_summary *s = ((struct collector *)ctx)->s;

	s->ios++;
	s->io_bytes += io->bytes;
	return 0;
}

/* -------- the whole -------- */

static uint64_t on_cpu(const struct timeline_thread_row *row)
{
	return row->total[THREAD_USER] + row->total[THREAD_SYSCALL];
}

static int by_cpu(const void *a, const void *b)
{
	const struct timeline_thread_row *x = a, *y = b;

	if (on_cpu(x) != on_cpu(y))
		return on_cpu(x) > on_cpu(y) ? -1 : 1;
	return x->serial < y->serial ? -1 : x->serial > y->serial;
}

static int by_requests(const void *a, const void *b)
{
	const struct timeline_route_row *x = a, *y = b;

	if (x->latency.count != y->latency.count)
		return x->latency.count > y->latency.count ? -1 : 1;
	return x->route < y->route ? -1 : x->route > y->route;
}

static void collector_release(struct collector *c)
{
	struct last_value *last;

	for (size_t at = 0; (last = id_map_each(&c->counters, &at));)
		free(last);
	timeline_allocator_release(&c->allocator);
	id_map_release(&c->counters);
	id_map_release(&c->routes);
	for (size_t i = 0; i < c->nr_spare; i++) {
		slow_release(c->spare[i]);
		free(c->spare[i]);
	}
	free(c->spare);
}

int timeline_summary_init(struct timeline_summary *s, const struct timeline_view *v, size_t slowest)
{
	static const struct timeline_visitor visitor = {
		.thread_end = on_thread_end,
		.instant = on_instant,
		.request_begin = on_request_begin,
		.phase_begin = on_phase_begin,
		.phase_end = on_phase_end,
		.request_state = on_request_state,
		.request_end = on_request_end,
		.counter = on_counter,
		.io = on_io,
	};
	struct collector c = { .s = s, .trace = v->trace };
	int err = 0;

	memset(s, 0, sizeof(*s));
	hist_init(&s->all.latency);
	s->max_slowest = slowest;
	s->slowest = calloc(slowest + 1, sizeof(*s->slowest));
	if (!s->slowest)
		err = -ENOMEM;
	if (!err)
		err = timeline_allocator_init(&c.allocator, v->trace);
	if (!err)
		err = timeline_run(v->trace, &v->filter, &visitor, &c, &s->totals);
	collector_release(&c);
	if (err) {
		timeline_summary_release(s);
		return err;
	}
	if (s->nr_threads)
		qsort(s->threads, s->nr_threads, sizeof(*s->threads), by_cpu);
	if (s->nr_routes)
		qsort(s->routes, s->nr_routes, sizeof(*s->routes), by_requests);
	return 0;
}

void timeline_summary_release(struct timeline_summary *s)
{
	for (size_t i = 0; i < s->nr_marks; i++)
		free(s->marks[i].registers);
	free(s->marks);
	for (size_t i = 0; i < s->nr_routes; i++)
		hist_release(&s->routes[i].latency);
	for (size_t i = 0; i < s->nr_slowest; i++)
		slow_release(&s->slowest[i]);
	hist_release(&s->all.latency);
	free(s->threads);
	free(s->routes);
	free(s->slowest);
	memset(s, 0, sizeof(*s));
}
