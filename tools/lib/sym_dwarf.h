/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SYM_DWARF_H
#define PERISCOPE_SYM_DWARF_H

/*
 * Functions, inlined calls and lines by DWARF, through libdw. Read lazily: opening reads the
 * headers of the units, the first address in a unit reads its functions and lines. What is kept of
 * a unit is an array of 16 bytes a function; DIEs are found again by offset.
 *
 * Damaged or hostile debug information costs bounded time and memory: whole sections are limited
 * in size, walks in steps, depth and CPU time. What went beyond is treated as if it were not there.
 */

#include "elf.h"

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

#define SYM_DWARF_MAX_FRAMES 128

/* The bytes of an ELF file, open as often as needed: an open file or an image. Borrowed. */
struct sym_source {
	int fd; /* -1: image */
	char *image;
	size_t size;
};

struct sym_range {
	uint64_t start;
	uint32_t size;
	uint32_t id; /* the unit, or the DIE's offset in its unit */
};

struct sym_ranges {
	struct sym_range *items; /* by start */
	size_t n, cap;
};

struct sym_unit {
	uint64_t die; /* section offset of its first DIE */
	struct sym_ranges functions;
	enum { SYM_UNIT_NEW, SYM_UNIT_FLAT, SYM_UNIT_DEEP, SYM_UNIT_BAD } state;
};

struct sym_dwarf {
	Elf *elf, *alt_elf;
	Dwarf *dbg, *alt;
	const struct elf_file *object; /* whose executable segments count */
	struct sym_unit *units;
	size_t nr_units;
	struct sym_ranges ranges; /* of the units */
	unsigned int strikes; /* walks that went beyond their budget; a few, and it is given up */
};

/* Strings belong to libdw and live until sym_dwarf_release. */
struct sym_dwarf_frame {
	const char *name;    /* NULL: no function known, only the line */
	const char *linkage; /* mangled; NULL: none */
	const char *file;
	uint32_t line, start_line;
	bool inlined;
};

/* Opens the file's dwz companion by name and build ID. Returns a file descriptor or -errno. */
typedef int (*sym_open_alt_fn)(void *ctx, const char *name, const uint8_t *id, size_t id_len);

/* A new handle, ended by its owner with elf_end; NULL when it is no ELF file. */
Elf *sym_source_open(const struct sym_source *source);
/* Does the file hold a section of this name with contents in it? */
bool sym_has_section(Elf *elf, const char *name);

/*
 * Read the DWARF of `source`, which may be the debug file of `object`. Returns 0, -ENOENT when
 * there is none of use (also: too large, or its dwz file is missing), -ENOMEM.
 */
int sym_dwarf_init(struct sym_dwarf *d, const struct sym_source *source,
		   const struct elf_file *object, sym_open_alt_fn open_alt, void *ctx);
/* Fine on a zeroed one. */
void sym_dwarf_release(struct sym_dwarf *d);
/*
 * The functions at an address, innermost first. Returns their number (0: address not known), or
 * -ENOMEM.
 */
int sym_dwarf_lookup(struct sym_dwarf *d, uint64_t addr,
		     struct sym_dwarf_frame frames[SYM_DWARF_MAX_FRAMES]);

/* -------- shared by sym_dwarf.c and sym_dwarf_scan.c, for them only -------- */

/* What one walk over DIEs may still cost. */
struct sym_budget {
	unsigned int steps;
	uint64_t deadline; /* CPU time of the thread, ns */
	bool spent;
};

void sym_budget_init(struct sym_budget *b);
/* Count one DIE or range. Returns false when no more may be read. */
bool sym_budget_take(struct sym_budget *b);
/* Step to the next sibling, which must lie further on. */
bool sym_next_sibling(Dwarf_Die *die);
/* The i-th range before which `addr` does not begin: the last that starts at or before it, or -1. */
ssize_t sym_ranges_floor(const struct sym_ranges *r, uint64_t addr);
/* Does range i cover addr? */
bool sym_range_covers(const struct sym_ranges *r, ssize_t i, uint64_t addr);
/* Read the headers of all units. Returns 0 or -ENOMEM. */
int sym_scan_units(struct sym_dwarf *d);
/*
 * Read the functions of a unit: those at its top, in namespaces and types, or (deep) also those in
 * other functions. Returns 0 or -ENOMEM.
 */
int sym_scan_functions(struct sym_dwarf *d, struct sym_unit *unit, Dwarf_Die *die, bool deep);

#endif
