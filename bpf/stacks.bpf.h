/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_STACKS_BPF_H
#define PERISCOPE_STACKS_BPF_H

/*
 * Counting stacks. A stack is known by a 64-bit hash; its frames go to user space once, when its
 * key is first counted. If the ring buffer has no room for them the sample counts as lost and the
 * key is not made, so that the next sample tries again: no count is ever without its frames.
 */

#include "stacks.h"
#include "unwind.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STACK_MAX_KEYS);
	__type(key, struct stack_key);
	__type(value, __u64);
} counts SEC(".maps");

/* Begin a stack of a thread of ours in claimed scratch memory. */
static __always_inline void stack_begin(struct walk *w, struct target_ids ids)
{
	w->hash = 0;
	w->event.header.type = EVENT_STACK;
	w->event.header.tgid = ids.tgid;
	w->event.tid = ids.tid;
	w->event.nr_frames = 0;
	w->event.nr_kernel = 0;
	w->event.end = UNWIND_MORE;
	w->event.guessed = 0;
}

/*
 * Put the kernel's frames first, without the `skip` innermost. ctx is the program's, at an event in
 * kernel mode. Whoever looks at them before they count hashes them afterwards.
 */
static __always_inline void stack_kernel_frames(struct walk *w, void *ctx, __u32 skip)
{
	long len = bpf_get_stack(ctx, w->event.frames, STACK_MAX_KERNEL * 8,
				 skip & BPF_F_SKIP_FIELD_MASK);
	__u32 n = len > 0 ? (__u32)len / 8 : 0;

	w->event.nr_frames = n;
	w->event.nr_kernel = n;
}

static __always_inline void stack_kernel_hash(struct walk *w)
{
	__u32 n = w->event.nr_kernel;

	for (__u32 i = 0; i < STACK_MAX_KERNEL; i++) {
		if (i >= n)
			break;
		w->hash = (w->hash ^ w->event.frames[i]) * 0x9e3779b97f4a7c15ULL;
		w->hash ^= w->hash >> 29;
	}
}

static __always_inline void stack_kernel(struct walk *w, void *ctx)
{
	stack_kernel_frames(w, ctx, 0);
	stack_kernel_hash(w);
}

/* What the stack is known by: its frames, and how its walk ended. Never 0. */
static __always_inline __u64 stack_hash(const struct walk *w)
{
	return (w->hash ^ w->event.end) * 0x9e3779b97f4a7c15ULL | 1;
}

/* Send the frames to user space. Returns 0, or -1 when the ring has no room. */
static __always_inline int stack_send(struct walk *w, __u64 hash)
{
	__u32 nr = w->event.nr_frames, size;
	__u64 wake = BPF_RB_NO_WAKEUP;

	w->event.header.arg = hash;
	bpf_get_current_comm(w->event.comm, sizeof(w->event.comm));
	if (nr > STACK_MAX_FRAMES)
		nr = STACK_MAX_FRAMES;
	size = sizeof(w->event) - (STACK_MAX_FRAMES - nr) * 8;
	/* User space looks every now and then; it is woken only when the ring fills faster. */
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > TARGET_EVENTS_SIZE / 4)
		wake = BPF_RB_FORCE_WAKEUP;
	if (size > sizeof(w->event) || bpf_ringbuf_output(&events, &w->event, size, wake)) {
		count_stat(STAT_LOST_RING);
		return -1;
	}
	return 0;
}

/* Count the stack `n` times. */
static __always_inline void stack_count(struct walk *w, __u64 n)
{
	struct stack_key key = {
		.stack = stack_hash(w),
		.tgid = w->event.header.tgid,
		.tid = w->event.tid,
	};
	__u64 *count = bpf_map_lookup_elem(&counts, &key);

	if (count) {
		__sync_fetch_and_add(count, n);
		return;
	}
	if (bpf_map_update_elem(&counts, &key, &n, BPF_NOEXIST)) {
		count_stat(STAT_LOST_COUNTS);
		return;
	}
	if (stack_send(w, key.stack))
		bpf_map_delete_elem(&counts, &key);
}

#endif
