/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CFI_EXPR_H
#define PERISCOPE_CFI_EXPR_H

/* DWARF expressions in call frame instructions (DWARF 5, 2.5), evaluated symbolically. */

#include <stdbool.h>
#include <stdint.h>

#include "cfi.h"

enum cfi_term_kind {
	TERM_CONST,
	TERM_LINEAR, /* reg + off, or reg + off + index * scale */
	TERM_DEREF,  /* *(reg + off + index * scale) + post */
	TERM_PC,     /* on the way to TERM_PLT: pc; pc & 15; (pc & 15) >= off */
	TERM_PC_MASKED,
	TERM_PC_TEST,
	TERM_PLT, /* reg + off + ((pc & 15) >= scale ? post : 0) */
};

/*
 * A value on the stack of a DWARF expression, symbolically: what it would be as a function of the
 * registers. The forms are those that occur in Debian's objects: reg + off; *(reg + off + index *
 * scale) + post; and the PLT's reg + off + ((pc & 15) >= n) << k.
 */
struct cfi_term {
	enum cfi_term_kind kind;
	int64_t off; /* TERM_CONST: the value */
	int64_t post;
	int reg, index; /* -1: none */
	int64_t scale;
};

/*
 * Evaluate the expression at the reader, a ULEB128 length and that many bytes, and step over it.
 * Returns true with *ret, or false when it is damaged (in->bad is set if it leads past the end) or
 * none of the forms above.
 */
bool cfi_expression(struct cfi_reader *in, struct cfi_term *ret);

#endif
