/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_UNWIND_H
#define PERISCOPE_UNWIND_H

/*
 * Unwinding without frame pointers: the layout of unwind rows, and the one step that takes a
 * frame's registers to its caller's. Compiled into the BPF programs, where memory is read by
 * bpf_probe_read_user, and into user space, where tests hold it against other unwinders.
 *
 * A row says, for all addresses from its pc to the next row's, how to find the CFA (the value of
 * the stack pointer before the call), the return address and the caller's RBP (DWARF 5, 6.4). A
 * row of 8 bytes holds what compilers emit in all but a few places of a program: CFA at an offset
 * from RSP or RBP, return address at CFA - 8, RBP unchanged or saved below the CFA. All else is a
 * rule in full, kept once per object and named by its index in the row.
 */

#include <linux/types.h>

/* Registers by their DWARF numbers (System V ABI, AMD64 supplement 1.0, figure 3.36). */
enum unwind_reg {
	UNWIND_RAX = 0,
	UNWIND_RDX = 1,
	UNWIND_RCX = 2,
	UNWIND_RBX = 3,
	UNWIND_RSI = 4,
	UNWIND_RDI = 5,
	UNWIND_RBP = 6,
	UNWIND_RSP = 7,
	UNWIND_R8 = 8,
	UNWIND_R9 = 9,
	UNWIND_R10 = 10,
	UNWIND_R11 = 11,
	UNWIND_R12 = 12,
	UNWIND_R13 = 13,
	UNWIND_R14 = 14,
	UNWIND_R15 = 15,
	UNWIND_RA = 16,
	UNWIND_NR_REGS = 16,
};

/* Upper two bits of unwind_row.cfa. */
enum unwind_kind {
	UNWIND_CFA_RSP = 0, /* lower 14 bits: offset in units of 8 bytes */
	UNWIND_CFA_RBP = 1, /* likewise */
	UNWIND_RULE = 2,    /* lower 14 bits: index of the object's unwind_rule */
	UNWIND_MARK = 3,    /* lower 14 bits: enum unwind_end: the walk ends here for this reason */
};

#define UNWIND_KIND_SHIFT   14
#define UNWIND_PARAM_MASK   0x3fff
#define UNWIND_CFA_MAX	    (UNWIND_PARAM_MASK * 8) /* 131,064: larger offsets need a rule */
#define UNWIND_RBP_SLOT_MAX (0xffff * 8)
#define UNWIND_RULES_MAX    (UNWIND_PARAM_MASK + 1)

struct unwind_row {
	__u32 pc;  /* from the table's base address */
	__u16 cfa; /* kind and parameter */
	__u16 rbp; /* RBP is saved at CFA - 8 * rbp; 0: unchanged */
};

enum unwind_cfa_kind {
	UNWIND_CFA_REG = 0,    /* reg + off */
	UNWIND_CFA_DEREF = 1,  /* *(reg + off + index * scale) + post */
	UNWIND_CFA_PLT = 2,    /* reg + off + ((pc & 15) >= scale ? post : 0) */
	UNWIND_CFA_SIGNAL = 3, /* a signal frame: all registers from the ucontext at RSP */
};

enum unwind_rbp_kind {
	UNWIND_RBP_SAME = 0,
	UNWIND_RBP_AT_CFA = 1, /* saved at CFA + rbp_off */
	UNWIND_RBP_AT_RBP = 2, /* saved at RBP + rbp_off (realigned stacks) */
	UNWIND_RBP_IN_REG = 3, /* in the register rbp_off (longjmp) */
	UNWIND_RBP_LOST = 4,   /* undefined, or by a rule that we do not read */
};

#define UNWIND_NO_INDEX 0xff

