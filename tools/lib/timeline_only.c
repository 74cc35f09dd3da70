/* SPDX-License-Identifier: MIT */
#include "timeline_only.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/timeline.h"
#include "timeline.h"
#include "timeline_triggers.h"
#include "util.h"

#define HOLD_LEAST UINT64_C(1000000000)
#define FOLLOWED   10 /* times HOLD */
#define MAX_SUMS   12
#define SUM_ARGS   12 /* as many as readers of version 1.0 keep */

/*
 * A request. It is used by the analysis while it is open, by `all` until its begin has passed, by its
 * begin and its end while they wait, and by `active`.
 */
struct request {
	unsigned int users;
	struct request *next, **at; /* of all that there are */
	uint64_t id, begin, end;    /* end 0: open */
	bool decided, keep;	    /* keep: with all events */
	bool active;		    /* its begin has passed, its end has not */
	bool cut;		    /* it was, for too long */
	bool summed;		    /* by_state and the like are set */
	uint64_t by_state[REQUEST_NR_STATES], by_phase[TIMELINE_MAX_PHASES];
	uint32_t pieces, syscalls, faults, switches, commit_items;
	uint64_t allocs, alloc_bytes;
};

struct list {
	struct request **items;
	size_t nr, cap;
};

struct only {
	struct trace_sieve sieve;
	const struct only_condition *items;
	size_t nr;
	uint64_t hold;
	struct trace_writer *writer;
	struct timeline_stream *stream;
	struct request *first;
	/* Of the event that is being seen. */
	struct request *began, *ended;
	/* In order of their begins, until these have passed; the first of them that is not decided. */
	struct list all;
	size_t undecided;
	struct list active; /* kept, in order of their begins */
	uint64_t begun;
	struct event sums[MAX_SUMS];
	struct event_arg args[MAX_SUMS][SUM_ARGS];
	size_t nr_sums;
	struct only_stats stats;
};

/* ---------------------------------------------------------------- conditions ---- */

int only_parse(const char *text, struct only_condition *ret, const char **ret_why)
{
	struct trigger t;
	uint64_t n;

	if (!strncmp(text, "1/", 2)) {
		*ret_why = "wants a number from 1 behind 1/, as in 1/100";
		if (parse_u64(text + 2, 1, UINT32_MAX, &n))
			return -EINVAL;
		*ret = (struct only_condition){ .kind = ONLY_SAMPLE, .value = (int64_t)n };
		return 0;
	}
	if (trigger_parse(text, &t, ret_why))
		return -EINVAL;
	*ret_why = "is no condition: latency>20ms, status>=500 or 1/N";
	if (t.kind != TRIGGER_LATENCY && t.kind != TRIGGER_STATUS) {
		trigger_release(&t);
		return -EINVAL;
	}
	*ret = (struct only_condition){
		.kind = t.kind == TRIGGER_LATENCY ? ONLY_LATENCY : ONLY_STATUS,
		.op = t.when.op,
		.value = t.when.value,
	};
	return 0;
}

/* `ended`: its status is known. */
static bool matters(const struct only *o, uint64_t latency, bool ended, int64_t status)
{
	for (size_t i = 0; i < o->nr; i++) {
		const struct only_condition *c = &o->items[i];
		const struct timeline_condition when = { .value = c->value, .op = c->op };

		if (c->kind == ONLY_LATENCY && timeline_holds(&when, latency))
			return true;
		if (c->kind == ONLY_STATUS && ended && timeline_holds(&when, (uint64_t)status))
			return true;
	}
	return false;
}

static bool is_sampled(const struct only *o, uint64_t number)
{
	for (size_t i = 0; i < o->nr; i++)
		if (o->items[i].kind == ONLY_SAMPLE && !(number % (uint64_t)o->items[i].value))
			return true;
	return false;
}

/* ---------------------------------------------------------------- requests ---- */

static void put_request(struct request *q)
{
	if (--q->users)
		return;
	*q->at = q->next;
	if (q->next)
		q->next->at = q->at;
	free(q);
}

static int list_add(struct list *l, struct request *q)
{
	int err = array_grow((void **)&l->items, l->nr, &l->cap, sizeof(struct request *));

	if (err)
		return err;
	l->items[l->nr++] = q;
	q->users++;
	return 0;
}

static void list_remove(struct list *l, size_t i)
{
	put_request(l->items[i]);
	memmove(&l->items[i], &l->items[i + 1], (--l->nr - i) * sizeof(struct request *));
}

static void list_release(struct list *l)
{
	while (l->nr)
		list_remove(l, l->nr - 1);
	free(l->items);
}

static void decide(struct request *q, bool keep)
{
	q->decided = true;
	q->keep = q->keep || keep;
}

