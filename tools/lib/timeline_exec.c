/* SPDX-License-Identifier: MIT */
/*
 * Another program in the same process, called by another thread than the first. The kernel ends all
 * others, and when the first is gone but for its last switch gives the caller its number, and it the
 * caller's (fs/exec.c, de_thread). The call itself is told later, when the program is loaded.
 *
 * So what comes under the first one's number, once that has exited, from a CPU on which the caller has
 * been since before, is the caller's. There the caller's old number ends, and another thread begins in
 * the same state, with the first one's. What still comes under the caller's is the last of the
 * first, which was there until then.
 */
#include <stdlib.h>

#include "timeline_impl.h"

/* It has the caller's number by now, and is to leave its CPU. */
static void swallow(struct analysis *a, uint32_t tid)
{
	struct thread *t = thread_new(a, tid);

	if (t)
		t->pub.foreign = true;
}

static void open_syscall(struct analysis *a, struct thread *t, uint32_t syscall)
{
	struct timeline_span s = {
		.kind = TIMELINE_SYSCALL,
		.start = a->now,
		.number = syscall - 1,
		.inherited = true,
	};

	t->pub.syscall = syscall;
	if (syscall)
		span_push(a, t, &s, NULL);
}

/* `caller` goes on as its process's first thread. */
static void take_over(struct analysis *a, struct thread *caller)
{
	uint32_t tid = caller->pub.pid, old_tid = caller->pub.tid;
	struct thread *first = thread_find(a, tid), *t;
	struct timeline_thread was = caller->pub;
	bool lingers = first && first->exit_time;

	if (first)
		thread_die(a, first, a->now);
	thread_die(a, caller, a->now);
	t = thread_new(a, tid);
	if (!t)
		return;
	t->pub.pid = tid;
	t->pub.name = was.name;
	t->pub.born = t->pub.since = a->now;
	t->pub.before = false;
	t->pub.state = was.state;
	t->pub.stack = was.stack;
	t->pub.waker = was.waker;
	t->pub.waker_time = was.waker_time;
	t->seen = true;
	if (thread_state_running(was.state) && was.cpu != EVENT_NO_CPU)
		thread_take_cpu(a, t, was.cpu);
	thread_shown(a, t);
	open_syscall(a, t, was.syscall);
	if (lingers)
		swallow(a, old_tid);
}

void exec_before(struct analysis *a, const struct event *e)
{
	struct thread *t, *first;

	/* Whoever comes onto a CPU was not there before. */
	if (e->cpu >= a->nr_cpus || e->kind == EVT_SWITCH_IN)
		return;
	t = a->cpus[e->cpu].current;
	if (!t || t->pub.tid == e->tid || t->pub.pid != e->tid || !t->pub.syscall)
		return;
	first = thread_find(a, e->tid);
	if (!first || first->exit_time)
		take_over(a, t);
}

void exec_told(struct analysis *a, const struct event *e)
{
	struct thread *caller = thread_find(a, (uint32_t)e->exec.old_tid);

	if (!e->exec.old_tid || !caller || caller->pub.foreign || caller->pub.tid == e->tid)
		return;
	/* It may have been heard of only now. */
	caller->pub.pid = e->tid;
	take_over(a, caller);
}
