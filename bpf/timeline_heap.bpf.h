/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_HEAP_BPF_H
#define PERISCOPE_TIMELINE_HEAP_BPF_H

/*
 * How much of what a process has allocated since the recording began it has not freed, and how much
 * that was at most. Blocks from before are not known, nor are their frees. As in heap.bpf.c a block
 * is entered when its allocation returns and leaves at the call that frees it, that of a realloc at
 * its call, to come back if that fails. Part of timeline_alloc.bpf.h.
 */

#include "heap_live.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* HEAP_MAX_PROCS */
	__type(key, __u32);
	__type(value, struct timeline_heap);
} heaps SEC(".maps");

bool with_heap; /* frees and all returns are probed, too */
__u32 heap_epoch;
__u32 heap_spaces; /* numbers that were given; none is given twice */

/* Blocks that found no room, whose allocation was not seen to return, or of one process too many. */
__u64 heap_untracked;

static __always_inline void heap_missed(void)
{
	__sync_fetch_and_add(&heap_untracked, 1);
}

/* NULL: there is no room. */
static __always_inline struct timeline_heap *heap_of(__u32 tgid)
{
	struct timeline_heap *h = bpf_map_lookup_elem(&heaps, &tgid), new = { 0 };
	__u32 space;

	if (h && h->space)
		return h;
	if (!h) {
		bpf_map_update_elem(&heaps, &tgid, &new, BPF_NOEXIST);
		h = bpf_map_lookup_elem(&heaps, &tgid);
	}
	if (!h || heap_spaces >= HEAP_MAX_SPACES - 1)
		return NULL;
	space = __sync_fetch_and_add(&heap_spaces, 1) + 1;
	if (space >= HEAP_MAX_SPACES)
		return NULL;
	/* Another of its threads may be first. */
	__sync_val_compare_and_swap(&h->space, 0, space);
	return h;
}

static __always_inline __u64 heap_key(const struct timeline_heap *h, __u64 addr)
{
	return (__u64)h->space << HEAP_SPACE_SHIFT | HEAP_KEY_ADDR(addr);
}

/* As often as other CPUs may come in between; beyond that, one of them has as much. */
#define RAISE_TRIES 32

static __always_inline void heap_raise(struct timeline_heap *h, __u64 bytes)
{
	__u16 epoch = *(volatile __u32 *)&heap_epoch;
	__u64 *most = epoch & 1 ? &h->most[1] : &h->most[0], old;
	__u64 new = (__u64)epoch << TIMELINE_HEAP_SHIFT | bytes;
	__u16 ahead;

	for (int i = 0; i < RAISE_TRIES; i++) {
		old = *(volatile __u64 *)most;
		ahead = (__u16)(old >> TIMELINE_HEAP_SHIFT) - epoch;
		/* There is more already; or this program is late, and the next but one has begun. */
		if (ahead ? ahead <= 2 : old >= new)
			return;
		if (__sync_val_compare_and_swap(most, old, new) == old)
			return;
	}
}

static __always_inline void heap_change(struct timeline_heap *h, __s64 bytes)
{
	__u64 before = __sync_fetch_and_add(&h->held, bytes), after = before + bytes;

	/* Of an epoch that begins with this change, what was there before is a part. */
	heap_raise(h, bytes > 0 ? after : before);
}

static __always_inline void heap_add(struct timeline_heap *h, __u64 addr, __u64 size, __s64 less)
{
	struct heap_block b = { .size = size }, old;
	__u64 key = heap_key(h, addr);

	/* Given out again and never seen freed: it was, by a way that has no probe. */
	if (!block_take(key, &old))
		less += old.size;
	if (block_put(key, &b)) {
		heap_missed();
		size = 0;
	}
	if ((__s64)size != less)
		heap_change(h, size - less);
}

/* A call of the thread whose return was never seen: longjmp, or too many returns under way. */
static __noinline int heap_forget(struct timeline_alloc *a)
{
	struct timeline_heap *h;

	if (!a)
		return 0;
	a->use.cfa = 0;
	heap_missed();
	h = a->old_known ? heap_of(a->tgid) : NULL;
	if (h)
		heap_change(h, -(__s64)a->old);
	return 0;
}

static __always_inline void heap_called(struct pt_regs *ctx, struct timeline_alloc *a)
{
	struct timeline_heap *h;
	struct heap_block old;
	__u64 cfa, size;
	int kind = alloc_asked(ctx, &a->use, &cfa, &size);

	if (kind < 0)
		return;
	if (a->use.cfa)
		heap_forget(a);
	a->use.count++;
	a->use.bytes += size;
	a->size = size;
	a->kind = kind;
	a->ptr = a->old = a->old_known = 0;
	if (kind == HEAP_POSIX || kind == HEAP_REALLOC || kind == HEAP_REALLOCARRAY)
		probe_arg(ctx, bpf_get_attach_cookie(ctx), 0, &a->ptr);
	a->use.cfa = cfa;
	if (kind == HEAP_POSIX || !a->ptr)
		return;
	h = heap_of(a->tgid);
	if (h && !block_take(heap_key(h, a->ptr), &old)) {
		a->old = old.size;
		a->old_known = 1;
	}
}

/* A realloc that gave nothing: for size 0 it was a free, else the old block is still there. */
static __always_inline void heap_not_reallocated(struct timeline_alloc *a, struct timeline_heap *h)
{
	if (!a->old_known)
		return;
	if (a->size)
		heap_add(h, a->ptr, a->old, a->old);
	else
		heap_change(h, -(__s64)a->old);
}

static __always_inline void heap_returned(struct pt_regs *ctx, struct timeline_alloc *a)
{
	struct timeline_heap *h = heap_of(a->tgid);
	__u64 addr = probe_result(ctx);

	if (!h) {
		heap_missed();
		return;
	}
	if (a->kind == HEAP_POSIX &&
	    (addr || bpf_probe_read_user(&addr, sizeof(addr), (void *)a->ptr)))
		addr = 0;
	if (addr)
		heap_add(h, addr, a->size, a->old_known ? a->old : 0);
	else
		heap_not_reallocated(a, h);
}

static __always_inline void heap_freed(struct pt_regs *ctx, __u32 tgid)
{
	struct timeline_heap *h = bpf_map_lookup_elem(&heaps, &tgid);
	struct heap_block b;
	__u64 addr;

	if (!h || !h->space || probe_arg(ctx, bpf_get_attach_cookie(ctx), 0, &addr) || !addr)
		return;
	if (!block_take(heap_key(h, addr), &b))
		heap_change(h, -(__s64)b.size);
}

/* The process's memory is gone, by its end or because another program takes its place. */
static __always_inline void heap_gone(__u32 tgid)
{
	struct timeline_heap *h;

	if (!with_heap)
		return;
	h = bpf_map_lookup_elem(&heaps, &tgid);
	if (!h)
		return;
	heap_raise(h, h->held);
	h->held = 0;
	h->space = 0;
}

#endif
