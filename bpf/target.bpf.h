/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TARGET_BPF_H
#define PERISCOPE_TARGET_BPF_H

/*
 * Which tasks are ours, and the notices that keep user space's picture of them true: forks, execs
 * and exits of watched processes. A process is ours while it is in `procs`.
 *
 * All numbers of processes and threads are those of the tool's own PID namespace. Where that is
 * not the initial one, targ_pidns is its inode number and a task's number is looked up among the
 * numbers it has in the namespaces around it; a task outside has none and is not ours.
 */

#include "stacks.h"

#define TARGET_MAX_PROCS   16384
#define TARGET_MAX_PIDNS   8 /* depth of namespaces searched; the kernel allows 32 */
#define TARGET_EVENTS_SIZE (8 << 20)

const volatile __u32 targ_pidns;     /* 0: the initial PID namespace */
const volatile __u32 targ_tgid;	     /* the only process there will be, or 0 */
const volatile bool filter_tids;     /* only threads in `tids` */
const volatile bool follow_children; /* forks of ours are ours */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TARGET_MAX_PROCS);
	__type(key, __u32);
	__type(value, struct target_proc);
} procs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct target_only);
} only SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u8);
} tids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, TARGET_EVENTS_SIZE);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STAT_NR);
	__type(key, __u32);
	__type(value, __u64);
} stats SEC(".maps");

/* Carries the records of new mappings (PERF_RECORD_MMAP2) to user space; no program writes it. */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} mmaps SEC(".maps");

/* One more of an element of `stats`, or of a per-CPU array of the tool's own. */
static __always_inline void count_in(void *map, __u32 which)
{
	__u64 *n = bpf_map_lookup_elem(map, &which);

	/* Per CPU, and yet: where the kernel preempts, another task's program may come in between. */
	if (n)
		__sync_fetch_and_add(n, 1);
}

static __always_inline void count_stat(__u32 which)
{
	count_in(&stats, which);
}

/* The number of a task in our namespace, 0 when it has none. */
static __always_inline __u32 number_in_ns(struct pid *pid)
{
	__u32 level = BPF_CORE_READ(pid, level);

	for (__u32 i = 0; i < TARGET_MAX_PIDNS; i++) {
		struct upid upid;
		struct pid_namespace *ns;

		if (i > level)
			break;
		if (bpf_probe_read_kernel(&upid, sizeof(upid),
					  (void *)pid + bpf_core_field_offset(struct pid, numbers) +
						  i * bpf_core_type_size(struct upid)))
			break;
		ns = upid.ns;
		if (BPF_CORE_READ(ns, ns.inum) == targ_pidns)
			return upid.nr;
	}
	return 0;
}

struct target_ids {
	__u32 tgid, tid;
};

/* Of a task that the verifier knows for one: a tracepoint's argument by BTF, or the current. */
static __always_inline struct target_ids ids_of(struct task_struct *task)
{
	struct target_ids ids;

	if (!targ_pidns) {
		ids.tgid = task->tgid;
		ids.tid = task->pid;
	} else {
		ids.tgid = number_in_ns(BPF_CORE_READ(task, group_leader, thread_pid));
		ids.tid = number_in_ns(BPF_CORE_READ(task, thread_pid));
	}
	return ids;
}

static __always_inline struct target_ids current_ids(void)
{
	return ids_of(bpf_get_current_task_btf());
}

/* What is in `only`, NULL when that is nothing. */
static __always_inline struct target_proc *target_only_proc(void)
{
	__u32 zero = 0, current;
	struct target_only *o = bpf_map_lookup_elem(&only, &zero);

	if (!o)
		return NULL;
	current = *(volatile __u32 *)&o->current;
	return current < TARGET_ONLY_SLOTS ? &o->slots[current] : NULL;
}

static __always_inline void target_only_forget(__u32 tgid)
{
	__u32 zero = 0;
	struct target_only *o = bpf_map_lookup_elem(&only, &zero);

	if (o && targ_tgid == tgid)
		*(volatile __u32 *)&o->current = TARGET_ONLY_SLOTS;
}

/* The process if the thread is to be watched, else NULL. */
static __always_inline struct target_proc *target_lookup(struct target_ids ids)
{
	struct target_proc *p = NULL;

	/* Most hits are other processes', which this spares the look into a cold map. */
	if (targ_tgid) {
		if (ids.tgid != targ_tgid)
			return NULL;
		p = target_only_proc();
	}
	if (!p)
		p = bpf_map_lookup_elem(&procs, &ids.tgid);
	if (!p || (filter_tids && !bpf_map_lookup_elem(&tids, &ids.tid)))
		return NULL;
	return p;
}

static __always_inline void notify(__u32 type, __u32 tgid, __u64 arg)
{
	struct event_header e = { .type = type, .tgid = tgid, .arg = arg };

	if (bpf_ringbuf_output(&events, &e, sizeof(e), BPF_RB_FORCE_WAKEUP))
		count_stat(STAT_LOST_EVENTS);
}

/* The child is taken in before it runs, with its parent's mappings, which are its own too. */
SEC("?tp_btf/sched_process_fork")
int BPF_PROG(target_fork, struct task_struct *parent, struct task_struct *child)
{
	struct target_ids from = ids_of(parent), to = ids_of(child);
	struct target_proc *p, copy;

	if (!follow_children || from.tgid == to.tgid)
		return 0;
	p = bpf_map_lookup_elem(&procs, &from.tgid);
	if (!p)
		return 0;
	copy = *p;
	if (!bpf_map_update_elem(&procs, &to.tgid, &copy, BPF_ANY))
		notify(EVENT_FORK, to.tgid, from.tgid);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(target_exec, struct task_struct *task)
{
	struct target_proc none = { 0 };
	__u32 tgid = ids_of(task).tgid;

	if (!bpf_map_lookup_elem(&procs, &tgid))
		return 0;
	bpf_map_update_elem(&procs, &tgid, &none, BPF_EXIST);
	target_only_forget(tgid);
	notify(EVENT_EXEC, tgid, 0);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(target_exit, struct task_struct *task)
{
	__u32 tgid = ids_of(task).tgid;

	/* The kernel has counted this thread out already: 0 is the last one's. */
	if (!bpf_map_lookup_elem(&procs, &tgid) || BPF_CORE_READ(task, signal, live.counter))
		return 0;
	bpf_map_delete_elem(&procs, &tgid);
	target_only_forget(tgid);
	notify(EVENT_EXIT, tgid, 0);
	return 0;
}

#endif
