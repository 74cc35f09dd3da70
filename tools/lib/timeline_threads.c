/* SPDX-License-Identifier: MIT */
/*
 * The state of every thread. Events tell of changes; where one is missing the next that does not fit
 * shows it, and if there was a loss in between the time since then is of an unknown state.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "timeline_impl.h"
#include "util.h"

#define MAX_THREADS 1000000 /* alive at once */
#define MAX_LOSSES  1000000 /* remembered */

struct thread *thread_find(const struct analysis *a, uint32_t tid)
{
	return id_map_find(&a->threads, tid, 0);
}

static bool chosen_by_tid(const struct timeline_filter *f, uint32_t tid)
{
	for (size_t i = 0; i < f->nr_tids; i++)
		if (f->tids[i] == tid)
			return true;
	return !f->nr_tids;
}

struct thread *thread_new(struct analysis *a, uint32_t tid)
{
	struct thread *t = NULL;

	if (a->threads.nr >= MAX_THREADS)
		a->err = -EFBIG;
	else if (id_map_reserve(&a->threads))
		a->err = -ENOMEM;
	else
		t = calloc(1, sizeof(*t));
	if (!t) {
		a->err = a->err ? a->err : -ENOMEM;
		return NULL;
	}
	t->pub.tid = tid;
	t->pub.serial = a->threads_made++;
	t->pub.born = t->pub.since = MAX(a->trace->first, a->inside ? a->totals.start : 0);
	t->pub.before = true;
	t->pub.cpu = EVENT_NO_CPU;
	t->pub.chosen = chosen_by_tid(a->filter, tid);
	id_map_add(&a->threads, tid, 0, t);
	return t;
}

struct thread *thread_get(struct analysis *a, uint32_t tid)
{
	struct thread *t = thread_find(a, tid);

	return t ? t : thread_new(a, tid);
}

struct thread *thread_of(struct analysis *a, const struct event *e)
{
	struct thread *t = thread_get(a, e->tid);

	if (t)
		t->seen = true;
	return t;
}

static uint32_t process_name(const struct analysis *a, uint32_t pid)
{
	const struct process_name *p = id_map_find(&a->processes, pid, 0);

	return p ? p->name : 0;
}

bool thread_shown(struct analysis *a, struct thread *t)
{
	if (!a->inside || t->pub.foreign || !t->pub.chosen)
		return false;
	if (a->by_request && !(t->pub.request && t->pub.request->chosen))
		return false;
	if (!t->announced) {
		a->totals.threads += !t->known;
		t->announced = t->known = true;
		t->pub.process = process_name(a, t->pub.pid);
		TELL(a, thread, &t->pub);
	}
	return true;
}

/* -------- states -------- */

static bool is_idle(unsigned int state)
{
	return state == THREAD_EPOLL || state == THREAD_NETWORK || state == THREAD_UNKNOWN;
}

void thread_clocks(const struct analysis *a, const struct thread *t, uint64_t *ret_busy,
		   uint64_t *ret_unknown)
{
	uint64_t open;

	*ret_busy = *ret_unknown = 0;
	if (!t)
		return;
	open = a->now > t->pub.since ? a->now - t->pub.since : 0;
	*ret_busy = t->busy + (is_idle(t->pub.state) ? 0 : open);
	*ret_unknown = t->unknown + (t->pub.state == THREAD_UNKNOWN ? open : 0);
}

/* The state so far ends at `time`. */
void thread_close(struct analysis *a, struct thread *t, uint64_t time)
{
	struct timeline_interval i = {
		.start = t->pub.since,
		.end = time,
		.state = t->pub.state,
		.cpu = t->pub.cpu,
		.syscall = t->pub.syscall,
		.request = t->pub.request,
	};

	if (time <= t->pub.since)
		return;
	if (!thread_state_running(i.state))
		i.stack = t->pub.stack;
	if (i.state == THREAD_RUNNABLE)
		i.waker = t->pub.waker;
	if (!is_idle(i.state))
		t->busy += time - i.start;
	if (i.state == THREAD_UNKNOWN)
		t->unknown += time - i.start;
	if (thread_shown(a, t)) {
		t->pub.total[i.state] += time - i.start;
		TELL(a, state, &t->pub, &i);
	}
	t->pub.since = time;
}

void thread_set(struct analysis *a, struct thread *t, uint64_t time, unsigned int state)
{
	struct request *r = (struct request *)t->pub.request;

	thread_close(a, t, time);
	t->pub.state = (uint8_t)state;
	if (r)
		request_follow(a, r, t, time);
}

