/* SPDX-License-Identifier: MIT */
/*
 * periscope requests, kernel side: which request each thread works on, told by probes, and where
 * the time of each request goes, told by the scheduler. One record at the end of a request.
 *
 * One program serves all probes, so that one link holds them: what a probe means is its element of
 * `roles`, and where its arguments are that of `usdt_specs` (USDT) or its cookie (functions). The
 * scheduler's programs touch only threads that work on a request.
 */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "kernel_trim.bpf.h"
#include "request_account.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Set when all probes are there, so that none of a request's is missing; cleared at the end. */
bool active;
__u64 active_since; /* CLOCK_MONOTONIC */

/* ---------------------------------------------------------------- a request ---- */

static __always_inline struct request_record *make(const struct hit *h)
{
	struct request_record *r = request_of(&h->key);

	if (r)
		finish(&h->key, r, END_REUSED, h->t);
	r = request_make(&h->key);
	if (!r)
		count(REQUESTS_LOST_OPEN);
	return r;
}

static __always_inline void make_detail(const struct hit *h)
{
	struct request_detail *d;

	bpf_map_update_elem(&details, &h->key, &no_detail, BPF_ANY);
	d = bpf_map_lookup_elem(&details, &h->key);
	if (!d) {
		count(REQUESTS_LOST_DETAILS);
		return;
	}
	d->header.type = EVENT_REQUEST_DETAIL;
	d->header.tgid = h->key.tgid;
	d->header.arg = h->key.id;
}

static __always_inline void on_begin(struct hit *h)
{
	__u64 cfa = h->p->nests ? probe_cfa(h->ctx, h->cookie) : h->told;
	struct request_thread *th = thread_get(h->ids.tid);
	struct request_record *r;

	if (!th)
		return;
	if (h->p->nests) {
		r = request_of(&h->key);
		/* A call inside of the first one has its frame below; else that one was left by a jump. */
		if (r && cfa < r->cfa) {
			r->depth++;
			return;
		}
	}
	r = make(h);
	if (!r)
		return;
	if (with_details)
		make_detail(h);
	r->header.type = EVENT_REQUEST;
	r->header.tgid = h->key.tgid;
	r->header.arg = h->key.id;
	r->start = h->t;
	r->word = REQUEST_WORD(h->t, STATE_ON_CPU);
	r->phase_word = REQUEST_WORD(h->t, PHASE_OTHER);
	r->owner = h->ids.tid;
	r->where = after_piece;
	r->cfa = cfa;
	r->first_tid = h->ids.tid;
	r->last_tid = h->ids.tid;
	r->pieces = 1;
	r->hits = 1;
	r->route = arg(h, h->p->route);
	r->method = arg(h, h->p->method);
	read_name(h, r);
	request_ready(&h->key, r);
	note_segment(&h->key, r, h->t, h->ids.tid, 0);
	begin_piece(th, h);
}

static __always_inline void on_run(struct hit *h)
{
	struct request_thread *th = thread_get(h->ids.tid);
	struct request_record *r = request_of(&h->key);

	if (!th || !r)
		return;
	r->hits++;
	begin_piece(th, h);
	take(&h->key, r, h->ids.tid, h->t);
}

static __always_inline void on_pause(struct hit *h)
{
	struct request_thread *th = thread_of(h->ids.tid);
	struct request_record *r;

	if (!th || !th->working)
		return;
	/* By its id, if the probe has that: a pause of another request is none of this piece's. */
	if (!h->key.by_thread && th->key.id != h->key.id)
		return;
	r = end_piece(th, h->ids.tid, h->t);
	if (r)
		r->hits++;
}

static __always_inline void on_end(struct hit *h)
{
	struct request_thread *th = thread_of(h->ids.tid);
	struct request_record *r = request_of(&h->key);

	if (!r) {
		count(h->p->nests ? REQUESTS_STRAY_END : REQUESTS_NO_START);
		return;
	}
	if (h->p->nests) {
		/* Of a call inside, whose return may be missing: its frame is below the first one's. */
		if (probe_return_cfa(h->ctx) < r->cfa)
			return;
	}
	if (th && th->working && th->key.id == h->key.id) {
		th->working = 0;
		add_use(th, r);
	} else if (!has_pieces && READ(r->owner)) {
		r->flags |= REQUEST_SPLIT;
	}
	if (h->p->status != REQUEST_NO_ARG)
		r->status = arg(h, h->p->status);
	r->end_flags = arg(h, h->p->flags);
	if (h->p->route != REQUEST_NO_ARG)
		r->route = arg(h, h->p->route);
	r->hits++;
	be_on_cpu(&h->key, r, h->ids.tid, h->t);
	if (h->p->account != REQUEST_NO_ARG)
		use_account(h, th, r);
	finish(&h->key, r, END_DONE, h->t);
}

/* ---------------------------------------------------------------- what a thread tells ---- */

/* It tells nothing, and told nothing before: in flight when the capture began, or just begun itself. */
static __always_inline void first_told(__u32 tid)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (!thread_of(tid) && thread_make(tid) && task->start_time < active_since)
		count(REQUESTS_NO_START);
}

