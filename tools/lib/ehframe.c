/* SPDX-License-Identifier: MIT */
#include "ehframe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define MIN_HOLE 16

/* An entry's place in the section while it is read. */
struct entry {
	const uint8_t *start; /* behind the length and the id */
	const uint8_t *end;
	bool is_cie;
	const uint8_t *cie; /* of an FDE: where its CIE begins; NULL: outside the section */
};

static uint64_t vaddr_of(const struct elf_slice *s, const uint8_t *p)
{
	return s->vaddr + (uint64_t)(p - s->data);
}

/*
 * What tells the kind of an entry: .eh_frame has 0 for a CIE and the distance back to it for an FDE,
 * .debug_frame all ones and the offset in the section.
 */
static void read_id(struct entry *e, const struct elf_slice *s, bool debug, const uint8_t *at,
		    uint64_t id, bool is_64)
{
	size_t from = at - s->data;

	if (debug) {
		e->is_cie = id == (is_64 ? UINT64_MAX : UINT32_MAX);
		e->cie = id < s->size ? s->data + id : NULL;
	} else {
		e->is_cie = !id;
		e->cie = id <= from ? at - id : NULL;
	}
}

/* Returns false at the end of the section. */
static bool next_entry(const struct elf_slice *s, bool debug, const uint8_t **at, struct entry *e)
{
	struct cfi_reader r = { *at, s->data + s->size, false };
	uint64_t len = cfi_uint(&r, 4);
	size_t id_size = 4;
	const uint8_t *id_at;

	if (len == 0xffffffff) {
		len = cfi_uint(&r, 8);
		id_size = 8;
	}
	/* A length of zero ends the section's list. */
	if (r.bad || len < id_size || len > (size_t)(r.end - r.p))
		return false;
	e->end = r.p + len;
	id_at = r.p;
	read_id(e, s, debug, id_at, cfi_uint(&r, id_size), id_size == 8);
	e->start = r.p;
	*at = e->end;
	return true;
}

static int read_augmentation(struct cfi_cie *c, struct cfi_reader *r, const char *aug,
			     const struct elf_slice *s)
{
	uint64_t len;
	const uint8_t *end;

	if (*aug != 'z')
		return *aug ? -ENOEXEC : 0; /* "eh" of gcc 2 and others: unknown layout */
	len = cfi_uleb(r);
	if (r->bad || len > (size_t)(r->end - r->p))
		return -ENOEXEC;
	end = r->p + len;
	c->has_augmentation_data = true;
	for (aug++; *aug; aug++) {
		switch (*aug) {
		case 'R':
			c->pointer_enc = cfi_uint(r, 1);
			break;
		case 'P': { /* personality routine: its value does not matter, its size does */
			uint8_t enc = cfi_uint(r, 1);

			cfi_pointer(r, enc & 0x0f, vaddr_of(s, r->p));
			break;
		}
		case 'L':
			cfi_uint(r, 1);
			break;
		case 'S':
			c->signal_frame = true;
			break;
		default: /* 'B' and later letters carry no data that we need; 'z' lets us skip */
			break;
		}
	}
	if (r->bad || r->p > end)
		return -ENOEXEC;
	r->p = end;
	return 0;
}

static int read_cie(struct cfi_cie *c, const struct entry *e, const struct elf_slice *s)
{
	struct cfi_reader r = { e->start, e->end, false };
	uint8_t version = cfi_uint(&r, 1);
	const char *aug = (const char *)r.p;
	const uint8_t *nul = memchr(r.p, 0, r.end - r.p);
	int err;

	*c = (struct cfi_cie){ 0 };
	if (r.bad || !nul || (version != 1 && version != 3 && version != 4))
		return -ENOEXEC;
	r.p = nul + 1;
	if (version == 4) {
		uint8_t address_size = cfi_uint(&r, 1), segment_size = cfi_uint(&r, 1);

		if (address_size != 8 || segment_size)
			return -ENOEXEC;
	}
	c->code_align = cfi_uleb(&r);
	c->data_align = cfi_sleb(&r);
	c->ra_reg = version == 1 ? cfi_uint(&r, 1) : cfi_uleb(&r);
	err = read_augmentation(c, &r, aug, s);
	if (err || r.bad)
		return -ENOEXEC;
	c->insns = r.p;
	c->insns_end = r.end;
	c->insns_vaddr = vaddr_of(s, r.p);
	return 0;
}

static int read_fde(struct ehframe_fde *f, const struct cfi_cie *c, const struct entry *e,
		    const struct elf_slice *s)
{
	struct cfi_reader r = { e->start, e->end, false };
	uint64_t len;

	f->start = cfi_pointer(&r, c->pointer_enc, vaddr_of(s, r.p));
	len = cfi_pointer(&r, c->pointer_enc & 0x0f, 0);
	if (r.bad || !len || len > UINT64_MAX - f->start)
		return -ENOEXEC;
	f->end = f->start + len;
	if (c->has_augmentation_data) {
		len = cfi_uleb(&r);
		if (r.bad || len > (size_t)(r.end - r.p))
			return -ENOEXEC;
		r.p += len;
	}
	f->insns = r.p;
	f->insns_end = r.end;
	f->insns_vaddr = vaddr_of(s, r.p);
	return 0;
}