static void tell_run(struct analysis *a, struct thread *t, struct cpu *c, uint64_t time,
		     unsigned int then);

void thread_works(struct analysis *a, struct thread *t, struct request *r)
{
	struct request *old = (struct request *)t->pub.request;

	if (old == r)
		return;
	thread_close(a, t, a->now);
	if (a->by_request && t->pub.cpu < a->nr_cpus && a->cpus[t->pub.cpu].current == t)
		tell_run(a, t, &a->cpus[t->pub.cpu], a->now, THREAD_USER);
	if (old) {
		request_account(a, old, a->now);
		request_remove_runner(a, old, t);
	}
	t->pub.request = r ? &r->pub : NULL;
	if (old)
		request_settle(a, old);
	if (r) {
		request_account(a, r, a->now);
		request_add_runner(a, r, t);
		request_settle(a, r);
	}
}

/* -------- CPUs -------- */

static struct cpu *cpu_of(struct analysis *a, uint16_t cpu)
{
	if (cpu == EVENT_NO_CPU)
		return NULL;
	while (a->nr_cpus <= cpu) {
		if (array_grow((void **)&a->cpus, a->nr_cpus, &a->cap_cpus, sizeof(*a->cpus))) {
			a->err = -ENOMEM;
			return NULL;
		}
		a->cpus[a->nr_cpus++] = (struct cpu){ 0 };
	}
	return &a->cpus[cpu];
}

/* What it has run so far is told, if it is. */
static void tell_run(struct analysis *a, struct thread *t, struct cpu *c, uint64_t time,
		     unsigned int then)
{
	if (time > c->since && thread_shown(a, t))
		TELL(a, run, &t->pub, t->pub.cpu, c->since, time, then);
	c->since = time;
}

void thread_leave_cpu(struct analysis *a, struct thread *t, uint64_t time, unsigned int then)
{
	struct cpu *c = t->pub.cpu == EVENT_NO_CPU ? NULL : cpu_of(a, t->pub.cpu);

	if (!c || c->current != t)
		return;
	tell_run(a, t, c, time, then);
	c->current = NULL;
}

/* The begin of the first loss since the thread's state began, or 0. */
uint64_t thread_first_loss(const struct analysis *a, const struct thread *t)
{
	size_t low = 0, high = a->nr_losses;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (a->losses[middle].max_until > t->pub.since)
			high = middle;
		else
			low = middle + 1;
	}
	return low < a->nr_losses ? MAX(a->losses[low].from, t->pub.since) : 0;
}

void thread_doubt(struct analysis *a, struct thread *t, uint64_t time)
{
	thread_forget(a, t, time);
	t->pub.lost++;
}

void thread_forget(struct analysis *a, struct thread *t, uint64_t time)
{
	struct request *r = (struct request *)t->pub.request;

	thread_leave_cpu(a, t, time, THREAD_UNKNOWN);
	thread_set(a, t, time, THREAD_UNKNOWN);
	spans_cut(a, t, time);
	t->pub.syscall = 0;
	t->early = false;
	if (!r)
		return;
	request_account(a, r, time);
	request_remove_runner(a, r, t);
	t->pub.request = NULL;
	if (!r->nr_runners)
		r->pub.state = THREAD_UNKNOWN;
}

/* What should have been told before now was not. */
void thread_missed(struct analysis *a, struct thread *t)
{
	uint64_t loss;

	if (t->pub.state == THREAD_UNKNOWN)
		return;
	loss = thread_first_loss(a, t);
	if (loss)
		thread_doubt(a, t, loss);
	else
		a->totals.odd++;
}

/* Also after an error. */
static void tell_end(struct analysis *a, struct thread *t)
{
	int err = t->known && a->v->thread_end ? a->v->thread_end(a->ctx, &t->pub) : 0;

	t->known = false;
	a->err = a->err ? a->err : err;
}

void thread_die(struct analysis *a, struct thread *t, uint64_t time)
{
	struct request *r = (struct request *)t->pub.request;

	thread_leave_cpu(a, t, time, THREAD_DEAD);
	thread_close(a, t, time);
	spans_cut(a, t, time);
	if (r) {
		request_account(a, r, time);
		request_remove_runner(a, r, t);
	}
	requests_untake(a, t);
	t->pub.died = MAX(time, t->pub.since);
	tell_end(a, t);
	t->pub.request = NULL;
	if (r)
		request_settle(a, r);
	id_map_remove(&a->threads, t->pub.tid, 0);
	free(t->spans);
	free(t);
}

