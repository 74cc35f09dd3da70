/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_PROBE_CODE_H
#define PERISCOPE_PROBE_CODE_H

/*
 * The machine code of an object as probe_site.c looks at it: bytes by address, where branches lead
 * to, what branches a function makes. x86-64 only. For probe_*.c only.
 */

#include <capstone/capstone.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf.h"
#include "sym_fde.h"
#include "unwind_table.h"

#define PROBE_INSN_MAX 15 /* bytes of an x86 instruction */

/* What transfers control. */
enum probe_branch {
	PROBE_NO_BRANCH,
	PROBE_COND, /* conditional, to `target` */
	PROBE_JUMP, /* to `target` */
	PROBE_CALL, /* to `target` */
	PROBE_JUMP_INDIRECT,
	PROBE_CALL_INDIRECT,
	PROBE_LEAVES, /* return, trap, system call and the like */
};

/*
 * What an instruction of `size` bytes at vaddr does to control; *ret_target for the direct kinds.
 */
enum probe_branch probe_insn_branch(const uint8_t *insn, size_t size, uint64_t vaddr,
				    uint64_t *ret_target);

/* Is it `lea disp32(%rip), ...`? */
bool probe_insn_lea(const uint8_t *insn, size_t size, uint64_t vaddr, uint64_t *ret_target);

enum probe_insn_kind {
	PROBE_INSN_EMULATED, /* by every kernel since 5.0 */
	PROBE_INSN_STEPPED,
	PROBE_INSN_REFUSED,   /* by the kernel, or it gets it wrong */
	PROBE_INSN_DANGEROUS, /* a 5-byte nop on a kernel that rewrites it */
};

/* What a probe on the instruction comes to. */
enum probe_insn_kind probe_insn_kind(const uint8_t *insn, size_t size, uint64_t vaddr);

/*
 * Is it one of the nops of several bytes that kernels emulate from 6.18 on ("uprobes/x86: Add
 * support to emulate nop instructions"): those of asm/nops.h, in exactly these bytes?
 */
bool probe_insn_is_emulated_nop(const uint8_t *insn, size_t size);

/*
 * Does this kernel replace a probed 5-byte nop by a call? (x86 since 6.18, "uprobes/x86: Add
 * support to optimize uprobes".) Told by a function that came with it; where there is no BTF to
 * look in, we take it that it does. A later kernel that has repaired this is not told from it.
 */
bool probe_rewrites_nop5(void);

/* An executable segment, with a bit for each of its bytes: set where some branch leads to. */
struct probe_segment {
	uint64_t vaddr, offset, size;
	uint64_t *landed;
};

struct probe_code {
	struct elf_file *elf; /* borrowed */
	struct probe_segment *segments;
	size_t nr_segments, cap_segments;
	csh fast, full; /* disassemblers, without and with details of operands */
	cs_insn *insn;	/* scratch of both */
	struct sym_fdes fdes;
	bool *swept;		  /* for each of fdes */
	bool rows_read;		  /* the table below was asked for */
	int rows_err;		  /* and could not be had for this reason */
	struct unwind_table rows; /* see rows_read, rows_err */
};

/*
 * Read up to `size` bytes at vaddr into buf; at the end of a segment there are fewer. Returns how
 * many, or -ENOENT when no code is there, -EBADMSG when it cannot be read.
 */
int probe_code_read(const struct probe_code *c, uint64_t vaddr, uint8_t *buf, size_t size);

/* What one pass over a function's instructions found. */
struct probe_sweep {
	bool undecoded; /* and so not all of it was seen */
	bool to_start;	/* it jumps to its own first instruction */
	bool leaf;	/* it calls nothing and jumps to nowhere else */
};

/*
 * Note where the branches of [start, end) lead to, jump tables included. Returns 0, -ENOENT,
 * -EBADMSG, -ENOMEM.
 */
int probe_code_sweep(struct probe_code *c, uint64_t start, uint64_t end, struct probe_sweep *ret);

/*
 * The same for the code around [start, end) from where a short branch reaches into it, leaving out
 * [start, skip_end), which was looked at. *ret_unsure is set when some of it did not decode.
 */
int probe_code_sweep_around(struct probe_code *c, uint64_t start, uint64_t end, uint64_t skip_end,
			    bool *ret_unsure);

/* Does a branch lead to an address in (start, end]? */
bool probe_code_landed(const struct probe_code *c, uint64_t start, uint64_t end);

#endif
