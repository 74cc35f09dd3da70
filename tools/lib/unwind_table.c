/* SPDX-License-Identifier: MIT */
#include "unwind_table.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ehframe.h"
#include "util.h"

#define BLOCK ((uint64_t)1 << UNWIND_BLOCK_SHIFT)

struct builder {
	uint64_t base, end; /* the executable segments */
	uint64_t entry;	    /* the entry point, until it has been dealt with; 0 none */
	struct unwind_row *rows;
	size_t nr_rows, cap_rows;
	struct unwind_rule *rules;
	size_t nr_rules, cap_rules;
	uint16_t *buckets; /* of rules, by hash; 0 empty, else index + 1 */
	size_t nr_unsupported;
	bool follow_rbx; /* rules say where RBX is saved */
	bool cfa_in_rbx; /* they have to: some CFA is in it */
};

#define NR_BUCKETS (UNWIND_RULES_MAX * 2)

static uint16_t mark_cfa(enum unwind_end mark)
{
	return UNWIND_MARK << UNWIND_KIND_SHIFT | mark;
}

/* The rule's index, added if new. Returns -ENOSPC for one rule more than a row can name. */
static int rule_index(struct builder *b, const struct unwind_rule *rule)
{
	size_t at = hash_bytes(rule, sizeof(*rule)) % NR_BUCKETS;
	int err;

	for (; b->buckets[at]; at = (at + 1) % NR_BUCKETS)
		if (!memcmp(&b->rules[b->buckets[at] - 1], rule, sizeof(*rule)))
			return b->buckets[at] - 1;
	if (b->nr_rules == UNWIND_RULES_MAX)
		return -ENOSPC;
	err = array_grow((void **)&b->rules, b->nr_rules, &b->cap_rules, sizeof(*b->rules));
	if (err)
		return err;
	b->rules[b->nr_rules] = *rule;
	b->buckets[at] = ++b->nr_rules;
	return b->nr_rules - 1;
}

/* Does the rule fit into a row? */
static bool pack(const struct unwind_rule *r, struct unwind_row *row)
{
	uint16_t kind;

	if (r->cfa_kind != UNWIND_CFA_REG || r->ra_reg != UNWIND_RA || r->ra_off != -8 ||
	    r->cfa_off < 0 || r->cfa_off > UNWIND_CFA_MAX || (r->cfa_off & 7))
		return false;
	if (r->cfa_reg == UNWIND_RSP)
		kind = UNWIND_CFA_RSP;
	else if (r->cfa_reg == UNWIND_RBP)
		kind = UNWIND_CFA_RBP;
	else
		return false;
	if (r->rbp_kind == UNWIND_RBP_AT_CFA) {
		if (r->rbp_off >= 0 || -r->rbp_off > UNWIND_RBP_SLOT_MAX || (r->rbp_off & 7))
			return false;
		row->rbp = -r->rbp_off / 8;
	} else if (r->rbp_kind == UNWIND_RBP_SAME) {
		row->rbp = 0;
	} else {
		return false;
	}
	row->cfa = kind << UNWIND_KIND_SHIFT | r->cfa_off / 8;
	return true;
}

/* Put a rule into a row, as itself or by its index. */
static int encode(struct builder *b, const struct unwind_rule *rule, struct unwind_row *row)
{
	struct unwind_rule plain = *rule;
	int index = -ENOSPC;

	plain.rbx = 0;
	if (b->follow_rbx && rule->rbx)
		index = rule_index(b, rule);
	/* RBX is given up before the frame is. */
	if (index == -ENOSPC && pack(&plain, row))
		return 0;
	if (index == -ENOSPC)
		index = rule_index(b, &plain);
	if (index == -ENOSPC)
		row->cfa = mark_cfa(UNWIND_UNSUPPORTED);
	else if (index < 0)
		return index;
	else
		row->cfa = UNWIND_RULE << UNWIND_KIND_SHIFT | index;
	return 0;
}

