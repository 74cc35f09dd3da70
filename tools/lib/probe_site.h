/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_PROBE_SITE_H
#define PERISCOPE_PROBE_SITE_H

/*
 * Where to put a uprobe on a function. A hit costs ten times as much where the kernel has to
 * single-step the instruction below it, out of line, as where it does the instruction's work
 * itself; compilers begin functions with either. So from the entry on we follow the path that
 * every call takes, up to the first instruction that is emulated, and keep account of what has
 * become of the argument registers and of the stack pointer until there.
 *
 * Promised of every site: each call of the function passes it exactly once, unless `repeats` says
 * that code of the object jumps to it (not seen are jumps by computed addresses, but for the tables
 * that compilers make of a switch); at the first pass nothing but the instructions between
 * the entry and the site has run. The kernel does not change what these do. Never chosen are
 * instructions that the kernel refuses or gets wrong: a 5-byte nop, which kernels from 6.18 on
 * replace by a call that overwrites the red zone of the function (up to 6.18.44 at least) and lets
 * forked children crash, and `xchg %r8,%rax`, which it takes for a nop.
 *
 * Sources: arch/x86/kernel/uprobes.c (branch_setup_xol_ops, push_setup_xol_ops, is_prefix_bad,
 * can_optimize). Only x86-64 so far: other machines' objects give -ENOTSUP.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/probe.h"
#include "elf.h"

/* What a hit makes the kernel do. Measured on 6.18: 0.6 to 0.9 and 9 to 10 microseconds. */
enum probe_class {
	PROBE_EMULATED,
	PROBE_STEPPED,
};

struct probe_site {
	uint64_t vaddr;	 /* of the instruction, in the file */
	uint64_t offset; /* the same in bytes of the file: what uprobes are placed by */
	enum probe_class class;
	uint8_t size; /* of the instruction, in bytes */
	/*
	 * For each argument of integer class the register that holds all 64 bits of it (enum
	 * probe_reg), or PROBE_ARG_LOST.
	 */
	uint8_t args[PROBE_NR_ARGS];
	/*
	 * Bytes by which the stack pointer is below its value at the entry: there, CFA = stack
	 * pointer + stack + 8. A return probe's stack pointer is that CFA.
	 */
	uint32_t stack;
	bool skips_null; /* calls with a first argument of 0 do not come here */
	bool repeats;	 /* code of the object jumps here: there may be more hits than calls */
	bool leaf;	 /* the function calls nothing and jumps nowhere else */
};

struct probe_site_options {
	uint8_t args;	/* bit n: argument n must be in some register at the site */
	bool returns;	/* a return probe goes there as well: the stack pointer is the entry's */
	bool skip_null; /* may pass a test of the first argument for 0 (free) */
};

/* The code of an object, read once for all its functions. */
struct probe_code;

/*
 * Prepare an object's code. elf is borrowed, must outlive it, and is read from now on, so that not
 * two threads may use it. Reads all of the object's text once (about 1 ms per MB; kept is a bit a
 * byte). Returns NULL with errno: ENOTSUP for machines other than x86-64, ENOEXEC for a damaged
 * file, ENOMEM.
 */
struct probe_code *probe_code_new(struct elf_file *elf);
void probe_code_free(struct probe_code *c);

/*
 * Choose the site for the function at [vaddr, vaddr + size) of the file. o may be NULL: no wishes.
 * When nothing on the path is emulated, or what jumps around in the function cannot be told for
 * certain, the site is the entry, or the first instruction from there on that the kernel takes.
 * Returns 0; -ENOENT no code of the file is there (or size is 0), -EILSEQ it does not decode,
 * -EOPNOTSUPP the kernel takes no instruction of the path, -EBADMSG the file cannot be read,
 * -ENOMEM. probe_site_error() says it in words (also -EPERM below, and -ENOSYS: the object is not
 * x86-64).
 */
int probe_site_find(struct probe_code *c, uint64_t vaddr, uint64_t size,
		    const struct probe_site_options *o, struct probe_site *ret);

/*
 * The site at exactly vaddr, as USDT notes give it; args are PROBE_ARG_LOST, stack is 0, leaf and
 * repeats false. Returns as probe_site_find; -EPERM for a 5-byte nop on a kernel that rewrites it,
 * unless `force` is given.
 */
int probe_site_at(struct probe_code *c, uint64_t vaddr, bool force, struct probe_site *ret);

/* Why there is no site, for a message: "the kernel refuses ...". Never NULL. */
const char *probe_site_error(int err);

/* "emulated", "single-stepped" */
const char *probe_class_name(enum probe_class class);

/* "rdi", "r8"; "lost" for PROBE_ARG_LOST */
const char *probe_reg_name(unsigned int reg);

/* The cookie for a site (bpf/probe.h). */
uint64_t probe_site_cookie(const struct probe_site *s, uint32_t id);

/* ---------------- returns ---------------- */

/*
 * A return probe replaces the return address on the stack. What reads it there breaks: a C++
 * exception that passes through the function aborts the process; a coroutine that leaves and is
 * resumed elsewhere returns to the wrong place. And where the return address is not on top of
 * the stack, the probe destroys something else.
 */
enum probe_return {
	PROBE_RETURN_OK,
	PROBE_RETURN_NO_ROW,	/* no unwind information says where the return address is */
	PROBE_RETURN_REPEATS,	/* a call may pass the site several times: which one returns? */
	PROBE_RETURN_FRAME,	/* at the site it is not on top of the stack */
	PROBE_RETURN_THROWS,	/* a C++ exception might pass through */
	PROBE_RETURN_SWITCHES,	/* stacks might be switched inside */
	PROBE_RETURN_NO_MEMORY, /* ours */
};

/* Why not, for a message; "can be probed" for PROBE_RETURN_OK. */
const char *probe_return_text(enum probe_return r);

/* What other code of the process might do to the return addresses of a function's callers. */
enum {
	PROBE_MAY_THROW = 1,  /* exceptions: C++, Rust, ... */
	PROBE_MAY_SWITCH = 2, /* coroutines: swapcontext and the like; Go, which moves stacks */
};

/*
 * The hazards for the functions of `object` in a process whose files are `all` (n of them, `object`
 * among them or not). An exception can pass through a function when its own object handles or
 * throws them, or another one that does and that calls into it: imports something that it exports.
 * (What can only come about by a callback through a third object is not seen.) Stacks may be
 * switched by any object. Judged by imports, in static programs by what they define; libc, libgcc,
 * libstdc++ and libcrypto, which only offer it, count for nothing by themselves. Coroutines whose switch is
 * a program's own assembly are not recognised.
 * Returns 0 or a negative errno (then *ret is untouched: take both for given).
 */
int probe_hazards(struct elf_file *object, struct elf_file *const *all, size_t n,
		  unsigned int *ret);

/*
 * May a return probe be placed at site s, in a process with these hazards? Hazards do not matter
 * to a function that calls nothing; otherwise they refuse it (pass 0 to force it, and for
 * functions that are known to neither throw nor switch: malloc). The row check is never waived.
 */
enum probe_return probe_site_returns(struct probe_code *c, const struct probe_site *s,
				     unsigned int hazards);

#endif
