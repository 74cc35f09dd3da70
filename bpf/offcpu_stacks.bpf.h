/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_OFFCPU_STACKS_BPF_H
#define PERISCOPE_OFFCPU_STACKS_BPF_H

/* The stacks of threads that leave their CPU, and of those that wake them. */

#include "offcpu.h"
#include "kernel_memo.bpf.h"
#include "kernel_trim.bpf.h"
#include "sample.bpf.h"
#include "stack_ids.bpf.h"

/* Kernel text from kallsyms, 0 when unknown: what is inside of it on a stack is our machinery. */
const volatile __u64 wakeup_text[2];	/* try_to_wake_up */
const volatile __u64 interrupt_text[2]; /* where interrupts enter the kernel */

static __always_inline bool inside(__u64 addr, const volatile __u64 *text)
{
	return addr - text[0] < text[1] - text[0];
}

/* The stack of the current task, which is leaving its CPU; its name. */
static __always_inline __u64 stack_leaving(void *ctx, struct offcpu_thread *t)
{
	struct target_ids ids = { t->tgid, t->tid };
	struct target_proc *proc = bpf_map_lookup_elem(&procs, &ids.tgid);
	struct walk *w = walk_claim();
	__u64 name;

	if (!w) {
		count_stat(STAT_LOST_SCRATCH);
		return OFFCPU_NO_STACK;
	}
	stack_begin(w, ids);
	if (kernel_stacks) {
		/* Beyond __schedule there is schedule, or its like. */
		stack_kernel_known(w, ctx, schedule_text, 1);
		stack_kernel_hash(w);
	}
	if (user_stacks) {
		if (proc && !walk_from_saved_regs(w))
			walk_user(w, proc);
		else
			w->event.end = UNWIND_NO_REGS;
		t->unmapped = w->event.end == UNWIND_NO_MAPPING;
	}
	name = stack_intern(w);
	walk_release(w);
	return name;
}

/* An interrupt has stopped the current task in its work; what is beyond it has nothing to do. */
static __always_inline bool cut_at_interrupt(struct walk *w)
{
	for (__u32 i = 0; i < STACK_MAX_KERNEL; i++) {
		if (i >= w->event.nr_frames)
			return false;
		if (inside(w->event.frames[i], interrupt_text)) {
			w->event.nr_frames = w->event.nr_kernel = i + 1;
			return true;
		}
	}
	return false;
}

/* The stack of the current task, which wakes another. An interrupt's has thread 0. */
static __always_inline __u64 stack_waking(void *ctx)
{
	struct target_ids ids = current_ids(), nobody = { 0 };
	struct target_proc *proc = bpf_map_lookup_elem(&procs, &ids.tgid);
	struct walk *w = walk_claim();
	__u64 comm[STACK_COMM_LEN / 8], name;

	if (!w) {
		count_stat(STAT_LOST_SCRATCH);
		return OFFCPU_NO_STACK;
	}
	stack_begin(w, ids);
	stack_kernel_beyond(w, ctx, wakeup_text, 0);
	if (cut_at_interrupt(w)) {
		w->event.header.tgid = w->event.tid = 0;
		ids = nobody;
	}
	if (!kernel_stacks)
		w->event.nr_frames = w->event.nr_kernel = 0;
	stack_kernel_hash(w);
	w->event.end = UNWIND_COMPLETE;
	if (ids.tid && proc && user_stacks && !walk_from_saved_regs(w))
		walk_user(w, proc);
	/* Strangers may have the same frames, or none: their names tell them apart. */
	if (ids.tid) {
		bpf_get_current_comm(comm, sizeof(comm));
		w->hash ^= comm[0] * 0x9e3779b97f4a7c15ULL ^ comm[1];
	}
	w->hash ^= ids.tid;
	name = stack_intern(w);
	walk_release(w);
	return name;
}

#endif
