/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_HEIGHTS_BPF_H
#define PERISCOPE_HEAP_HEIGHTS_BPF_H

/*
 * How far up its stack a thread has been since some moment, as far as its probe hits tell. A frame
 * whose CFA the stack pointer has reached since is gone, though another may be in its place by now,
 * at the same address and called from the same line.
 *
 * For each thread the heights of its hits are kept that no later hit was above: the first one after
 * a moment is the highest since. When there are too many, the last ones are taken for one, of the
 * time of the last and the height of the highest: it is then found higher than it was, never lower.
 */

#include "heap.h"

#define HEAP_HEIGHTS 32

const volatile bool with_fates; /* bpf/heap_fates.bpf.h: else none of this is wanted */

struct heap_height {
	__u64 cfa, time;
};

struct heap_heights {
	__u64 nr;
	struct heap_height at[HEAP_HEIGHTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, HEAP_MAX_THREADS);
	__type(key, __u32); /* heap_thread.owner, as below */
	__type(value, struct heap_heights);
} heights SEC(".maps");

static struct heap_heights no_heights; /* never written */

/* The thread is at this height now. */
__attribute__((noinline)) int height_note(__u32 owner, __u64 cfa, __u64 now)
{
	struct heap_heights *h = bpf_map_lookup_elem(&heights, &owner);
	__u64 n;

	if (!h) {
		bpf_map_update_elem(&heights, &owner, &no_heights, BPF_NOEXIST);
		h = bpf_map_lookup_elem(&heights, &owner);
		if (!h)
			return -1;
	}
	n = h->nr;
#pragma clang loop unroll(disable)
	for (int i = 0; i < HEAP_HEIGHTS; i++) {
		if (!n || h->at[(n - 1) & (HEAP_HEIGHTS - 1)].cfa > cfa)
			break;
		n--;
	}
	if (n >= HEAP_HEIGHTS) {
		n = HEAP_HEIGHTS - 1;
		cfa = h->at[n & (HEAP_HEIGHTS - 1)].cfa;
	}
	h->at[n & (HEAP_HEIGHTS - 1)].cfa = cfa;
	h->at[n & (HEAP_HEIGHTS - 1)].time = now;
	h->nr = n + 1;
	return 0;
}

/* The highest place that it has been at since; 0 none; all ones: nobody knows. */
__attribute__((noinline)) __u64 height_since(__u32 owner, __u64 time)
{
	struct heap_heights *h = bpf_map_lookup_elem(&heights, &owner);

	if (!h)
		return ~0ULL;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < HEAP_HEIGHTS; i++) {
		if (i >= h->nr)
			break;
		if (h->at[i].time > time)
			return h->at[i].cfa;
	}
	return 0;
}

static __always_inline void heights_forget(__u32 owner)
{
	if (with_fates)
		bpf_map_delete_elem(&heights, &owner);
}

#endif
