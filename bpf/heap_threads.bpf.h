/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_THREADS_BPF_H
#define PERISCOPE_HEAP_THREADS_BPF_H

/*
 * What the heap programs keep of each thread between two hits, and of each process: the call that
 * is pending, the count of its allocations, the address space it lives in. Part of heap.bpf.c.
 *
 * A thread's record is an element of an array at the lower bits of its TID, or, when another thread
 * has that one, in a hash. Task storage would be the obvious place, but costs 20 ns more a look-up,
 * and it may refuse: up to Linux 6.1 a task's storage cannot be had while another task was
 * preempted on the same CPU in the middle of getting its own.
 */

#include "heap.h"
#include "heap_heights.bpf.h"
#include "target.bpf.h"

/* A call of an allocating function that has not returned. */
struct heap_pending {
	__u64 cfa; /* of the function; 0: none is pending */
	__u64 size;
	__u64 ptr;    /* HEAP_POSIX: where the result goes; HEAP_REALLOC: the old block */
	__u16 kind;   /* enum heap_kind */
	__u16 window; /* when it was called */
	__u32 old_known;
	struct heap_block old; /* HEAP_REALLOC: was in `live`, if old_known */
	__u64 called;	       /* HEAP_REALLOC, with --record: when */
};

#define HEAP_KNOWN_SITES 8

/* A site that the thread has allocated at. */
struct heap_known_site {
	__u64 stack; /* 0: none */
	__u16 class, route;
	__u32 index;
};

struct heap_thread {
	__u32 owner;  /* TID in the initial namespace; 0: the element is free */
	__u32 serial; /* from 1; what sites know it by, because TIDs are used again */
	__u32 space;
	__u32 tgid, tid; /* in our namespace */
	__u32 seq;
	__u32 announced; /* HEAP_EVENT_THREAD was sent */
	__u32 watched;	 /* allocations are to be counted (--tid) */
	__u32 route;	 /* of `request` */
	__u64 request;	 /* that it works on, by serial number; 0: none */
	__u64 ended;	 /* that it ended last, until it works on another */
	/* Of the piece of work on the request: when it began, and where in the stack. */
	__u64 piece_time, piece_cfa;
	__u64 freed; /* address that was freed last, until the next allocation */
	struct heap_pending pending;
	struct heap_known_site known[HEAP_KNOWN_SITES];
};

/* How we came to know a process: what its frees of unknown blocks mean. */
enum heap_born { HEAP_FOUND, HEAP_FORKED, HEAP_EXECED };

struct heap_proc {
	__u32 space;
	__u8 born;     /* enum heap_born */
	__u8 borrowed; /* the space is its parent's (vfork) */
	__u16 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HEAP_THREAD_SLOTS);
	__type(key, __u32);
	__type(value, struct heap_thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, HEAP_MAX_THREADS);
	__type(key, __u32); /* owner */
	__type(value, struct heap_thread);
} more_threads SEC(".maps");

/* All zeroes: too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct heap_thread);
} no_thread SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HEAP_MAX_PROCS);
	__type(key, __u32);
	__type(value, struct heap_proc);
} heap_procs SEC(".maps");

/* Spaces in use, so that none is given out twice. User space clears one that is swept out. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HEAP_MAX_SPACES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} spaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HEAP_STAT_NR);
	__type(key, __u32);
	__type(value, __u64);
} heap_stats SEC(".maps");

__u32 next_thread = 1;
__u32 next_space = 1;

static __always_inline void heap_count(__u32 which)
{
	count_in(&heap_stats, which);
}

/* A number of no other process; 0 when the search takes too long, which is then shared. */
static __always_inline __u32 new_space(void)
{
	for (int i = 0; i < 16; i++) {
		__u32 space = __sync_fetch_and_add(&next_space, 1) & (HEAP_MAX_SPACES - 1);
		__u64 *used;

		if (!space)
			continue;
		used = bpf_map_lookup_elem(&spaces, &space);
		if (used && !__sync_val_compare_and_swap(used, 0, 1))
			return space;
	}
	return 0;
}

/* The process's record, made for one that was found running when its first thread comes. */
static __always_inline struct heap_proc *heap_proc_of(__u32 tgid)
{
	struct heap_proc *p = bpf_map_lookup_elem(&heap_procs, &tgid), new = { 0 };
	__u64 *used;

	if (p)
		return p;
	new.space = new_space();
	if (bpf_map_update_elem(&heap_procs, &tgid, &new, BPF_NOEXIST)) {
		/* Another of its threads was first. */
		used = bpf_map_lookup_elem(&spaces, &new.space);
		if (used)
			*used = 0;
	}
	return bpf_map_lookup_elem(&heap_procs, &tgid);
}

static __always_inline struct heap_thread *thread_of(__u32 tid)
{
	__u32 slot = tid & (HEAP_THREAD_SLOTS - 1);
	struct heap_thread *t = bpf_map_lookup_elem(&threads, &slot);

	if (t && t->owner == tid)
		return t;
	return bpf_map_lookup_elem(&more_threads, &tid);
}

static __always_inline struct heap_thread *thread_of_current(void)
{
	return thread_of((__u32)bpf_get_current_pid_tgid());
}

