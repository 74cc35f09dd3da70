/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_STACK_IDS_BPF_H
#define PERISCOPE_STACK_IDS_BPF_H

/*
 * For tools whose values are not plain counts: a stack becomes a 64-bit name, which the tool's own
 * maps and records hold, and its frames go to user space once.
 *
 * User space finds the frames by stacks_find(), and may empty `stacks` at any time: a stack that
 * comes again is sent again. A name that was given has its frames: they are sent before.
 */

#include "stacks.bpf.h"

/* The stack's name, or 0 when its frames could not be kept, which is counted. */
static __always_inline __u64 stack_intern(struct walk *w)
{
	__u64 hash = stack_hash(w);

	w->event.header.arg = hash;
	return stack_add(w, hash, 0) ? 0 : hash;
}

#endif
