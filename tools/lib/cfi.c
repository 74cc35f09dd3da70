/* SPDX-License-Identifier: MIT */
/*
 * The machine that runs call frame instructions. Only what a walk needs is kept: the CFA, and
 * where the return address and RBP are saved.
 */
#include "cfi.h"

#include <errno.h>
#include <string.h>

#include "cfi_expr.h"
#include "util.h"

/* Compilers nest remember_state once; this allows what no compiler does and bounds what a file may. */
#define MAX_REMEMBERED 16

uint64_t cfi_uint(struct cfi_reader *r, size_t size)
{
	uint64_t value = 0;

	if ((size_t)(r->end - r->p) < size) {
		r->bad = true;
		r->p = r->end;
		return 0;
	}
	memcpy(&value, r->p, size); /* little-endian, as the files we accept */
	r->p += size;
	return value;
}

/* The bits of a LEB128 number (DWARF 5, 7.6), how many they are, and its last byte. */
static uint64_t leb(struct cfi_reader *r, unsigned int *ret_bits, uint8_t *ret_last)
{
	unsigned int shift = 0;
	uint64_t value = 0;
	uint8_t byte;

	do {
		byte = cfi_uint(r, 1);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	*ret_bits = shift;
	*ret_last = byte;
	return value;
}

uint64_t cfi_uleb(struct cfi_reader *r)
{
	unsigned int bits;
	uint8_t last;

	return leb(r, &bits, &last);
}

int64_t cfi_sleb(struct cfi_reader *r)
{
	unsigned int bits;
	uint8_t last;
	uint64_t value = leb(r, &bits, &last);

	if ((last & 0x40) && bits < 64)
		value |= ~(uint64_t)0 << bits;
	return (int64_t)value;
}

uint64_t cfi_pointer(struct cfi_reader *r, uint8_t enc, uint64_t vaddr)
{
	const uint8_t *at = r->p;
	uint64_t value;

	switch (enc & 0x0f) {
	case 0x00: /* absptr */
	case 0x04: /* udata8 */
	case 0x0c: /* sdata8 */
		value = cfi_uint(r, 8);
		break;
	case 0x01:
		value = cfi_uleb(r);
		break;
	case 0x02:
		value = cfi_uint(r, 2);
		break;
	case 0x03:
		value = cfi_uint(r, 4);
		break;
	case 0x09:
		value = cfi_sleb(r);
		break;
	case 0x0a:
		value = (int64_t)(int16_t)cfi_uint(r, 2);
		break;
	case 0x0b:
		value = (int64_t)(int32_t)cfi_uint(r, 4);
		break;
	default:
		r->bad = true;
		return 0;
	}
	switch (enc & 0xf0) {
	case 0x00:
		return value;
	case 0x10: /* pcrel: from the pointer's own place */
		return value + vaddr;
	default: /* textrel, datarel, funcrel, aligned, indirect: not in .eh_frame of x86-64 */
		r->bad = true;
		r->p = at;
		return 0;
	}
}

enum saved_kind {
	SAVED_SAME,
	SAVED_AT_CFA,
	SAVED_IN_REG,
	SAVED_AT_RBP,
	SAVED_UNDEFINED,
	SAVED_LOST
};

struct saved {
	enum saved_kind kind;
	int64_t off;
	uint64_t reg;
};

enum cfa_kind { CFA_UNDEFINED, CFA_REG, CFA_EXPR, CFA_LOST };

/* The rules in force at an address. */
struct rules {
	enum cfa_kind cfa_kind;
	uint64_t cfa_reg;
	int64_t cfa_off;
	struct unwind_rule expr; /* the CFA's part, for CFA_EXPR */
	struct saved rbp, rbx, ra;
};

struct machine {
	const struct cfi_cie *cie;
	struct cfi_reader in;
	uint64_t insns_vaddr;
	const uint8_t *insns;
	uint64_t pc, end;
	struct rules now, initial;
	struct rules remembered[MAX_REMEMBERED];
	size_t nr_remembered;
	bool fail; /* an instruction that we cannot follow */
	cfi_emit_fn emit;
	void *cookie;
};

static bool fits32(int64_t v)
{
	return v == (int32_t)v;
}

static void set_cfa_expression(struct machine *m)
{
	struct unwind_rule *r = &m->now.expr;
	struct cfi_term t;

	m->now.cfa_kind = CFA_LOST;
	if (!cfi_expression(&m->in, &t) || t.reg < 0 || t.reg >= UNWIND_NR_REGS || !fits32(t.off) ||
	    !fits32(t.post) || (t.kind != TERM_PLT && t.index < 0 && t.scale != 1))
		return;
	if (t.scale < 1 || t.scale > 255)
		return;
	*r = (struct unwind_rule){
		.cfa_reg = t.reg,
		.cfa_off = t.off,
		.cfa_post = t.post,
		.cfa_index = t.index < 0 ? UNWIND_NO_INDEX : t.index,
		.cfa_scale = t.scale,
	};
	if (t.kind == TERM_LINEAR && t.index < 0)
		r->cfa_kind = UNWIND_CFA_REG;
	else if (t.kind == TERM_DEREF)
		r->cfa_kind = UNWIND_CFA_DEREF;
	else if (t.kind == TERM_PLT)
		r->cfa_kind = UNWIND_CFA_PLT;
	else
		return;
	if (t.index < 0 && t.kind != TERM_PLT)
		r->cfa_scale = 0;
	m->now.cfa_kind = CFA_EXPR;
}

/* ---------------------------------------------------------------- instructions ---- */

static struct saved *saved_slot(struct machine *m, struct rules *rules, uint64_t reg)
{
	if (reg == m->cie->ra_reg)
		return &rules->ra;
	if (reg == UNWIND_RBX)
		return &rules->rbx;
	return reg == UNWIND_RBP ? &rules->rbp : NULL;
}

static void save(struct machine *m, uint64_t reg, struct saved value)
{
	struct saved *s = saved_slot(m, &m->now, reg);

	if (s)
		*s = value;
}

static void restore(struct machine *m, uint64_t reg)
{
	struct saved *s = saved_slot(m, &m->now, reg);

	if (s)
		*s = *saved_slot(m, &m->initial, reg);
}

static int64_t factored(struct machine *m, int64_t n)
{
	return (int64_t)((uint64_t)n * (uint64_t)m->cie->data_align);
}

static void save_by_expression(struct machine *m, uint64_t reg)
{
	struct saved s = { .kind = SAVED_LOST };
	struct cfi_term t;

	if (cfi_expression(&m->in, &t) && t.kind == TERM_LINEAR && t.reg == UNWIND_RBP &&
	    t.index < 0 && t.scale == 1) {
		s.kind = SAVED_AT_RBP;
		s.off = t.off;
	}
	save(m, reg, s);
}

static int emit_row(struct machine *m)
{
	const struct rules *now = &m->now;
	struct unwind_rule r = { .cfa_index = UNWIND_NO_INDEX, .ra_reg = UNWIND_RA };
	enum unwind_end mark = UNWIND_MORE;

	if (now->ra.kind == SAVED_UNDEFINED || now->cfa_kind == CFA_UNDEFINED)
		return m->emit(m->cookie, m->pc, UNWIND_COMPLETE, NULL);
	if (m->cie->signal_frame) {
		r.cfa_kind = UNWIND_CFA_SIGNAL;
		return m->emit(m->cookie, m->pc, UNWIND_MORE, &r);
	}
	if (now->cfa_kind == CFA_EXPR)
		r = now->expr;
	else if (now->cfa_kind == CFA_REG && now->cfa_reg < UNWIND_NR_REGS &&
		 fits32(now->cfa_off)) {
		r.cfa_reg = now->cfa_reg;
		r.cfa_off = now->cfa_off;
	} else
		mark = UNWIND_UNSUPPORTED;
	r.ra_reg = UNWIND_RA;
	if (now->ra.kind == SAVED_IN_REG && now->ra.reg < UNWIND_NR_REGS)
		r.ra_reg = now->ra.reg;
	else if (now->ra.kind == SAVED_AT_CFA && fits32(now->ra.off))
		r.ra_off = now->ra.off;
	else
		mark = UNWIND_UNSUPPORTED;
	if (now->rbp.kind == SAVED_AT_CFA && fits32(now->rbp.off)) {
		r.rbp_kind = UNWIND_RBP_AT_CFA;
		r.rbp_off = now->rbp.off;
	} else if (now->rbp.kind == SAVED_AT_RBP && fits32(now->rbp.off)) {
		r.rbp_kind = UNWIND_RBP_AT_RBP;
		r.rbp_off = now->rbp.off;
	} else if (now->rbp.kind == SAVED_IN_REG && now->rbp.reg < UNWIND_NR_REGS) {
		r.rbp_kind = UNWIND_RBP_IN_REG;
		r.rbp_off = now->rbp.reg;
	} else if (now->rbp.kind != SAVED_SAME) {
		r.rbp_kind = UNWIND_RBP_LOST;
	}
	if (now->rbx.kind == SAVED_AT_CFA && now->rbx.off < 0 && !(now->rbx.off & 7) &&
	    -now->rbx.off / 8 < UNWIND_RBX_LOST)
		r.rbx = -now->rbx.off / 8;
	else if (now->rbx.kind != SAVED_SAME)
		r.rbx = UNWIND_RBX_LOST;
	/*
	 * A return address below the stack pointer cannot be: so says a function that nobody calls
	 * what it has (musl's __clone after it has switched stacks).
	 */
	if (mark == UNWIND_MORE && r.cfa_kind == UNWIND_CFA_REG && r.cfa_reg == UNWIND_RSP &&
	    r.ra_reg == UNWIND_RA && (int64_t)r.cfa_off + r.ra_off < 0)
		mark = UNWIND_COMPLETE;
	return m->emit(m->cookie, m->pc, mark, &r);
}

/* The pc moves to `to`: what has been in force up to there becomes a row. */
static int advance(struct machine *m, uint64_t to)
{
	int err;

	if (to <= m->pc) { /* no distance, or backwards, which no assembler writes */
		m->fail = to < m->pc;
		return 0;
	}
	err = emit_row(m);
	m->pc = to;
	return err;
}

static int advance_by(struct machine *m, uint64_t delta)
{
	uint64_t bytes;

	if (__builtin_mul_overflow(delta, m->cie->code_align, &bytes) || bytes > m->end - m->pc)
		bytes = m->end - m->pc;
	return advance(m, m->pc + bytes);
}

static void define_cfa(struct machine *m, uint64_t reg, int64_t off)
{
	m->now.cfa_kind = CFA_REG;
	m->now.cfa_reg = reg;
	m->now.cfa_off = off;
}

static void remember(struct machine *m)
{
	if (m->nr_remembered == MAX_REMEMBERED)
		m->fail = true;
	else
		m->remembered[m->nr_remembered++] = m->now;
}

static void recall(struct machine *m)
{
	if (!m->nr_remembered)
		m->fail = true;
	else
		m->now = m->remembered[--m->nr_remembered];
}

/* The instructions on the CFA and the state stack (0x0a to 0x0f, 0x12, 0x13). */
static void cfa_instruction(struct machine *m, uint8_t op)
{
	uint64_t reg;

	switch (op) {
	case 0x0a:
		remember(m);
		break;
	case 0x0b:
		recall(m);
		break;
	case 0x0c: /* def_cfa */
		reg = cfi_uleb(&m->in);
		define_cfa(m, reg, cfi_uleb(&m->in));
		break;
	case 0x0d: /* def_cfa_register */
		define_cfa(m, cfi_uleb(&m->in), m->now.cfa_off);
		break;
	case 0x0e: /* def_cfa_offset */
		define_cfa(m, m->now.cfa_reg, cfi_uleb(&m->in));
		break;
	case 0x0f: /* def_cfa_expression */
		set_cfa_expression(m);
		break;
	case 0x12: /* def_cfa_sf */
		reg = cfi_uleb(&m->in);
		define_cfa(m, reg, factored(m, cfi_sleb(&m->in)));
		break;
	case 0x13: /* def_cfa_offset_sf */
		define_cfa(m, m->now.cfa_reg, factored(m, cfi_sleb(&m->in)));
		break;
	}
}

/* The instructions on one register. Returns false for an unknown one. */
static bool register_instruction(struct machine *m, uint8_t op)
{
	struct cfi_reader *in = &m->in;
	uint64_t reg;

	if (op == 0x2e) { /* GNU_args_size: for exceptions, not for walks */
		cfi_uleb(in);
		return true;
	}
	reg = cfi_uleb(in);
	switch (op) {
	case 0x05: /* offset_extended */
		save(m, reg, (struct saved){ SAVED_AT_CFA, factored(m, cfi_uleb(in)), 0 });
		return true;
	case 0x06: /* restore_extended */
		restore(m, reg);
		return true;
	case 0x07: /* undefined */
		save(m, reg, (struct saved){ .kind = SAVED_UNDEFINED });
		return true;
	case 0x08: /* same_value */
		save(m, reg, (struct saved){ .kind = SAVED_SAME });
		return true;
	case 0x09: /* register */
		save(m, reg, (struct saved){ SAVED_IN_REG, 0, cfi_uleb(in) });
		return true;
	case 0x10: /* expression */
		save_by_expression(m, reg);
		return true;
	case 0x11: /* offset_extended_sf */
		save(m, reg, (struct saved){ SAVED_AT_CFA, factored(m, cfi_sleb(in)), 0 });
		return true;
	case 0x14: /* val_offset */
	case 0x15: /* val_offset_sf */
		cfi_sleb(in);
		save(m, reg, (struct saved){ .kind = SAVED_LOST });
		return true;
	case 0x16: /* val_expression */
		cfi_expression(in, &(struct cfi_term){ 0 });
		save(m, reg, (struct saved){ .kind = SAVED_LOST });
		return true;
	case 0x2f: /* GNU_negative_offset_extended */
		save(m, reg, (struct saved){ SAVED_AT_CFA, -factored(m, cfi_uleb(in)), 0 });
		return true;
	default:
		return false;
	}
}

static int instruction(struct machine *m)
{
	struct cfi_reader *in = &m->in;
	uint8_t op = cfi_uint(in, 1), low = op & 0x3f;

	switch (op >> 6) {
	case 1:
		return advance_by(m, low);
	case 2:
		save(m, low, (struct saved){ SAVED_AT_CFA, factored(m, cfi_uleb(in)), 0 });
		return 0;
	case 3:
		restore(m, low);
		return 0;
	}
	switch (op) {
	case 0x00: /* nop */
		return 0;
	case 0x01: /* set_loc */
		return advance(m, MIN(m->end, cfi_pointer(in, m->cie->pointer_enc,
							  m->insns_vaddr + (in->p - m->insns))));
	case 0x02:
		return advance_by(m, cfi_uint(in, 1));
	case 0x03:
		return advance_by(m, cfi_uint(in, 2));
	case 0x04:
		return advance_by(m, cfi_uint(in, 4));
	case 0x0a:
	case 0x0b:
	case 0x0c:
	case 0x0d:
	case 0x0e:
	case 0x0f:
	case 0x12:
	case 0x13:
		cfa_instruction(m, op);
		return 0;
	default:
		m->fail |= !register_instruction(m, op);
		return 0;
	}
}

int cfi_run(const struct cfi_cie *cie, const uint8_t *insns, const uint8_t *insns_end,
	    uint64_t insns_vaddr, uint64_t start, uint64_t end, cfi_emit_fn emit, void *cookie)
{
	struct machine m = { .cie = cie, .pc = start, .end = end, .emit = emit, .cookie = cookie };
	int err = 0;

	/* The CIE's instructions set the state that `restore` goes back to; they do not advance. */
	m.in = (struct cfi_reader){ cie->insns, cie->insns_end, false };
	m.insns = cie->insns;
	m.insns_vaddr = cie->insns_vaddr;
	while (!m.in.bad && !m.fail && m.in.p < m.in.end && m.pc == start && !err)
		err = instruction(&m);
	m.initial = m.now;
	m.fail |= m.in.bad || m.pc != start;

	m.in = (struct cfi_reader){ insns, insns_end, false };
	m.insns = insns;
	m.insns_vaddr = insns_vaddr;
	while (!err && !m.in.bad && !m.fail && m.in.p < m.in.end && m.pc < end)
		err = instruction(&m);
	if (err || m.pc >= end)
		return err;
	if (m.fail || m.in.bad)
		return emit(cookie, m.pc, UNWIND_UNSUPPORTED, NULL);
	return emit_row(&m);
}