static __always_inline void end_told(const struct request_key *key, struct request_record *r,
				     __u64 t)
{
	struct request_thread *th = thread_of(key->id);

	if (th && th->working) {
		th->working = 0;
		add_use(th, r);
	}
	be_on_cpu(key, r, key->id, t);
	finish(key, r, END_DONE, t);
}

/*
 * The current thread has told this at t. Returns whether a request begins. A function that the verifier
 * goes through once, as the next one.
 */
__attribute__((noinline)) int thread_tells(__u32 tgid, __u32 tid, __u64 told, __u64 t)
{
	struct request_key key = { .id = tid, .tgid = tgid, .by_thread = 1 };
	struct request_record *r = request_of(&key);
	enum request_role role = status_role(told, r ? r->told : 0);

	if (!r) {
		if (role == ROLE_NONE)
			first_told(tid);
		return role == ROLE_BEGIN;
	}
	if (role != ROLE_BEGIN)
		r->hits++;
	if (role != ROLE_NONE)
		end_told(&key, r, t);
	return role == ROLE_BEGIN;
}

__attribute__((noinline)) int thread_executes(__u32 tgid, __u32 tid)
{
	struct request_key key = { .id = tid, .tgid = tgid, .by_thread = 1 };
	struct request_record *r = request_of(&key);

	if (!r)
		return 0;
	r->told &= ~(__u64)REQUEST_PENDING;
	r->hits++;
	return 0;
}

/* ---------------------------------------------------------------- queues ---- */

static __always_inline void move_to(struct hit *h, struct request_record *r, __u32 where, __u64 t)
{
	__sync_lock_test_and_set(&r->where, where);
	settle(&h->key, r, t);
}

/* The result goes back. A commit's requests were told nothing when it was done: until now. */
static __always_inline void on_reply(struct hit *h, struct request_record *r, bool writer)
{
	struct request_thread *th = thread_of(h->ids.tid);

	if (writer && th && th->committed > REQUEST_WORD_TIME(READ(r->word))) {
		r->shared = th->items;
		move_to(h, r, STATE_REPLY, th->committed);
	}
	move_to(h, r, STATE_LOOP, h->t);
}

static __always_inline void on_queue(struct hit *h)
{
	bool writer = arg(h, h->p->value) == 1;
	struct request_record *r = request_of(&h->key);

	if (!r)
		return;
	r->hits++;
	switch (h->p->role) {
	case ROLE_ENQUEUE:
		move_to(h, r, writer ? STATE_QUEUE_WRITER : STATE_QUEUE_HASH, h->t);
		break;
	case ROLE_DEQUEUE:
		move_to(h, r, writer ? STATE_COMMIT : STATE_QUEUE_HASH, h->t);
		break;
	default:
		on_reply(h, r, writer);
		break;
	}
}

static __always_inline void on_commit(struct hit *h)
{
	struct request_thread *th = thread_get(h->ids.tid);

	if (!th)
		return;
	th->items = arg(h, h->p->value);
	th->committed = h->t;
}

/* ---------------------------------------------------------------- phases ---- */

static __always_inline void on_phase(struct hit *h)
{
	struct request_record *r = request_of(&h->key);

	if (!r)
		return;
	r->hits++;
	if (h->p->role == ROLE_PHASE_END)
		pop_phase(&h->key, r, h->ids.tid, h->p->phase, h->t);
	else
		push_phase(&h->key, r, h->ids.tid, h->p->phase, h->t);
}

SEC("uprobe")
int request_hit(struct pt_regs *ctx)
{
	struct hit h = { .ctx = ctx, .t = bpf_ktime_get_ns(), .ids = current_ids() };

	if (!active || !is_ours(h.ids))
		return 0;
	if (read_hit(&h))
		return 0;
	switch (h.p->role) {
	case ROLE_STATUS:
		h.told = told_by(&h);
		if (!thread_tells(h.ids.tgid, h.ids.tid, h.told, h.t))
			break;
		/* fallthrough */
	case ROLE_BEGIN:
		on_begin(&h);
		break;
	case ROLE_RUN:
		on_run(&h);
		break;
	case ROLE_PAUSE:
		on_pause(&h);
		break;
	case ROLE_END:
		on_end(&h);
		break;
	case ROLE_ENQUEUE:
	case ROLE_DEQUEUE:
	case ROLE_REPLY:
		on_queue(&h);
		break;
	case ROLE_COMMIT:
		on_commit(&h);
		break;
	case ROLE_STMT_BEGIN:
		on_stmt_begin(&h);
		break;
	case ROLE_STMT_END:
		on_stmt_end(&h);
		break;
	case ROLE_STMT_OWN:
		on_stmt_own(&h);
		break;
	case ROLE_PHASE_BEGIN:
	case ROLE_PHASE_END:
	case ROLE_PHASE_SWITCH:
		on_phase(&h);
		break;
	case ROLE_EXECUTE:
		thread_executes(h.ids.tgid, h.ids.tid);
		break;
	default:
		break;
	}
	return 0;
}

/* ---------------------------------------------------------------- the scheduler ---- */

