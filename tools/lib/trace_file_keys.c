/* SPDX-License-Identifier: MIT */
/*
 * What every thread is, so that the state of all can be repeated in the file for those who read a
 * part of it. CPUs are heard one after the other: what is older than what is known is passed over.
 */
#include <errno.h>
#include <stdlib.h>

#include "trace_file_impl.h"
#include "util.h"

void keys_release(struct keys *k)
{
	free(k->threads);
	free(k->slots);
	free(k->processes);
	*k = (struct keys){ 0 };
}

static size_t first_slot(const struct keys *k, uint32_t tid)
{
	return (tid * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (k->nr_slots - 1);
}

static uint32_t *find_slot(const struct keys *k, uint32_t tid)
{
	size_t at = first_slot(k, tid);

	while (k->slots[at] && k->threads[k->slots[at] - 1].tid != tid)
		at = (at + 1) & (k->nr_slots - 1);
	return &k->slots[at];
}

static int grow_slots(struct keys *k)
{
	size_t n = k->nr_slots ? k->nr_slots * 2 : 256;

	if ((k->nr + 1) * 2 <= k->nr_slots)
		return 0;
	free(k->slots);
	k->slots = calloc(n, sizeof(*k->slots));
	k->nr_slots = k->slots ? n : 0;
	if (!k->slots)
		return -ENOMEM;
	for (size_t i = 0; i < k->nr; i++)
		*find_slot(k, k->threads[i].tid) = (uint32_t)i + 1;
	return 0;
}

/* NULL: there is none, and `create` is false or there are too many. */
static int find_thread(struct keys *k, uint32_t tid, bool create, struct key_thread **ret)
{
	uint32_t *slot;

	*ret = NULL;
	if (k->last && k->last->tid == tid) {
		*ret = k->last;
		return 0;
	}
	if (!tid || (!k->nr_slots && !create))
		return 0;
	if (create && grow_slots(k))
		return -ENOMEM;
	slot = find_slot(k, tid);
	if (!*slot && create && k->nr < KEYS_MAX) {
		if (array_grow((void **)&k->threads, k->nr, &k->cap, sizeof(*k->threads)))
			return -ENOMEM;
		k->threads[k->nr++] = (struct key_thread){ .tid = tid };
		*slot = (uint32_t)k->nr;
	}
	if (*slot)
		*ret = k->last = &k->threads[*slot - 1];
	return 0;
}

/* The slot's successors may have been put there because it was taken: they are put anew. */
static void free_slot(struct keys *k, uint32_t *slot)
{
	size_t at = (size_t)(slot - k->slots);

	*slot = 0;
	for (at = (at + 1) & (k->nr_slots - 1); k->slots[at]; at = (at + 1) & (k->nr_slots - 1)) {
		uint32_t index = k->slots[at];

		k->slots[at] = 0;
		*find_slot(k, k->threads[index - 1].tid) = index;
	}
}

static void remove_thread(struct keys *k, uint32_t tid)
{
	uint32_t *slot = k->nr_slots ? find_slot(k, tid) : NULL;
	size_t index;

	if (!slot || !*slot)
		return;
	index = *slot - 1;
	free_slot(k, slot);
	k->last = NULL;
	if (index == --k->nr)
		return;
	*find_slot(k, k->threads[k->nr].tid) = (uint32_t)index + 1;
	k->threads[index] = k->threads[k->nr];
}

static void remove_process(struct keys *k, uint32_t pid)
{
	for (size_t i = 0; i < k->nr_processes; i++) {
		if (k->processes[i].pid != pid)
			continue;
		k->processes[i] = k->processes[--k->nr_processes];
		return;
	}
}

static int add_process(struct keys *k, const struct event *e)
{
	remove_process(k, e->tid);
	if (k->nr_processes == KEYS_MAX)
		return 0;
	if (array_grow((void **)&k->processes, k->nr_processes, &k->cap_processes,
		       sizeof(*k->processes)))
		return -ENOMEM;
	k->processes[k->nr_processes++] = (struct key_process){
		.pid = e->tid,
		.parent = (uint32_t)e->process.parent,
		.name = (uint32_t)e->process.name,
	};
	return 0;
}

static void set_state(struct key_thread *t, const struct event *e, uint64_t state, uint64_t stack)
{
	if (e->time < t->since)
		return;
	t->state = (uint8_t)state;
	t->stack = stack;
	t->since = e->time;
}

static void set_syscall(struct key_thread *t, const struct event *e, uint32_t syscall)
{
	if (e->time < t->entered)
		return;
	t->syscall = syscall;
	t->entered = e->time;
}

static void set_request(struct key_thread *t, const struct event *e, uint64_t request)
{
	if (e->time < t->worked)
		return;
	t->request = request;
	t->worked = e->time;
}

/* What was found out by looking, not by following. */
static void take_state(struct key_thread *t, const struct event *e)
{
	if (t->since || t->entered)
		return;
	t->state = (uint8_t)e->state.state;
	t->since = e->state.since;
	t->stack = e->state.stack;
	t->syscall = (uint32_t)e->state.syscall;
	t->entered = e->state.entered;
	t->request = e->state.request;
}

static void apply(struct key_thread *t, const struct event *e)
{
	switch (e->kind) {
	case EVT_THREAD:
		*t = (struct key_thread){
			.tid = e->tid,
			.pid = (uint32_t)e->thread.pid,
			.name = (uint32_t)e->thread.name,
			.flags = (uint8_t)(e->thread.flags | EVENT_THREAD_BEFORE),
		};
		break;
	case EVT_NAME:
		t->name = (uint32_t)e->name.name;
		break;
	case EVT_STATE:
		take_state(t, e);
		break;
	case EVT_SWITCH_IN:
		set_state(t, e, THREAD_USER, 0);
		break;
	case EVT_SWITCH_OUT:
		set_state(t, e, e->out.state, e->out.stack);
		break;
	case EVT_SYSCALL_ENTER:
		set_syscall(t, e, (uint32_t)e->enter.nr + 1);
		break;
	case EVT_SYSCALL_EXIT:
		set_syscall(t, e, 0);
		break;
	case EVT_REQUEST_BEGIN:
	case EVT_REQUEST_RUN:
		if (e->kind == EVT_REQUEST_RUN || (e->begin.flags & EVENT_REQUEST_RUNS))
			set_request(t, e, e->run.request);
		break;
	case EVT_REQUEST_PAUSE:
	case EVT_REQUEST_END:
		if (t->request == e->run.request)
			set_request(t, e, 0);
		break;
	default:
		break;
	}
}

static int waking(struct keys *k, const struct event *e)
{
	struct key_thread *t;
	int err = find_thread(k, (uint32_t)e->waking.wakee, false, &t);

	/* One that has not slept yet was woken for nothing. */
	if (t && !thread_state_running(t->state) && e->time >= t->since) {
		t->state = THREAD_RUNNABLE;
		t->since = e->time;
	}
	return err;
}

static int leave(struct keys *k, const struct event *e)
{
	struct key_thread *t;
	int err = find_thread(k, e->tid, false, &t);

	if (t && e->time < t->taken)
		return err; /* that of who had the number before */
	if (t && (e->exit.flags & EVENT_EXIT_GROUP))
		remove_process(k, t->pid);
	remove_thread(k, e->tid);
	return err;
}

/* The last switch of a thread. */
static int leave_cpu(struct keys *k, const struct event *e)
{
	struct key_thread *t;
	int err = find_thread(k, e->tid, false, &t);

	if (!t || e->time >= t->taken)
		remove_thread(k, e->tid);
	return err;
}

/*
 * Who runs another program is the only thread of its process, and has its number, whoever it was
 * before. It has been heard of under that number before this, but not that it is of the process.
 */
static int exec(struct keys *k, const struct event *e)
{
	struct key_thread *t;
	int err;

	for (size_t i = k->nr; i--;)
		if (k->threads[i].pid == e->tid && k->threads[i].tid != e->tid)
			remove_thread(k, k->threads[i].tid);
	if (e->exec.old_tid)
		remove_thread(k, (uint32_t)e->exec.old_tid);
	err = find_thread(k, e->tid, true, &t);
	if (!t)
		return err;
	t->pid = e->tid;
	t->name = (uint32_t)e->exec.name;
	t->flags = EVENT_THREAD_BEFORE;
	if (e->exec.old_tid)
		t->taken = e->time;
	return err;
}

bool keys_state(const struct key_thread *t, struct event *ret)
{
	*ret = (struct event){ .tid = t->tid, .cpu = EVENT_NO_CPU, .kind = EVT_STATE };
	ret->state.state = t->state;
	ret->state.since = t->since;
	ret->state.stack = t->stack;
	ret->state.syscall = t->syscall;
	ret->state.entered = t->entered;
	ret->state.request = t->request;
	return t->state != THREAD_UNKNOWN;
}

int keys_event(struct keys *k, const struct event *e)
{
	struct key_thread *t;
	bool create = true;
	int err;

	switch (e->kind) {
	case EVT_PROCESS:
		return add_process(k, e);
	case EVT_WAKING:
		return waking(k, e);
	case EVT_EXIT:
		return leave(k, e);
	case EVT_SWITCH_OUT:
		if (e->out.state != THREAD_DEAD)
			break;
		return leave_cpu(k, e);
	case EVT_EXEC:
		return exec(k, e);
	case EVT_THREAD:
	case EVT_NAME:
	case EVT_STATE:
	case EVT_SWITCH_IN:
	case EVT_SYSCALL_ENTER:
	case EVT_SYSCALL_EXIT:
	case EVT_REQUEST_BEGIN:
	case EVT_REQUEST_RUN:
		break;
	default:
		create = false;
	}
	err = find_thread(k, e->tid, create, &t);
	if (t)
		apply(t, e);
	return err;
}
