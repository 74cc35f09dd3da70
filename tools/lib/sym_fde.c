/* SPDX-License-Identifier: MIT */
#include "sym_fde.h"

#include "ehframe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int sym_fdes_init(struct sym_fdes *f, struct elf_file *elf)
{
	struct elf_slice slice;
	struct ehframe eh;
	int err;

	memset(f, 0, sizeof(*f));
	if (elf_eh_frame(elf, &slice))
		return 0;
	err = ehframe_init(&eh, &slice);
	if (!err && eh.nr_fdes) {
		f->items = malloc(eh.nr_fdes * sizeof(*f->items));
		err = f->items ? 0 : -ENOMEM;
	}
	for (; !err && f->n < eh.nr_fdes; f->n++) {
		const struct ehframe_fde *fde = &eh.fdes[f->n];

		f->items[f->n] = (struct sym_fde){ fde->start, fde->end - fde->start };
	}
	ehframe_release(&eh);
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
