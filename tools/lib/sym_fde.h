/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SYM_FDE_H
#define PERISCOPE_SYM_FDE_H

/*
 * Where functions begin and end by the unwind information (.eh_frame), which stripped files keep:
 * the ground for telling an unnamed function from the exported one before it.
 */

#include "elf.h"

struct sym_fde {
	uint64_t start;
	uint64_t size;
};

struct sym_fdes {
	struct sym_fde *items; /* by start */
	size_t n;
};

/* Read the FDEs; damaged ones are left out. Returns 0 or -ENOMEM. */
int sym_fdes_init(struct sym_fdes *f, struct elf_file *elf);
void sym_fdes_release(struct sym_fdes *f);
/* The FDE that covers addr or NULL. */
const struct sym_fde *sym_fdes_find(const struct sym_fdes *f, uint64_t addr);

/* Where the FDE before addr ends, if that is not beyond addr; else 0. */
uint64_t sym_fdes_end_before(const struct sym_fdes *f, uint64_t addr);

#endif