/* A record for the thread, all zeroes but for its owner; NULL when there is no room. */
static __always_inline struct heap_thread *thread_room(__u32 tid)
{
	__u32 slot = tid & (HEAP_THREAD_SLOTS - 1), zero = 0;
	struct heap_thread *t = bpf_map_lookup_elem(&threads, &slot), *none;

	if (t && !__sync_val_compare_and_swap(&t->owner, 0, tid))
		return t;
	none = bpf_map_lookup_elem(&no_thread, &zero);
	if (!none || bpf_map_update_elem(&more_threads, &tid, none, BPF_NOEXIST)) {
		heap_count(HEAP_STAT_NO_THREAD);
		return NULL;
	}
	t = bpf_map_lookup_elem(&more_threads, &tid);
	if (t)
		t->owner = tid;
	return t;
}

static __always_inline void thread_drop(__u32 tid)
{
	__u32 slot = tid & (HEAP_THREAD_SLOTS - 1);
	struct heap_thread *t = bpf_map_lookup_elem(&threads, &slot);

	heights_forget(tid);
	if (t && t->owner == tid) {
		__builtin_memset((void *)t + sizeof(t->owner), 0, sizeof(*t) - sizeof(t->owner));
		__sync_lock_test_and_set(&t->owner, 0);
	} else {
		bpf_map_delete_elem(&more_threads, &tid);
	}
}

/* A thread that is hit for the first time. Returns NULL when it is not ours, or has no room. */
static __noinline struct heap_thread *thread_new(__u32 tid)
{
	struct target_ids ids = current_ids();
	struct heap_thread *t;
	struct heap_proc *p;

	if ((targ_tgid && ids.tgid != targ_tgid) || !bpf_map_lookup_elem(&procs, &ids.tgid))
		return NULL;
	p = heap_proc_of(ids.tgid);
	t = p ? thread_room(tid) : NULL;
	if (!t)
		return NULL;
	t->tgid = ids.tgid;
	t->tid = ids.tid;
	t->space = p->space;
	t->watched = !filter_tids || bpf_map_lookup_elem(&tids, &ids.tid);
	t->serial = __sync_fetch_and_add(&next_thread, 1);
	return t;
}

/* NULL as of thread_new. */
static __always_inline struct heap_thread *thread_known_or_new(void)
{
	struct heap_thread *t = thread_of_current();

	return t ? t : thread_new((__u32)bpf_get_current_pid_tgid());
}

static __always_inline void thread_announce(struct heap_thread *t)
{
	struct heap_thread_event e = {
		.header = { HEAP_EVENT_THREAD, t->tgid, t->serial },
		.tid = t->tid,
	};

	bpf_get_current_comm(e.comm, sizeof(e.comm));
	if (bpf_ringbuf_output(&events, &e, sizeof(e), BPF_RB_NO_WAKEUP))
		count_stat(STAT_LOST_EVENTS);
	else
		t->announced = 1;
}

/* The address space ends: tell user space, which sweeps out its blocks. */
static __always_inline void space_gone(__u32 tgid, const struct heap_proc *p, __u32 why)
{
	if (!p->borrowed)
		notify(HEAP_EVENT_GONE, tgid, (__u64)why << 32 | p->space);
}

SEC("?tp_btf/sched_process_fork")
int BPF_PROG(heap_fork, struct task_struct *parent, struct task_struct *child)
{
	struct target_ids from = ids_of(parent), to = ids_of(child);
	struct heap_proc new = { .born = HEAP_FORKED }, *p;

	if (from.tgid == to.tgid || !bpf_map_lookup_elem(&procs, &from.tgid))
		return 0;
	p = heap_proc_of(from.tgid);
	if (p && BPF_CORE_READ(parent, mm) == BPF_CORE_READ(child, mm)) {
		new = *p;
		new.borrowed = 1;
	} else {
		new.space = new_space();
	}
	bpf_map_update_elem(&heap_procs, &to.tgid, &new, BPF_ANY);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(heap_exec, struct task_struct *task, pid_t old_pid)
{
	struct heap_proc new = { .born = HEAP_EXECED }, *p;
	__u32 tgid = ids_of(task).tgid, tid = BPF_CORE_READ(task, pid);

	if (!bpf_map_lookup_elem(&procs, &tgid))
		return 0;
	thread_drop(tid);
	thread_drop(old_pid); /* who calls exec gets the leader's number */
	p = bpf_map_lookup_elem(&heap_procs, &tgid);
	if (p)
		space_gone(tgid, p,
			   (__u32)old_pid == tid ? HEAP_GONE_EXEC : HEAP_GONE_EXEC_BY_THREAD);
	new.space = new_space();
	bpf_map_update_elem(&heap_procs, &tgid, &new, BPF_ANY);
	return 0;
}

static __always_inline void thread_exit(struct task_struct *task)
{
	__u32 tid = BPF_CORE_READ(task, pid);
	struct heap_thread *t = thread_of(tid);

	if (!t)
		return;
	if (t->pending.cfa)
		heap_count(HEAP_STAT_ABORTED);
	thread_announce(t); /* its name may have changed since */
	thread_drop(tid);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(heap_exit, struct task_struct *task)
{
	__u32 tgid;
	struct heap_proc *p;

	thread_exit(task);
	if (BPF_CORE_READ(task, signal, live.counter))
		return 0;
	tgid = ids_of(task).tgid;
	p = bpf_map_lookup_elem(&heap_procs, &tgid);
	if (!p)
		return 0;
	space_gone(tgid, p, HEAP_GONE_EXIT);
	bpf_map_delete_elem(&heap_procs, &tgid);
	return 0;
}

#endif
