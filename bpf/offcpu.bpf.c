/* SPDX-License-Identifier: MIT */
/*
 * periscope offcpu, kernel side: for each watched thread what it is doing and since when. When it
 * leaves a CPU its stack is walked, while it is the current task; when it is on one again, the time
 * that it waited is added to what waits with that stack, for that reason, have taken so far.
 *
 * Time counts from window_start to window_end. Both are set by user space; the programs see waits
 * that reach over an edge whole and count the part inside.
 *
 * A wake-up is taken from sched_waking, in the context of who wakes. It may come just before the
 * sched_switch of the wait that it ends, on another CPU; therefore it is only noted, whatever the
 * thread is doing, and looked at when the wait is over.
 * Of a wait whose end was not reported the scheduler's own notes tell it (sched_notes.bpf.h).
 */
#include "vmlinux/vmlinux.h"

#include <asm/errno.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "offcpu.h"
#include "offcpu_stacks.bpf.h"
#include "offcpu_waits.bpf.h"
#include "request_args.bpf.h"
#include "wait.bpf.h"

#define WINDOW_AHEAD_NS 2000

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* sched_switch has a fourth argument, the state (Linux 5.18); without it the task's own is read. */
const volatile bool switch_tells_state = true;
const volatile __u32 filter_reasons = ~0U;
const volatile __u32 filter_states = ~0U; /* bit: the letter's place in the alphabet */
const volatile bool filter_idle;	  /* drop waits for work; see offcpu_request */

/* A scan is under way: threads that it has not come to yet are taken note of where they are met. */
bool scanning;
__u32 scan_tgid;      /* in our PID namespace; 0: all */
__u64 scan_stack;     /* OFFCPU_SCANNED() of this scan or, between two, of the next one */
__u64 unmapped_waits; /* that began with a stack which ends in what was not known to be mapped */
__u64 lost_threads;
__u64 lost_requests; /* that found no room in `in_flight` */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OFFCPU_MAX_THREADS);
	__type(key, __u32);
	__type(value, struct offcpu_thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct offcpu_sleeper);
} sleeper SEC(".maps");

/* Requests that have begun and not ended: by which thread, in the initial PID namespace. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* OFFCPU_MAX_REQUESTS */
	__type(key, struct request_key);
	__type(value, __u32);
} in_flight SEC(".maps");

/* ---------------------------------------------------------------- threads ---- */

/* Spares strangers the look into a cold map. Not for the idle tasks. */
static __always_inline bool may_be_ours(const struct task_struct *task)
{
	if (targ_tgid && !targ_pidns)
		return (__u32)task->tgid == targ_tgid;
	return task->pid != 0;
}

static __always_inline struct offcpu_thread *find_thread(const struct task_struct *task)
{
	__u32 pid = task->pid;

	return bpf_map_lookup_elem(&threads, &pid);
}

/* Take a thread in that is doing something from now on. NULL: not ours, or no room. */
static __always_inline struct offcpu_thread *begin_thread(struct task_struct *task, __u8 doing,
							  __u8 reason)
{
	struct target_ids ids = ids_of(task);
	struct offcpu_thread t = {
		.since = bpf_ktime_get_ns(),
		.tgid = ids.tgid,
		.tid = ids.tid,
		.doing = doing,
		.reason = reason,
		.state = doing == OFFCPU_IS_BLOCKED ? 'S' : 'R',
	};
	__u32 pid = task->pid;

	if (!target_lookup(ids))
		return NULL;
	bpf_probe_read_kernel(t.comm, sizeof(t.comm), task->comm);
	t.unwanted = !(filter_reasons >> reason & 1) || !(filter_states >> (t.state & 31) & 1);
	if (bpf_map_update_elem(&threads, &pid, &t, BPF_ANY))
		__sync_fetch_and_add(&lost_threads, 1);
	return bpf_map_lookup_elem(&threads, &pid);
}

/* Its last moment. */
static __always_inline void end_thread(struct offcpu_thread *t, __u32 pid)
{
	struct offcpu_exit e = { .header = { .type = EVENT_OFFCPU_EXIT, .tgid = t->tgid } };

	t->doing = OFFCPU_IS_DEAD;
	e.thread = *t;
	if (bpf_ringbuf_output(&events, &e, sizeof(e), BPF_RB_NO_WAKEUP))
		count_stat(STAT_LOST_EVENTS);
	bpf_map_delete_elem(&threads, &pid);
}

