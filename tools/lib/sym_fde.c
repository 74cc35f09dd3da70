/* SPDX-License-Identifier: MIT */
/* libdw splits .eh_frame into entries; the encoded addresses (LSB 5.0, 10.5) are read here. */
#include "sym_fde.h"

#include "util.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <string.h>

struct cursor {
	const uint8_t *p, *end;
};

static bool read_bytes(struct cursor *c, void *to, size_t n)
{
	if ((size_t)(c->end - c->p) < n)
		return false;
	memcpy(to, c->p, n);
	c->p += n;
	return true;
}

/* Fixed-size formats only: no linker writes LEB128 ones into FDEs. */
static bool read_value(struct cursor *c, uint8_t format, uint64_t *ret)
{
	int32_t s4;
	int16_t s2;
	uint32_t u4;
	uint16_t u2;

	switch (format) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		return read_bytes(c, ret, 8);
	case DW_EH_PE_udata4:
		return read_bytes(c, &u4, 4) && (*ret = u4, true);
	case DW_EH_PE_sdata4:
		return read_bytes(c, &s4, 4) && (*ret = (int64_t)s4, true);
	case DW_EH_PE_udata2:
		return read_bytes(c, &u2, 2) && (*ret = u2, true);
	case DW_EH_PE_sdata2:
		return read_bytes(c, &s2, 2) && (*ret = (int64_t)s2, true);
	default:
		return false;
	}
}

/* The encoding of addresses ('R') in a CIE's augmentation; DW_EH_PE_omit when it is not clear. */
static uint8_t cie_encoding(const Dwarf_CIE *cie)
{
	struct cursor c = { cie->augmentation_data, NULL };
	uint8_t encoding = DW_EH_PE_omit, byte;
	uint64_t skipped;

	if (!*cie->augmentation)
		return DW_EH_PE_absptr;
	if (cie->augmentation[0] != 'z' || !c.p)
		return DW_EH_PE_omit;
	c.end = c.p + cie->augmentation_data_size;
	encoding = DW_EH_PE_absptr;
	for (const char *a = cie->augmentation + 1; *a; a++) {
		switch (*a) {
		case 'R':
			return read_bytes(&c, &byte, 1) ? byte : DW_EH_PE_omit;
		case 'L':
			if (!read_bytes(&c, &byte, 1))
				return DW_EH_PE_omit;
			break;
		case 'P':
			if (!read_bytes(&c, &byte, 1) || !read_value(&c, byte & 0xf, &skipped))
				return DW_EH_PE_omit;
			break;
		case 'S':
		case 'B':
			break;
		default:
			return DW_EH_PE_omit;
		}
	}
	return encoding;
}

static bool read_fde(const Dwarf_FDE *fde, uint8_t encoding, const struct elf_slice *slice,
		     struct sym_fde *ret)
{
	struct cursor c = { fde->start, fde->end };
	uint64_t field = slice->vaddr + (fde->start - slice->data);

	if (encoding == DW_EH_PE_omit || (encoding & 0x70) > DW_EH_PE_pcrel ||
	    (encoding & DW_EH_PE_indirect))
		return false;
	if (!read_value(&c, encoding & 0xf, &ret->start) ||
	    !read_value(&c, encoding & 0x7, &ret->size))
		return false;
	if ((encoding & 0x70) == DW_EH_PE_pcrel)
		ret->start += field;
	return ret->size && ret->start + ret->size > ret->start;
}

static int compare_fdes(const void *x, const void *y)
{
	const struct sym_fde *a = x, *b = y;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return (a->size < b->size) - (a->size > b->size);
}

static int scan(struct sym_fdes *f, const unsigned char *ident, const struct elf_slice *slice)
{
	Elf_Data data = { .d_buf = (void *)slice->data,
			  .d_size = slice->size,
			  .d_type = ELF_T_BYTE,
			  .d_version = EV_CURRENT };
	Dwarf_Off at = 0, next, cie_at = ~(Dwarf_Off)0, unused;
	uint8_t encoding = DW_EH_PE_omit;
	Dwarf_CFI_Entry entry, cie;
	size_t cap = 0;
	int got;

	for (;; at = next) {
		next = at;
		got = dwarf_next_cfi(ident, &data, true, at, &next, &entry);
		if (got > 0 || next <= at || next > slice->size)
			return 0;
		if (got < 0 || dwarf_cfi_cie_p(&entry))
			continue;
		if (entry.fde.CIE_pointer != cie_at) {
			cie_at = entry.fde.CIE_pointer;
			encoding = DW_EH_PE_omit;
			if (cie_at < slice->size &&
			    !dwarf_next_cfi(ident, &data, true, cie_at, &unused, &cie) &&
			    dwarf_cfi_cie_p(&cie))
				encoding = cie_encoding(&cie.cie);
		}
		if (array_grow((void **)&f->items, f->n, &cap, sizeof(*f->items)))
			return -ENOMEM;
		if (read_fde(&entry.fde, encoding, slice, &f->items[f->n]))
			f->n++;
	}
}

int sym_fdes_init(struct sym_fdes *f, struct elf_file *elf)
{
	struct elf_slice slice;
	const char *ident;
	int err;

	memset(f, 0, sizeof(*f));
	ident = elf_getident(elf->elf, NULL);
	if (!ident || elf_eh_frame(elf, &slice))
		return 0;
	err = scan(f, (const unsigned char *)ident, &slice);
	if (f->n)
		qsort(f->items, f->n, sizeof(*f->items), compare_fdes);
	return err;
}

void sym_fdes_release(struct sym_fdes *f)
{
	free(f->items);
	memset(f, 0, sizeof(*f));
}

/* The number of FDEs that start at or before addr. */
static size_t count_before(const struct sym_fdes *f, uint64_t addr)
{
	size_t lo = 0, hi = f->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (f->items[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct sym_fde *sym_fdes_find(const struct sym_fdes *f, uint64_t addr)
{
	size_t n = count_before(f, addr);

	if (!n || addr - f->items[n - 1].start >= f->items[n - 1].size)
		return NULL;
	return &f->items[n - 1];
}

uint64_t sym_fdes_end_before(const struct sym_fdes *f, uint64_t addr)
{
	size_t n = count_before(f, addr);
	uint64_t end = n ? f->items[n - 1].start + f->items[n - 1].size : 0;

	return end <= addr ? end : 0;
}
