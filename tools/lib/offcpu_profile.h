/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_OFFCPU_PROFILE_H
#define PERISCOPE_OFFCPU_PROFILE_H

/* What an off-CPU capture has seen, as a profile of functions. */

#include <stdbool.h>
#include <stdint.h>

#include "capture_offcpu.h"
#include "profile.h"

/* The types of a profile of waits, in this order. */
enum offcpu_type {
	OFFCPU_TYPE_WAITS,    /* waits/count */
	OFFCPU_TYPE_BLOCKED,  /* blocked/nanoseconds: until somebody woke the thread */
	OFFCPU_TYPE_RUNQUEUE, /* runqueue/nanoseconds: from then, or from its preemption */
	OFFCPU_TYPE_OFFCPU,   /* offcpu/nanoseconds: both together */
	OFFCPU_NR_TYPES,
};

struct offcpu_profile_options {
	bool user, kernel; /* which stacks there are */
	bool per_thread;   /* the root of folded output is comm/tid, not comm */
	bool show_reason;  /* an innermost frame [REASON] */
	int64_t period_ns; /* of a profile of wall-clock time: what a sample stands for */
};

/*
 * Fill p, which is empty, with the waits: labels reason, state (ps's letter), idle where a thread
 * waits for work, and with wakers' stacks waker, the name of who woke. Returns 0 or -ENOMEM.
 */
int offcpu_profile_waits(struct profile *p, const struct capture_offcpu *c,
			 const struct offcpu_profile_options *o);

/*
 * Fill p with all time of all threads, one type wall/nanoseconds: running by samples of a period
 * each, waits as long as they were. The label state, also an innermost frame in brackets where it is
 * not running: running, runnable or blocked:REASON. Returns 0 or -ENOMEM.
 */
int offcpu_profile_wall(struct profile *p, const struct capture_offcpu *c,
			const struct offcpu_profile_options *o);

#endif