/* Where each CIE was found, so that FDEs, which name theirs by place, share it. */
struct cie_place {
	const uint8_t *at;
	uint32_t index; /* UINT32_MAX: unreadable */
};

struct cie_list {
	struct cie_place *places; /* ascending: the section is read in order */
	size_t nr, cap;
};

static struct cie_place *find_cie(struct cie_list *l, const uint8_t *at)
{
	size_t lo = 0, hi = l->nr;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (l->places[mid].at == at)
			return &l->places[mid];
		if (l->places[mid].at < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static int add_cie(struct ehframe *e, struct cie_list *l, const uint8_t *at,
		   const struct entry *entry, const struct elf_slice *s)
{
	struct cie_place place = { at, UINT32_MAX };
	int err;

	err = array_grow((void **)&e->cies, e->nr_cies, &e->cap_cies, sizeof(*e->cies));
	if (!err)
		err = array_grow((void **)&l->places, l->nr, &l->cap, sizeof(*l->places));
	if (err)
		return err;
	if (!read_cie(&e->cies[e->nr_cies], entry, s))
		place.index = e->nr_cies++;
	else
		e->nr_bad++;
	l->places[l->nr++] = place;
	return 0;
}

static int add_fde(struct ehframe *e, struct cie_list *l, const struct entry *entry,
		   const struct elf_slice *s)
{
	struct ehframe_fde f;
	struct cie_place *c;
	int err;

	/* Forward references are not written. */
	c = find_cie(l, entry->cie);
	if (!c || c->index == UINT32_MAX || read_fde(&f, &e->cies[c->index], entry, s)) {
		e->nr_bad++;
		return 0;
	}
	f.cie = c->index;
	/* The linker leaves FDEs of discarded functions behind, at address zero. */
	if (!f.start)
		return 0;
	err = array_grow((void **)&e->fdes, e->nr_fdes, &e->cap_fdes, sizeof(*e->fdes));
	if (err)
		return err;
	e->fdes[e->nr_fdes++] = f;
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct ehframe_fde *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	/* What was read first counts: .eh_frame before .debug_frame. */
	if (x->cie != y->cie)
		return x->cie < y->cie ? -1 : 1;
	return x->insns < y->insns ? -1 : x->insns > y->insns;
}

static void drop_overlaps(struct ehframe *e)
{
	size_t out = 0;

	for (size_t i = 0; i < e->nr_fdes; i++) {
		if (out && e->fdes[out - 1].start == e->fdes[i].start)
			continue;
		if (out && e->fdes[out - 1].end > e->fdes[i].start)
			e->fdes[out - 1].end = e->fdes[i].start;
		e->fdes[out++] = e->fdes[i];
	}
	e->nr_fdes = out;
}

static int read_section(struct ehframe *e, const struct elf_slice *section, bool debug)
{
	const uint8_t *at = section->data, *start;
	struct cie_list list = { 0 };
	struct entry entry;
	int err = 0;

	while (!err && (start = at, next_entry(section, debug, &at, &entry))) {
		if (entry.is_cie)
			err = add_cie(e, &list, start, &entry, section);
		else
			err = add_fde(e, &list, &entry, section);
	}
	free(list.places);
	if (err)
		return err;
	if (e->nr_fdes)
		qsort(e->fdes, e->nr_fdes, sizeof(*e->fdes), by_start);
	drop_overlaps(e);
	return 0;
}

int ehframe_init(struct ehframe *ret, const struct elf_slice *section)
{
	*ret = (struct ehframe){ 0 };
	return read_section(ret, section, false);
}

int ehframe_add_debug(struct ehframe *e, const struct elf_slice *section)
{
	return read_section(e, section, true);
}

void ehframe_release(struct ehframe *e)
{
	free(e->cies);
	free(e->fdes);
	*e = (struct ehframe){ 0 };
}

int ehframe_rows(const struct ehframe *e, cfi_emit_fn emit, void *cookie)
{
	int err;

	for (size_t i = 0; i < e->nr_fdes; i++) {
		const struct ehframe_fde *f = &e->fdes[i];

		err = cfi_run(&e->cies[f->cie], f->insns, f->insns_end, f->insns_vaddr, f->start,
			      f->end, emit, cookie);
		if (err)
			return err;
		if (i + 1 == e->nr_fdes || f[1].start - f->end >= MIN_HOLE) {
			err = emit(cookie, f->end, UNWIND_HOLE, NULL);
			if (err)
				return err;
		}
	}
	return 0;
}

const struct ehframe_fde *ehframe_find(const struct ehframe *e, uint64_t vaddr)
{
	size_t lo = 0, hi = e->nr_fdes;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (vaddr < e->fdes[mid].start)
			hi = mid;
		else if (vaddr >= e->fdes[mid].end)
			lo = mid + 1;
		else
			return &e->fdes[mid];
	}
	return NULL;
}
