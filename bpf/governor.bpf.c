/* SPDX-License-Identifier: MIT */
/*
 * How often probes would be hit: counts by probe, and nothing else. The number of the probe is the
 * id in its cookie (bpf/probe.h).
 */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "probe.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1); /* the number of probes */
	__type(key, __u32);
	__type(value, __u64);
} hits SEC(".maps");

/* What a return takes is felt, and not counted again. */
SEC("uprobe")
int governor_return(struct pt_regs *ctx)
{
	return 0;
}

SEC("uprobe")
int governor_hit(struct pt_regs *ctx)
{
	__u32 id = PROBE_COOKIE_ID(bpf_get_attach_cookie(ctx));
	__u64 *n = bpf_map_lookup_elem(&hits, &id);

	if (n)
		__sync_fetch_and_add(n, 1);
	return 0;
}
