/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_KERNEL_TRIM_BPF_H
#define PERISCOPE_KERNEL_TRIM_BPF_H

/* Kernel stacks without the frames that are there because we look: the tracepoint and our program. */

#include "stacks.bpf.h"

/* Kernel text from kallsyms, 0 when unknown: what is inside of it on a stack is our machinery. */
const volatile __u64 schedule_text[2]; /* __schedule */

/* Innermost kernel frames that are our machinery at a switch, once that is known. */
__u32 skip_switch;

/*
 * How many frames there are up to the last one inside. A function of its own, so that the verifier
 * need not follow each way through the loop into what comes after.
 */
__attribute__((noinline)) int frames_up_to(struct walk *w, __u64 start, __u64 end)
{
	int n = 0;

	if (!w)
		return 0;
	for (__u32 i = 0; i < 16; i++)
		if (i < w->event.nr_frames && w->event.frames[i] - start < end - start)
			n = i + 1;
	return n;
}

/*
 * How many innermost frames to leave out: up to the last one inside of `text`, and `more` frames
 * further. It is the same each time and looked for once.
 */
static __always_inline __u32 kernel_trim(struct walk *w, void *ctx, const volatile __u64 *text,
					 __u32 more, __u32 *skip)
{
	if (!*skip && text[1]) {
		stack_kernel_frames(w, ctx, 0);
		*skip = frames_up_to(w, text[0], text[1]) + more;
	}
	return *skip;
}

static __always_inline void stack_kernel_beyond(struct walk *w, void *ctx,
						const volatile __u64 *text, __u32 more, __u32 *skip)
{
	stack_kernel_frames(w, ctx, kernel_trim(w, ctx, text, more, skip));
}

#endif
