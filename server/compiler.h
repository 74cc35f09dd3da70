/* SPDX-License-Identifier: MIT */
/*
 * The few compiler tricks the server uses.
 */
#ifndef COWORKING_COMPILER_H
#define COWORKING_COMPILER_H

#include <stddef.h>

/*
 * STEP marks a function that is one step of the work on a request: a handler, a query, a parse,
 * a hash. It stays a function of its own, under its own name, at any optimisation level, so that
 * a stack taken from outside tells which step was running. Without it gcc inlines such functions
 * or calls a clone of another name (x.constprop.0).
 *
 * A call at the very end of a step would still be compiled to a jump, and the step be missing from
 * the stacks of what it called. step_end() between the call and the return prevents that.
 */
#if defined(__has_attribute)
#if __has_attribute(noipa)
#define STEP __attribute__((noinline, noipa))
#endif
#endif
#ifndef STEP
#define STEP __attribute__((noinline))
#endif

#define step_end()			__asm__ volatile("")

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define ARRAY_SIZE(a)			(sizeof(a) / sizeof((a)[0]))

#endif
