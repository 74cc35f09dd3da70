/* SPDX-License-Identifier: MIT */
#include "cfi_expr.h"

#include "util.h"

static bool term_add(struct cfi_term *a, const struct cfi_term *b)
{
	struct cfi_term tmp;

	if (a->kind == TERM_CONST || (a->kind == TERM_PC_TEST && b->kind == TERM_LINEAR)) {
		tmp = *a;
		*a = *b;
		b = &tmp;
	}
	if (b->kind == TERM_CONST && a->kind == TERM_DEREF) {
		a->post += b->off;
		return true;
	}
	if (b->kind == TERM_CONST && (a->kind == TERM_LINEAR || a->kind == TERM_CONST)) {
		a->off += b->off;
		return true;
	}
	/* reg + off, plus index * scale: the second has only the scaled part, or both scale 1. */
	if (a->kind == TERM_LINEAR && b->kind == TERM_LINEAR && a->index < 0 && b->index < 0) {
		if (a->reg < 0 || (a->scale != 1 && b->scale == 1)) {
			tmp = *a;
			*a = *b;
			b = &tmp;
		}
		if (a->reg < 0 || b->reg < 0 || a->scale != 1)
			return false;
		a->index = b->reg;
		a->off += b->off;
		a->scale = b->scale;
		return true;
	}
	if (a->kind == TERM_LINEAR && b->kind == TERM_PC_TEST && a->index < 0 && a->scale == 1) {
		a->kind = TERM_PLT;
		a->scale = b->off;
		a->post = b->post;
		return true;
	}
	return false;
}

static bool term_binary(uint8_t op, struct cfi_term *a, const struct cfi_term *b)
{
	switch (op) {
	case 0x22: /* plus */
		return term_add(a, b);
	case 0x1e: /* mul */
		if (a->kind != TERM_LINEAR || b->kind != TERM_CONST || a->index >= 0)
			return false;
		a->scale *= b->off;
		a->off *= b->off;
		return true;
	case 0x1a: /* and */
		if (a->kind != TERM_PC || b->kind != TERM_CONST || b->off != 15 || a->off)
			return false;
		a->kind = TERM_PC_MASKED;
		return true;
	case 0x2a: /* ge */
		if (a->kind != TERM_PC_MASKED || b->kind != TERM_CONST)
			return false;
		a->kind = TERM_PC_TEST;
		a->off = b->off;
		a->post = 1;
		return true;
	case 0x24: /* shl */
		if (b->kind != TERM_CONST || b->off < 0 || b->off > 16)
			return false;
		if (a->kind == TERM_PC_TEST) {
			a->post <<= b->off;
			return true;
		}
		if (a->kind != TERM_LINEAR || a->index >= 0)
			return false;
		a->scale <<= b->off;
		a->off = (int64_t)((uint64_t)a->off << b->off);
		return true;
	default:
		return false;
	}
}

static bool term_push(uint8_t op, struct cfi_reader *r, struct cfi_term *t)
{
	*t = (struct cfi_term){ .kind = TERM_CONST, .reg = -1, .index = -1, .scale = 1 };
	if (op >= 0x30 && op <= 0x4f) { /* lit0..lit31 */
		t->off = op - 0x30;
	} else if (op >= 0x70 && op <= 0x8f) { /* breg0..breg31 */
		t->kind = op == 0x70 + UNWIND_RA ? TERM_PC : TERM_LINEAR;
		t->reg = op - 0x70;
		t->off = cfi_sleb(r);
		return op <= 0x70 + UNWIND_RA;
	} else if (op == 0x08) {
		t->off = cfi_uint(r, 1);
	} else if (op == 0x09) {
		t->off = (int8_t)cfi_uint(r, 1);
	} else if (op == 0x0a) {
		t->off = cfi_uint(r, 2);
	} else if (op == 0x0b) {
		t->off = (int16_t)cfi_uint(r, 2);
	} else if (op == 0x0c) {
		t->off = cfi_uint(r, 4);
	} else if (op == 0x0d) {
		t->off = (int32_t)cfi_uint(r, 4);
	} else if (op == 0x10) {
		t->off = cfi_uleb(r);
	} else if (op == 0x11) {
		t->off = cfi_sleb(r);
	} else {
		return false;
	}
	return true;
}

bool cfi_expression(struct cfi_reader *in, struct cfi_term *ret)
{
	uint64_t len = cfi_uleb(in);
	struct cfi_term stack[8], c;
	struct cfi_reader r;
	size_t n = 0;
	uint8_t op;

	if (in->bad || len > (size_t)(in->end - in->p)) {
		in->bad = true;
		return false;
	}
	r = (struct cfi_reader){ in->p, in->p + len, false };
	in->p += len;
	while (r.p < r.end) {
		op = cfi_uint(&r, 1);
		if (op == 0x06) { /* deref */
			if (!n || stack[n - 1].kind != TERM_LINEAR)
				return false;
			stack[n - 1].kind = TERM_DEREF;
		} else if (op == 0x23) { /* plus_uconst */
			c = (struct cfi_term){ .kind = TERM_CONST, .off = cfi_uleb(&r) };
			if (!n || !term_add(&stack[n - 1], &c))
				return false;
		} else if (op == 0x22 || op == 0x1e || op == 0x1a || op == 0x2a || op == 0x24) {
			if (n < 2 || !term_binary(op, &stack[n - 2], &stack[n - 1]))
				return false;
			n--;
		} else if (n == ARRAY_SIZE(stack) || !term_push(op, &r, &stack[n++])) {
			return false;
		}
		if (r.bad)
			return false;
	}
	if (n != 1)
		return false;
	*ret = stack[0];
	return true;
}
