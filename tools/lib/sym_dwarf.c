/* SPDX-License-Identifier: MIT */
/* An address's functions: the concrete one, then the calls inlined at the address inside it. */
#include "sym_dwarf.h"

#include "util.h"

#include <dwarf.h>
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <gelf.h>
#include <string.h>
#include <unistd.h>

/* libdw reads sections whole. Decompressed; beyond this the symbol table has to do. */
#define MAX_DEBUG_BYTES ((uint64_t)512 << 20)
#define MAX_BACK	32  /* overlapping ranges looked at */
#define MAX_STRIKES	3   /* each may have cost seconds */
#define MAX_DEPTH	256 /* of blocks and inlined calls */

Elf *sym_source_open(const struct sym_source *source)
{
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = source->fd >= 0 ? elf_begin(source->fd, ELF_C_READ, NULL)
			      : elf_memory(source->image, source->size);
	if (elf && elf_kind(elf) != ELF_K_ELF) {
		elf_end(elf);
		elf = NULL;
	}
	return elf;
}

static Elf_Scn *next_section(Elf *elf, Elf_Scn *scn, GElf_Shdr *sh, const char **ret_name)
{
	size_t strndx;

	if (elf_getshdrstrndx(elf, &strndx))
		return NULL;
	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, sh))
			continue;
		*ret_name = elf_strptr(elf, strndx, sh->sh_name);
		if (*ret_name)
			return scn;
	}
	return NULL;
}

bool sym_has_section(Elf *elf, const char *name)
{
	Elf_Scn *scn = NULL;
	const char *found;
	GElf_Shdr sh;

	while ((scn = next_section(elf, scn, &sh, &found)))
		if (!strcmp(found, name))
			return sh.sh_type != SHT_NOBITS && sh.sh_size;
	return false;
}

/* What libdw would load, decompressed. */
static uint64_t debug_bytes(Elf *elf)
{
	Elf_Scn *scn = NULL;
	uint64_t total = 0;
	const char *name;
	GElf_Shdr sh;
	GElf_Chdr ch;

	while ((scn = next_section(elf, scn, &sh, &name))) {
		uint64_t size = sh.sh_size;
		ssize_t old;

		if (strncmp(name, ".debug", 6) && strncmp(name, ".zdebug", 7) &&
		    strncmp(name, ".gnu.debuglto", 13))
			continue;
		if (sh.sh_type == SHT_NOBITS)
			continue;
		if ((sh.sh_flags & SHF_COMPRESSED) && gelf_getchdr(scn, &ch))
			size = ch.ch_size;
		else if (name[1] == 'z' && (old = dwelf_scn_gnu_compressed_size(scn)) > 0)
			size = old;
		if (size > MAX_DEBUG_BYTES)
			return UINT64_MAX;
		total += size;
	}
	return total;
}

static Dwarf *begin(Elf *elf)
{
	return debug_bytes(elf) <= MAX_DEBUG_BYTES ? dwarf_begin_elf(elf, DWARF_C_READ, NULL)
						   : NULL;
}

/*
 * libdw would look for a missing dwz file by itself, in our root and without a check of what it
 * opens; so it gets the right one, or the whole debug information goes unused.
 */
static int open_alt(struct sym_dwarf *d, sym_open_alt_fn open_fn, void *ctx)
{
	const char *name;
	const void *id;
	ssize_t id_len;
	int fd;

	id_len = dwelf_dwarf_gnu_debugaltlink(d->dbg, &name, &id);
	if (id_len <= 0)
		return id_len ? -ENOENT : 0;
	fd = open_fn(ctx, name, id, id_len);
	if (fd < 0)
		return -ENOENT;
	d->alt_elf = elf_begin(fd, ELF_C_READ, NULL);
	/* Read in whole, then the file is no longer needed. */
	d->alt = d->alt_elf ? begin(d->alt_elf) : NULL;
	if (d->alt_elf)
		elf_cntl(d->alt_elf, ELF_C_FDDONE);
	close(fd);
	if (!d->alt)
		return -ENOENT;
	dwarf_setalt(d->dbg, d->alt);
	return 0;
}

int sym_dwarf_init(struct sym_dwarf *d, const struct sym_source *source,
		   const struct elf_file *object, sym_open_alt_fn open_fn, void *ctx)
{
	int err = -ENOENT;

	memset(d, 0, sizeof(*d));
	d->object = object;
	d->elf = sym_source_open(source);
	if (!d->elf)
		return -ENOENT;
	d->dbg = begin(d->elf);
	if (d->dbg)
		err = open_alt(d, open_fn, ctx);
	if (!err)
		err = sym_scan_units(d);
	if (!err && !d->ranges.n)
		err = -ENOENT;
	if (err)
		sym_dwarf_release(d);
	return err;
}

void sym_dwarf_release(struct sym_dwarf *d)
{
	for (size_t i = 0; i < d->nr_units; i++)
		free(d->units[i].functions.items);
	free(d->units);
	free(d->ranges.items);
	dwarf_end(d->dbg);
	dwarf_end(d->alt);
	elf_end(d->elf);
	elf_end(d->alt_elf);
	memset(d, 0, sizeof(*d));
}

static const char *string_attr(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attr;

	return dwarf_attr_integrate(die, name, &attr) ? dwarf_formstring(&attr) : NULL;
}

static uint32_t number_attr(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;

	if (!dwarf_attr(die, name, &attr) || dwarf_formudata(&attr, &value) || value > UINT32_MAX)
		return 0;
	return value;
}

/* 1: yes, 0: no, -1: the DIE has no addresses of its own. */
static int die_covers(Dwarf_Die *die, uint64_t addr, struct sym_budget *budget)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;
	int result = -1;

	while (sym_budget_take(budget) && (at = dwarf_ranges(die, at, &base, &start, &end)) > 0) {
		if (addr >= start && addr < end)
			return 1;
		result = 0;
	}
	return result;
}