struct unwind_rule {
	__s32 cfa_off;
	__s32 cfa_post;
	__s32 rbp_off;
	__s32 ra_off;	/* the return address is at CFA + ra_off, unless ra_reg is a register */
	__u8 cfa_kind;	/* enum unwind_cfa_kind */
	__u8 cfa_reg;	/* enum unwind_reg */
	__u8 cfa_index; /* enum unwind_reg or UNWIND_NO_INDEX */
	__u8 cfa_scale;
	__u8 rbp_kind; /* enum unwind_rbp_kind */
	__u8 ra_reg;   /* UNWIND_RA: in memory; else the register that holds it (vfork) */
	__u16 rbx;     /* RBX is saved at CFA - 8 * rbx; 0: unchanged, or not looked at */
};

#define UNWIND_RBX_LOST 0xffff

_Static_assert(sizeof(struct unwind_row) == 8, "a row is one 8-byte word");
_Static_assert(sizeof(struct unwind_rule) == 24, "a rule is three 8-byte words");

#define UNWIND_RULE_WORDS 3

/*
 * An object's table is one array of 8-byte words: the index, the rows, sorted by pc, then the
 * rules. The index has for each block of 256 bytes of text a 32-bit number, that of the row which
 * covers the block's first byte, and one more, of the last row; the rows of block i are those from
 * index[i] to index[i + 1], both included. So a search needs three looks or four, in one cache
 * line mostly.
 */
#define UNWIND_BLOCK_SHIFT	      8
#define UNWIND_INDEX_WORDS(nr_blocks) (((nr_blocks) + 2) / 2)

/* Why a walk ended. Values are part of the records in the ring buffer. */
enum unwind_end {
	UNWIND_MORE = 0,     /* not an end: there is a caller */
	UNWIND_COMPLETE = 1, /* at a frame whose return address is undefined: the outermost */
	UNWIND_NO_MAPPING,   /* the address is in no executable mapping that we know */
	UNWIND_NO_TABLE,     /* no unwind information for the mapping, and no frame pointers */
	UNWIND_HOLE,	     /* between the functions that the unwind information describes */
	UNWIND_UNSUPPORTED,  /* a rule that we cannot express */
	UNWIND_LOST_REG,     /* the rule wants a register that is not known at this depth */
	UNWIND_BAD_READ,     /* stack memory could not be read */
	UNWIND_BAD_CFA,	     /* the CFA is unaligned or not above the callee's */
	UNWIND_TOO_DEEP,     /* more frames than a record holds */
	UNWIND_NO_REGS,	     /* the task has no user registers */
	UNWIND_NR_ENDS,
};

/* The registers of a frame on the way up. What every frame wants is together. */
struct unwind_state {
	__u64 pc;
	/*
	 * Bit n: regs[n] is known. All are at the leaf and at a signal frame's; above those RSP,
	 * and RBP. The others stay known while the walk stays in the leaf's object, because
	 * hand-written code keeps its CFA in one of them across calls to its own helpers
	 * (libcrypto's AES-GCM); unwind_leave_object() ends that. RBX is followed truly, by
	 * the rules of objects that keep a CFA in it across calls of C (ld.so's lazy binding).
	 */
	__u32 known;
	/* The pc is a return address, so the call is before it: look up pc - 1. */
	__u32 is_return;
	__u64 regs[UNWIND_NR_REGS];
};

#define UNWIND_KNOW_ALL	   0xffffu
#define UNWIND_KNOW_ALWAYS ((1u << UNWIND_RSP) | (1u << UNWIND_RBP))

/* A BPF program has no calls to spare, and a reader must be known where it is called. */
#define UNWIND_INLINE static inline __attribute__((always_inline))

/* Read 8 bytes of the target's stack at addr. Returns 0, or non-zero when they cannot be read. */
typedef int (*unwind_read_fn)(void *cookie, __u64 addr, __u64 *ret);

/* The address by which the frame's code is looked up and named. */
UNWIND_INLINE __u64 unwind_lookup_pc(const struct unwind_state *s)
{
	return s->is_return ? s->pc - 1 : s->pc;
}

UNWIND_INLINE void unwind_leave_object(struct unwind_state *s)
{
	if (s->is_return)
		s->known &= UNWIND_KNOW_ALWAYS;
}

