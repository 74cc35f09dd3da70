/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SYM_TABLE_H
#define PERISCOPE_SYM_TABLE_H

/*
 * The functions of one ELF file by address, from .symtab (the file's or its debug file's),
 * .dynsym and the PLT, in one sorted array of 20 bytes a symbol.
 *
 * Symbols that share an address are one entry, under the name people look for: one with a size
 * before one without, a function before a label, an exported name (global or weak) before a local
 * one, then fewer leading underscores, global before weak, the shorter, the alphabetically first.
 * glibc has `read` (weak), `__read` (global) and `__GI___libc_read` (local) at one address; a rule
 * that prefers global to weak at once, as perf's does, calls it `__read`.
 */

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sym_entry {
	uint64_t addr;
	uint32_t size; /* 0 only where two labels meet */
	uint32_t name : 30;
	uint32_t
		open : 1; /* no size in the file: reaches to the next symbol or the section's end */
	uint32_t plt : 1; /* `@plt` follows the name */
};

struct sym_table {
	struct sym_entry *entries;
	uint32_t *outer; /* nearest earlier entry that reaches past this one's start */
	size_t n;
	char *strings;
	bool has_symtab;
};

/*
 * Read the tables of a file and, where not NULL, of its debug file. Damaged ones are left out.
 * Returns 0 or -ENOMEM. sym_table_release is fine on a zeroed or failed table.
 */
int sym_table_init(struct sym_table *t, Elf *elf, Elf *debug);
void sym_table_release(struct sym_table *t);
/* The innermost entry that covers addr, or NULL. */
const struct sym_entry *sym_table_find(const struct sym_table *t, uint64_t addr);
/* Where the last entry that ends at or before addr ends, of those right before it; else 0. */
uint64_t sym_table_end_before(const struct sym_table *t, uint64_t addr);
/* Write the entry's name, without symbol version, into buf (cut to fit). Returns buf. */
char *sym_table_name(const struct sym_table *t, const struct sym_entry *e, char *buf, size_t size);

#endif