/* Somebody else is on the CPU where t was. */
static void displaced(struct analysis *a, struct thread *t)
{
	if (t->exit_time) {
		thread_die(a, t, t->exit_time);
		return;
	}
	thread_missed(a, t);
	thread_leave_cpu(a, t, a->now, THREAD_UNKNOWN);
	if (thread_state_running(t->pub.state))
		thread_set(a, t, a->now, THREAD_UNKNOWN);
}

void thread_take_cpu(struct analysis *a, struct thread *t, uint16_t cpu)
{
	struct cpu *c = cpu_of(a, cpu);

	if (!c)
		return;
	if (c->current && c->current != t)
		displaced(a, c->current);
	if (t->pub.cpu != cpu)
		thread_leave_cpu(a, t, a->now, THREAD_UNKNOWN);
	if (c->current != t) {
		c->current = t;
		c->since = a->now;
	}
	t->pub.cpu = cpu;
}

unsigned int thread_running_state(const struct thread *t)
{
	return t->pub.syscall ? THREAD_SYSCALL : THREAD_USER;
}

void thread_runs(struct analysis *a, struct thread *t, uint16_t cpu)
{
	bool running = thread_state_running(t->pub.state);

	if (t->pub.foreign || a->no_sched || a->left_out ||
	    (running && (t->pub.cpu == cpu || cpu == EVENT_NO_CPU)))
		return;
	/* That it runs may have been told, but not where. */
	if (!running || t->pub.cpu != EVENT_NO_CPU)
		thread_missed(a, t);
	thread_take_cpu(a, t, cpu);
	thread_set(a, t, a->now, thread_running_state(t));
}

/* -------- losses -------- */

static int remember(struct analysis *a, const struct event *e)
{
	struct loss *l;

	/* A stream has no end, and asks of the last ones only. */
	if (a->nr_losses == MAX_LOSSES) {
		memmove(a->losses, a->losses + MAX_LOSSES / 2, MAX_LOSSES / 2 * sizeof(*a->losses));
		a->nr_losses /= 2;
	}
	if (array_grow((void **)&a->losses, a->nr_losses, &a->cap_losses, sizeof(*a->losses)))
		return -ENOMEM;
	l = &a->losses[a->nr_losses];
	*l = (struct loss){ a->now, e->lost.until, e->lost.until };
	if (a->nr_losses)
		l->max_until = MAX(l->max_until, l[-1].max_until);
	a->nr_losses++;
	a->all_losses++;
	return 0;
}

void thread_lost(struct analysis *a, const struct event *e)
{
	if (remember(a, e)) {
		a->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < a->nr_cpus; i++) {
		struct thread *t = a->cpus[i].current;

		if (t && (e->cpu == EVENT_NO_CPU || e->cpu == i))
			thread_doubt(a, t, a->now);
	}
}

/* -------- the window -------- */

void threads_begin(struct analysis *a)
{
	struct thread *t;

	for (size_t at = 0; (t = id_map_each(&a->threads, &at));) {
		/* Up to now nobody is told. */
		thread_close(a, t, a->totals.start);
		t->pub.born = MAX(t->pub.born, a->totals.start);
	}
	for (size_t i = 0; i < a->nr_cpus; i++)
		a->cpus[i].since = MAX(a->cpus[i].since, a->totals.start);
	a->inside = true;
	for (size_t at = 0; (t = id_map_each(&a->threads, &at));) {
		t->announced = false;
		if (thread_shown(a, t))
			spans_begin(a, t);
	}
}

void threads_end(struct analysis *a)
{
	struct thread *t;

	for (size_t at = 0; (t = id_map_each(&a->threads, &at));) {
		uint64_t end = t->exit_time ? t->exit_time : a->totals.end;

		thread_leave_cpu(a, t, end, t->exit_time ? THREAD_DEAD : THREAD_USER);
		thread_close(a, t, end);
		spans_cut(a, t, end);
		if (t->exit_time)
			t->pub.died = end;
		tell_end(a, t);
	}
}

void threads_release(struct analysis *a)
{
	struct process_name *p;
	struct thread *t;

	for (size_t at = 0; (t = id_map_each(&a->threads, &at));) {
		/* After an error. */
		tell_end(a, t);
		free(t->spans);
		free(t);
	}
	id_map_release(&a->threads);
	for (size_t at = 0; (p = id_map_each(&a->processes, &at));)
		free(p);
	id_map_release(&a->processes);
	free(a->cpus);
	free(a->losses);
	free(a->ios);
}
