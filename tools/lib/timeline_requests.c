/* SPDX-License-Identifier: MIT */
/*
 * The state and the phase of every request. While a thread works on it, its state is the thread's;
 * otherwise it follows from the queue it is in, or from who has taken it out. While it only waits for
 * its thread, that time is divided by what the thread did meanwhile: two clocks of the thread tell.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timeline_impl.h"
#include "util.h"

#define MAX_REQUESTS 1000000 /* open at once */

const char *request_state_name(unsigned int state)
{
	if (state < THREAD_NR_STATES)
		return thread_state_name(state);
	switch (state) {
	case REQUEST_LOOP:
		return "loop";
	case REQUEST_WAIT:
		return "outside";
	case REQUEST_COMMIT:
		return "commit";
	case REQUEST_REPLY:
		return "reply";
	default:
		return state < REQUEST_NR_STATES ? "queued" : "?";
	}
}

/* -------- time -------- */

static bool is_paused(unsigned int state)
{
	return state == REQUEST_LOOP || state == REQUEST_WAIT;
}

static void add_wait(struct timeline_request *r, const struct timeline_interval *i)
{
	uint64_t d = i->end - i->start;
	size_t at = TIMELINE_WAITS;

	if (thread_state_running(i->state))
		return;
	while (at && d > r->waits[at - 1].end - r->waits[at - 1].start) {
		at--;
		if (at + 1 < TIMELINE_WAITS)
			r->waits[at + 1] = r->waits[at];
	}
	if (at < TIMELINE_WAITS)
		r->waits[at] =
			(struct timeline_wait){ i->start, i->end, i->stack, i->state, i->phase };
}

static void mark_clocks(struct analysis *a, struct request *r)
{
	const struct thread *t = r->taker ? r->taker : thread_find(a, r->pub.home);

	thread_clocks(a, t, &r->busy_mark, &r->unknown_mark);
}

/* What of d ns of waiting for its thread that was at work on something else, or is not known. */
static void divide(struct analysis *a, struct request *r, uint64_t d, struct timeline_interval *i)
{
	uint64_t busy_mark = r->busy_mark, unknown_mark = r->unknown_mark, unknown;

	mark_clocks(a, r);
	/* Another thread may have its number by now. */
	i->loop = r->busy_mark > busy_mark ? MIN(r->busy_mark - busy_mark, d) : 0;
	unknown = r->unknown_mark > unknown_mark ? r->unknown_mark - unknown_mark : 0;
	unknown = MIN(unknown, d - i->loop);
	r->pub.by_state[REQUEST_LOOP] += i->loop;
	r->pub.by_state[THREAD_UNKNOWN] += unknown;
	r->pub.by_state[REQUEST_WAIT] += d - i->loop - unknown;
}

void request_tell(struct analysis *a, struct request *r)
{
	struct timeline_interval i = r->open;

	r->open.end = 0;
	if (!i.end)
		return;
	if (is_paused(i.state))
		i.state = i.loop >= i.end - i.start - i.loop ? REQUEST_LOOP : REQUEST_WAIT;
	add_wait(&r->pub, &i);
	if (!r->pub.announced || i.end <= a->totals.start)
		return;
	i.start = MAX(i.start, a->totals.start);
	TELL(a, request_state, &r->pub, &i);
}

/* Does b go on where a ends, so that they are one? */
static bool continues(const struct timeline_interval *a, const struct timeline_interval *b)
{
	bool same = a->state == b->state || (is_paused(a->state) && is_paused(b->state));

	return same && a->end == b->start && a->phase == b->phase && a->queue == b->queue &&
	       a->thread == b->thread && a->stack == b->stack && a->syscall == b->syscall &&
	       a->waker == b->waker;
}

