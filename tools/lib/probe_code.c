/* SPDX-License-Identifier: MIT */
/*
 * Where branches lead to. Long ones (32-bit displacements) are found by looking at every byte of
 * the text that could be the opcode of one: that takes a millisecond per MB, needs no disassembly
 * and misses none; what it takes for a branch by mistake hits a given address too seldom to
 * matter, and costs no more than a dearer site. Short ones (8 bits) are found by disassembling the
 * functions around.
 */
#include "probe_code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "probe_site.h"
#include "util.h"

#define CHUNK	     (1 << 20)
#define RANGE_MAX    (64 << 20) /* no function is that long */
#define SHORT_REACH  (128 + PROBE_INSN_MAX)
#define GAP_MAX	     4096 /* between functions; a longer one is data or has no unwind information */
#define TABLES_MAX   64	  /* of one function */
#define TABLE_LENGTH 65536

static struct probe_segment *segment_of(const struct probe_code *c, uint64_t vaddr)
{
	for (size_t i = 0; i < c->nr_segments; i++)
		if (vaddr - c->segments[i].vaddr < c->segments[i].size)
			return &c->segments[i];
	return NULL;
}

static void mark(struct probe_code *c, uint64_t vaddr)
{
	struct probe_segment *s = segment_of(c, vaddr);

	if (s)
		s->landed[(vaddr - s->vaddr) / 64] |= 1ULL << (vaddr - s->vaddr) % 64;
}

bool probe_code_landed(const struct probe_code *c, uint64_t start, uint64_t end)
{
	const struct probe_segment *s = segment_of(c, start);

	if (!s)
		return false;
	for (uint64_t i = start + 1 - s->vaddr; i <= end - s->vaddr && i < s->size; i++)
		if (s->landed[i / 64] >> i % 64 & 1)
			return true;
	return false;
}

int probe_code_read(const struct probe_code *c, uint64_t vaddr, uint8_t *buf, size_t size)
{
	const struct probe_segment *s = segment_of(c, vaddr);
	size_t n;

	if (!s)
		return -ENOENT;
	n = MIN(size, s->size - (vaddr - s->vaddr));
	return elf_read(c->elf, s->offset + (vaddr - s->vaddr), buf, n) ? -EBADMSG : (int)n;
}

/* ---------------------------------------------------------------- preparation ---- */

/* Intel SDM vol. 2: E8 call, E9 jmp, 0F 80 to 0F 8F jcc, each with a rel32 at its end. */
static void scan_long_branches(struct probe_code *c, const uint8_t *p, size_t n, uint64_t vaddr)
{
	for (size_t i = 0; i + 5 <= n; i++) {
		int32_t rel;

		if ((p[i] & 0xfe) != 0xe8 && !((p[i] & 0xf0) == 0x80 && i && p[i - 1] == 0x0f))
			continue;
		memcpy(&rel, p + i + 1, sizeof(rel));
		mark(c, vaddr + i + 5 + (int64_t)rel);
	}
}

static int scan_segment(struct probe_code *c, const struct probe_segment *s, uint8_t *buf)
{
	for (uint64_t pos = 0; pos < s->size; pos += CHUNK - 6) {
		size_t n = MIN((uint64_t)CHUNK, s->size - pos);

		if (elf_read(c->elf, s->offset + pos, buf, n))
			return -ENOEXEC;
		scan_long_branches(c, buf, n, s->vaddr + pos);
	}
	return 0;
}

static int add_segment(struct probe_code *c, const struct elf_segment *from)
{
	struct probe_segment s = { .vaddr = from->vaddr, .offset = from->offset };
	uint8_t last;

	/* Before memory is taken for it: the size may be a damaged file's. */
	if (from->filesz > INT64_MAX || from->offset > INT64_MAX ||
	    elf_read(c->elf, from->offset + from->filesz - 1, &last, 1))
		return -ENOEXEC;
	if (array_grow((void **)&c->segments, c->nr_segments, &c->cap_segments,
		       sizeof(*c->segments)))
		return -ENOMEM;
	s.size = from->filesz;
	s.landed = calloc(s.size / 64 + 1, sizeof(*s.landed));
	if (!s.landed)
		return -ENOMEM;
	c->segments[c->nr_segments++] = s;
	return 0;
}

