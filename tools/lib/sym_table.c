/* SPDX-License-Identifier: MIT */
/* Reads ELF symbol tables (gABI, "Symbol Table") into a sorted array and searches it. */
#include "sym_table_impl.h"

#include "util.h"

#include <errno.h>
#include <gelf.h>
#include <stdio.h>
#include <string.h>

#define MAX_STRINGS (((size_t)1 << 30) - 1) /* what sym_entry.name can hold */
#define MAX_COMPARE 256			    /* of a name; hostile ones are megabytes long */
#define MAX_NESTING 64

int sym_builder_add(struct sym_builder *b, const struct sym_raw *raw)
{
	if (array_grow((void **)&b->raw, b->n, &b->cap, sizeof(*b->raw)))
		return -ENOMEM;
	b->raw[b->n++] = *raw;
	return 0;
}

int sym_builder_strings(struct sym_builder *b, Elf *elf, size_t index, uint32_t *ret_base,
			uint32_t *ret_size)
{
	Elf_Scn *scn = elf_getscn(elf, index);
	Elf_Data *data = scn ? elf_getdata(scn, NULL) : NULL;
	GElf_Shdr sh;
	char *p;

	if (!data || !data->d_buf || !gelf_getshdr(scn, &sh) || sh.sh_type != SHT_STRTAB)
		return -ENOEXEC;
	if (data->d_size >= MAX_STRINGS || b->strings_len + data->d_size >= MAX_STRINGS)
		return -ENOEXEC;
	p = realloc(b->strings, b->strings_len + data->d_size + 1);
	if (!p)
		return -ENOMEM;
	b->strings = p;
	memcpy(p + b->strings_len, data->d_buf, data->d_size);
	p[b->strings_len + data->d_size] = '\0';
	*ret_base = b->strings_len;
	*ret_size = data->d_size;
	b->strings_len += data->d_size + 1;
	return 0;
}

static bool is_function(const GElf_Sym *sym, const GElf_Shdr *sh, const char *name)
{
	int type = GELF_ST_TYPE(sym->st_info);

	if (!*name || !sym->st_value)
		return false;
	if (type == STT_FUNC || type == STT_GNU_IFUNC)
		return true;
	/* Labels of hand-written assembly; not the mapping symbols ($x) of some architectures. */
	return type == STT_NOTYPE && (sh->sh_flags & SHF_EXECINSTR) && name[0] != '$' &&
	       strncmp(name, ".L", 2);
}

static int add_symbols(struct sym_builder *b, Elf *elf, Elf_Data *data, uint32_t base,
		       uint32_t strings_size)
{
	size_t n = data->d_size / sizeof(Elf64_Sym);

	for (size_t i = 0; i < n; i++) {
		struct sym_raw raw;
		Elf_Scn *scn;
		GElf_Shdr sh;
		GElf_Sym sym;

		if (!gelf_getsym(data, i, &sym) || sym.st_name >= strings_size)
			continue;
		if (sym.st_shndx == SHN_UNDEF || sym.st_shndx >= SHN_LORESERVE)
			continue;
		scn = elf_getscn(elf, sym.st_shndx);
		if (!scn || !gelf_getshdr(scn, &sh) ||
		    !is_function(&sym, &sh, b->strings + base + sym.st_name))
			continue;
		raw = (struct sym_raw){
			.addr = sym.st_value,
			.size = sym.st_size,
			.limit = sh.sh_addr + sh.sh_size,
			.name = base + sym.st_name,
			.bind = GELF_ST_BIND(sym.st_info),
			.function = GELF_ST_TYPE(sym.st_info) != STT_NOTYPE,
			.ifunc = GELF_ST_TYPE(sym.st_info) == STT_GNU_IFUNC,
		};
		if (sym_builder_add(b, &raw))
			return -ENOMEM;
	}
	return 0;
}

/* Read every symbol table of `type`. *ret_found is set when there was one, even if it is empty. */
static int read_tables(struct sym_builder *b, Elf *elf, uint32_t type, bool *ret_found)
{
	Elf_Scn *scn = NULL;
	uint32_t base, size;
	Elf_Data *data;
	GElf_Shdr sh;
	int err;

	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &sh) || sh.sh_type != type)
			continue;
		data = elf_getdata(scn, NULL);
		if (!data || !data->d_buf)
			continue;
		err = sym_builder_strings(b, elf, sh.sh_link, &base, &size);
		if (!err)
			err = add_symbols(b, elf, data, base, size);
		if (err == -ENOMEM)
			return err;
		if (!err && ret_found)
			*ret_found = true;
		/* The ABI allows one table of each type; more would be an amplifier. */
		break;
	}
	return 0;
}

static int compare_names(const char *a, const char *b)
{
	size_t ua = strspn(a, "_"), ub = strspn(b, "_");

	return (ua > ub) - (ua < ub);
}