static int append(struct builder *b, struct unwind_row row)
{
	if (b->nr_rows) {
		struct unwind_row *last = &b->rows[b->nr_rows - 1];

		if (last->cfa == row.cfa && last->rbp == row.rbp)
			return 0;
		if (last->pc == row.pc) {
			*last = row;
			return 0;
		}
	}
	if (array_grow((void **)&b->rows, b->nr_rows, &b->cap_rows, sizeof(*b->rows)))
		return -ENOMEM;
	b->rows[b->nr_rows++] = row;
	return 0;
}

/*
 * The program's entry point has no caller, but in hand-written start code, as ld.so's, nothing
 * says so: what there is of a hole from the entry on ends walks as it should.
 */
static int append_entry(struct builder *b, uint64_t next_pc)
{
	struct unwind_row row = { .pc = b->entry - b->base, .cfa = mark_cfa(UNWIND_COMPLETE) };

	if (!b->entry || next_pc <= b->entry)
		return 0;
	b->entry = 0;
	if (!b->nr_rows || b->rows[b->nr_rows - 1].cfa != mark_cfa(UNWIND_HOLE))
		return 0;
	return append(b, row);
}

static int add_row(void *cookie, uint64_t pc, enum unwind_end mark, const struct unwind_rule *rule)
{
	struct builder *b = cookie;
	struct unwind_row row = { 0 };
	int err;

	if (pc < b->base || pc >= b->end)
		return 0;
	err = append_entry(b, pc);
	if (err)
		return err;
	row.pc = pc - b->base;
	if (mark != UNWIND_MORE) {
		row.cfa = mark_cfa(mark);
	} else {
		b->cfa_in_rbx |= rule->cfa_kind != UNWIND_CFA_SIGNAL && rule->cfa_reg == UNWIND_RBX;
		err = encode(b, rule, &row);
		if (err)
			return err;
	}
	b->nr_unsupported += row.cfa == mark_cfa(UNWIND_UNSUPPORTED);
	return append(b, row);
}

static void fill_index(uint32_t *index, size_t nr_blocks, const struct unwind_row *rows,
		       size_t nr_rows)
{
	size_t row = 0;

	for (size_t i = 0; i < nr_blocks; i++) {
		/* The row in force at the block's start began in an earlier one, or right here. */
		while (row + 1 < nr_rows && rows[row + 1].pc <= i << UNWIND_BLOCK_SHIFT)
			row++;
		index[i] = row;
	}
	index[nr_blocks] = nr_rows - 1;
}

static int finish(struct builder *b, struct unwind_table *ret)
{
	struct unwind_table t = { .base = b->base,
				  .nr_unsupported = b->nr_unsupported,
				  .follows_rbx = b->follow_rbx };
	size_t index_words;
	uint64_t *at;

	if (b->nr_rows < 2)
		return -ENOENT;
	/* Text before the first function belongs to none. */
	t.nr_blocks = (b->rows[b->nr_rows - 1].pc >> UNWIND_BLOCK_SHIFT) + 1;
	t.nr_rows = b->nr_rows;
	t.nr_rules = b->nr_rules;
	index_words = UNWIND_INDEX_WORDS(t.nr_blocks);
	t.nr_words = index_words + t.nr_rows + (size_t)t.nr_rules * UNWIND_RULE_WORDS;
	t.words = calloc(t.nr_words, sizeof(*t.words));
	if (!t.words)
		return -ENOMEM;
	at = t.words;
	fill_index((uint32_t *)at, t.nr_blocks, b->rows, b->nr_rows);
	at += index_words;
	memcpy(at, b->rows, t.nr_rows * sizeof(*b->rows));
	at += t.nr_rows;
	if (t.nr_rules)
		memcpy(at, b->rules, t.nr_rules * sizeof(*b->rules));
	*ret = t;
	return 0;
}

static int text_bounds(const struct elf_file *f, uint64_t *ret_base, uint64_t *ret_end)
{
	uint64_t base = UINT64_MAX, end = 0;

	for (size_t i = 0; i < f->nr_segments; i++) {
		const struct elf_segment *s = &f->segments[i];

		if (!(s->flags & PF_X) || s->filesz > UINT64_MAX - s->vaddr)
			continue;
		base = MIN(base, s->vaddr);
		end = MAX(end, s->vaddr + s->filesz);
	}
	if (base >= end)
		return -ENOENT;
	base &= ~(BLOCK - 1);
	if (end - base > UINT32_MAX)
		return -EFBIG;
	*ret_base = base;
	*ret_end = end;
	return 0;
}

