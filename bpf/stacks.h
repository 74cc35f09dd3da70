/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_STACKS_H
#define PERISCOPE_STACKS_H

/* Stacks as the BPF programs count them and hand them over. */

#include "target.h"

#define STACK_MAX_KERNEL 127
#define STACK_MAX_FRAMES 640 /* kernel and user together */
#define STACK_COMM_LEN	 16
#define STACK_MAX_KEYS	 65536 /* of `counts` between two times that it is emptied */

/* Key of `counts`. A thread's same stack has the same key. */
struct stack_key {
	__u64 stack; /* hash of the frames and of how the walk ended */
	__u32 tgid;
	__u32 tid;
};

/*
 * Sent once when a key is first counted. The record in the ring buffer holds nr_frames frames
 * only, innermost first, kernel before user.
 */
struct stack_event {
	struct event_header header; /* EVENT_STACK; arg: the stack's hash */
	__u32 tid;
	__u16 nr_frames;
	__u16 nr_kernel;
	__u8 end;     /* enum unwind_end */
	__u8 guessed; /* frames that were found by frame pointers, saturating */
	__u8 reserved[6];
	char comm[STACK_COMM_LEN];
	__u64 frames[STACK_MAX_FRAMES];
};

_Static_assert(sizeof(struct stack_event) == 48 + STACK_MAX_FRAMES * 8, "shared with BPF");

/* Elements of `stats`, summed over CPUs by the reader. */
enum stack_stat {
	STAT_SAMPLES,	   /* events that fired in the target */
	STAT_LOST_RING,	   /* not counted: no room for a new stack in the ring buffer */
	STAT_LOST_COUNTS,  /* not counted: `counts` full */
	STAT_LOST_SCRATCH, /* not counted: interrupted a walk on the same CPU */
	STAT_LOST_EVENTS,  /* fork, exec, exit or miss notices that did not fit in the ring */
	STAT_NR,
};

#endif