static int on_begin(void *ctx, struct timeline_request *r, const struct event *e)
{
	struct only *o = ctx;
	struct request *q;
	int err;

	/* Of one whose begin was not seen nothing can be told. */
	if (!e)
		return 0;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->users = 1;
	q->next = o->first;
	q->at = &o->first;
	if (q->next)
		q->next->at = &q->next;
	o->first = q;
	q->id = r->id;
	q->begin = e->time;
	if (is_sampled(o, o->begun++))
		decide(q, true);
	err = list_add(&o->all, q);
	if (err) {
		put_request(q);
		return err;
	}
	r->data = q;
	o->began = q;
	return 0;
}

static int on_end(void *ctx, struct timeline_request *r, const struct event *e)
{
	struct request *q = r->data;
	struct only *o = ctx;
	bool matches;

	r->data = NULL;
	if (!q)
		return 0;
	q->end = MAX(r->end, q->begin);
	matches = matters(o, q->end - q->begin, e != NULL, r->status);
	if (!q->decided)
		decide(q, matches);
	else if (matches && !q->keep && !q->cut)
		o->stats.late++;
	if (e) {
		o->ended = q;
		o->stats.requests++;
		o->stats.whole += q->keep;
		q->summed = true;
		memcpy(q->by_state, r->by_state, sizeof(q->by_state));
		memcpy(q->by_phase, r->by_phase, sizeof(q->by_phase));
		q->pieces = r->pieces;
		q->syscalls = r->syscalls;
		q->faults = r->faults;
		q->switches = r->switches;
		q->commit_items = r->commit_items;
		q->allocs = r->allocs;
		q->alloc_bytes = r->alloc_bytes;
		q->users++; /* for the event */
	}
	put_request(q);
	return 0;
}

static const struct timeline_visitor visitor = {
	.request_begin = on_begin,
	.request_end = on_end,
};

/* A trigger says that it matters, if its events still wait. */
static void mark(struct only *o, uint64_t id)
{
	for (size_t i = o->all.nr; id && i--;) {
		struct request *q = o->all.items[i];

		if (q->id != id)
			continue;
		if (q->end && !q->keep)
			o->stats.whole++;
		decide(q, true);
		return;
	}
}

/* ---------------------------------------------------------------- the sieve ---- */

static int feed(struct only *o, const struct event *e)
{
	int err = 0;

	if (!o->stream)
		err = timeline_stream_new(&visitor, o, e->time, &o->stream);
	if (!err)
		err = timeline_stream_event(o->stream, e);
	/* More is open than can be: ends were lost. It begins anew. */
	if (err == -EFBIG) {
		timeline_stream_free(o->stream);
		o->stream = NULL;
		err = 0;
	}
	return err;
}

static int see(struct trace_sieve *s, const struct event *e, void **ret_tag)
{
	struct only *o = (struct only *)s;
	int err;

	o->began = o->ended = NULL;
	err = feed(o, e);
	if (err)
		return err;
	if (e->kind == EVT_TRIGGER)
		mark(o, e->trigger.request);
	if (o->began && e->kind == EVT_REQUEST_BEGIN) {
		o->began->users++;
		*ret_tag = o->began;
	}
	if (o->ended)
		*ret_tag = o->ended;
	return 0;
}

static uint64_t decided(struct trace_sieve *s, uint64_t newest, enum trace_urge urge)
{
	struct only *o = (struct only *)s;

	for (; o->undecided < o->all.nr; o->undecided++) {
		struct request *q = o->all.items[o->undecided];
		uint64_t age = newest > q->begin ? newest - q->begin : 0;

		if (q->decided)
			continue;
		if (urge == TRACE_URGE_NONE && age <= o->hold)
			return q->begin;
		decide(q, matters(o, age, false, 0));
		/* The oldest makes room for the others. */
		if (urge == TRACE_URGE_CROWDED)
			urge = TRACE_URGE_NONE;
	}
	return UINT64_MAX;
}

static void forget_passed(struct only *o, const struct request *q)
{
	size_t i = 0;

	while (i < o->all.nr && o->all.items[i] != q)
		i++;
	if (i == o->all.nr)
		return;
	list_remove(&o->all, i);
	if (o->undecided > i)
		o->undecided--;
}

static void close_active(struct only *o, size_t i, bool cut)
{
	struct request *q = o->active.items[i];

	q->active = false;
	if (cut) {
		q->cut = true;
		q->keep = false;
		o->stats.cut++;
	}
	list_remove(&o->active, i);
}

/* Those whose end is never told, and those that last too long. */
static void close_old(struct only *o, uint64_t time)
{
	for (size_t i = 0; i < o->active.nr;) {
		const struct request *q = o->active.items[i];

		if (q->end && !q->summed && q->end <= time)
			close_active(o, i, false);
		else if (time > q->begin && time - q->begin > FOLLOWED * o->hold)
			close_active(o, i, true);
		else
			i++;
	}
}

static bool is_kept_always(unsigned int kind)
{
	switch (kind) {
	case EVT_PROCESS:
	case EVT_THREAD:
	case EVT_NAME:
	case EVT_EXEC:
	case EVT_EXIT:
	case EVT_SIGNAL:
	case EVT_COUNTER:
	case EVT_TRIGGER:
	case EVT_LOST:
	case EVT_CLOCK:
		return true;
	default:
		return false;
	}
}

