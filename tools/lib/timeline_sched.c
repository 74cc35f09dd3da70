/* SPDX-License-Identifier: MIT */
/* What the events of the scheduler, and of threads that come and go, do to their states. */
#include <errno.h>
#include <stdlib.h>

#include "timeline_impl.h"
#include "util.h"

/*
 * A wakeup is told before the kernel looks whether the wakee has left its CPU (kernel/sched/core.c,
 * try_to_wake_up): so it may come that much before the switch that says that it sleeps.
 */
#define EARLY UINT64_C(1000000)

/* It never slept, but waited for its CPU. */
static void woken_early(struct thread *t)
{
	struct request *r = (struct request *)t->pub.request;

	t->pub.state = THREAD_RUNNABLE;
	t->pub.waker = t->early_waker;
	t->pub.waker_time = t->early_time;
	if (r && r->nr_runners && r->runners[r->nr_runners - 1] == t)
		r->pub.state = THREAD_RUNNABLE;
}

static void switch_in(struct analysis *a, struct thread *t, const struct event *e)
{
	if (t->pub.foreign)
		return;
	if (thread_state_running(t->pub.state)) {
		thread_missed(a, t);
	} else if (thread_state_blocked(t->pub.state)) {
		/* No wakeup was seen: it came early, or is lost, or was none of a kind that is told. */
		uint64_t loss = thread_first_loss(a, t);

		if (t->early && t->pub.since - t->early_time < EARLY)
			woken_early(t);
		else if (loss)
			thread_doubt(a, t, loss);
	}
	t->early = false;
	thread_take_cpu(a, t, e->cpu);
	thread_set(a, t, a->now, thread_running_state(t));
	if (thread_shown(a, t))
		t->pub.runs++;
}

static void switch_out(struct analysis *a, struct thread *t, const struct event *e)
{
	uint64_t state = e->out.state;

	if (t->pub.foreign) {
		/* Only who was ours is told of to die (timeline_exec.c). */
		if (state == THREAD_DEAD)
			thread_die(a, t, a->now);
		return;
	}
	thread_runs(a, t, e->cpu);
	if (state == THREAD_DEAD) {
		thread_die(a, t, a->now);
		return;
	}
	if (state != THREAD_RUNNABLE && state != THREAD_PREEMPTED && !thread_state_blocked(state))
		state = THREAD_UNKNOWN;
	thread_leave_cpu(a, t, a->now, (unsigned int)state);
	if (state == THREAD_PREEMPTED && thread_shown(a, t))
		t->pub.preemptions++;
	if (t->pub.request)
		t->pub.request->switches++;
	/* Its stack is that of what comes. */
	thread_close(a, t, a->now);
	t->pub.stack = (uint32_t)e->out.stack;
	t->pub.waker = 0;
	thread_set(a, t, a->now, state);
}

static void wake(struct analysis *a, struct thread *t, const struct event *e)
{
	uint32_t waker = e->waking.flags & EVENT_WAKING_IRQ ? 0 : e->tid;

	if (thread_state_running(t->pub.state)) {
		t->early = true;
		t->early_waker = waker;
		t->early_time = a->now;
		return;
	}
	if (t->pub.state == THREAD_PREEMPTED)
		return;
	if (t->pub.state != THREAD_RUNNABLE)
		thread_set(a, t, a->now, THREAD_RUNNABLE);
	t->early = false;
	t->pub.waker = waker;
	t->pub.waker_time = a->now;
	if (thread_shown(a, t))
		t->pub.wakeups++;
}

static void waking(struct analysis *a, const struct event *e)
{
	struct thread *waker = thread_find(a, e->tid);
	struct thread *t = thread_find(a, (uint32_t)e->waking.wakee);

	if (waker && !waker->pub.foreign && e->cpu != EVENT_NO_CPU)
		thread_runs(a, waker, e->cpu);
	if (!t || t->pub.foreign)
		return;
	wake(a, t, e);
	if (e->waking.flags & EVENT_WAKING_IRQ)
		waker = NULL;
	if (thread_shown(a, t))
		TELL(a, waking, waker ? &waker->pub : NULL, &t->pub, e);
}

