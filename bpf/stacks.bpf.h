/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_STACKS_BPF_H
#define PERISCOPE_STACKS_BPF_H

/*
 * Counting stacks. A stack is known by a 64-bit hash; its frames go to user space once, before its
 * key is first counted. If there is no room for them the sample counts as lost and the key is not
 * made, so that the next sample tries again: no count is ever without its frames.
 */

#include "stacks.h"
#include "unwind.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STACK_BUCKETS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct stack_bucket);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STACK_LOG_FIRST + STACK_LOG_LINES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct stack_line);
} stack_log SEC(".maps");

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
 * Put the kernel's frames first. ctx is the program's, at an event in kernel mode. Whoever looks at
 * them before they count hashes them afterwards.
 */
static __always_inline void stack_kernel_frames(struct walk *w, void *ctx)
{
	long len = bpf_get_stack(ctx, w->event.frames, STACK_MAX_KERNEL * 8, 0);
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
	stack_kernel_frames(w, ctx);
	stack_kernel_hash(w);
}

/* What the stack is known by: its frames, and how its walk ended. Never 0. */
static __always_inline __u64 stack_hash(const struct walk *w)
{
	return (w->hash ^ w->event.end) * 0x9e3779b97f4a7c15ULL | 1;
}

static __always_inline struct stack_line *log_line(__u32 index)
{
	return bpf_map_lookup_elem(&stack_log, &index);
}

/* Reserve lines of the log. Returns the first's number, counted from the capture's start; or -1. */
static __always_inline __s64 reserve_lines(__u32 lines)
{
	struct stack_line *given = log_line(STACK_LOG_GIVEN), *read = log_line(STACK_LOG_READ);
	__u64 at;

	if (!given || !read)
		return -1;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 16; i++) {
		at = *(volatile __u64 *)&given->word[0];
		if (at + lines - *(volatile __u64 *)&read->word[0] > STACK_LOG_LINES)
			return -1;
		if (__sync_val_compare_and_swap(&given->word[0], at, at + lines) == at)
			return at;
	}
	return -1;
}

/*
 * Send the stack in w, its hash in w->event.header.arg, to user space. Returns 0, or -1 when there
 * is no room. A global function, as stack_add(): the verifier checks it once.
 */
__attribute__((noinline)) int stack_send(struct walk *w)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 nr, lines;
	__u64 *from;
	struct stack_line *first, *line;
	__s64 at;

	if (!w)
		return -1;
	nr = w->event.nr_frames < STACK_MAX_FRAMES ? w->event.nr_frames : STACK_MAX_FRAMES;
	lines = STACK_RECORD_LINES(nr);
	at = reserve_lines(lines);
	first = log_line(STACK_LOG_FIRST + ((__u64)at & (STACK_LOG_LINES - 1)));
	if (at < 0 || !first) {
		count_stat(STAT_LOST_RING);
		return -1;
	}
	/* Reading it directly takes one cache line, and the helper as long as all of this. */
	((__u64 *)w->event.comm)[0] = ((const volatile __u64 *)task->comm)[0];
	((__u64 *)w->event.comm)[1] = ((const volatile __u64 *)task->comm)[1];
	from = (__u64 *)&w->event;
	for (int j = 1; j < 8; j++)
		first->word[j] = from[j];
#pragma clang loop unroll(disable)
	for (__u32 i = 1; i < STACK_MAX_LINES; i++) {
		if (i >= lines)
			break;
		line = log_line(STACK_LOG_FIRST + ((at + i) & (STACK_LOG_LINES - 1)));
		if (!line)
			break;
		for (int j = 0; j < 8; j++)
			line->word[j] = from[i * 8 + j];
	}
	/* Release: an exchange is ordered on all architectures. */
	__sync_lock_test_and_set(&first->word[0], from[0]);
	/* User space looks every now and then, and is woken only when the log fills faster. */
	if ((at ^ (at + lines)) & (STACK_LOG_LINES / 4))
		notify(EVENT_STACKS, w->event.header.tgid, 0);
	return 0;
}

/*
 * Add n to the key's count, after the stack in w was sent if the key is new. Returns 0, or -1 if
 * it could not be kept, which is counted.
 */
__attribute__((noinline)) int stack_add(struct walk *w, __u64 key, __u64 n)
{
	struct stack_bucket *b;
	bool sent = false;
	__u64 found;
	__u32 index;

	if (!w)
		return -1;
#pragma clang loop unroll(disable)
	for (__u32 look = 0; look < STACK_LOOKS; look++) {
		index = stack_bucket(key, look);
		b = bpf_map_lookup_elem(&stacks, &index);
		if (!b)
			return -1;
#pragma clang loop unroll(disable)
		for (int i = 0; i < STACK_WAYS; i++) {
			found = *(volatile __u64 *)&b->way[i].key;
			if (!found) {
				if (!sent && stack_send(w))
					return -1;
				sent = true;
				found = __sync_val_compare_and_swap(&b->way[i].key, 0, key);
				if (!found)
					found = key;
			}
			if (found != key)
				continue;
			if (n)
				__sync_fetch_and_add(&b->way[i].count, n);
			return 0;
		}
	}
	count_stat(STAT_LOST_COUNTS);
	return -1;
}

/* Count the stack `n` times. */
static __always_inline void stack_count(struct walk *w, __u64 n)
{
	struct stack_key key = {
		.stack = stack_hash(w),
		.tgid = w->event.header.tgid,
		.tid = w->event.tid,
	};

	w->event.header.arg = key.stack;
	stack_add(w, stack_key_hash(key), n);
}

#endif