static int read_segments(struct probe_code *c)
{
	uint8_t *buf = malloc(CHUNK);
	int err = buf ? 0 : -ENOMEM;

	for (size_t i = 0; i < c->elf->nr_segments && !err; i++)
		if ((c->elf->segments[i].flags & PF_X) && c->elf->segments[i].filesz)
			err = add_segment(c, &c->elf->segments[i]);
	for (size_t i = 0; i < c->nr_segments && !err; i++)
		err = scan_segment(c, &c->segments[i], buf);
	free(buf);
	return err;
}

static int open_disassemblers(struct probe_code *c)
{
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &c->fast) ||
	    cs_open(CS_ARCH_X86, CS_MODE_64, &c->full) ||
	    cs_option(c->full, CS_OPT_DETAIL, CS_OPT_ON))
		return -ENOMEM;
	c->insn = cs_malloc(c->full);
	return c->insn ? 0 : -ENOMEM;
}

struct probe_code *probe_code_new(struct elf_file *elf)
{
	struct probe_code *c;
	int err;

	if (elf->machine != EM_X86_64) {
		errno = ENOTSUP;
		return NULL;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->elf = elf;
	err = open_disassemblers(c);
	if (!err)
		err = read_segments(c);
	if (!err)
		err = sym_fdes_init(&c->fdes, elf);
	if (!err && c->fdes.n) {
		c->swept = calloc(c->fdes.n, sizeof(*c->swept));
		err = c->swept ? 0 : -ENOMEM;
	}
	if (!err)
		return c;
	probe_code_free(c);
	errno = -err;
	return NULL;
}

void probe_code_free(struct probe_code *c)
{
	if (!c)
		return;
	if (c->insn)
		cs_free(c->insn, 1);
	if (c->fast)
		cs_close(&c->fast);
	if (c->full)
		cs_close(&c->full);
	for (size_t i = 0; i < c->nr_segments; i++)
		free(c->segments[i].landed);
	free(c->segments);
	sym_fdes_release(&c->fdes);
	free(c->swept);
	if (c->rows_read && !c->rows_err)
		unwind_table_release(&c->rows);
	free(c);
}

/* ---------------------------------------------------------------- sweeping ---- */

struct tables {
	uint64_t at[TABLES_MAX];
	size_t n;
};

/*
 * A jump table as compilers write it: 32-bit distances from the table's start. Marks where its
 * entries lead to, as far as they are code; what is no table ends at once. Returns how many led
 * into [start, end).
 */
static size_t mark_table(struct probe_code *c, uint64_t table, uint64_t start, uint64_t end)
{
	size_t inside = 0, n;
	int32_t rel[64];
	uint64_t offset;

	for (size_t i = 0; i < TABLE_LENGTH; i += n) {
		n = ARRAY_SIZE(rel);
		if (elf_vaddr_to_offset(c->elf, table + 4 * i, &offset))
			break;
		while (n && elf_read(c->elf, offset, rel, n * sizeof(*rel)))
			n /= 2; /* the end of the file is near */
		for (size_t j = 0; j < n; j++) {
			uint64_t target = table + (int64_t)rel[j];

			if (!segment_of(c, target))
				return inside;
			mark(c, target);
			inside += target - start < end - start;
		}
		if (!n)
			break;
	}
	return inside;
}

static void sweep_insn(struct probe_code *c, const uint8_t *insn, size_t size, uint64_t vaddr,
		       uint64_t start, uint64_t end, struct probe_sweep *s, bool *indirect)
{
	uint64_t target = 0;

	switch (probe_insn_branch(insn, size, vaddr, &target)) {
	case PROBE_COND:
	case PROBE_JUMP:
		mark(c, target);
		if (target == start)
			s->to_start = true;
		if (target - start >= end - start)
			s->leaf = false;
		break;
	case PROBE_JUMP_INDIRECT:
		*indirect = true;
		break;
	case PROBE_CALL:
	case PROBE_CALL_INDIRECT:
		s->leaf = false;
		break;
	default:
		break;
	}
}

static void sweep_bytes(struct probe_code *c, const uint8_t *code, size_t n, uint64_t start,
			struct probe_sweep *s)
{
	uint64_t vaddr = start, end = start + n, before;
	struct tables tables = { .n = 0 };
	size_t left = n, inside = 0;
	bool indirect = false;

