/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_BPF_USDT_H
#define PERISCOPE_BPF_USDT_H

/*
 * Where the arguments of a USDT probe are, in the form that the BPF programs evaluate
 * (bpf/usdt.bpf.h). User space makes it from the note's operands (tools/lib/usdt.h).
 */

#include <linux/types.h>

#include "probe.h"

#define USDT_MAX_ARGS 12 /* STAP_PROBE12 of sys/sdt.h is the widest */
#define USDT_NO_REG   0xff

enum usdt_kind {
	USDT_NONE,  /* an operand that could not be read */
	USDT_CONST, /* off */
	USDT_REG,   /* reg >> shift */
	USDT_MEM,   /* *(reg + off + (index << shift)) */
};

/*
 * One argument. Operands relative to the instruction pointer, whatever their symbol, are USDT_MEM
 * with reg = PROBE_IP: at a hit it is the site's address, so off is relative to the site and holds
 * in every process.
 */
struct usdt_arg {
	__s64 off;
	__u8 kind;	/* enum usdt_kind */
	__u8 size;	/* bytes: 1, 2, 4, 8 */
	__u8 is_signed; /* extend the sign */
	__u8 is_float;	/* the bits of a float or double */
	__u8 reg;	/* enum probe_reg or USDT_NO_REG */
	__u8 index;	/* likewise */
	__u8 shift;
	__u8 reserved;
};

struct usdt_spec {
	__u32 nr;
	__u32 reserved;
	struct usdt_arg args[USDT_MAX_ARGS];
};

_Static_assert(sizeof(struct usdt_arg) == 16, "shared with BPF");
_Static_assert(sizeof(struct usdt_spec) == 200, "shared with BPF");

#endif
