/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WALK_H
#define PERISCOPE_WALK_H

/*
 * The walk of bpf/unwind.bpf.h in user space: the same step, the same rows, memory by a reader. For
 * stacks that no BPF program sees: those of threads that sleep.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/stacks.h"
#include "bpf/unwind.h"
#include "object.h"

/*
 * Walk from s to the outermost frame and append the frames to e, which gets the walk's end and the
 * number of frames that were guessed. maps, sorted, are the process's; the tables are those of
 * objects. s is used up.
 */
void walk_stack(const struct objects *objects, const struct unwind_mapping *maps, size_t nr_maps,
		struct unwind_state *s, unwind_read_fn read, void *cookie, struct stack_event *e);

/*
 * A reader of a live process's memory, a page at a time, without stopping it: what it has read it
 * believes until walk_memory_init.
 */
struct walk_memory {
	pid_t pid;
	uint64_t start;
	size_t len; /* of the page; 0: nothing read */
	uint8_t page[4096];
};

void walk_memory_init(struct walk_memory *m, pid_t pid);

/* An unwind_read_fn; the cookie is a struct walk_memory. */
int walk_memory_read(void *cookie, __u64 addr, __u64 *ret);

#endif
