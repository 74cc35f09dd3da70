/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TARGET_H
#define PERISCOPE_TARGET_H

#include <linux/types.h>

/* What user space and the BPF programs say to each other about the processes that are watched. */

/*
 * A watched process. Its mappings are a run of struct unwind_mapping in the `mappings` array. A
 * new set is written elsewhere first; then the element is replaced, so that a walk sees the one
 * or the other.
 */
struct target_proc {
	__u32 first_mapping;
	__u32 nr_mappings;
	__u32 generation; /* of this set; no two sets have the same */
};

/*
 * Where there is one process and no other will come, what `procs` has for it is also here, where it
 * takes one cache line to read. A new value is written to the slot after the current one, so that a
 * program has it for as long as the process's mappings change less than this many times.
 */
#define TARGET_ONLY_SLOTS 4

struct target_only {
	__u32 current; /* TARGET_ONLY_SLOTS: look into `procs` */
	struct target_proc slots[TARGET_ONLY_SLOTS];
};

/* One executable mapping, sorted by start within its process. A cache line each. */
struct unwind_mapping {
	__u64 start, end; /* addresses in the process, end exclusive */
	__u64 bias;	  /* address - virtual address of the file */
	__u64 table_base; /* unwind_table.base; meaningless when nr_rows is 0 */
	__u32 object;	  /* index into `tables`, and the object's name in frames; 0: none */
	__u32 nr_blocks;  /* of its unwind table; 0: it has none */
	__u32 nr_rows;
	__u32 reserved[5];
};

_Static_assert(sizeof(struct unwind_mapping) == 64, "shared with BPF");

/*
 * A frame is one 64-bit word. Kernel addresses have bit 63 set as they are. User frames name an
 * object and a virtual address in its file, so that a stack means the same in every process that
 * maps the object, and after an exec or dlclose; object 0: an address of the process itself.
 */
#define FRAME_OBJECT_SHIFT 47
#define FRAME_ADDR_MASK	   ((1ULL << FRAME_OBJECT_SHIFT) - 1)
#define FRAME_MAX_OBJECTS  (1U << 16)
#define FRAME_IS_KERNEL(f) ((f) >> 63)
#define FRAME_OBJECT(f)	   ((__u32)((f) >> FRAME_OBJECT_SHIFT) & (FRAME_MAX_OBJECTS - 1))
#define FRAME_ADDR(f)	   ((f)&FRAME_ADDR_MASK)

/* The records of the ring buffer begin with this. */
enum event_type {
	EVENT_STACK = 1, /* struct stack_event; not in the ring buffer but in the log of stacks */
	EVENT_FORK,	 /* tgid: the child; arg: the parent. It runs with the parent's mappings */
	EVENT_EXEC,	 /* tgid has a new program; its mappings are forgotten */
	EVENT_EXIT,	 /* the last thread of tgid has gone */
	EVENT_MISS,	 /* arg: an address of tgid that no known mapping covers */
	EVENT_STACKS,	 /* the log of stacks fills: read it */
	EVENT_ENGINE = 64, /* from here on: a tool's own records */
};

struct event_header {
	__u32 type;
	__u32 tgid;
	__u64 arg;
};

#endif
