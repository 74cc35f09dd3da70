/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_EHFRAME_H
#define PERISCOPE_EHFRAME_H

/*
 * Reads .eh_frame (LSB 5.0, 10.6.1), and .debug_frame (DWARF 5, 6.4.1), which says the same of code
 * that was built without the former: all functions that they describe, in order of address, and
 * their unwind rules. Safe on hostile input: bounded reads, memory at most a small multiple of the
 * sections, overlapping functions cut at the next one's start.
 */

#include <stddef.h>
#include <stdint.h>

#include "cfi.h"
#include "elf.h"

struct ehframe_fde {
	uint64_t start, end; /* code, as virtual addresses of the file */
	const uint8_t *insns, *insns_end;
	uint64_t insns_vaddr;
	uint32_t cie; /* index into ehframe.cies */
};

struct ehframe {
	struct cfi_cie *cies;
	size_t nr_cies, cap_cies;
	struct ehframe_fde *fdes; /* ascending start, no overlap */
	size_t nr_fdes, cap_fdes;
	size_t nr_bad; /* entries that could not be read and are left out */
};

/*
 * Read the section into *ret, which the caller releases, also when nothing was found. The slice
 * must stay. Returns 0 or -ENOMEM; damage is counted in nr_bad, and a length that leads out of
 * the section ends the reading.
 */
int ehframe_init(struct ehframe *ret, const struct elf_slice *section);
void ehframe_release(struct ehframe *e);

/*
 * Add the functions that only this section, .debug_frame, describes: where both have a function,
 * .eh_frame's counts. Returns as ehframe_init().
 */
int ehframe_add_debug(struct ehframe *e, const struct elf_slice *section);

/*
 * Report all rows in ascending order of pc. A gap of 16 bytes or more between functions begins
 * with an UNWIND_HOLE row; smaller ones are padding and belong to the function before. Returns 0
 * or what emit returned.
 */
int ehframe_rows(const struct ehframe *e, cfi_emit_fn emit, void *cookie);

/* The function that covers vaddr, or NULL. */
const struct ehframe_fde *ehframe_find(const struct ehframe *e, uint64_t vaddr);

#endif
