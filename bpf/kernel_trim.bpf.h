/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_KERNEL_TRIM_BPF_H
#define PERISCOPE_KERNEL_TRIM_BPF_H

/* Kernel stacks without the frames that are there because we look: the tracepoint and our program. */

#include "stacks.bpf.h"

#define KERNEL_MACHINERY 16 /* at most so many such frames */

/* Kernel text from kallsyms, 0 when unknown: what is inside of it on a stack is our machinery. */
const volatile __u64 schedule_text[2]; /* __schedule */

/*
 * Leave out the innermost frames up to the first one inside, and `more` beyond. How many these are is
 * not the same each time: a tracepoint with several programs, of whoever, calls them by a function of
 * its own. Further out another may be inside, in whose middle an interrupt came.
 * A function of its own, so that the verifier need not follow each way through the loops into what
 * comes after.
 */
__attribute__((noinline)) int kernel_frames_beyond(struct walk *w, __u64 start, __u64 end,
						   __u32 more)
{
	__u32 n = 0, nr;

	if (!w)
		return 0;
	nr = w->event.nr_frames;
	for (__u32 i = 0; i < KERNEL_MACHINERY; i++)
		if (!n && i < nr && w->event.frames[i] - start < end - start)
			n = i + 1;
	if (!n)
		return 0;
	n += more;
	for (__u32 i = 0; i < STACK_MAX_KERNEL; i++) {
		if (i + n >= nr)
			break;
		w->event.frames[i] = w->event.frames[(i + n) & STACK_MAX_KERNEL];
	}
	w->event.nr_frames = w->event.nr_kernel = nr > n ? nr - n : 0;
	return 0;
}

_Static_assert(!(STACK_MAX_KERNEL & (STACK_MAX_KERNEL + 1)), "a mask");

/* As stack_kernel_frames(), from beyond `text` on. */
static __always_inline void stack_kernel_beyond(struct walk *w, void *ctx,
						const volatile __u64 *text, __u32 more)
{
	stack_kernel_frames(w, ctx);
	if (text[1])
		kernel_frames_beyond(w, text[0], text[1], more);
}

#endif
