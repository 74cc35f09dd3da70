/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_OFFCPU_WAITS_BPF_H
#define PERISCOPE_OFFCPU_WAITS_BPF_H

/* When a wait ended, how much of it counts, and what waits have taken so far. */

#include "offcpu.h"
#include "sched_notes.bpf.h"
#include "target.bpf.h"

#define UNREPORTED_NS 100000 /* no wake-up is that long before the wait that it ends */

const volatile bool wakers; /* walk the stack of who wakes, too */
const volatile __u64 filter_min_ns;
const volatile __u64 filter_max_ns = ~0ULL;

__u64 window_start = ~0ULL, window_end = ~0ULL; /* CLOCK_MONOTONIC */
__u64 new_keys;					/* elements of `waits` ever made */
__u64 lost_waits;
__u64 lost_ns;	  /* waited, but not in `waits` */
__u64 unreported; /* wake-ups and switches that the scheduler's notes stood in for */

/*
 * Two banks: user space puts the one in the place of the other, after which the kernel waits until
 * no program uses the old one (Linux 4.18, 1ae80cf31938), and empties it. Nothing is lost.
 */
struct waits_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OFFCPU_MAX_KEYS);
	__type(key, struct offcpu_key);
	__type(value, struct offcpu_value);
} waits_a SEC(".maps"), waits_b SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct waits_map);
} waits SEC(".maps") = { .values = { &waits_a } };

/* ns of [from, to) that are in the window. */
static __always_inline __u64 in_window(__u64 from, __u64 to)
{
	if (from < window_start)
		from = window_start;
	if (to > window_end)
		to = window_end;
	return to > from ? to - from : 0;
}

static __always_inline void lose(const struct offcpu_value *v)
{
	__sync_fetch_and_add(&lost_waits, v->waits);
	__sync_fetch_and_add(&lost_ns, v->blocked + v->runnable);
}

static __always_inline void count_waits(const struct offcpu_key *key, const struct offcpu_value *v)
{
	struct offcpu_value *sum;
	__u32 zero = 0;
	void *bank = bpf_map_lookup_elem(&waits, &zero);

	if (!bank) {
		lose(v);
		return;
	}
	sum = bpf_map_lookup_elem(bank, key);
	if (!sum) {
		if (!bpf_map_update_elem(bank, key, v, BPF_NOEXIST)) {
			__sync_fetch_and_add(&new_keys, 1);
			return;
		}
		/* A sample was first, in the midst of this; or it is full. */
		sum = bpf_map_lookup_elem(bank, key);
		if (!sum) {
			lose(v);
			return;
		}
	}
	/* Of one thread, hence of one CPU at a time. */
	if (sum->longest < v->longest)
		sum->longest = v->longest;
	__sync_fetch_and_add(&sum->waits, v->waits);
	__sync_fetch_and_add(&sum->blocked, v->blocked);
	__sync_fetch_and_add(&sum->runnable, v->runnable);
}

/*
 * When was the task, which waits no more, woken? A wake-up from before its wait came while it was on
 * its way out, or it is of another wait, and this one's was not reported.
 */
static __always_inline __u64 woken_at(const struct offcpu_thread *t, const struct task_struct *task,
				      __u64 now)
{
	__u64 woken;

	if (t->doing != OFFCPU_IS_BLOCKED)
		return t->since;
	if (t->woken > t->since)
		return t->woken;
	if (!bpf_core_field_exists(task->sched_info) || !task->sched_info.last_queued)
		return t->since;
	woken = noted_time(task->sched_info.last_queued, t->since, now);
	if (woken - t->since > UNREPORTED_NS)
		__sync_fetch_and_add(&unreported, 1);
	return woken;
}

/* A thread's wait is over, now. Not inlined, for the verifier's sake: what comes after is long. */
static __noinline void end_wait(struct offcpu_thread *t, __u64 woken, __u64 now)
{
	struct offcpu_value v = { .waits = 1 };
	struct offcpu_key key = {
		.stack = t->stack,
		.tgid = t->tgid,
		.tid = t->tid,
		.reason = t->reason,
		.state = t->state,
		.idle = t->idle,
	};
	bool of_this = t->woken + UNREPORTED_NS > t->since;

	t->woken = 0; /* the next wait ends by another */
	if (now <= window_start || t->since >= window_end)
		return;
	if (t->doing == OFFCPU_IS_BLOCKED) {
		v.blocked = in_window(t->since, woken);
		if (wakers && of_this)
			key.waker = t->waker;
	}
	v.runnable = in_window(woken, now);
	v.longest = v.blocked + v.runnable;
	t->blocked += v.blocked;
	t->runnable += v.runnable;
	t->waits++;
	if (t->unwanted || v.longest < filter_min_ns || v.longest > filter_max_ns)
		return;
	count_stat(STAT_SAMPLES);
	count_waits(&key, &v);
}

#endif