struct chain {
	Dwarf_Die dies[SYM_DWARF_MAX_FRAMES]; /* outermost first */
	int n;
	uint64_t addr;
	struct sym_budget budget;
};

/* Append the calls inlined at the address below `parent`. Returns whether one was found. */
static bool find_inlined(struct chain *c, Dwarf_Die *parent, int depth)
{
	Dwarf_Die die;
	int covers;

	if (depth > MAX_DEPTH || dwarf_child(parent, &die))
		return false;
	do {
		switch (dwarf_tag(&die)) {
		case DW_TAG_inlined_subroutine:
			if (c->n == SYM_DWARF_MAX_FRAMES ||
			    die_covers(&die, c->addr, &c->budget) <= 0)
				break;
			c->dies[c->n++] = die;
			find_inlined(c, &die, depth + 1);
			return true;
		case DW_TAG_lexical_block:
		case DW_TAG_try_block:
		case DW_TAG_catch_block:
			covers = die_covers(&die, c->addr, &c->budget);
			if (covers && find_inlined(c, &die, depth + 1))
				return true;
			if (covers > 0)
				return false;
			break;
		}
	} while (sym_budget_take(&c->budget) && sym_next_sibling(&die));
	return false;
}

static int find_function(struct sym_dwarf *d, struct sym_unit *unit, Dwarf_Die *cu, uint64_t addr,
			 Dwarf_Die *ret)
{
	const struct sym_ranges *r = &unit->functions;
	int err;

	if (unit->state == SYM_UNIT_NEW) {
		err = sym_scan_functions(d, unit, cu, false);
		if (err)
			return err;
	}
	for (;;) {
		ssize_t i = sym_ranges_floor(r, addr);

		for (int back = 0; i >= 0 && back < MAX_BACK; back++, i--)
			if (sym_range_covers(r, i, addr))
				return dwarf_offdie(d->dbg, unit->die + r->items[i].id, ret) ? 1
											     : 0;
		/* Code of the unit in none of its functions: GNU C's nested ones, perhaps. */
		if (unit->state != SYM_UNIT_FLAT)
			return 0;
		err = sym_scan_functions(d, unit, cu, true);
		if (err)
			return err;
	}
}

static const char *known_file(const char *file)
{
	return file && strcmp(file, "???") ? file : NULL;
}

/* Where the code of `addr` is from: the row of the line table. */
static void fill_line(Dwarf_Die *cu, uint64_t addr, struct sym_dwarf_frame *frame)
{
	Dwarf_Line *row = dwarf_getsrc_die(cu, addr);
	int line;

	if (!row)
		return;
	frame->file = known_file(dwarf_linesrc(row, NULL, NULL));
	if (!dwarf_lineno(row, &line) && line > 0)
		frame->line = line;
}

static void fill_function(Dwarf_Die *die, struct sym_dwarf_frame *frame)
{
	int line;

	frame->name = dwarf_diename(die);
	frame->linkage = string_attr(die, DW_AT_linkage_name);
	if (!frame->linkage)
		frame->linkage = string_attr(die, DW_AT_MIPS_linkage_name);
	if (!dwarf_decl_line(die, &line) && line > 0)
		frame->start_line = line;
}

/* The frames of a chain; each outer one's line is where the next inner one was called. */
static int fill_frames(Dwarf_Die *cu, struct chain *c, struct sym_dwarf_frame *frames)
{
	Dwarf_Files *files = NULL;
	size_t nr_files;

	memset(frames, 0, c->n * sizeof(*frames));
	fill_line(cu, c->addr, &frames[0]);
	if (c->n > 1 && dwarf_getsrcfiles(cu, &files, &nr_files))
		files = NULL;
	for (int i = 0; i < c->n; i++) {
		Dwarf_Die *die = &c->dies[c->n - 1 - i];

		fill_function(die, &frames[i]);
		frames[i].inlined = i + 1 < c->n;
		if (!frames[i].inlined)
			break;
		frames[i + 1].line = number_attr(die, DW_AT_call_line);
		if (files)
			frames[i + 1].file = known_file(dwarf_filesrc(
				files, number_attr(die, DW_AT_call_file), NULL, NULL));
	}
	return c->n;
}

int sym_dwarf_lookup(struct sym_dwarf *d, uint64_t addr,
		     struct sym_dwarf_frame frames[SYM_DWARF_MAX_FRAMES])
{
	ssize_t i = sym_ranges_floor(&d->ranges, addr);
	Dwarf_Die line_cu = { 0 };
	struct chain c;
	int err;

	if (d->strikes >= MAX_STRIKES)
		return 0;
	c.addr = addr;
	for (int back = 0; i >= 0 && back < MAX_BACK; back++, i--) {
		struct sym_unit *unit = &d->units[d->ranges.items[i].id];
		Dwarf_Die cu;

		if (!sym_range_covers(&d->ranges, i, addr) || !dwarf_offdie(d->dbg, unit->die, &cu))
			continue;
		if (!line_cu.addr)
			line_cu = cu;
		err = find_function(d, unit, &cu, addr, &c.dies[0]);
		if (err < 0)
			return err;
		if (!err)
			continue;
		c.n = 1;
		sym_budget_init(&c.budget);
		find_inlined(&c, &c.dies[0], 0);
		d->strikes += c.budget.spent;
		return fill_frames(&cu, &c, frames);
	}
	if (!line_cu.addr)
		return 0;
	memset(frames, 0, sizeof(*frames));
	fill_line(&line_cu, addr, &frames[0]);
	return 1;
}
