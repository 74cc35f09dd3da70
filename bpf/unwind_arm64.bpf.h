/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_UNWIND_ARM64_BPF_H
#define PERISCOPE_UNWIND_ARM64_BPF_H

/* One frame of the walk on arm64. Part of unwind.bpf.h, which includes it. */

/*
 * arm64 distributions keep frame records: x29 points at {caller's x29, return address} (AAPCS64,
 * 6.4.6). regs[UNWIND_RBP] holds x29. A record of zero ends the chain.
 */
static __always_inline int step(struct walk *w)
{
	__u64 record[2], fp = w->state.regs[UNWIND_RBP];

	if (!fp)
		return UNWIND_COMPLETE;
	if ((fp & 7) || fp < w->state.regs[UNWIND_RSP])
		return UNWIND_BAD_CFA;
	if (bpf_probe_read_user(record, sizeof(record), (void *)fp))
		return UNWIND_BAD_READ;
	w->state.regs[UNWIND_RBP] = record[0];
	w->state.regs[UNWIND_RSP] = fp + 16;
	w->state.pc = record[1] & ~(0xffULL << 55); /* pointer authentication codes */
	w->state.is_return = 1;
	return w->state.pc ? UNWIND_MORE : UNWIND_COMPLETE;
}

/* One frame: name it, and move to its caller. Returns enum unwind_end. */
__attribute__((noinline)) int unwind_frame(struct walk *w)
{
	struct unwind_mapping *m;
	__u64 pc;

	if (!w)
		return UNWIND_NO_MAPPING;
	if (w->event.nr_frames >= STACK_MAX_FRAMES)
		return UNWIND_TOO_DEEP;
	pc = unwind_lookup_pc(&w->state);
	m = find_mapping(w, pc);
	if (m && m->object)
		walk_push(w, (__u64)m->object << FRAME_OBJECT_SHIFT |
				     ((pc - m->bias) & FRAME_ADDR_MASK));
	else
		walk_push(w, pc & FRAME_ADDR_MASK);
	return m ? step(w) : UNWIND_NO_MAPPING;
}

#endif
