/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_UNWIND_TABLE_H
#define PERISCOPE_UNWIND_TABLE_H

/*
 * The unwind table of one object, in the form that the BPF programs read: one array of 8-byte
 * words, [index][struct unwind_row...][struct unwind_rule...] (see bpf/unwind.h). About 180 KB
 * for a MB of text.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/unwind.h"
#include "elf.h"

struct unwind_table {
	uint64_t base; /* virtual address of the first block; rows count from here */
	uint32_t nr_blocks, nr_rows, nr_rules;
	bool follows_rbx; /* rules say where RBX is saved: some CFA of the object is in it */
	uint64_t *words;  /* owned */
	size_t nr_words;
	size_t nr_bad;	       /* entries of .eh_frame that could not be read */
	size_t nr_unsupported; /* rows that end a walk for want of a way to express the rule */
};

/*
 * Build the table of f's .eh_frame and .debug_frame. Returns 0; -ENOENT when there is neither (or
 * they describe nothing), -ENOTSUP for a machine other than x86-64, -EFBIG for more text than 4 GiB,
 * -ENOEXEC for a damaged file, -ENOMEM. On success the caller releases *ret.
 */
int unwind_table_init(struct unwind_table *ret, struct elf_file *f);
void unwind_table_release(struct unwind_table *t);

/* The row that covers vaddr, as the BPF side finds it; NULL outside the table. */
const struct unwind_row *unwind_table_row(const struct unwind_table *t, uint64_t vaddr);
/* The rule that a row of kind UNWIND_RULE names; NULL for other rows. */
const struct unwind_rule *unwind_table_rule(const struct unwind_table *t,
					    const struct unwind_row *row);

#endif