/* The letter of a state of linux/sched.h, as fs/proc/array.c has it. */
static __always_inline char state_letter(__u32 state)
{
	if (!state)
		return 'R';
	if (state & TASK_INTERRUPTIBLE)
		return 'S';
	if (state & (TASK_STOPPED | TASK_TRACED))
		return 'T';
	if (state & TASK_PARKED)
		return 'P';
	return 'D';
}

/* How the task, which is not on a CPU or just leaves it, waits. */
static __always_inline void describe_wait(struct offcpu_thread *t, struct task_struct *task,
					  __u32 state)
{
	t->state = state_letter(state);
	t->doing = state ? OFFCPU_IS_BLOCKED : OFFCPU_IS_RUNNABLE;
	t->idle = false;
	if (!state) {
		t->reason = OFFCPU_PREEMPTED;
	} else if (t->state == 'T') {
		t->reason = OFFCPU_STOPPED;
	} else {
		t->reason = wait_class(task);
		t->idle = wait_is_idle(task, t->reason) && t->in_flight <= 0;
	}
	t->unwanted = !(filter_reasons >> t->reason & 1) ||
		      !(filter_states >> (t->state & 31) & 1) || (filter_idle && t->idle);
}

/* It is on a CPU, but that it came there was not reported. */
static __always_inline void arrive_unseen(struct offcpu_thread *t, const struct task_struct *task,
					  __u64 now)
{
	bool woken = t->doing == OFFCPU_IS_BLOCKED && t->woken > t->since;
	bool blocked = t->doing == OFFCPU_IS_BLOCKED && !woken;
	__u64 from = woken ? t->woken : t->since, arrival = noted_arrival(task, from, now);

	/* When it was woken, if that was not reported either, nobody knows. */
	end_wait(t, blocked ? arrival : from, arrival);
	t->doing = OFFCPU_IS_RUNNING;
	t->since = arrival;
	__sync_fetch_and_add(&unreported, 1);
}

static __always_inline void leave(void *ctx, struct task_struct *task, __u32 state, __u64 now)
{
	struct offcpu_thread *t;

	if (!may_be_ours(task))
		return;
	t = find_thread(task);
	if (!t) {
		if (state & TASK_DEAD)
			return;
		t = begin_thread(task, OFFCPU_IS_RUNNING, OFFCPU_RUNNING);
		if (!t)
			return;
	}
	if (t->doing != OFFCPU_IS_RUNNING)
		arrive_unseen(t, task, now);
	else if (t->arrived)
		learn_offset(task, t->since);
	t->running += in_window(t->since, now);
	t->since = now;
	t->arrived = false;
	bpf_get_current_comm(t->comm, sizeof(t->comm));
	if (state & TASK_DEAD) {
		end_thread(t, task->pid);
		return;
	}
	describe_wait(t, task, state);
	t->unmapped = false;
	t->stack = t->unwanted ? OFFCPU_NO_STACK : stack_leaving(ctx, t);
	if (t->unmapped)
		__sync_fetch_and_add(&unmapped_waits, 1);
}

static __always_inline void enter(struct task_struct *task, __u64 now)
{
	struct offcpu_thread *t;

	if (!may_be_ours(task))
		return;
	t = find_thread(task);
	if (!t) {
		if (scanning)
			begin_thread(task, OFFCPU_IS_RUNNING, OFFCPU_RUNNING);
		return;
	}
	if (t->doing == OFFCPU_IS_RUNNING)
		return;
	end_wait(t, woken_at(t, task, now), now);
	t->doing = OFFCPU_IS_RUNNING;
	t->arrived = true;
	t->since = now;
}

