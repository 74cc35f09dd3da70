/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_LIB_STACKS_H
#define PERISCOPE_LIB_STACKS_H

/*
 * The stacks and counts of a capture, as they come from the kernel: each stack's frames once, and
 * for each thread how often it was seen with it. Nothing is symbolized yet.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/stacks.h"
#include "bpf/unwind.h"

struct stack {
	uint64_t hash;
	uint32_t nr_frames, nr_kernel; /* innermost first, kernel before user */
	uint8_t end;		       /* enum unwind_end */
	uint8_t guessed;	       /* frames found by frame pointers */
	size_t first_frame;	       /* into stacks.frames */
	/* Of the thread that was first seen with it. */
	uint32_t tid;
	char comm[STACK_COMM_LEN];
};

struct stack_count {
	struct stack_key key;
	uint64_t hash; /* stack_key_hash(key) */
	size_t stack;  /* into stacks.items */
	char comm[STACK_COMM_LEN];
	uint64_t count;
};

struct stacks {
	struct stack *items;
	size_t nr, cap;
	uint64_t *frames;
	size_t nr_frames, cap_frames;
	struct stack_count *counts;
	size_t nr_counts, cap_counts;
	uint32_t *by_hash, *by_key; /* open addressing: index + 1, 0 empty */
	size_t hash_slots, key_slots;
};

void stacks_init(struct stacks *s);
void stacks_release(struct stacks *s);

/*
 * Take an EVENT_STACK record of `size` bytes. Returns 0, -ENOMEM, -EINVAL for a record that is
 * shorter than it says.
 */
int stacks_event(struct stacks *s, const struct stack_event *e, size_t size);

/* Add n to the count of a key, by its hash. Returns 0, or -ENOENT when its record never came. */
int stacks_count(struct stacks *s, uint64_t key_hash, uint64_t n);

/* The index of the stack with this hash in items; -1 when its record never came. */
ssize_t stacks_find(const struct stacks *s, uint64_t hash);

/* Sum of counts by how the walks ended. ret has UNWIND_NR_ENDS elements. */
void stacks_by_end(const struct stacks *s, uint64_t *ret);

/* How many threads were counted. Returns 0 or -ENOMEM. */
int stacks_threads(const struct stacks *s, size_t *ret);

/* A walk's end in words: short, for a frame's name and a summary ("no-mapping"). */
const char *unwind_end_name(unsigned int end);
/* And in a sentence's length, for people. */
const char *unwind_end_text(unsigned int end);

#endif
