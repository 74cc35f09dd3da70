/* SPDX-License-Identifier: MIT */
/* The address ranges of units and of the functions in them, as sorted arrays. */
#include "sym_dwarf.h"

#include "util.h"

#include <dwarf.h>
#include <errno.h>
#include <time.h>

#define MAX_STEPS   (8U << 20)		 /* DIEs and ranges in one walk */
#define MAX_CPU_NS  UINT64_C(2000000000) /* for one walk */
#define MAX_RANGES  (1U << 21)		 /* of all units: 32 MB */
#define MAX_UNITS   (1U << 20)
#define MAX_DEPTH   48
#define CHECK_CLOCK 64 /* steps */

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void sym_budget_init(struct sym_budget *b)
{
	*b = (struct sym_budget){ .steps = MAX_STEPS };
}

/*
 * Steps alone do not bound the time: an abbreviation with a million attributes makes each step a
 * slow one. The clock starts late, so that a walk of the usual size never reads it.
 */
bool sym_budget_take(struct sym_budget *b)
{
	if (b->spent)
		return false;
	if (!b->steps--) {
		b->spent = true;
	} else if (b->steps % CHECK_CLOCK == 0) {
		if (!b->deadline)
			b->deadline = cpu_ns() + MAX_CPU_NS;
		else if (cpu_ns() > b->deadline)
			b->spent = true;
	}
	return !b->spent;
}

bool sym_next_sibling(Dwarf_Die *die)
{
	const char *at = die->addr;

	/* DW_AT_sibling may point backwards: a loop. */
	return !dwarf_siblingof(die, die) && (const char *)die->addr > at;
}

static int compare_ranges(const void *x, const void *y)
{
	const struct sym_range *a = x, *b = y;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->size != b->size)
		return a->size > b->size ? -1 : 1;
	return (a->id > b->id) - (a->id < b->id);
}

static void sort_ranges(struct sym_ranges *r)
{
	struct sym_range *smaller;

	if (!r->n)
		return;
	qsort(r->items, r->n, sizeof(*r->items), compare_ranges);
	smaller = realloc(r->items, r->n * sizeof(*r->items));
	if (smaller) {
		r->items = smaller;
		r->cap = r->n;
	}
}

ssize_t sym_ranges_floor(const struct sym_ranges *r, uint64_t addr)
{
	size_t lo = 0, hi = r->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->items[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (ssize_t)lo - 1;
}

bool sym_range_covers(const struct sym_ranges *r, ssize_t i, uint64_t addr)
{
	return addr - r->items[i].start < r->items[i].size;
}

/*
 * Code that the linker threw away keeps its DIEs, at address 0 or a tombstone; only what lies in an
 * executable segment counts.
 */
static bool is_code(const struct elf_file *object, uint64_t start, uint64_t end)
{
	if (!start || end <= start || end - start > UINT32_MAX)
		return false;
	for (size_t i = 0; i < object->nr_segments; i++) {
		const struct elf_segment *s = &object->segments[i];

		if ((s->flags & 1) && start >= s->vaddr && end - s->vaddr <= s->memsz)
			return true;
	}
	return false;
}

static int add_ranges(struct sym_dwarf *d, struct sym_ranges *r, Dwarf_Die *die, uint32_t id,
		      struct sym_budget *budget)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;

	while (r->n < MAX_RANGES && sym_budget_take(budget) &&
	       (at = dwarf_ranges(die, at, &base, &start, &end)) > 0) {
		if (!is_code(d->object, start, end))
			continue;
		if (array_grow((void **)&r->items, r->n, &r->cap, sizeof(*r->items)))
			return -ENOMEM;
		r->items[r->n++] = (struct sym_range){ start, end - start, id };
	}
	return 0;
}

int sym_scan_units(struct sym_dwarf *d)
{
	struct sym_budget budget;
	Dwarf_CU *cu = NULL;
	size_t cap = 0;
	Dwarf_Die die;
	uint8_t type;
	int err = 0;

	sym_budget_init(&budget);
	while (!err && d->nr_units < MAX_UNITS && sym_budget_take(&budget) &&
	       !dwarf_get_units(d->dbg, cu, &cu, NULL, &type, &die, NULL)) {
		if (type != DW_UT_compile && type != DW_UT_skeleton)
			continue;
		err = array_grow((void **)&d->units, d->nr_units, &cap, sizeof(*d->units));
		if (err)
			break;
		d->units[d->nr_units] = (struct sym_unit){ .die = dwarf_dieoffset(&die) };
		err = add_ranges(d, &d->ranges, &die, d->nr_units++, &budget);
	}
	sort_ranges(&d->ranges);
	return err;
}

struct scan {
	struct sym_dwarf *d;
	struct sym_unit *unit;
	struct sym_budget budget;
	bool deep;
};

static int scan_children(struct scan *s, Dwarf_Die *parent, int depth)
{
	Dwarf_Die die;
	bool inside;
	int err = 0;

	if (depth > MAX_DEPTH || dwarf_child(parent, &die))
		return 0;
	do {
		inside = false;
		switch (dwarf_tag(&die)) {
		case DW_TAG_subprogram:
			err = add_ranges(s->d, &s->unit->functions, &die,
					 dwarf_dieoffset(&die) - s->unit->die, &s->budget);
			inside = s->deep;
			break;
		case DW_TAG_namespace:
		case DW_TAG_module:
		case DW_TAG_class_type:
		case DW_TAG_structure_type:
		case DW_TAG_union_type:
		case DW_TAG_enumeration_type: /* Rust's have methods */
			inside = true;
			break;
		case DW_TAG_lexical_block:
		case DW_TAG_inlined_subroutine:
			inside = s->deep;
			break;
		}
		if (inside && !err)
			err = scan_children(s, &die, depth + 1);
	} while (!err && sym_budget_take(&s->budget) && sym_next_sibling(&die));
	return err;
}

int sym_scan_functions(struct sym_dwarf *d, struct sym_unit *unit, Dwarf_Die *die, bool deep)
{
	struct scan s = { .d = d, .unit = unit, .deep = deep };
	int err;

	unit->functions.n = 0;
	sym_budget_init(&s.budget);
	err = scan_children(&s, die, 0);
	sort_ranges(&unit->functions);
	unit->state = deep ? SYM_UNIT_DEEP : SYM_UNIT_FLAT;
	if (s.budget.spent || err)
		unit->state = SYM_UNIT_BAD;
	d->strikes += s.budget.spent;
	return err;
}
