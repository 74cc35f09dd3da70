/* SPDX-License-Identifier: MIT */
/*
 * Where a recording has left events out on purpose: nothing is known of threads there, and of a
 * request what it came to as a whole.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "timeline_impl.h"
#include "util.h"

void left_out_end(struct analysis *a)
{
	uint64_t start = MAX(a->left_out_since, a->totals.start);

	if (a->left_out && a->inside && a->now > start)
		TELL(a, left_out, start, a->now, a->left_out_count);
	a->left_out_count = 0;
}

void left_out_event(struct analysis *a, const struct event *e)
{
	bool begins = !(e->left_out.flags & EVENT_LEFT_OUT_ENDS);
	struct request *r;
	struct thread *t;

	if (a->inside) {
		a->totals.left_out += e->left_out.count;
		a->left_out_count += e->left_out.count;
	}
	/* Said again, for those who begin to read there. */
	if (begins == a->left_out)
		return;
	left_out_end(a);
	a->left_out = begins;
	a->left_out_since = a->now;
	for (size_t at = 0; (t = id_map_each(&a->threads, &at));) {
		if (t->pub.foreign)
			continue;
		thread_forget(a, t, a->now);
		t->seen = false;
		t->pub.cpu = EVENT_NO_CPU;
	}
	for (size_t at = 0; begins && (r = id_map_each(&a->requests, &at));) {
		request_account(a, r, a->now);
		r->pub.state = THREAD_UNKNOWN;
	}
}

static uint64_t *state_sum(struct request *r, const char *name)
{
	for (unsigned int i = 0; i < REQUEST_QUEUED; i++)
		if (!strcmp(request_state_name(i), name))
			return &r->sums->by_state[i];
	return NULL;
}

static void add_count(struct request *r, const char *name, uint64_t value)
{
	uint32_t n = (uint32_t)MIN(value, UINT32_MAX);

	if (!strcmp(name, "pieces"))
		r->sums->pieces = n;
	else if (!strcmp(name, "syscalls"))
		r->sums->syscalls = n;
	else if (!strcmp(name, "faults"))
		r->sums->faults = n;
	else if (!strcmp(name, "switches"))
		r->sums->switches = n;
	else if (!strcmp(name, "commit_items"))
		r->sums->commit_items = n;
	else if (!strcmp(name, "allocs"))
		r->sums->allocs = value;
	else if (!strcmp(name, "alloc_bytes"))
		r->sums->alloc_bytes = value;
}

static void add_sum(struct analysis *a, struct request *r, uint64_t what,
		    const struct event_arg *arg)
{
	const char *name = trace_string(a->trace, arg->name);
	uint64_t *sum = NULL;

	switch (what) {
	case EVENT_SUM_STATES:
		sum = state_sum(r, name);
		break;
	case EVENT_SUM_QUEUES:
		sum = &r->sums->by_state[REQUEST_QUEUED + queue_number(a, arg->name)];
		break;
	case EVENT_SUM_PHASES:
		sum = &r->sums->by_phase[phase_number(a, arg->name)];
		break;
	case EVENT_SUM_COUNTS:
		add_count(r, name, arg->u);
		break;
	default:
		break;
	}
	if (sum)
		*sum += arg->u;
}

void sum_event(struct analysis *a, struct request *r, const struct event *e)
{
	if (!r->sums)
		r->sums = calloc(1, sizeof(*r->sums));
	if (!r->sums) {
		a->err = -ENOMEM;
		return;
	}
	for (unsigned int i = 0; i < e->nr_args; i++)
		if (e->args[i].type == EVENT_ARG_UINT)
			add_sum(a, r, e->sum.what, &e->args[i]);
}

/* Phase 0, no phase, is what is left. */
static bool phases_fit(struct request_sums *s, uint64_t latency)
{
	uint64_t sum = 0;

	for (unsigned int i = 1; i < TIMELINE_MAX_PHASES; i++)
		sum += s->by_phase[i];
	s->by_phase[0] = latency - MIN(sum, latency);
	return sum <= latency;
}

static uint64_t total(const uint64_t *ns, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += ns[i];
	return sum;
}

void sums_apply(struct analysis *a, struct request *r)
{
	struct request_sums *s = r->sums;
	uint64_t latency = r->pub.end - r->pub.begin;

	if (!s)
		return;
	/* Both partitions, or what was told is not the whole of it. */
	if (total(s->by_state, REQUEST_NR_STATES) == latency && phases_fit(s, latency)) {
		memcpy(r->pub.by_state, s->by_state, sizeof(r->pub.by_state));
		memcpy(r->pub.by_phase, s->by_phase, sizeof(r->pub.by_phase));
		r->pub.pieces = s->pieces;
		r->pub.syscalls = s->syscalls;
		r->pub.faults = s->faults;
		r->pub.switches = s->switches;
		r->pub.commit_items = s->commit_items;
		r->pub.allocs = s->allocs;
		r->pub.alloc_bytes = s->alloc_bytes;
		r->pub.summed = true;
		a->totals.summed += a->inside;
	} else {
		r->pub.lost = true;
	}
	free(r->sums);
	r->sums = NULL;
}