static int read_rows(struct builder *b, struct ehframe *eh, uint64_t entry)
{
	int err;

	b->entry = entry >= b->base && entry < b->end ? entry : 0;
	b->nr_rows = b->nr_rules = b->nr_unsupported = 0;
	eh->nr_bad = 0;
	memset(b->buckets, 0, NR_BUCKETS * sizeof(*b->buckets));
	err = add_row(b, b->base, UNWIND_HOLE, NULL);
	if (!err)
		err = ehframe_rows(eh, add_row, b);
	if (!err)
		err = append_entry(b, b->end);
	return err;
}

/* All functions that the file describes, in either way. */
static int read_functions(struct ehframe *eh, struct elf_file *f)
{
	struct elf_slice section;
	int eh_err, err;

	eh_err = elf_eh_frame(f, &section);
	err = eh_err ? 0 : ehframe_init(eh, &section);
	/* Code that was built without unwind tables, but with debug information. */
	if (!err && !elf_section(f, ".debug_frame", &section))
		err = ehframe_add_debug(eh, &section);
	if (err)
		return err;
	return eh->nr_fdes || !eh_err ? 0 : eh_err;
}

int unwind_table_init(struct unwind_table *ret, struct elf_file *f)
{
	struct builder b = { 0 };
	struct ehframe eh = { 0 };
	int err;

	if (f->machine != EM_X86_64)
		return -ENOTSUP;
	err = text_bounds(f, &b.base, &b.end);
	if (err)
		return err;
	b.buckets = malloc(NR_BUCKETS * sizeof(*b.buckets));
	err = b.buckets ? read_functions(&eh, f) : -ENOMEM;
	if (!err)
		err = read_rows(&b, &eh, f->entry);
	if (!err && b.cfa_in_rbx) {
		b.follow_rbx = true;
		err = read_rows(&b, &eh, f->entry);
	}
	if (!err)
		err = finish(&b, ret);
	if (!err)
		ret->nr_bad = eh.nr_bad;
	ehframe_release(&eh);
	free(b.buckets);
	free(b.rows);
	free(b.rules);
	return err;
}

void unwind_table_release(struct unwind_table *t)
{
	free(t->words);
	*t = (struct unwind_table){ 0 };
}

static const struct unwind_row *first_row(const struct unwind_table *t)
{
	return (const struct unwind_row *)(t->words + UNWIND_INDEX_WORDS(t->nr_blocks));
}

const struct unwind_row *unwind_table_row(const struct unwind_table *t, uint64_t vaddr)
{
	const uint32_t *index = (const uint32_t *)t->words;
	const struct unwind_row *rows = first_row(t);
	uint32_t lo, hi, mid, pc;

	if (vaddr < t->base || vaddr - t->base > UINT32_MAX)
		return NULL;
	pc = vaddr - t->base;
	if (pc >> UNWIND_BLOCK_SHIFT >= t->nr_blocks)
		return NULL;
	lo = index[pc >> UNWIND_BLOCK_SHIFT];
	hi = index[(pc >> UNWIND_BLOCK_SHIFT) + 1];
	while (lo < hi) {
		mid = (lo + hi + 1) / 2;
		if (rows[mid].pc <= pc)
			lo = mid;
		else
			hi = mid - 1;
	}
	return &rows[lo];
}

const struct unwind_rule *unwind_table_rule(const struct unwind_table *t,
					    const struct unwind_row *row)
{
	uint32_t index = row->cfa & UNWIND_PARAM_MASK;

	if (row->cfa >> UNWIND_KIND_SHIFT != UNWIND_RULE || index >= t->nr_rules)
		return NULL;
	return (const struct unwind_rule *)(first_row(t) + t->nr_rows) + index;
}
