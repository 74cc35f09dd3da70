/* SPDX-License-Identifier: MIT */
/*
 * periscope cpu, kernel side: at each sampling event that hits a watched thread, its kernel and
 * user stack, counted.
 */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "sample.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

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
	stack_sample(w, ctx, proc, ids);
	stack_count(w, 1);
	walk_release(w);
	return 0;
}
