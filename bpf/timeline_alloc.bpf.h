/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_ALLOC_BPF_H
#define PERISCOPE_TIMELINE_ALLOC_BPF_H

/*
 * How much each thread allocates. An event for each call would be most of a timeline, so calls are
 * summed up, and told when it matters whose they are: before the thread leaves its CPU, before it
 * turns to another request, when it ends, and every so often while it runs on. Sums that cannot be
 * told are told the next time: they only grow, and nothing of them is lost with a record.
 */

#include "alloc_count.bpf.h"

/* A thread that runs on tells of its allocations that often. */
#define ALLOC_TELL_NS 10000000ULL

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* TIMELINE_MAX_THREADS */
	__type(key, __u32);
	__type(value, struct timeline_alloc);
} allocs SEC(".maps");

const volatile bool with_allocs;

/* Calls by threads that there was no room for. */
__u64 allocs_uncounted;

#include "timeline_heap.bpf.h"

/* Tell of what has not been told. A program of the same thread may have been interrupted in here. */
static __always_inline void alloc_put(struct timeline_alloc *a, __u32 tid)
{
	struct timeline_record *r;
	__u64 count, bytes;

	if (__sync_val_compare_and_swap(&a->telling, 0, 1))
		return;
	count = a->use.count;
	bytes = a->use.bytes;
	r = count == a->told_count ? NULL : RESERVE(EVT_ALLOCATED, tid, 3);
	if (r) {
		r->v[0] = count - a->told_count;
		r->v[1] = bytes - a->told_bytes;
		r->v[2] = a->tgid;
		a->told_at = r->time;
		submit(r);
		a->told_count = count;
		a->told_bytes = bytes;
	}
	a->telling = 0;
}

static __always_inline void alloc_tell(__u32 tid)
{
	struct timeline_alloc *a;

	if (!with_allocs)
		return;
	a = bpf_map_lookup_elem(&allocs, &tid);
	if (a)
		alloc_put(a, tid);
}

/* The thread ends; what has not been told is told as of thread `as`, which is mostly the same. */
static __always_inline void alloc_forget(__u32 tid, __u32 as)
{
	struct timeline_alloc *a;

	if (!with_allocs)
		return;
	a = bpf_map_lookup_elem(&allocs, &tid);
	if (!a)
		return;
	alloc_put(a, as);
	bpf_map_delete_elem(&allocs, &tid);
}

static __always_inline struct timeline_alloc *alloc_of(struct target_ids ids)
{
	struct timeline_alloc *a = bpf_map_lookup_elem(&allocs, &ids.tid), new = { 0 };

	if (a)
		return a;
	new.tgid = ids.tgid;
	new.told_at = bpf_ktime_get_ns();
	bpf_map_update_elem(&allocs, &ids.tid, &new, BPF_NOEXIST);
	return bpf_map_lookup_elem(&allocs, &ids.tid);
}

SEC("?uprobe")
int timeline_alloc(struct pt_regs *ctx)
{
	struct timeline_alloc *a;
	struct target_ids ids;

	if (!current_is_ours(&ids))
		return 0;
	if ((PROBE_COOKIE_ID(bpf_get_attach_cookie(ctx)) & 0xff) == HEAP_FREE) {
		heap_freed(ctx, ids.tgid);
		return 0;
	}
	a = alloc_of(ids);
	if (!a) {
		__sync_fetch_and_add(&allocs_uncounted, 1);
		return 0;
	}
	if (with_heap)
		heap_called(ctx, a);
	else
		alloc_called(ctx, &a->use);
	if (bpf_ktime_get_ns() - a->told_at > ALLOC_TELL_NS)
		alloc_put(a, ids.tid);
	return 0;
}

SEC("?uprobe")
int timeline_alloc_return(struct pt_regs *ctx)
{
	struct timeline_alloc *a;
	struct target_ids ids;

	if (!current_is_ours(&ids))
		return 0;
	a = bpf_map_lookup_elem(&allocs, &ids.tid);
	if (a && alloc_returned(ctx, &a->use) && with_heap)
		heap_returned(ctx, a);
	return 0;
}

#endif