/* bool preempt, struct task_struct *prev, *next[, unsigned int prev_state] */
SEC("tp_btf/sched_switch")
int offcpu_switch(__u64 *ctx)
{
	struct task_struct *prev = (void *)ctx[1], *next = (void *)ctx[2];
	__u64 now = bpf_ktime_get_ns();
	__u32 state = 0;

	/* Who is preempted is runnable, whatever it was about to wait for. */
	if (!ctx[0])
		state = switch_tells_state ? (__u32)ctx[3] : prev->__state;
	leave(ctx, prev, state, now);
	enter(next, now);
	return 0;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(offcpu_waking, struct task_struct *task)
{
	struct offcpu_thread *t;

	if (!may_be_ours(task))
		return 0;
	t = find_thread(task);
	if (!t) {
		if (!scanning)
			return 0;
		t = begin_thread(task, OFFCPU_IS_RUNNING, OFFCPU_RUNNING);
		if (!t)
			return 0;
		if (!task->on_cpu)
			describe_wait(t, task, task->__state);
		t->stack = scan_stack;
	}
	t->woken = bpf_ktime_get_ns();
	if (wakers)
		t->waker = stack_waking(ctx);
	return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(offcpu_new, struct task_struct *task)
{
	if (may_be_ours(task))
		begin_thread(task, OFFCPU_IS_RUNNABLE, OFFCPU_START);
	return 0;
}

/*
 * A thread that is not its process's first takes that one's number when it execs, and the first
 * one, which is about to end, gets its.
 */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(offcpu_exec, struct task_struct *task, __u32 old_pid)
{
	__u32 pid = task->pid;
	struct offcpu_thread *t = bpf_map_lookup_elem(&threads, &old_pid);

	if (old_pid == pid || !t)
		return 0;
	t->running += in_window(t->since, bpf_ktime_get_ns());
	end_thread(t, old_pid);
	bpf_map_delete_elem(&threads, &pid);
	begin_thread(task, OFFCPU_IS_RUNNING, OFFCPU_RUNNING);
	return 0;
}

/* ---------------------------------------------------------------- requests ---- */

static __always_inline void request_ends(const struct request_key *key)
{
	__u32 *pid = bpf_map_lookup_elem(&in_flight, key), owner;
	struct offcpu_thread *t;

	if (!pid)
		return;
	owner = *pid;
	if (bpf_map_delete_elem(&in_flight, key))
		return;
	/* Another one by now, perhaps, with the same number. */
	t = bpf_map_lookup_elem(&threads, &owner);
	if (t && t->in_flight > 0)
		__sync_fetch_and_add(&t->in_flight, -1);
}

static __always_inline void request_begins(const struct request_key *key)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct offcpu_thread *t = find_thread(task);
	__u32 pid = task->pid;

	/* One whose end was not told, of the same number. */
	request_ends(key);
	if (!t)
		return;
	if (bpf_map_update_elem(&in_flight, key, &pid, BPF_ANY))
		__sync_fetch_and_add(&lost_requests, 1);
	else
		__sync_fetch_and_add(&t->in_flight, 1);
}

/*
 * A probe that tells where a request begins or ends: a thread that waits for events while one that
 * it began is in flight waits for that. Not of requests that began before the capture did.
 */
SEC("?uprobe")
int offcpu_request(struct pt_regs *ctx)
{
	struct hit h = { .ctx = ctx, .ids = current_ids() };

	if (!target_lookup(h.ids))
		return 0;
	if (read_hit(&h))
		return 0;
	if (h.p->role == ROLE_BEGIN || (h.p->role == ROLE_STATUS && arg(&h, h.p->name)))
		request_begins(&h.key);
	else
		request_ends(&h.key);
	return 0;
}

/* ---------------------------------------------------------------- the window ---- */

/*
 * Open the window, or close it: run by user space, which may be preempted between a look at the
 * clock and a store. What happens on other CPUs until the store is seen is before the edge.
 */
SEC("raw_tp")
int offcpu_edge(void *ctx)
{
	__u64 edge = bpf_ktime_get_ns() + WINDOW_AHEAD_NS;

	if (window_start == ~0ULL)
		window_start = edge;
	else
		window_end = edge;
	return 0;
}

/* ---------------------------------------------------------------- samples ---- */

/* For wall-clock profiles: what the threads do that are running. */
SEC("?perf_event")
int offcpu_sample(struct bpf_perf_event_data *ctx)
{
	struct target_ids ids = current_ids();
	struct target_proc *proc = target_lookup(ids);
	struct offcpu_key key = { .reason = OFFCPU_RUNNING, .state = 'R' };
	struct offcpu_value v = { .waits = 1 };
	__u64 now = bpf_ktime_get_ns();
	struct walk *w;

	if (!proc || now < window_start || now >= window_end)
		return 0;
	key.tgid = ids.tgid;
	key.tid = ids.tid;
	w = walk_claim();
	if (w) {
		stack_sample(w, ctx, proc, ids);
		key.stack = stack_intern(w);
		walk_release(w);
	} else {
		count_stat(STAT_LOST_SCRATCH);
	}
	count_waits(&key, &v);
	return 0;
}

/* ---------------------------------------------------------------- threads that are there ---- */

static __always_inline void send_sleeper(struct seq_file *seq, struct task_struct *task,
					 struct target_ids ids, const struct offcpu_thread *t)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u32 zero = 0, n;
	struct offcpu_sleeper *s = bpf_map_lookup_elem(&sleeper, &zero);
	long len;

	if (!s)
		return;
	s->stack = t->stack;
	s->torn = t->torn;
	s->pid = task->pid;
	s->tgid = ids.tgid;
	s->tid = ids.tid;
	bpf_probe_read_kernel(s->comm, sizeof(s->comm), task->comm);
	len = bpf_get_task_stack(task, s->kernel, sizeof(s->kernel), 0);
	n = len > 0 ? (__u32)len / 8 : 0;
	if (n > STACK_MAX_KERNEL)
		n = STACK_MAX_KERNEL;
	s->nr_kernel = n;
	s->has_regs = !(task->flags & PF_KTHREAD) && REGS_ARE_USER(regs);
	WALK_FROM_REGS(s, regs);
	bpf_seq_write(seq, s, sizeof(*s) - (STACK_MAX_KERNEL - n) * 8);
}

