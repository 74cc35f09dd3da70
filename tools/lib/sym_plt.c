/* SPDX-License-Identifier: MIT */
/*
 * Names for the stubs of the procedure linkage table, which have no symbols: each jumps through a
 * slot of the GOT, and the relocation of that slot names the function (System V ABI, AMD64
 * supplement, 5.2). The stubs are read instead of counted, since their layout depends on the
 * linker and its options (.plt, .plt.sec with IBT, .plt.got).
 */
#include "sym_table_impl.h"

#include "util.h"

#include <errno.h>
#include <gelf.h>
#include <string.h>

#define STUB_SIZE 16
#define MAX_SLOTS (1 << 20)

struct slot {
	uint64_t addr;
	uint32_t name;
};

struct slots {
	struct slot *items;
	size_t n, cap;
};

static int compare_slots(const void *x, const void *y)
{
	const struct slot *a = x, *b = y;

	return (a->addr > b->addr) - (a->addr < b->addr);
}

/* The slots that one SHT_RELA section fills with addresses of dynamic symbols. */
static int read_relocations(struct slots *s, Elf_Data *rela, Elf_Data *symbols, uint32_t base,
			    uint32_t strings_size)
{
	size_t n = rela->d_size / sizeof(Elf64_Rela);

	for (size_t i = 0; i < n && s->n < MAX_SLOTS; i++) {
		uint32_t type;
		GElf_Rela r;
		GElf_Sym sym;

		if (!gelf_getrela(rela, i, &r))
			continue;
		type = GELF_R_TYPE(r.r_info);
		if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT)
			continue;
		if (!gelf_getsym(symbols, GELF_R_SYM(r.r_info), &sym) || !sym.st_name ||
		    sym.st_name >= strings_size)
			continue;
		if (array_grow((void **)&s->items, s->n, &s->cap, sizeof(*s->items)))
			return -ENOMEM;
		s->items[s->n++] = (struct slot){ r.r_offset, base + sym.st_name };
	}
	return 0;
}

static int read_slots(struct sym_builder *b, Elf *elf, struct slots *s)
{
	uint32_t base = 0, size = 0;
	Elf_Data *rela, *symbols;
	Elf_Scn *scn = NULL;
	GElf_Shdr sh, dynsym;
	Elf_Scn *sym_scn;
	size_t link = 0;
	int err = 0;

	while (!err && (scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_RELA || !(sh.sh_flags & SHF_ALLOC))
			continue;
		sym_scn = elf_getscn(elf, sh.sh_link);
		if (!sym_scn || !gelf_getshdr(sym_scn, &dynsym) || dynsym.sh_type != SHT_DYNSYM)
			continue;
		rela = elf_getdata(scn, NULL);
		symbols = elf_getdata(sym_scn, NULL);
		if (!rela || !rela->d_buf || !symbols || !symbols->d_buf)
			continue;
		if (!link) {
			err = sym_builder_strings(b, elf, dynsym.sh_link, &base, &size);
			link = sh.sh_link;
		}
		if (!err && link == sh.sh_link)
			err = read_relocations(s, rela, symbols, base, size);
	}
	if (s->n)
		qsort(s->items, s->n, sizeof(*s->items), compare_slots);
	return err == -ENOMEM ? err : 0;
}

/* `jmp *disp32(%rip)` is ff 25, a `bnd` prefix before it or not. Returns 0 when there is none. */
static uint64_t stub_target(const uint8_t *code, size_t len, uint64_t vaddr)
{
	int32_t disp;

	for (size_t i = 0; i + 6 <= len; i++) {
		if (code[i] != 0xff || code[i + 1] != 0x25)
			continue;
		memcpy(&disp, code + i + 2, sizeof(disp));
		return vaddr + i + 6 + (int64_t)disp;
	}
	return 0;
}

static int add_stubs(struct sym_builder *b, const struct slots *s, const GElf_Shdr *sh,
		     const uint8_t *code, size_t len)
{
	size_t step = sh->sh_entsize == 8 ? 8 : STUB_SIZE;

	for (size_t at = 0; at < len; at += step) {
		size_t n = MIN(step, len - at);
		struct slot key = { .addr = stub_target(code + at, n, sh->sh_addr + at) };
		const struct slot *found;
		struct sym_raw raw;

		found = bsearch(&key, s->items, s->n, sizeof(key), compare_slots);
		if (!key.addr || !found)
			continue;
		raw = (struct sym_raw){
			.addr = sh->sh_addr + at,
			.size = n,
			.name = found->name,
			.bind = STB_LOCAL,
			.function = true,
			.plt = true,
		};
		if (sym_builder_add(b, &raw))
			return -ENOMEM;
	}
	return 0;
}

int sym_plt_add(struct sym_builder *b, Elf *elf)
{
	struct slots s = { 0 };
	Elf_Scn *scn = NULL;
	size_t strndx;
	const char *name;
	Elf_Data *data;
	GElf_Ehdr eh;
	GElf_Shdr sh;
	int err;

	if (!gelf_getehdr(elf, &eh) || eh.e_machine != EM_X86_64 || elf_getshdrstrndx(elf, &strndx))
		return 0;
	err = read_slots(b, elf, &s);
	while (!err && s.n && (scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_PROGBITS)
			continue;
		name = elf_strptr(elf, strndx, sh.sh_name);
		if (!name ||
		    (strcmp(name, ".plt") && strcmp(name, ".plt.sec") && strcmp(name, ".plt.got")))
			continue;
		data = elf_getdata(scn, NULL);
		if (data && data->d_buf)
			err = add_stubs(b, &s, &sh, data->d_buf, data->d_size);
	}
	free(s.items);
	return err;
}