/* A thread is new, or only told of again. */
static void appear(struct analysis *a, const struct event *e)
{
	bool before = e->thread.flags & EVENT_THREAD_BEFORE;
	struct thread *t = thread_find(a, e->tid);

	/* The TID of a thread whose end was not seen. */
	if (t && !before && t->pub.pid) {
		thread_die(a, t, t->exit_time ? t->exit_time : a->now);
		t = NULL;
	}
	if (!t)
		t = thread_new(a, e->tid);
	if (!t)
		return;
	if (!before && !t->seen) {
		t->pub.born = t->pub.since = a->now;
		t->pub.before = false;
		t->pub.state = THREAD_RUNNABLE;
	}
	t->pub.pid = (uint32_t)e->thread.pid;
	t->pub.name = (uint32_t)e->thread.name;
	t->pub.foreign = e->thread.flags & EVENT_THREAD_FOREIGN;
	t->announced = false;
	thread_shown(a, t);
}

static void rename_thread(struct analysis *a, struct thread *t, uint64_t name)
{
	if (t->pub.name == name)
		return;
	t->pub.name = (uint32_t)name;
	t->announced = false;
	thread_shown(a, t);
}

static void name_process(struct analysis *a, uint32_t pid, uint64_t name)
{
	struct process_name *p = id_map_find(&a->processes, pid, 0);

	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p || id_map_reserve(&a->processes)) {
			free(p);
			a->err = -ENOMEM;
			return;
		}
		p->pid = pid;
		id_map_add(&a->processes, pid, 0, p);
	}
	p->name = (uint32_t)name;
}

static void exec(struct analysis *a, struct thread *t, const struct event *e)
{
	thread_runs(a, t, e->cpu);
	name_process(a, t->pub.pid, e->exec.name);
	rename_thread(a, t, e->exec.name);
	if (thread_shown(a, t))
		TELL(a, instant, &t->pub, e);
}

/* What somebody found out by looking: news only of those who have done nothing yet. */
static void told_state(struct analysis *a, struct thread *t, const struct event *e)
{
	uint64_t since = MAX(e->state.since, t->pub.born), state = e->state.state;
	struct timeline_span s = { .kind = TIMELINE_SYSCALL, .inherited = true };

	if (t->seen || t->pub.state != THREAD_UNKNOWN || t->pub.foreign || a->no_sched)
		return;
	since = MAX(MIN(since, a->now), t->pub.since);
	t->pub.stack = (uint32_t)e->state.stack;
	thread_set(a, t, since, state < THREAD_DEAD ? (unsigned int)state : THREAD_UNKNOWN);
	if (e->state.request)
		thread_works(a, t, request_find(a, t, e->state.request, true));
	if (!e->state.syscall)
		return;
	t->pub.syscall = (uint32_t)e->state.syscall;
	s.number = e->state.syscall - 1;
	s.start = MAX(e->state.entered, t->pub.born);
	span_push(a, t, &s, NULL);
}

static void leave(struct analysis *a, struct thread *t, const struct event *e)
{
	if (t->pub.foreign) {
		thread_die(a, t, a->now);
		return;
	}
	if (thread_shown(a, t))
		TELL(a, instant, &t->pub, e);
	if (thread_state_running(t->pub.state))
		t->exit_time = a->now;
	else
		thread_die(a, t, a->now);
}

void thread_event(struct analysis *a, const struct event *e)
{
	struct thread *t;

	if (e->kind == EVT_PROCESS) {
		name_process(a, e->tid, e->process.name);
		return;
	}
	if (e->kind == EVT_THREAD) {
		appear(a, e);
		return;
	}
	if (e->kind == EVT_WAKING) {
		waking(a, e);
		return;
	}
	if (e->kind == EVT_EXEC)
		exec_told(a, e);
	t = e->kind == EVT_STATE || e->kind == EVT_NAME ? thread_get(a, e->tid) : thread_of(a, e);
	if (!t)
		return;
	switch (e->kind) {
	case EVT_NAME:
		rename_thread(a, t, e->name.name);
		break;
	case EVT_EXEC:
		exec(a, t, e);
		break;
	case EVT_EXIT:
		leave(a, t, e);
		break;
	case EVT_STATE:
		told_state(a, t, e);
		break;
	case EVT_SWITCH_IN:
		switch_in(a, t, e);
		break;
	case EVT_SWITCH_OUT:
		switch_out(a, t, e);
		break;
	default:
		break;
	}
}
