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

#include "target.h"

#define TIMELINE_TEXT	   192 /* bytes of a text, its NUL included; longer ones are cut */
#define TIMELINE_WORDS	   6
#define TIMELINE_LOG_SIZE  (16 << 20)
#define TIMELINE_MAX_SITES 4096

struct timeline_record {
	__u64 time; /* CLOCK_MONOTONIC */
	__u32 seq;  /* the number's low half */
	__u32 tid;
	__u16 cpu;
	__u16 site;  /* of EVT_NONE: which probe; its arguments are the words */
	__u8 kind;   /* enum event_kind, or EVT_NONE */
	__u8 words;  /* the fields that follow */
	__u16 bytes; /* of text behind them, its NUL included; 0: none */
	__u64 v[TIMELINE_WORDS];
	char text[TIMELINE_TEXT];
};

#define TIMELINE_HEAD 24

_Static_assert(sizeof(struct timeline_record) == TIMELINE_HEAD + TIMELINE_WORDS * 8 + TIMELINE_TEXT,
	       "shared with BPF");

/* A probe of the target, an element of `sites`, by the id in its cookie. */
struct timeline_site {
	__u8 words; /* arguments that are recorded, from the first on */
	__u8 text;  /* the argument that is a string, plus one; 0: none */
	__u8 reserved[2];
};

/* Groups of events, knobs of user space. */
enum timeline_group {
	TIMELINE_GROUP_SCHED = 1 << 0,
	TIMELINE_GROUP_SYSCALLS = 1 << 1,
	TIMELINE_GROUP_FAULTS = 1 << 2,
	TIMELINE_GROUP_IO = 1 << 3,
	TIMELINE_GROUP_SIGNALS = 1 << 4,
};

#endif