	*s = (struct probe_sweep){ .leaf = true };
	while (left) {
		const uint8_t *insn = code;

		before = vaddr;
		if (!cs_disasm_iter(c->fast, &code, &left, &vaddr, c->insn)) {
			s->undecoded = true;
			s->leaf = false;
			break;
		}
		sweep_insn(c, insn, vaddr - before, before, start, end, s, &indirect);
		if (tables.n < TABLES_MAX &&
		    probe_insn_lea(insn, vaddr - before, before, &tables.at[tables.n]))
			tables.n++;
	}
	for (size_t i = 0; i < tables.n && indirect; i++) {
		mark(c, tables.at[i]); /* or it is a label of the function itself */
		inside += mark_table(c, tables.at[i], start, end);
	}
	if (indirect && !inside)
		s->leaf = false;
}

int probe_code_sweep(struct probe_code *c, uint64_t start, uint64_t end, struct probe_sweep *ret)
{
	struct probe_segment *s = segment_of(c, start);
	uint64_t size = end - start;
	uint8_t *buf;
	int n;

	if (!s || end <= start)
		return -ENOENT;
	size = MIN(size, s->size - (start - s->vaddr));
	if (size > RANGE_MAX)
		return -ENOENT;
	buf = malloc(size);
	if (!buf)
		return -ENOMEM;
	n = probe_code_read(c, start, buf, size);
	if (n > 0)
		sweep_bytes(c, buf, n, start, ret);
	free(buf);
	return n < 0 ? n : 0;
}

/* Sweep [from, to) if short branches from there reach [start, end]. */
static int sweep_if_near(struct probe_code *c, uint64_t from, uint64_t to, uint64_t start,
			 uint64_t end, bool *ret_swept, bool *ret_unsure)
{
	struct probe_sweep s = { 0 };
	int err;

	*ret_swept = false;
	if (to <= from || to + SHORT_REACH <= start || from >= end + SHORT_REACH)
		return 0;
	err = probe_code_sweep(c, from, to, &s);
	if (err == -ENOENT) /* not code of this file: nothing to be seen there */
		return 0;
	if (err)
		return err;
	*ret_swept = !s.undecoded;
	*ret_unsure |= s.undecoded;
	return 0;
}

int probe_code_sweep_around(struct probe_code *c, uint64_t start, uint64_t end, uint64_t skip_end,
			    bool *ret_unsure)
{
	const struct sym_fde *fdes = c->fdes.items;
	size_t lo = 0, hi = c->fdes.n;
	uint64_t reached;
	int err = 0;

	while (lo < hi) { /* the first that begins where a branch may reach us from, or later */
		size_t mid = lo + (hi - lo) / 2;

		if (fdes[mid].start + SHORT_REACH < start)
			lo = mid + 1;
		else
			hi = mid;
	}
	lo -= lo ? 1 : 0;
	reached = lo < c->fdes.n ? fdes[lo].start : 0;
	for (size_t i = lo; i < c->fdes.n && reached < end + SHORT_REACH && !err; i++) {
		uint64_t next = fdes[i].start, stop = next + fdes[i].size;
		bool swept;

		/* What is between two functions is padding, or code that nobody described. */
		if (next - reached <= GAP_MAX && (reached >= skip_end || next <= start))
			err = sweep_if_near(c, reached, next, start, end, &swept, ret_unsure);
		if (!err && !c->swept[i] && !(next == start && stop <= skip_end))
			err = sweep_if_near(c, next, stop, start, end, &c->swept[i], ret_unsure);
		reached = MAX(reached, stop);
	}
	return err;
}