void request_account(struct analysis *a, struct request *r, uint64_t time)
{
	const struct thread *t = r->nr_runners ? r->runners[r->nr_runners - 1] : NULL;
	struct timeline_interval i = {
		.start = r->pub.since,
		.end = time,
		.state = r->pub.state,
		.phase = r->pub.phase,
		.queue = r->pub.state >= REQUEST_QUEUED ? r->queue_name : 0,
		.thread = t ? &t->pub : NULL,
		.cpu = t ? t->pub.cpu : EVENT_NO_CPU,
		.syscall = t ? t->pub.syscall : 0,
	};

	if (time <= i.start)
		return;
	if (t && !thread_state_running(i.state)) {
		i.stack = t->pub.stack;
		i.waker = i.state == THREAD_RUNNABLE ? t->pub.waker : 0;
	}
	if (is_paused(i.state))
		divide(a, r, time - i.start, &i);
	else
		r->pub.by_state[i.state] += time - i.start;
	r->pub.by_phase[i.phase] += time - i.start;
	r->pub.since = time;
	if (r->open.end && continues(&r->open, &i)) {
		r->open.end = time;
		r->open.loop += i.loop;
		return;
	}
	request_tell(a, r);
	r->open = i;
}

void request_follow(struct analysis *a, struct request *r, struct thread *t, uint64_t time)
{
	if (!r->nr_runners || r->runners[r->nr_runners - 1] != t)
		return;
	request_account(a, r, time);
	r->pub.state = t->pub.state;
}

void request_settle(struct analysis *a, struct request *r)
{
	if (a->left_out)
		r->pub.state = THREAD_UNKNOWN;
	else if (r->nr_runners)
		r->pub.state = r->runners[r->nr_runners - 1]->pub.state;
	else if (r->queued)
		r->pub.state = (uint8_t)(REQUEST_QUEUED + r->queue);
	else if (r->replied)
		r->pub.state = REQUEST_REPLY;
	else if (r->taker && r->taker->in_commit)
		r->pub.state = REQUEST_COMMIT;
	else
		r->pub.state = REQUEST_WAIT;
	if (is_paused(r->pub.state))
		mark_clocks(a, r);
}

/* -------- who works on it, who has taken it -------- */

void request_add_runner(struct analysis *a, struct request *r, struct thread *t)
{
	/* One more than we follow: the oldest is forgotten. */
	if (r->nr_runners == TIMELINE_MAX_RUNNERS) {
		r->runners[0]->pub.request = NULL;
		request_remove_runner(a, r, r->runners[0]);
	}
	r->runners[r->nr_runners++] = t;
}

void request_remove_runner(struct analysis *a, struct request *r, struct thread *t)
{
	unsigned int n = 0;

	/* It may be gone when what it did is told. */
	if (r->open.thread == &t->pub)
		request_tell(a, r);
	for (unsigned int i = 0; i < r->nr_runners; i++)
		if (r->runners[i] != t)
			r->runners[n++] = r->runners[i];
	r->nr_runners = n;
}

static void untake(struct request *r)
{
	struct request **at;

	if (!r->taker)
		return;
	for (at = &r->taker->taken; *at != r; at = &(*at)->next_taken)
		;
	*at = r->next_taken;
	r->taker = NULL;
}

static void take(struct request *r, struct thread *t)
{
	untake(r);
	r->taker = t;
	r->next_taken = t->taken;
	t->taken = r;
}

void requests_untake(struct analysis *a, struct thread *t)
{
	while (t->taken) {
		struct request *r = t->taken;

		untake(r);
		if (r->nr_runners)
			continue;
		request_account(a, r, a->now);
		request_settle(a, r);
	}
}

/* -------- begin and end -------- */

static bool is_chosen(const struct analysis *a, uint64_t serial)
{
	if (!a->by_request)
		return true;
	return serial / 8 < a->chosen_bytes && (a->chosen[serial / 8] >> serial % 8 & 1);
}

static struct request *request_new(struct analysis *a, const struct thread *t, uint64_t id)
{
	struct request *r = a->free_requests;

