/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_STACK_IDS_BPF_H
#define PERISCOPE_STACK_IDS_BPF_H

/*
 * For tools whose values are not plain counts: a stack becomes a 64-bit name, which the tool's own
 * maps and records hold, and its frames go to user space once.
 *
 * User space finds the frames by stacks_find(). While one CPU sends a new stack another may use
 * its name already; if then the ring has no room, the name goes out again, and what the other wrote
 * has no frames: the tool shows it as lost (STAT_LOST_RING has counted why).
 */

#include "stacks.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STACK_MAX_KEYS);
	__type(key, __u64);
	__type(value, __u32);
} stacks SEC(".maps");

/* The stack's name, or 0 when its frames could not be kept, which is counted. */
static __always_inline __u64 stack_intern(struct walk *w)
{
	__u64 hash = stack_hash(w);
	__u32 one = 1;

	if (bpf_map_lookup_elem(&stacks, &hash))
		return hash;
	if (bpf_map_update_elem(&stacks, &hash, &one, BPF_NOEXIST)) {
		/* Another CPU was first, or the map is full. */
		if (bpf_map_lookup_elem(&stacks, &hash))
			return hash;
		count_stat(STAT_LOST_COUNTS);
		return 0;
	}
	if (!stack_send(w, hash))
		return hash;
	bpf_map_delete_elem(&stacks, &hash);
	return 0;
}

#endif