/* The thread's request, if it is ours and works on one. */
static __always_inline struct request_thread *worker(struct task_struct *task, __u32 *ret_tid)
{
	struct target_ids ids = ids_of(task);
	struct request_thread *th;

	if (!ids.tid || (targ_tgid && ids.tgid != targ_tgid))
		return NULL;
	th = thread_of(ids.tid);
	if (!th || !th->working)
		return NULL;
	*ret_tid = ids.tid;
	return th;
}

/* Where the current thread is about to wait, for a request that may turn out slow. */
static __always_inline __u64 wait_stack(void *ctx, struct target_ids ids)
{
	struct target_proc *proc = target_lookup(ids);
	struct walk *w = proc ? walk_claim() : NULL;
	__u64 id;

	if (!w) {
		count_stat(STAT_LOST_SCRATCH);
		return 0;
	}
	stack_begin(w, ids);
	/* Beyond __schedule there is schedule, or its like. */
	stack_kernel_beyond(w, ctx, schedule_text, 1);
	stack_kernel_hash(w);
	if (!walk_from_saved_regs(w))
		walk_user(w, proc);
	else
		w->event.end = UNWIND_NO_REGS;
	id = stack_intern(w);
	walk_release(w);
	return id;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(request_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u64 t = 0, stack = 0;
	struct request_thread *th;
	struct request_key key;
	struct request_record *r;
	__u32 tid, state;

	th = worker(prev, &tid);
	if (th) {
		t = bpf_ktime_get_ns();
		key = th->key;
		r = request_of(&key);
		if (r)
			be_on_cpu(&key, r, tid, t);
		if (th->arrived)
			learn_offset(prev, th->arrived);
		th->arrived = 0;
		if (r && !preempt && prev->__state) {
			state = STATE_BLOCKED + wait_class(prev);
			if (by_account && state == STATE_BLOCKED + WAIT_POLL) {
				/* Back in its loop, which nobody told. */
				end_piece(th, tid, t);
				goto next;
			}
			r->waits++;
			if (with_details)
				stack = wait_stack(ctx, ids_of(prev));
			thread_state(&key, r, tid, state, t, stack);
		} else if (r) {
			thread_state(&key, r, tid, STATE_RUNNABLE, t, 0);
		}
	}
next:
	th = worker(next, &tid);
	if (th) {
		if (!t)
			t = bpf_ktime_get_ns();
		key = th->key;
		th->arrived = t;
		r = request_of(&key);
		if (!r)
			return 0;
		be_woken(&key, r, tid, next, t);
		thread_state(&key, r, tid, STATE_ON_CPU, t, 0);
	}
	return 0;
}

/*
 * It is in a run queue. Not sched_waking, which comes earlier, and may come before the switch that
 * it ends.
 */
SEC("tp_btf/sched_wakeup")
int BPF_PROG(request_wakeup, struct task_struct *task)
{
	struct request_thread *th;
	struct request_key key;
	struct request_record *r;
	__u32 tid, state;

	th = worker(task, &tid);
	if (!th)
		return 0;
	key = th->key;
	r = request_of(&key);
	if (!r)
		return 0;
	state = REQUEST_WORD_WHAT(READ(r->word));
	if (state >= STATE_BLOCKED && state < STATE_BLOCKED + WAIT_NR)
		thread_state(&key, r, tid, STATE_RUNNABLE, bpf_ktime_get_ns(), 0);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(request_thread_exit, struct task_struct *task)
{
	struct target_ids ids = ids_of(task);
	struct request_thread *th = ids.tid ? thread_of(ids.tid) : NULL;
	struct request_key key;
	struct request_record *r;

	if (!th)
		return 0;
	if (th->working) {
		key = th->key;
		r = request_of(&key);
		if (r && key.by_thread)
			finish(&key, r, END_THREAD, bpf_ktime_get_ns());
		else if (r)
			leave(&key, r, ids.tid, bpf_ktime_get_ns());
	}
	thread_drop(th, ids.tid);
	return 0;
}

/* Every system call of every process passes here: only on request. */
SEC("?tp_btf/sys_enter")
int BPF_PROG(request_syscall)
{
	struct request_thread *th;
	__u32 tid;

	th = worker(bpf_get_current_task_btf(), &tid);
	if (th)
		th->syscalls++;
	return 0;
}

/* ---------------------------------------------------------------- allocations ---- */

static __always_inline struct request_thread *current_worker(void)
{
	struct target_ids ids = current_ids();
	struct request_thread *th;

	if (targ_tgid && ids.tgid != targ_tgid)
		return NULL;
	th = thread_of(ids.tid);
	return th && th->working ? th : NULL;
}

SEC("?uprobe")
int request_alloc(struct pt_regs *ctx)
{
	struct request_thread *th = current_worker();

	if (th)
		alloc_called(ctx, &th->alloc);
	return 0;
}

SEC("?uprobe")
int request_alloc_return(struct pt_regs *ctx)
{
	struct request_thread *th = current_worker();

	if (th)
		alloc_returned(ctx, &th->alloc);
	return 0;
}
