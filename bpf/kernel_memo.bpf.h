/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_KERNEL_MEMO_BPF_H
#define PERISCOPE_KERNEL_MEMO_BPF_H

/*
 * Kernel stacks for less: the kernel's unwinder takes 0.1 to 0.2 us for a frame, while a thread that
 * waits has nearly always come the same way as one before. What one walk has found is kept: the
 * return addresses and where on the stack they are. The next time, in the same system call, the stack
 * is the same if all of them are in their places again.
 *
 * Places count from the program's context, which the tracepoint has put on the task's kernel stack,
 * but for the outermost frame's, which counts from the registers at the stack's top: between the two
 * there may be a gap of random size (randomize_kstack_offset). Where the context is not on that stack
 * nothing is ever found in the memo.
 *
 * It might be another stack on which an earlier one has left what it had in those very places. So one
 * in MEMO_CHECKED is walked all the same and compared; should one ever differ, it is counted and the
 * memo is not used any more.
 *
 * Only for programs that nothing interrupts but what has no use for this (sched_switch).
 */

#include "kernel_trim.bpf.h"
#include "wait.bpf.h"

#define MEMO_SETS    16	 /* by system call */
#define MEMO_WAYS    4	 /* by innermost frame */
#define MEMO_FRAMES  32	 /* and one less are kept */
#define MEMO_WORDS   256 /* of a stack; deeper ones are walked */
#define MEMO_CHECKED 64

struct kernel_memo {
	__u32 syscall;
	__u32 nr; /* 0: empty */
	__u32 uses;
	__u16 places[MEMO_FRAMES]; /* words from the context; the last one's from the top */
	__u64 frames[MEMO_FRAMES];
};

struct kernel_memos {
	__u64 words[MEMO_WORDS]; /* the stack that is looked at */
	__u32 nr_words;
	struct kernel_memo items[MEMO_SETS * MEMO_WAYS];
};

_Static_assert(sizeof(struct kernel_memos) <= 32768, "the most that a per-CPU element can hold");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kernel_memos);
} kernel_memos SEC(".maps");

__u64 kernel_misread; /* stacks that differed from the memo's when they were compared */

/* In memory, where the verifier does not follow: each number would be a way of its own for it. */
#define MEMO_NR(m) (*(volatile __u32 *)&(m)->nr)

/* Make m the memo of w's frames, if all of them are on the stack. */
__attribute__((noinline)) int memo_learn(struct kernel_memos *k, struct kernel_memo *m,
					 struct walk *w)
{
	__u32 n, nr, last;

	if (!k || !m || !w)
		return 0;
	nr = w->event.nr_frames;
	MEMO_NR(m) = 0;
	if (!nr || nr >= MEMO_FRAMES)
		return 0;
	w->event.frames[nr & (MEMO_FRAMES - 1)] = 0; /* no return address: it is not found */
	for (__u32 i = 0; i < MEMO_WORDS; i++) {
		n = MEMO_NR(m) & (MEMO_FRAMES - 1);
		if (k->words[i] != w->event.frames[n] || !k->words[i])
			continue;
		m->frames[n] = k->words[i];
		m->places[n] = i;
		MEMO_NR(m) = n + 1;
	}
	last = m->places[(nr - 1) & (MEMO_FRAMES - 1)];
	/* Beyond the stack there is what was there before. */
	if (MEMO_NR(m) == nr && last < k->nr_words)
		m->places[(nr - 1) & (MEMO_FRAMES - 1)] = k->nr_words - last;
	else
		MEMO_NR(m) = 0;
	return 0;
}

/* Are all frames of the memo in their places? */
__attribute__((noinline)) int memo_holds(struct kernel_memos *k, struct kernel_memo *m)
{
	__u32 nr, place;

	if (!k || !m)
		return 0;
	nr = m->nr;
	for (__u32 i = 0; i < MEMO_FRAMES; i++) {
		if (i >= nr)
			break;
		place = m->places[i];
		if (i + 1 == nr)
			place = k->nr_words - place;
		if (k->words[place & (MEMO_WORDS - 1)] != m->frames[i])
			return 0;
	}
	return nr > 0;
}

/* The memo's frames become w's; with `compare`, are they already? */
__attribute__((noinline)) int memo_copy(struct kernel_memo *m, struct walk *w, int compare)
{
	int same;

	if (!m || !w)
		return 0;
	same = w->event.nr_frames == m->nr;
	for (__u32 i = 0; i < MEMO_FRAMES; i++) {
		if (i >= m->nr)
			break;
		if (!compare)
			w->event.frames[i] = m->frames[i];
		else if (w->event.frames[i] != m->frames[i])
			same = 0;
	}
	if (!compare)
		w->event.nr_frames = w->event.nr_kernel = m->nr;
	return same;
}

/* The verifier of Linux 6.1 forgets the bounds of a number that was on the stack: they come last. */
static __always_inline struct kernel_memo *memo_at(struct kernel_memos *k, __u32 syscall, __u32 way)
{
	__u64 at = (__u64)syscall * MEMO_WAYS + way % MEMO_WAYS;

	barrier_var(at);
	return &k->items[at & (MEMO_SETS * MEMO_WAYS - 1)];
}

/* The memo of the current task's stack, NULL when there is none. k->words gets the stack. */
static __always_inline struct kernel_memo *memo_find(struct kernel_memos *k, void *ctx,
						     __u32 syscall)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	__u64 depth = (__u64)regs - (__u64)ctx;
	__u32 size = depth;

	k->nr_words = 0;
	if (depth > MEMO_WORDS * 8 || size > MEMO_WORDS * 8 ||
	    bpf_probe_read_kernel(k->words, size, ctx))
		return NULL;
	k->nr_words = size / 8;
	for (__u32 i = 0; i < MEMO_WAYS; i++) {
		struct kernel_memo *m = memo_at(k, syscall, i);

		if (m->syscall == syscall && memo_holds(k, m))
			return m;
	}
	return NULL;
}

/* As stack_kernel_beyond(). */
static __always_inline void stack_kernel_known(struct walk *w, void *ctx,
					       const volatile __u64 *text, __u32 more)
{
	__u32 zero = 0, syscall = wait_syscall(bpf_get_current_task_btf());
	struct kernel_memos *k = bpf_map_lookup_elem(&kernel_memos, &zero);
	struct kernel_memo *m;

	if (!k || !text[1] || kernel_misread) {
		stack_kernel_beyond(w, ctx, text, more);
		return;
	}
	m = memo_find(k, ctx, syscall);
	if (m && ++m->uses % MEMO_CHECKED) {
		memo_copy(m, w, 0);
		return;
	}
	stack_kernel_beyond(w, ctx, text, more);
	if (m) {
		if (!memo_copy(m, w, 1))
			__sync_fetch_and_add(&kernel_misread, 1);
	} else if (k->nr_words) {
		m = memo_at(k, syscall, w->event.frames[0] >> 4);
		m->syscall = syscall;
		memo_learn(k, m, w);
	}
}

#endif
