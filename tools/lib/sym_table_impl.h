/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SYM_TABLE_IMPL_H
#define PERISCOPE_SYM_TABLE_IMPL_H

/* What the readers of symbols (sym_table.c, sym_plt.c, functions.c) share; for them only. */

#include "sym_table.h"

/* A symbol on its way into the table. */
struct sym_raw {
	uint64_t addr;
	uint64_t size;
	uint64_t limit; /* end of its section */
	uint32_t name;	/* in builder->strings */
	uint8_t bind;
	bool function;
	bool ifunc; /* a resolver, which tells where the function is */
	bool plt;
};

struct sym_builder {
	struct sym_raw *raw;
	size_t n, cap;
	char *strings;
	size_t strings_len;
};

/*
 * Read .dynsym and .symtab, the latter of the debug file (may be NULL) where the file has none;
 * damaged ones are left out. The caller frees raw and strings, also on failure. Returns 0 or
 * -ENOMEM.
 */
int sym_builder_read(struct sym_builder *b, Elf *elf, Elf *debug, bool *ret_has_symtab);
/* The order of sym_table.h, for qsort_r of struct sym_raw with the builder as its argument. */
int sym_compare(const void *x, const void *y, void *builder);
/* Append a symbol. Returns 0 or -ENOMEM. */
int sym_builder_add(struct sym_builder *b, const struct sym_raw *raw);
/* Append a string section; *ret_base is added to its offsets. 0, -ENOEXEC or -ENOMEM. */
int sym_builder_strings(struct sym_builder *b, Elf *elf, size_t index, uint32_t *ret_base,
			uint32_t *ret_size);
/* Add `name@plt` for the stubs of an x86-64 file. Returns 0 or -ENOMEM. */
int sym_plt_add(struct sym_builder *b, Elf *elf);

#endif
