/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_BPF_REGISTERS_H
#define PERISCOPE_BPF_REGISTERS_H

/*
 * The registers of a thread in user mode, in the order in which a record has them: first those by
 * which a debugger begins. R(field of struct pt_regs, name for people), for each.
 */

/* clang-format off */
#if defined(__TARGET_ARCH_x86) || (!defined(__bpf__) && defined(__x86_64__))
#define REGISTERS(R) \
	R(ip, "rip") R(sp, "rsp") R(bp, "rbp") R(flags, "rflags") \
	R(ax, "rax") R(bx, "rbx") R(cx, "rcx") R(dx, "rdx") \
	R(si, "rsi") R(di, "rdi") R(r8, "r8") R(r9, "r9") \
	R(r10, "r10") R(r11, "r11") R(r12, "r12") R(r13, "r13") \
	R(r14, "r14") R(r15, "r15")
#else
#define REGISTERS(R) \
	R(pc, "pc") R(sp, "sp") R(pstate, "pstate") R(regs[30], "x30") \
	R(regs[29], "x29") R(regs[0], "x0") R(regs[1], "x1") R(regs[2], "x2") \
	R(regs[3], "x3") R(regs[4], "x4") R(regs[5], "x5") R(regs[6], "x6") \
	R(regs[7], "x7") R(regs[8], "x8") R(regs[9], "x9") R(regs[10], "x10") \
	R(regs[11], "x11") R(regs[12], "x12") R(regs[13], "x13") R(regs[14], "x14") \
	R(regs[15], "x15") R(regs[16], "x16") R(regs[17], "x17") R(regs[18], "x18") \
	R(regs[19], "x19") R(regs[20], "x20") R(regs[21], "x21") R(regs[22], "x22") \
	R(regs[23], "x23") R(regs[24], "x24") R(regs[25], "x25") R(regs[26], "x26") \
	R(regs[27], "x27") R(regs[28], "x28")
#endif
/* clang-format on */

#define REGISTER_ZERO(field, name) 0,
#define REGISTERS_NR		   sizeof((char[]){ REGISTERS(REGISTER_ZERO) })

#endif