/*
 * Linux puts a struct rt_sigframe on the stack; when the handler has returned to its restorer,
 * RSP points at the ucontext in it, whose general registers start 40 bytes in, in this order
 * (arch/x86/include/uapi/asm/sigcontext.h, struct sigcontext_64).
 */
#define UNWIND_SIGCONTEXT 40

UNWIND_INLINE int unwind_signal_frame(struct unwind_state *s, unwind_read_fn read, void *cookie)
{
	static const __u8 order[] = {
		UNWIND_R8,  UNWIND_R9,	UNWIND_R10, UNWIND_R11, UNWIND_R12, UNWIND_R13,
		UNWIND_R14, UNWIND_R15, UNWIND_RDI, UNWIND_RSI, UNWIND_RBP, UNWIND_RBX,
		UNWIND_RDX, UNWIND_RAX, UNWIND_RCX, UNWIND_RSP, UNWIND_RA,
	};
	__u64 addr = s->regs[UNWIND_RSP] + UNWIND_SIGCONTEXT;
	__u64 value;

#pragma GCC unroll 17
	for (unsigned int i = 0; i < sizeof(order); i++, addr += 8) {
		if (read(cookie, addr, &value))
			return UNWIND_BAD_READ;
		if (order[i] == UNWIND_RA)
			s->pc = value;
		else
			s->regs[order[i]] = value;
	}
	s->known = UNWIND_KNOW_ALL;
	s->is_return = 0;
	return UNWIND_MORE;
}

/*
 * Move s from a frame to its caller, given where the CFA is and where the return address and RBP
 * are saved. `rbp_at` 0: RBP unchanged.
 */
UNWIND_INLINE int unwind_pop(struct unwind_state *s, __u64 cfa, __u64 ra_at, __u64 rbp_at,
			     unwind_read_fn read, void *cookie)
{
	__u64 ra, rbp = s->regs[UNWIND_RBP];

	/* A leaf may sit at CFA == RSP (vfork pops its return address), nothing may sit below. */
	if ((cfa & 7) || cfa < s->regs[UNWIND_RSP] || (s->is_return && cfa == s->regs[UNWIND_RSP]))
		return UNWIND_BAD_CFA;
	if (rbp_at && read(cookie, rbp_at, &rbp))
		return UNWIND_BAD_READ;
	if (ra_at) {
		if (read(cookie, ra_at, &ra))
			return UNWIND_BAD_READ;
		/*
		 * A new thread's first instructions run under its creator's rules, on a stack that
		 * holds nothing yet: there is no caller.
		 */
		if (!ra && !s->is_return)
			return UNWIND_COMPLETE;
		s->pc = ra;
	}
	s->regs[UNWIND_RBP] = rbp;
	s->regs[UNWIND_RSP] = cfa;
	s->is_return = 1;
	return UNWIND_MORE;
}

UNWIND_INLINE int unwind_known(const struct unwind_state *s, __u8 reg)
{
	return reg < UNWIND_NR_REGS && (s->known & (1u << reg));
}

