/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_PROBE_H
#define PERISCOPE_PROBE_H

/*
 * What user space tells a program about the probe that was hit, in the 64 bits that the kernel
 * keeps for each site and hands out (bpf_get_attach_cookie): which probe it is, where the first
 * six integer arguments of the function are at this site, and how far the stack pointer is from
 * its value at the function's entry. The BPF side is bpf/probe.bpf.h.
 *
 *   bits 0..23   the caller's number for the probe (an index, a kind, ...)
 *   bits 24..39  entry's stack pointer - stack pointer at the site, in units of 8 bytes
 *   bits 40..63  for each argument 4 bits: the register, PROBE_ARG_LOST for none
 */

#include <linux/types.h>

/*
 * Registers by their index among the 64-bit words of struct pt_regs (x86: asm/ptrace.h; arm64:
 * x0 to x30, sp, pc).
 */
#if defined(__x86_64__) || defined(__TARGET_ARCH_x86)
enum probe_reg {
	PROBE_R15,
	PROBE_R14,
	PROBE_R13,
	PROBE_R12,
	PROBE_RBP,
	PROBE_RBX,
	PROBE_R11,
	PROBE_R10,
	PROBE_R9,
	PROBE_R8,
	PROBE_RAX,
	PROBE_RCX,
	PROBE_RDX,
	PROBE_RSI,
	PROBE_RDI,
	PROBE_IP = 16,
	PROBE_SP = 19,
};
#else
enum probe_reg {
	PROBE_X0,
	PROBE_SP = 31,
	PROBE_IP = 32,
};
#endif

#define PROBE_NR_ARGS	       6
#define PROBE_NR_GPRS	       15 /* x86: PROBE_R15 to PROBE_RDI, all general registers but RSP */
#define PROBE_ARG_LOST	       15 /* x86: orig_ax, which no argument is in */
#define PROBE_MAX_ID	       ((1U << 24) - 1)
#define PROBE_MAX_STACK	       (0xffffU * 8)

#define PROBE_COOKIE_ID(c)     ((__u32)(c)&PROBE_MAX_ID)
#define PROBE_COOKIE_STACK(c)  ((__u32)((c) >> 24 & 0xffff) * 8)
#define PROBE_COOKIE_ARG(c, n) ((__u32)((c) >> (40 + 4 * (n)) & 15))

/* The cookie of a probe; stack in bytes, a multiple of 8, args as in struct probe_site. */
static inline __u64 probe_cookie(__u32 id, __u32 stack, const __u8 *args)
{
	__u64 cookie = (id & PROBE_MAX_ID) | (__u64)(stack / 8 & 0xffff) << 24;

	for (int i = 0; i < PROBE_NR_ARGS; i++)
		cookie |= (__u64)(args[i] & 15) << (40 + 4 * i);
	return cookie;
}

#endif
