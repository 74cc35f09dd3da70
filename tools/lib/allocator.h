/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_ALLOCATOR_H
#define PERISCOPE_ALLOCATOR_H

/*
 * The functions by which a process gets and gives back its memory, and where to probe each: those
 * that its calls of malloc, free and the like really lead to. Names are looked up as the dynamic
 * linker does, in the order in which it has loaded the objects: so a preloaded jemalloc comes before
 * libc, and a wrapper that defines malloc alone is found for malloc, libc for the rest. Names
 * that lead to one address are one function.
 *
 * Besides the C names: those of C++ (operator new and its like) and of jemalloc's own interface
 * where they are defined beside malloc, because there they may not call it (in libstdc++ they do);
 * and all of these with the prefix of an allocator that a program has built in (je_, mi_, tc_,
 * _rjem_). Not among them is realloc's like reallocarray where it only jumps to realloc (glibc).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/heap.h"
#include "probe_site.h"
#include "target.h"

struct allocator_function {
	char *name; /* as in the object */
	struct object *object;
	uint64_t vaddr, size;
	enum heap_kind kind;
	struct probe_site site; /* of the call; its return, too, unless kind is HEAP_FREE */
};

struct allocator {
	struct allocator_function *items; /* by object, those of one behind each other */
	size_t nr, cap;
	bool complete;	 /* all names of C were found: objects that come later change nothing */
	char error[512]; /* why there is none, a sentence without a full stop */
};

/*
 * Find the functions for process pid, which t watches and whose mappings it knows. Returns 0;
 * -ENOENT when there is no malloc, or no free to go with it; -ENOTSUP when they cannot be probed;
 * -ESRCH, -EACCES, -ENOMEM. allocator_release is fine on a zeroed one and after failures.
 */
int allocator_find(struct allocator *a, const struct target *t, pid_t pid);
void allocator_release(struct allocator *a);

#endif
