/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SAMPLE_BPF_H
#define PERISCOPE_SAMPLE_BPF_H

/* The stack at a sampling event, which may hit the current task in user or in kernel mode. */

#include "stacks.bpf.h"

const volatile bool user_stacks = true;
const volatile bool kernel_stacks = true;

static __always_inline void stack_sample(struct walk *w, struct bpf_perf_event_data *ctx,
					 const struct target_proc *proc, struct target_ids ids)
{
	bool in_user = REGS_ARE_USER(&ctx->regs);

	stack_begin(w, ids);
	if (kernel_stacks && !in_user)
		stack_kernel(w, ctx);
	if (!user_stacks)
		return;
	walk_prefetch(w);
	if (in_user) {
		WALK_FROM_REGS(w, &ctx->regs);
		/* Or the compiler joins the ends of both ways, which read different pointers. */
		asm volatile("" ::"r"(in_user));
	} else if (walk_from_saved_regs(w)) {
		w->event.end = UNWIND_NO_REGS;
		return;
	}
	walk_user(w, proc);
}

#endif