	if (a->requests.nr >= MAX_REQUESTS) {
		a->err = -EFBIG;
		return NULL;
	}
	if (r)
		a->free_requests = r->next_free;
	else
		r = malloc(sizeof(*r));
	if (!r || id_map_reserve(&a->requests)) {
		free(r);
		a->err = -ENOMEM;
		return NULL;
	}
	memset(r, 0, sizeof(*r));
	r->pub.id = id;
	r->pub.pid = t->pub.pid;
	r->pub.home = t->pub.tid;
	r->pub.serial = a->requests_made++;
	r->pub.begin = r->pub.since = a->now;
	r->pub.state = a->left_out ? THREAD_UNKNOWN : REQUEST_WAIT;
	r->pub.chosen = is_chosen(a, r->pub.serial);
	r->losses = a->all_losses;
	/* One that is not over yet may have taken some of it. */
	r->pub.lost = a->nr_losses && a->losses[a->nr_losses - 1].max_until > a->now;
	id_map_add(&a->requests, id, t->pub.pid, r);
	mark_clocks(a, r);
	return r;
}

static void announce(struct analysis *a, struct request *r, const struct event *e)
{
	if (!a->inside || !r->pub.chosen || r->pub.announced)
		return;
	r->pub.announced = true;
	TELL(a, request_begin, &r->pub, e);
	for (unsigned int i = 0; i < r->nr_phases; i++)
		TELL(a, phase_begin, &r->pub, r->phase_names[i],
		     MAX(r->pub.since, a->totals.start));
}

struct request *request_find(struct analysis *a, const struct thread *t, uint64_t id, bool make)
{
	struct request *r = id_map_find(&a->requests, id, t->pub.pid);

	if (r || !make || !id)
		return r;
	r = request_new(a, t, id);
	if (r) {
		r->pub.partial = true;
		announce(a, r, NULL);
	}
	return r;
}

static void choose(struct analysis *a, const struct request *r)
{
	uint64_t serial = r->pub.serial;

	if (serial / 8 >= a->chosen_bytes) {
		size_t bytes = MAX(a->chosen_bytes * 2, (size_t)serial / 8 + 4096);
		uint8_t *chosen = realloc(a->chosen, bytes);

		if (!chosen) {
			a->err = -ENOMEM;
			return;
		}
		memset(chosen + a->chosen_bytes, 0, bytes - a->chosen_bytes);
		a->chosen = chosen;
		a->chosen_bytes = bytes;
	}
	a->chosen[serial / 8] |= (uint8_t)(1 << serial % 8);
}

/* e NULL: its end was not seen. */
static void request_finish(struct analysis *a, struct request *r, const struct event *e)
{
	request_account(a, r, a->now);
	request_tell(a, r);
	while (r->nr_runners) {
		struct thread *t = r->runners[0];

		thread_works(a, t, NULL);
		request_remove_runner(a, r, t);
	}
	untake(r);
	r->pub.end = a->now;
	r->pub.partial = r->pub.partial || !e;
	r->pub.lost = r->pub.lost || r->losses != a->all_losses;
	sums_apply(a, r);
	if (a->choosing && timeline_matches(a, &r->pub))
		choose(a, r);
	if (a->inside) {
		if (r->pub.chosen)
			a->totals.requests++;
		else
			a->totals.unchosen++;
	}
	if (r->pub.announced) {
		for (unsigned int i = r->nr_phases; i--;)
			TELL(a, phase_end, &r->pub, r->phase_names[i], a->now);
		if (a->v->request_end) {
			int err = a->v->request_end(a->ctx, &r->pub, e);

			a->err = a->err ? a->err : err;
		}
	}
	id_map_remove(&a->requests, r->pub.id, r->pub.pid);
	r->next_free = a->free_requests;
	a->free_requests = r;
}