/* A number under a name, if it is one. */
static void add_sum(struct only *o, const struct request *q, enum event_sum what, uint32_t name,
		    uint64_t value)
{
	struct event *e = o->nr_sums ? &o->sums[o->nr_sums - 1] : NULL;

	if (!value)
		return;
	if (!e || e->sum.what != what || e->nr_args == SUM_ARGS) {
		if (o->nr_sums == MAX_SUMS)
			return; /* the sums will not add up: seen by who reads it */
		e = &o->sums[o->nr_sums];
		*e = (struct event){ .kind = EVT_REQUEST_SUM, .args = o->args[o->nr_sums++] };
		e->sum.request = q->id;
		e->sum.what = what;
	}
	o->args[o->nr_sums - 1][e->nr_args++] =
		(struct event_arg){ .name = name, .type = EVENT_ARG_UINT, .u = value };
}

static void make_sums(struct only *o, const struct request *q)
{
	const struct timeline_names *names = timeline_stream_names(o->stream);
	const struct {
		const char *name;
		uint64_t value;
	} counts[] = {
		{ "pieces", q->pieces },
		{ "syscalls", q->syscalls },
		{ "faults", q->faults },
		{ "switches", q->switches },
		{ "commit_items", q->commit_items },
		{ "allocs", q->allocs },
		{ "alloc_bytes", q->alloc_bytes },
	};

	o->nr_sums = 0;
	for (unsigned int i = 0; i < REQUEST_QUEUED; i++)
		if (q->by_state[i])
			add_sum(o, q, EVENT_SUM_STATES,
				trace_writer_string(o->writer, request_state_name(i)),
				q->by_state[i]);
	for (unsigned int i = 0; i < names->nr_queues; i++)
		add_sum(o, q, EVENT_SUM_QUEUES, names->queues[i], q->by_state[REQUEST_QUEUED + i]);
	for (unsigned int i = 1; i < names->nr_phases; i++)
		add_sum(o, q, EVENT_SUM_PHASES, names->phases[i], q->by_phase[i]);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		if (counts[i].value)
			add_sum(o, q, EVENT_SUM_COUNTS,
				trace_writer_string(o->writer, counts[i].name), counts[i].value);
}

static int pass_begin(struct only *o, struct request *q, struct trace_pass *ret)
{
	int err = 0;

	ret->keep = true;
	ret->bare = !q->keep;
	if (q->keep) {
		err = list_add(&o->active, q);
		q->active = !err;
	}
	forget_passed(o, q);
	put_request(q);
	return err;
}

static void pass_end(struct only *o, struct request *q, struct trace_pass *ret)
{
	ret->keep = true;
	for (size_t i = 0; q->active && i < o->active.nr; i++)
		if (o->active.items[i] == q)
			close_active(o, i, false);
	if (!q->keep && o->stream) {
		make_sums(o, q);
		ret->sums = o->sums;
		ret->nr_sums = o->nr_sums;
	}
	put_request(q);
}

static int pass(struct trace_sieve *s, const struct event *e, void *tag, struct trace_pass *ret)
{
	struct only *o = (struct only *)s;
	int err = 0;

	if (o->active.nr)
		close_old(o, e->time);
	ret->whole = o->active.nr > 0;
	if (e->kind == EVT_REQUEST_BEGIN && tag)
		err = pass_begin(o, tag, ret);
	ret->whole = ret->whole || o->active.nr > 0;
	if (e->kind == EVT_REQUEST_END && tag)
		pass_end(o, tag, ret);
	ret->keep = ret->keep || ret->whole || is_kept_always(e->kind);
	ret->whole_after = o->active.nr > 0;
	return err;
}

struct only *only_new(const struct only_condition *items, size_t nr)
{
	struct only *o = calloc(1, sizeof(*o));

	if (!o) {
		errno = ENOMEM;
		return NULL;
	}
	o->sieve = (struct trace_sieve){ see, decided, pass };
	o->items = items;
	o->nr = nr;
	o->hold = HOLD_LEAST;
	for (size_t i = 0; i < nr; i++)
		if (items[i].kind == ONLY_LATENCY)
			o->hold = MAX(o->hold, 2 * (uint64_t)items[i].value);
	return o;
}

void only_free(struct only *o)
{
	if (!o)
		return;
	timeline_stream_free(o->stream);
	list_release(&o->all);
	list_release(&o->active);
	/* What waits in a writer that did not finish. */
	while (o->first) {
		struct request *q = o->first;

		o->first = q->next;
		free(q);
	}
	free(o);
}

struct trace_sieve *only_sieve(struct only *o)
{
	return &o->sieve;
}

void only_set_writer(struct only *o, struct trace_writer *w)
{
	o->writer = w;
}

void only_stats(const struct only *o, struct only_stats *ret)
{
	*ret = o->stats;
}
