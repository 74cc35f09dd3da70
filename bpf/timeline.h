/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_BPF_TIMELINE_H
#define PERISCOPE_BPF_TIMELINE_H

/*
 * The records of periscope timeline, as its BPF programs put them into the ring buffer `timeline`: the
 * events of tools/lib/eventlog_kinds.h, their fields in that order, in as few bytes as will do.
 *
 * Every event that there was takes a number of its CPU, whether or not there was room for its
 * record: a gap in the numbers is a loss, and says where. At the end `seqs` has the last ones.
 */

#include "heap.h"
#include "registers.h"
#include "target.h"

#define TIMELINE_TEXT	     192 /* bytes of a text, its NUL included; longer ones are cut */
#define TIMELINE_WORDS	     6
#define TIMELINE_LOG_SIZE    (16 << 20)
#define TIMELINE_MAX_SITES   4096

#define TIMELINE_MAX_THREADS 16384 /* threads at once */

struct timeline_record {
	__u64 time; /* CLOCK_MONOTONIC */
	__u32 seq;  /* the number's low half */
	__u32 tid;
	__u16 cpu;
	__u16 site;		 /* of EVT_NONE: which probe; its arguments are the words */
	__u8 kind;		 /* enum event_kind, or EVT_NONE */
	__u8 words;		 /* the fields that follow */
	__u16 bytes;		 /* of text behind them, its NUL included; 0: none. Of EVT_SIGNAL
				  * registers: REGISTERS_NR words, or none */
	__u64 v[TIMELINE_WORDS]; /* of EVT_ALLOCATED there is one more: the process */
	char text[TIMELINE_TEXT];
};

#define TIMELINE_HEAD 24

_Static_assert(sizeof(struct timeline_record) == TIMELINE_HEAD + TIMELINE_WORDS * 8 + TIMELINE_TEXT,
	       "shared with BPF");

/* How a trigger compares an argument of a probe: as signed numbers. */
enum timeline_op {
	TIMELINE_ANY, /* not at all: always */
	TIMELINE_GT,
	TIMELINE_GE,
	TIMELINE_LT,
	TIMELINE_LE,
	TIMELINE_EQ,
	TIMELINE_NE,
};

struct timeline_condition {
	__s64 value;
	__u8 op;     /* enum timeline_op */
	__u8 arg;    /* from 0 */
	__u8 narrow; /* one without an upper half is an int: a function's register does not tell */
	__u8 reserved[5];
};

/* 1 or 0. */
static inline int timeline_holds(const struct timeline_condition *c, __u64 word)
{
	__s64 value = c->narrow && !(word >> 32) ? (__s32)word : (__s64)word;

	switch (c->op) {
	case TIMELINE_GT:
		return value > c->value;
	case TIMELINE_GE:
		return value >= c->value;
	case TIMELINE_LT:
		return value < c->value;
	case TIMELINE_LE:
		return value <= c->value;
	case TIMELINE_EQ:
		return value == c->value;
	case TIMELINE_NE:
		return value != c->value;
	default:
		return 1;
	}
}

/* A probe of the target, an element of `sites`, by the id in its cookie. */
struct timeline_site {
	__u8 words;   /* arguments that are recorded, from the first on */
	__u8 text;    /* the argument that is a string, plus one; 0: none */
	__u8 request; /* the thread may turn to another request, or away from it */
	__u8 reserved[5];
	struct timeline_condition when; /* else it is not recorded */
};

/* What a thread has allocated, and how much of it has been told: an element of `allocs`, by TID. */
struct timeline_alloc {
	struct alloc_use use;
	__u64 told_count, told_bytes;
	__u64 told_at;
	__u32 telling;
	__u32 tgid;
	/* Of the call that is under way (use.cfa), where blocks are followed: */
	__u64 size;
	__u64 ptr;  /* HEAP_POSIX: where the result goes; HEAP_REALLOC: the old block */
	__u64 old;  /* the old block's size */
	__u32 kind; /* enum heap_kind */
	__u32 old_known;
};

/*
 * What a process has allocated since the recording began and not freed: an element of `heaps`, by
 * PID. The highest is kept for one stretch of time after the other: user space begins a new one by
 * counting `heap_epoch` up, and has the last one's then. In `most` is the epoch, its lower 16 bits,
 * above the bytes, so that an older one is told from a lower one.
 */
struct timeline_heap {
	__u64 held;    /* bytes */
	__u64 most[2]; /* by the epoch's lowest bit */
	__u32 space;   /* in the keys of its blocks (heap.h); 0: none yet, or it is gone */
	__u32 reserved;
};

#define TIMELINE_HEAP_SHIFT 48

_Static_assert(sizeof(struct timeline_alloc) == 88, "shared with BPF");
_Static_assert(sizeof(struct timeline_heap) == 32, "shared with BPF");

/*
 * Of EVT_REQUEST_BEGIN, the third word: what names the request, the text behind the words or the second
 * word. In other events of requests the second word is a status. The ids of these probes' sites
 * begin at TIMELINE_MAX_SITES.
 */
enum timeline_name {
	TIMELINE_NAME_NONE,
	TIMELINE_NAME_TEXT,
	TIMELINE_NAME_NUMBER,
	TIMELINE_NAME_TEXT_OR_NUMBER, /* the text, if there is any */
};

/*
 * Of EVT_EXEC, the second word: 0, or the thread that called and took over the first one's number; that
 * its own number was, if it is none in our PID namespace.
 */
#define TIMELINE_EXEC_BY_OTHER 0xffffffffU

/* Groups of events, knobs of user space. */
enum timeline_group {
	TIMELINE_GROUP_SCHED = 1 << 0,
	TIMELINE_GROUP_SYSCALLS = 1 << 1,
	TIMELINE_GROUP_FAULTS = 1 << 2,
	TIMELINE_GROUP_IO = 1 << 3,
	TIMELINE_GROUP_SIGNALS = 1 << 4,
};

#endif
