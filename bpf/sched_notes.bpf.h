/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SCHED_NOTES_BPF_H
#define PERISCOPE_SCHED_NOTES_BPF_H

/*
 * When a thread came to its CPU, from the scheduler's own notes.
 *
 * There are kernels that do not report what happens while some tasks of theirs are current, and so
 * miss wake-ups by interrupts that meet them and switches from them to others. What was missed shows
 * when the thread is met on a CPU after all; then the notes tell since when. They are on the
 * scheduler's clock, whose distance to ours is learnt from the switches that were reported.
 */

#include <bpf/bpf_core_read.h>

__u64 clock_offset; /* CLOCK_MONOTONIC - the scheduler's clock; 0: unknown */

/* A time on the scheduler's clock, held between two on ours; the later one when it is unknown. */
static __always_inline __u64 noted_time(__u64 noted, __u64 from, __u64 to)
{
	noted += clock_offset;
	if (!clock_offset || noted > to)
		return to;
	return noted > from ? noted : from;
}

/* The task leaves its CPU, to which it came at `arrived`, as was reported. */
static __always_inline void learn_offset(const struct task_struct *task, __u64 arrived)
{
	if (bpf_core_field_exists(task->sched_info))
		clock_offset = arrived - task->sched_info.last_arrival;
}

/* When the task, which is on a CPU at `now` and was not at `from`, came to it. */
static __always_inline __u64 noted_arrival(const struct task_struct *task, __u64 from, __u64 now)
{
	if (!bpf_core_field_exists(task->sched_info))
		return now;
	return noted_time(task->sched_info.last_arrival, from, now);
}

#endif
