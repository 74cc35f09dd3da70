/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CFI_H
#define PERISCOPE_CFI_H

/*
 * Call frame instructions (DWARF 5, 6.4.2, and the GNU extensions of LSB 5.0, 10.5.1): runs the
 * instructions of one function and reports the rules in force from each address on, for x86-64.
 * Input is untrusted: every read is bounded, work is linear in the size of the instructions.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/unwind.h"

/* A position in untrusted bytes. After the first read past the end, `bad` stays set. */
struct cfi_reader {
	const uint8_t *p, *end;
	bool bad;
};

uint64_t cfi_uint(struct cfi_reader *r, size_t size); /* 1, 2, 4 or 8 bytes, little-endian */
uint64_t cfi_uleb(struct cfi_reader *r);
int64_t cfi_sleb(struct cfi_reader *r);

/* A pointer in encoding `enc` (LSB 5.0, 10.5.1); `vaddr` is the address of r->p in memory. */
uint64_t cfi_pointer(struct cfi_reader *r, uint8_t enc, uint64_t vaddr);

#define CFI_PE_OMIT 0xff

/* What a CIE says to all its FDEs. */
struct cfi_cie {
	uint64_t code_align;
	int64_t data_align;
	uint64_t ra_reg;
	uint8_t pointer_enc;
	bool has_augmentation_data;
	bool signal_frame;
	const uint8_t *insns, *insns_end;
	uint64_t insns_vaddr;
};

/*
 * One row: from `pc` on, either the walk ends for a reason (mark != UNWIND_MORE) or the rule
 * holds. Returns 0 or a negative errno that ends the run.
 */
typedef int (*cfi_emit_fn)(void *cookie, uint64_t pc, enum unwind_end mark,
			   const struct unwind_rule *rule);

/*
 * Run a function's instructions [insns, insns_end), at address insns_vaddr in memory, for code
 * [start, end). Rows come in ascending order of pc, the first at start; rows at or behind `end`
 * are not reported. Instructions that cannot be understood make the rest of the function
 * UNWIND_UNSUPPORTED. Returns 0 or what emit returned.
 */
int cfi_run(const struct cfi_cie *cie, const uint8_t *insns, const uint8_t *insns_end,
	    uint64_t insns_vaddr, uint64_t start, uint64_t end, cfi_emit_fn emit, void *cookie);

#endif