/* By address; at one address the symbol to keep first. */
int sym_compare(const void *x, const void *y, void *builder)
{
	const struct sym_raw *a = x, *b = y;
	const struct sym_builder *s = builder;
	const char *na = s->strings + a->name, *nb = s->strings + b->name;
	size_t la, lb;
	int order;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	if (!a->size != !b->size)
		return !a->size - !b->size;
	if (a->function != b->function)
		return b->function - a->function;
	if ((a->bind == STB_LOCAL) != (b->bind == STB_LOCAL))
		return (a->bind == STB_LOCAL) - (b->bind == STB_LOCAL);
	order = compare_names(na, nb);
	if (order)
		return order;
	if (a->bind != b->bind)
		return a->bind < b->bind ? -1 : 1;
	la = strnlen(na, MAX_COMPARE);
	lb = strnlen(nb, MAX_COMPARE);
	if (la != lb)
		return la < lb ? -1 : 1;
	return strncmp(na, nb, MAX_COMPARE);
}

/*
 * `outer` makes a search for nested or overlapping symbols short: what covers an address and is
 * not the entry right before it is found by following it. (An entry that ended before this one's
 * start can be skipped for good, so the whole pass is linear.)
 */
static void link_outer(struct sym_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		uint32_t j = i ? i - 1 : UINT32_MAX;

		while (j != UINT32_MAX &&
		       t->entries[j].addr + t->entries[j].size <= t->entries[i].addr)
			j = t->outer[j];
		t->outer[i] = j;
	}
}

static int build(struct sym_table *t, struct sym_builder *b)
{
	struct sym_raw *raw = b->raw;
	uint64_t reach = 0;
	size_t n = 0;

	if (!b->n)
		return 0;
	qsort_r(raw, b->n, sizeof(*raw), sym_compare, b);
	for (size_t i = 0; i < b->n; i++) {
		if (n && raw[n - 1].addr == raw[i].addr)
			raw[n - 1].size = MAX(raw[n - 1].size, raw[i].size);
		else if (raw[i].size || raw[i].addr >= reach) /* else a label in a function */
			raw[n++] = raw[i];
		if (n)
			reach = MAX(reach, raw[n - 1].addr + raw[n - 1].size);
	}
	t->entries = calloc(n, sizeof(*t->entries));
	t->outer = calloc(n, sizeof(*t->outer));
	if (!t->entries || !t->outer)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		uint64_t size = raw[i].size;

		if (!size && raw[i].limit > raw[i].addr)
			size = raw[i].limit - raw[i].addr;
		if (!raw[i].size && i + 1 < n)
			size = MIN(size, raw[i + 1].addr - raw[i].addr);
		t->entries[i] = (struct sym_entry){
			.addr = raw[i].addr,
			.size = MIN(size, UINT32_MAX),
			.name = raw[i].name,
			.open = !raw[i].size,
			.plt = raw[i].plt,
		};
	}
	t->n = n;
	link_outer(t);
	t->strings = b->strings;
	b->strings = NULL;
	return 0;
}

int sym_builder_read(struct sym_builder *b, Elf *elf, Elf *debug, bool *ret_has_symtab)
{
	int err;

	*ret_has_symtab = false;
	err = read_tables(b, elf, SHT_DYNSYM, NULL);
	if (!err)
		err = read_tables(b, elf, SHT_SYMTAB, ret_has_symtab);
	if (!err && debug && !*ret_has_symtab)
		err = read_tables(b, debug, SHT_SYMTAB, ret_has_symtab);
	return err;
}

int sym_table_init(struct sym_table *t, Elf *elf, Elf *debug)
{
	struct sym_builder b = { 0 };
	int err;

	memset(t, 0, sizeof(*t));
	err = sym_builder_read(&b, elf, debug, &t->has_symtab);
	if (!err)
		err = sym_plt_add(&b, elf);
	if (!err)
		err = build(t, &b);
	free(b.raw);
	free(b.strings);
	return err;
}

void sym_table_release(struct sym_table *t)
{
	free(t->entries);
	free(t->outer);
	free(t->strings);
	memset(t, 0, sizeof(*t));
}

/* The last entry that starts at or before addr; UINT32_MAX when there is none. */
static uint32_t floor_entry(const struct sym_table *t, uint64_t addr)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->entries[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? lo - 1 : UINT32_MAX;
}

const struct sym_entry *sym_table_find(const struct sym_table *t, uint64_t addr)
{
	uint32_t i = floor_entry(t, addr);

	for (int steps = 0; i != UINT32_MAX && steps < MAX_NESTING; steps++) {
		if (addr - t->entries[i].addr < t->entries[i].size)
			return &t->entries[i];
		i = t->outer[i];
	}
	return NULL;
}

uint64_t sym_table_end_before(const struct sym_table *t, uint64_t addr)
{
	uint32_t i = floor_entry(t, addr);
	uint64_t end = i == UINT32_MAX ? 0 : t->entries[i].addr + t->entries[i].size;

	return end <= addr ? end : 0;
}

char *sym_table_name(const struct sym_table *t, const struct sym_entry *e, char *buf, size_t size)
{
	const char *name = t->strings + e->name;
	size_t len = strnlen(name, size - sizeof("@plt"));
	const char *version = memchr(name, '@', len);

	/* `memcpy@@GLIBC_2.14` in a .symtab, as written by ld. */
	if (version && version > name)
		len = version - name;
	memcpy(buf, name, len);
	strcpy(buf + len, e->plt ? "@plt" : "");
	return buf;
}
