/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CAPTURE_OFFCPU_H
#define PERISCOPE_CAPTURE_OFFCPU_H

/*
 * The off-CPU capture: how long the target's threads wait, with which stacks, for what, and how
 * much of it they wait for a CPU. Exact: every wait is seen, also those that are under way when the
 * capture begins or ends, with the part of them that lies within. With a frequency it samples
 * running threads, too, for a profile of wall-clock time.
 *
 * Driven through capture_offcpu_ops. Nothing stays in the kernel after free, or after the process
 * is killed: all is bound to descriptors.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture.h"
#include "offcpu_waits.h"
#include "sampler.h"
#include "stacks.h"
#include "target.h"

struct capture_offcpu_options {
	bool user, kernel; /* which stacks */
	bool wakers;	   /* and the stack of who wakes */
	bool children;	   /* follow forks */
	pid_t only;	   /* the one process that will ever be added; 0: there may be more */
	const pid_t *tids; /* only these threads; nr 0: all */
	size_t nr_tids;
	/* Which waits; the threads' own sums are of all. */
	uint32_t reasons; /* bits by enum offcpu_reason */
	uint32_t states;  /* bits by the letter's place in the alphabet: 1 << ('S' & 31) */
	/*
	 * Not those for work to come: epoll_wait, poll, select, accept, unless a request is in flight
	 * that the thread has begun, if the target has the probes that tell (request_presets.c).
	 */
	bool no_idle;
	uint64_t min_ns, max_ns; /* from leaving the CPU to being on one, within the capture */
	/* Samples of running threads a second and CPU; 0: none. */
	unsigned int frequency;
	enum cpu_event event;
};

#define CAPTURE_OFFCPU_ALL UINT32_MAX

struct capture_offcpu_stats {
	uint64_t window_ns;
	struct offcpu_value all;	 /* of all waits that were wanted */
	uint64_t running_ns;		 /* exact, as the scheduler switched */
	uint64_t samples;		 /* of running threads */
	size_t threads;			 /* ever seen */
	uint64_t by_end[UNWIND_NR_ENDS]; /* waits (and samples) by how their stack's walk ended */
	uint64_t guessed;		 /* those with a frame that was found by frame pointers */
	uint64_t unreported; /* wake-ups and switches that the scheduler's own notes stood in for */
	uint64_t misread;    /* kernel stacks that the memo had wrong when they were compared */
	uint64_t no_stack;   /* those without frames: they count, and are marked; why: */
	uint64_t lost_ring, lost_names, lost_scratch;
	uint64_t lost;		/* waits that were not counted */
	uint64_t lost_ns;	/* their time */
	uint64_t lost_threads;	/* threads that found no room */
	uint64_t lost_requests; /* with no_idle: not known to be in flight */
	uint64_t lost_events;	/* notices of fork, exec or exit; an exit's has a thread's sums */
};

struct capture_offcpu;

/* Load the BPF side. Returns NULL and errno; capture_offcpu_ops.error(NULL) then says why. */
struct capture_offcpu *capture_offcpu_new(const struct capture_offcpu_options *o);
void capture_offcpu_free(struct capture_offcpu *c);

extern const struct capture_ops capture_offcpu_ops;

/* What was seen; after stop. Valid until free. */
void capture_offcpu_stats(struct capture_offcpu *c, struct capture_offcpu_stats *ret);
const struct offcpu_waits *capture_offcpu_waits(const struct capture_offcpu *c);
const struct stacks *capture_offcpu_stacks(const struct capture_offcpu *c);
const struct target *capture_offcpu_target(const struct capture_offcpu *c);
enum cpu_event capture_offcpu_event(const struct capture_offcpu *c);

/* The index into stacks.items of a wait's stack, or of its waker's; -1: there are no frames. */
ssize_t capture_offcpu_stack(const struct capture_offcpu *c, const struct offcpu_key *key);
ssize_t capture_offcpu_waker(const struct capture_offcpu *c, const struct offcpu_key *key);

#endif