/*
 * Is the stack of a thread that is known to be read? It is if it was taken in during this scan, or if
 * more may be known now of what is mapped. Not if it runs meanwhile.
 */
static __always_inline bool is_to_be_read(struct offcpu_thread *t)
{
	__u64 stack = t->stack;

	if (stack == scan_stack)
		return t->doing != OFFCPU_IS_RUNNING;
	if (!t->unmapped || t->doing != OFFCPU_IS_BLOCKED)
		return false;
	t->torn = stack;
	return __sync_val_compare_and_swap(&t->stack, stack, scan_stack) == stack;
}

/*
 * Take the threads in that are there, and send what it takes to walk the stacks of those that are
 * not on a CPU. The programs above run already: what they have noted of a thread is newer. The
 * kernel asks a second time for a task whose record did not fit in its buffer.
 */
SEC("iter/task")
int offcpu_scan(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct seq_file *seq = ctx->meta->seq;
	struct offcpu_thread t = { .stack = scan_stack }, *known;
	struct target_ids ids;
	__u32 pid, state;

	if (!task || task->exit_state)
		return 0;
	ids = ids_of(task);
	if ((scan_tgid && ids.tgid != scan_tgid) || !target_lookup(ids))
		return 0;
	pid = task->pid;
	known = bpf_map_lookup_elem(&threads, &pid);
	if (known) {
		if (is_to_be_read(known))
			send_sleeper(seq, task, ids, known);
		return 0;
	}
	t.since = bpf_ktime_get_ns();
	t.tgid = ids.tgid;
	t.tid = ids.tid;
	bpf_probe_read_kernel(t.comm, sizeof(t.comm), task->comm);
	state = task->__state;
	if (state & (TASK_WAKING | TASK_NEW))
		state = 0;
	describe_wait(&t, task, state);
	if (task->on_cpu)
		t.doing = OFFCPU_IS_RUNNING;
	switch (bpf_map_update_elem(&threads, &pid, &t, BPF_NOEXIST)) {
	case 0:
		break;
	case -E2BIG:
		__sync_fetch_and_add(&lost_threads, 1);
		return 0;
	default:
		return 0;
	}
	/* It may have ended meanwhile, unseen. */
	if (task->exit_state)
		bpf_map_delete_elem(&threads, &pid);
	else if (t.doing != OFFCPU_IS_RUNNING)
		send_sleeper(seq, task, ids, &t);
	return 0;
}
