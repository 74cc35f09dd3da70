/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CAPTURE_CPU_H
#define PERISCOPE_CAPTURE_CPU_H

/*
 * The CPU capture: at a frequency, what the target's running threads are doing. Loads and attaches
 * the BPF side, keeps the target's picture true, collects stacks and counts.
 *
 * Driven through capture_cpu_ops. Nothing stays in the kernel after free, or after the process is
 * killed: all is bound to descriptors.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture.h"
#include "sampler.h"
#include "stacks.h"
#include "target.h"

struct capture_cpu_options {
	unsigned int frequency; /* samples a second and CPU */
	enum cpu_event event;
	bool user, kernel; /* which stacks */
	bool children;	   /* follow forks */
	pid_t only;	   /* the one process that will ever be added; 0: there may be more */
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
	uint64_t cpu_ns;  /* CPU time that the target used meanwhile, as far as it is still there */
};

struct capture_cpu;

/*
 * Load the BPF side. Returns NULL and errno; capture_cpu_ops.error(NULL) then says why.
 */
struct capture_cpu *capture_cpu_new(const struct capture_cpu_options *o);
void capture_cpu_free(struct capture_cpu *c);

extern const struct capture_ops capture_cpu_ops;

/* What is seen so far; complete after stop. Valid until free. */
void capture_cpu_stats(struct capture_cpu *c, struct capture_cpu_stats *ret);
const struct stacks *capture_cpu_stacks(const struct capture_cpu *c);
const struct target *capture_cpu_target(const struct capture_cpu *c);
enum cpu_event capture_cpu_event(const struct capture_cpu *c);

#endif