/* Method and path, or whatever it has, for people. */
static void describe(const struct analysis *a, struct timeline_request *r, const struct event *e)
{
	size_t len = 0;

	for (unsigned int i = 0; i < e->nr_args && len < sizeof(r->what) - 1; i++) {
		const struct event_arg *arg = &e->args[i];
		const char *name = trace_string(a->trace, arg->name);

		if (arg->type != EVENT_ARG_TEXT ||
		    (strcmp(name, "method") != 0 && strcmp(name, "path") != 0))
			continue;
		len += (size_t)snprintf(r->what + len, sizeof(r->what) - len, "%s%s",
					len ? " " : "", arg->text);
	}
}

static void begin(struct analysis *a, struct thread *t, const struct event *e)
{
	struct request *r = request_find(a, t, e->begin.request, false);

	/* Its program uses the number again: the end was not seen. */
	if (r)
		request_finish(a, r, NULL);
	r = request_new(a, t, e->begin.request);
	if (!r)
		return;
	r->pub.route = (uint32_t)e->begin.route;
	describe(a, &r->pub, e);
	announce(a, r, e);
	if (e->begin.flags & EVENT_REQUEST_RUNS && !a->left_out) {
		r->pub.pieces++;
		thread_works(a, t, r);
	}
}

static void finish(struct analysis *a, struct thread *t, struct request *r, const struct event *e)
{
	(void)t;
	r->pub.status = (int64_t)e->end.status;
	r->pub.bytes = e->end.bytes;
	r->pub.flags = (uint32_t)e->end.flags;
	request_finish(a, r, e);
}

/* -------- phases and queues -------- */

/* The number of a name: a new one, or the last if there are too many. */
static uint8_t number_of(uint32_t *names, unsigned int *nr, unsigned int max, uint32_t name)
{
	for (unsigned int i = 0; i < *nr; i++)
		if (names[i] == name)
			return (uint8_t)i;
	if (*nr < max) {
		names[*nr] = name;
		return (uint8_t)(*nr)++;
	}
	return (uint8_t)(max - 1);
}

uint8_t phase_number(struct analysis *a, uint32_t name)
{
	struct timeline_names *n = &a->totals.names;

	if (!n->nr_phases)
		n->nr_phases = 1;
	return number_of(n->phases, &n->nr_phases, TIMELINE_MAX_PHASES, name);
}

uint8_t queue_number(struct analysis *a, uint32_t name)
{
	struct timeline_names *n = &a->totals.names;

	return number_of(n->queues, &n->nr_queues, TIMELINE_MAX_QUEUES, name);
}

static void begin_phase(struct analysis *a, struct request *r, const struct event *e)
{
	uint8_t phase;

	if (r->nr_phases == TIMELINE_PHASE_DEPTH) {
		a->totals.odd++;
		return;
	}
	phase = phase_number(a, (uint32_t)e->phase.phase);
	request_account(a, r, a->now);
	request_tell(a, r);
	r->phases[r->nr_phases] = phase;
	r->phase_names[r->nr_phases++] = (uint32_t)e->phase.phase;
	r->pub.phase = phase;
	if (r->pub.announced)
		TELL(a, phase_begin, &r->pub, (uint32_t)e->phase.phase, a->now);
}

static void end_phase(struct analysis *a, struct request *r, const struct event *e)
{
	unsigned int at = r->nr_phases;

	while (at && r->phase_names[at - 1] != e->phase.phase)
		at--;
	if (!at)
		return;
	request_account(a, r, a->now);
	request_tell(a, r);
	while (r->nr_phases >= at) {
		uint32_t name = r->phase_names[--r->nr_phases];

		if (r->pub.announced)
			TELL(a, phase_end, &r->pub, name, a->now);
	}
	r->pub.phase = r->nr_phases ? r->phases[r->nr_phases - 1] : 0;
}