/* The step by a rule in full. */
UNWIND_INLINE int unwind_by_rule(struct unwind_state *s, const struct unwind_rule *r,
				 unwind_read_fn read, void *cookie)
{
	__u64 cfa, in_reg, rbp_at = 0, ra_at = 0;
	int end, is_known;

	if (r->cfa_kind == UNWIND_CFA_SIGNAL)
		return unwind_signal_frame(s, read, cookie);
	if (!unwind_known(s, r->cfa_reg))
		return UNWIND_LOST_REG;
	cfa = s->regs[r->cfa_reg & 15] + (__s64)r->cfa_off;
	if (r->cfa_kind == UNWIND_CFA_DEREF) {
		if (r->cfa_index != UNWIND_NO_INDEX) {
			if (!unwind_known(s, r->cfa_index))
				return UNWIND_LOST_REG;
			cfa += s->regs[r->cfa_index & 15] * r->cfa_scale;
		}
		if (read(cookie, cfa, &cfa))
			return UNWIND_BAD_READ;
		cfa += (__s64)r->cfa_post;
	} else if (r->cfa_kind == UNWIND_CFA_PLT) {
		cfa += (s->pc & 15) >= r->cfa_scale ? (__s64)r->cfa_post : 0;
	}
	if (r->rbp_kind == UNWIND_RBP_AT_CFA)
		rbp_at = cfa + (__s64)r->rbp_off;
	else if (r->rbp_kind == UNWIND_RBP_AT_RBP)
		rbp_at = s->regs[UNWIND_RBP] + (__s64)r->rbp_off;
	if (r->ra_reg == UNWIND_RA)
		ra_at = cfa + (__s64)r->ra_off;
	else if (!unwind_known(s, r->ra_reg))
		return UNWIND_LOST_REG;
	else
		s->pc = s->regs[r->ra_reg & 15];
	if (r->rbx == UNWIND_RBX_LOST) {
		s->known &= ~(1u << UNWIND_RBX);
	} else if (r->rbx) {
		if (read(cookie, cfa - r->rbx * 8, &s->regs[UNWIND_RBX]))
			return UNWIND_BAD_READ;
		s->known |= 1u << UNWIND_RBX;
	}
	in_reg = s->regs[r->rbp_off & 15];
	is_known = unwind_known(s, r->rbp_off & 15);
	end = unwind_pop(s, cfa, ra_at, rbp_at, read, cookie);
	if (r->rbp_kind == UNWIND_RBP_IN_REG) {
		s->regs[UNWIND_RBP] = in_reg;
		rbp_at = is_known;
	}
	if (r->rbp_kind == UNWIND_RBP_LOST || (r->rbp_kind == UNWIND_RBP_IN_REG && !is_known))
		s->known &= ~(1u << UNWIND_RBP);
	else if (rbp_at)
		s->known |= 1u << UNWIND_RBP;
	return end;
}

/*
 * The step: s becomes the caller's frame by the row that covers unwind_lookup_pc(s). `rule` is
 * the row's rule when its kind is UNWIND_RULE, else ignored. Returns UNWIND_MORE, or why there is
 * no caller (s is then undefined).
 */
UNWIND_INLINE int unwind_step(struct unwind_state *s, const struct unwind_row *row,
			      const struct unwind_rule *rule, unwind_read_fn read, void *cookie)
{
	__u32 kind = row->cfa >> UNWIND_KIND_SHIFT, param = row->cfa & UNWIND_PARAM_MASK;
	__u64 cfa;
	int end;

	if (kind == UNWIND_MARK)
		return param;
	if (kind == UNWIND_RULE)
		return unwind_by_rule(s, rule, read, cookie);
	if (kind == UNWIND_CFA_RBP) {
		if (!unwind_known(s, UNWIND_RBP))
			return UNWIND_LOST_REG;
		cfa = s->regs[UNWIND_RBP] + param * 8;
	} else {
		cfa = s->regs[UNWIND_RSP] + param * 8;
	}
	end = unwind_pop(s, cfa, cfa - 8, row->rbp ? cfa - row->rbp * 8 : 0, read, cookie);
	if (row->rbp)
		s->known |= 1u << UNWIND_RBP;
	return end;
}

/*
 * The step where no row covers the code: by the frame record {caller's RBP, return address} that
 * RBP points at, if it does.
 */
UNWIND_INLINE int unwind_by_frame_pointer(struct unwind_state *s, unwind_read_fn read, void *cookie)
{
	__u64 bp = s->regs[UNWIND_RBP];

	/* Farther than this from RSP, RBP is not a frame pointer but somebody's data. */
	if (!unwind_known(s, UNWIND_RBP) || bp < s->regs[UNWIND_RSP] ||
	    bp - s->regs[UNWIND_RSP] > (1 << 20))
		return UNWIND_NO_TABLE;
	return unwind_pop(s, bp + 16, bp + 8, bp, read, cookie);
}

#endif
