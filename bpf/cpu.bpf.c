/* SPDX-License-Identifier: MIT */
/*
 * periscope cpu, kernel side: at each sampling event that hits a watched thread, its kernel and
 * user stack, counted.
 */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "stacks.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

const volatile bool user_stacks = true;
const volatile bool kernel_stacks = true;

static __always_inline void sample(struct walk *w, struct bpf_perf_event_data *ctx,
				   const struct target_proc *proc, struct target_ids ids)
{
	bool in_user = REGS_ARE_USER(&ctx->regs);

	stack_begin(w, ids);
	if (kernel_stacks && !in_user)
		stack_kernel(w, ctx);
	if (user_stacks) {
		if (in_user) {
			WALK_FROM_REGS(w, &ctx->regs);
			walk_user(w, proc);
		} else if (!walk_from_saved_regs(w)) {
			walk_user(w, proc);
		} else {
			w->event.end = UNWIND_NO_REGS;
		}
	}
	stack_count(w, 1);
}

SEC("perf_event")
int cpu_sample(struct bpf_perf_event_data *ctx)
{
	struct target_ids ids = current_ids();
	struct target_proc *proc = target_lookup(ids);
	struct walk *w;

	if (!proc)
		return 0;
	count_stat(STAT_SAMPLES);
	w = walk_claim();
	if (!w) {
		count_stat(STAT_LOST_SCRATCH);
		return 0;
	}
	sample(w, ctx, proc, ids);
	walk_release(w);
	return 0;
}
