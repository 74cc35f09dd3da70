/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CAPTURE_CPU_H
#define PERISCOPE_CAPTURE_CPU_H

/*
 * The CPU capture: at a frequency, what the target's running threads are doing. Loads and attaches
 * the BPF side, keeps the target's picture true, collects stacks and counts.
 *
 * Life: new, add targets, start, poll until done, stop, use the results, free. Nothing stays in
 * the kernel after free, or after the process is killed: all is bound to descriptors.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "stacks.h"
#include "target.h"

enum cpu_event {
	CPU_EVENT_AUTO,	  /* cycles where the machine counts them, else cpu-clock */
	CPU_EVENT_CLOCK,  /* PERF_COUNT_SW_CPU_CLOCK: a timer on each CPU */
	CPU_EVENT_CYCLES, /* PERF_COUNT_HW_CPU_CYCLES */
};

struct capture_cpu_options {
	unsigned int frequency; /* samples a second and CPU */
	enum cpu_event event;
	bool user, kernel; /* which stacks */
	bool children;	   /* follow forks */
	const pid_t *tids; /* only these threads; nr 0: all */
	size_t nr_tids;
};

struct capture_cpu_stats {
	uint64_t samples; /* hits in the target */
	uint64_t lost;	  /* of those, not counted, for any reason */
	uint64_t lost_ring, lost_counts, lost_scratch;
	uint64_t lost_events; /* notices of fork, exec or exit */
	uint64_t pauses;      /* times that sampling stood still to empty full tables */
	uint64_t by_end[UNWIND_NR_ENDS];
	uint64_t guessed; /* samples with a frame that was found by frame pointers */
};

struct capture_cpu;

/*
 * Load the BPF side. Returns NULL; capture_cpu_error(NULL) then says why, in a sentence without a
 * full stop, valid until the next call.
 */
struct capture_cpu *capture_cpu_new(const struct capture_cpu_options *o);
void capture_cpu_free(struct capture_cpu *c);

/* Why the last call on c failed. */
const char *capture_cpu_error(const struct capture_cpu *c);

/* Add a process; before_exec: from its next exec on. Before or after the start. */
int capture_cpu_add(struct capture_cpu *c, pid_t pid, bool before_exec);

/* Start sampling. */
int capture_cpu_start(struct capture_cpu *c);

/* A descriptor that is readable when there is something to poll. Poll also every 100 ms. */
int capture_cpu_fd(const struct capture_cpu *c);
int capture_cpu_poll(struct capture_cpu *c);

/* Processes of the target that are alive; 0: nothing more will come. */
size_t capture_cpu_alive(const struct capture_cpu *c);

/* Stop sampling and collect the rest. */
int capture_cpu_stop(struct capture_cpu *c);

/* What is seen so far; complete after stop. Valid until free. */
void capture_cpu_stats(struct capture_cpu *c, struct capture_cpu_stats *ret);
const struct stacks *capture_cpu_stacks(const struct capture_cpu *c);
const struct target *capture_cpu_target(const struct capture_cpu *c);
enum cpu_event capture_cpu_event(const struct capture_cpu *c);

#endif
