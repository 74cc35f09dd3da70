/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_PROBE_BPF_H
#define PERISCOPE_PROBE_BPF_H

/*
 * Reading a hit by its cookie (bpf/probe.h). Needs vmlinux.h and bpf_helpers.h before it.
 */

#include "probe.h"

#if defined(__TARGET_ARCH_x86)
/* In assembly, for the compiler would make one load of all, at an offset that it computes. */
#define PROBE_CASE(reg)                                                                        \
	case reg:                                                                              \
		asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(value) : "r"(ctx), "i"(reg * 8)); \
		break
#endif

/*
 * A register by its number; 0 for a number that is none. The verifier wants context fields at
 * constant offsets, so this is a tree of comparisons, about four of them.
 */
static __always_inline __u64 probe_reg(const struct pt_regs *ctx, __u32 reg)
{
	__u64 value = 0;

#if defined(__TARGET_ARCH_x86)
	switch (reg) {
		PROBE_CASE(PROBE_R15);
		PROBE_CASE(PROBE_R14);
		PROBE_CASE(PROBE_R13);
		PROBE_CASE(PROBE_R12);
		PROBE_CASE(PROBE_RBP);
		PROBE_CASE(PROBE_RBX);
		PROBE_CASE(PROBE_R11);
		PROBE_CASE(PROBE_R10);
		PROBE_CASE(PROBE_R9);
		PROBE_CASE(PROBE_R8);
		PROBE_CASE(PROBE_RAX);
		PROBE_CASE(PROBE_RCX);
		PROBE_CASE(PROBE_RDX);
		PROBE_CASE(PROBE_RSI);
		PROBE_CASE(PROBE_RDI);
		PROBE_CASE(PROBE_IP);
		PROBE_CASE(PROBE_SP);
	}
#else
	if (reg <= PROBE_IP)
		bpf_probe_read_kernel(&value, sizeof(value), (const void *)ctx + reg * 8);
#endif
	return value;
}

/* Argument n (0 to 5) of the function that was entered. Returns 0, or -1: lost at this site. */
static __always_inline int probe_arg(const struct pt_regs *ctx, __u64 cookie, __u32 n, __u64 *ret)
{
	__u32 reg = PROBE_COOKIE_ARG(cookie, n);

	if (n >= PROBE_NR_ARGS || reg == PROBE_ARG_LOST)
		return -1;
	*ret = probe_reg(ctx, reg);
	return 0;
}

/*
 * The CFA of the function that was entered: its caller's stack pointer before the call (x86). The
 * same at the entry's probe and, by probe_return_cfa, at the return's; a tail call keeps it.
 */
static __always_inline __u64 probe_cfa(const struct pt_regs *ctx, __u64 cookie)
{
#if defined(__TARGET_ARCH_x86)
	return probe_reg(ctx, PROBE_SP) + PROBE_COOKIE_STACK(cookie) + 8;
#else
	return probe_reg(ctx, PROBE_SP) + PROBE_COOKIE_STACK(cookie);
#endif
}

/* What the function returned, at a return probe, as far as it is of integer class. */
static __always_inline __u64 probe_result(const struct pt_regs *ctx)
{
#if defined(__TARGET_ARCH_x86)
	return ctx->ax;
#else
	return ctx->regs[0];
#endif
}

static __always_inline __u64 probe_return_cfa(const struct pt_regs *ctx)
{
	return probe_reg(ctx, PROBE_SP);
}

#endif
