/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_STACKS_H
#define PERISCOPE_STACKS_H

/* Stacks as the BPF programs count them and hand them over. */

#include "target.h"

#define STACK_MAX_KERNEL 127
#define STACK_MAX_FRAMES 640 /* kernel and user together */
#define STACK_COMM_LEN	 16

/*
 * What user space has been sent already, in the `stacks` array: keys, and what was counted for
 * each. A key is in the first bucket that had room for it, of one on each of three levels, eight
 * times as large each, and three neighbours on the last; none is taken out but all at once. So those
 * that come first, as do those that come often, share a few pages, which matters most: at a sample
 * an element of a large table costs half a microsecond, and of a hash map two.
 */
#define STACK_WAYS    4
#define STACK_NEAR    512 /* buckets of the first level */
#define STACK_LEVELS  3
#define STACK_LOOKS   (STACK_LEVELS + 3)
#define STACK_BUCKETS (STACK_NEAR * (1 + 8 + 64))
/* So many keys find a place, but for a few; where they are half as many they are taken out. */
#define STACK_MAX_KEYS 65536

struct stack_slot {
	__u64 key;
	__u64 count;
};

struct stack_bucket {
	struct stack_slot way[STACK_WAYS];
};

_Static_assert(sizeof(struct stack_bucket) == 64, "a cache line");

/* Where the key may be: its bucket at the n-th look. */
static inline __u32 stack_bucket(__u64 key, __u32 n)
{
	__u32 level = n < STACK_LEVELS ? n : STACK_LEVELS - 1;
	__u32 first = ((STACK_NEAR << 3 * level) - STACK_NEAR) / 7;

	return first + ((__u32)(key >> (55 - 3 * level)) ^ (n - level));
}

/* A thread's same stack is counted under the same key. */
struct stack_key {
	__u64 stack; /* hash of the frames and of how the walk ended */
	__u32 tgid;
	__u32 tid;
};

/* Never 0. */
static inline __u64 stack_key_hash(struct stack_key k)
{
	__u64 x = k.stack ^ ((__u64)k.tgid << 32 | k.tid) * 0xd6e8feb86659fd93ULL;

	x ^= x >> 32;
	return x * 0x9e3779b97f4a7c15ULL | 1;
}

/*
 * Sent once when a key is new. The record holds nr_frames frames only, innermost first, kernel
 * before user.
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

/*
 * The records' way to user space: a ring of lines in memory that both sides have mapped. A record
 * is whole lines; its first word is its header's type and tgid, written last: 0 is a record that is
 * not there yet. User space puts the 0 back into each line that it has read.
 */
#define STACK_LOG_LINES (1 << 17) /* 8 MB */
/* Before the lines, each alone in one: how many were ever given out, and how many are read. */
#define STACK_LOG_GIVEN 0
#define STACK_LOG_READ	1
#define STACK_LOG_FIRST 2

struct stack_line {
	__u64 word[8];
};

#define STACK_RECORD_LINES(nr_frames)                                         \
	((sizeof(struct stack_event) - (STACK_MAX_FRAMES - (nr_frames)) * 8 + \
	  sizeof(struct stack_line) - 1) /                                    \
	 sizeof(struct stack_line))
#define STACK_MAX_LINES STACK_RECORD_LINES(STACK_MAX_FRAMES)

/* Elements of `stats`, summed over CPUs by the reader. */
enum stack_stat {
	STAT_SAMPLES,	   /* events that fired in the target */
	STAT_LOST_RING,	   /* not counted: no room for a new stack's record */
	STAT_LOST_COUNTS,  /* not counted: `stacks` full */
	STAT_LOST_SCRATCH, /* not counted: interrupted a walk on the same CPU */
	STAT_LOST_EVENTS,  /* fork, exec, exit or miss notices that did not fit in the ring */
	STAT_NR,
};

#endif