static void queue(struct analysis *a, struct thread *t, struct request *r, const struct event *e)
{
	request_account(a, r, a->now);
	r->queued = e->kind == EVT_ENQUEUE;
	r->replied = e->kind == EVT_REPLY;
	if (e->kind == EVT_DEQUEUE) {
		take(r, t);
	} else {
		untake(r);
		r->queue_name = (uint32_t)e->queue.queue;
		r->queue = queue_number(a, r->queue_name);
	}
	request_settle(a, r);
}

static void commit(struct analysis *a, struct thread *t, const struct event *e)
{
	t->in_commit = e->kind == EVT_COMMIT_BEGIN;
	for (struct request *r = t->taken; r; r = r->next_taken) {
		request_account(a, r, a->now);
		if (!t->in_commit) {
			r->pub.commit_items = (uint32_t)MIN(e->commit.items, UINT32_MAX);
			r->replied = true;
		}
		request_settle(a, r);
	}
}

/* -------- events -------- */

static void run(struct analysis *a, struct thread *t, struct request *r)
{
	r->queued = r->replied = false;
	/* Back with its own thread, it is nobody else's. */
	if (r->taker && r->taker != t && r->pub.home == t->pub.tid)
		untake(r);
	r->pub.pieces++;
	thread_works(a, t, r);
}

void request_event(struct analysis *a, struct thread *t, const struct event *e)
{
	struct request *r;

	if (t->pub.foreign)
		return;
	thread_runs(a, t, e->cpu);
	if (e->kind == EVT_REQUEST_BEGIN) {
		begin(a, t, e);
		return;
	}
	if (e->kind == EVT_COMMIT_BEGIN || e->kind == EVT_COMMIT_END) {
		commit(a, t, e);
		return;
	}
	r = request_find(a, t, e->run.request, e->kind == EVT_REQUEST_RUN);
	if (!r)
		return;
	switch (e->kind) {
	case EVT_REQUEST_RUN:
		run(a, t, r);
		break;
	case EVT_REQUEST_PAUSE:
		if (t->pub.request == &r->pub)
			thread_works(a, t, NULL);
		break;
	case EVT_REQUEST_END:
		finish(a, t, r, e);
		break;
	case EVT_PHASE_BEGIN:
		begin_phase(a, r, e);
		break;
	case EVT_PHASE_END:
		end_phase(a, r, e);
		break;
	case EVT_REQUEST_SUM:
		sum_event(a, r, e);
		break;
	default: /* ENQUEUE, DEQUEUE, REPLY */
		queue(a, t, r, e);
	}
}

/* -------- the window -------- */

void requests_begin(struct analysis *a)
{
	struct request *r;

	for (size_t at = 0; (r = id_map_each(&a->requests, &at));)
		announce(a, r, NULL);
}

static int by_serial(const void *a, const void *b)
{
	const struct request *const *x = a, *const *y = b;

	return (*x)->pub.serial < (*y)->pub.serial ? -1 : (*x)->pub.serial > (*y)->pub.serial;
}

void requests_end(struct analysis *a)
{
	struct request **open = malloc((a->requests.nr + 1) * sizeof(struct request *));
	size_t n = 0, at = 0;

	if (!open) {
		a->err = -ENOMEM;
		return;
	}
	while ((open[n] = id_map_each(&a->requests, &at)))
		n++;
	qsort(open, n, sizeof(struct request *), by_serial);
	for (size_t i = 0; i < n; i++)
		request_finish(a, open[i], NULL);
	free(open);
}

void requests_release(struct analysis *a)
{
	struct request *r;

	for (size_t at = 0; (r = id_map_each(&a->requests, &at));) {
		/* After an error. */
		if (r->pub.announced && a->v->request_end)
			a->v->request_end(a->ctx, &r->pub, NULL);
		free(r->sums);
		free(r);
	}
	id_map_release(&a->requests);
	while ((r = a->free_requests)) {
		a->free_requests = r->next_free;
		free(r);
	}
	free(a->chosen);
}
