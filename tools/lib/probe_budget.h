/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_PROBE_BUDGET_H
#define PERISCOPE_PROBE_BUDGET_H

/*
 * A list of what a capture is about to probe, and what that is to cost the target (governor.h). The
 * capture decides what it makes of the answer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "governor.h"
#include "heap_probes.h"
#include "target.h"

struct probe_budget {
	struct governor_probe *probes;
	size_t nr, cap;
	struct governor_estimate cost;	 /* of all as they are listed, once measured */
	double calls_per_s, frees_per_s; /* hits of the probes, those of free() apart */
	double busy;			 /* CPUs that the target kept busy; at most, if at_least */
};

void probe_budget_init(struct probe_budget *b);
void probe_budget_release(struct probe_budget *b);

/* Returns 0 or -ENOMEM. */
int probe_budget_add(struct probe_budget *b, const struct governor_probe *probe);

/*
 * Those of an allocator, described and not placed. alloc_ns, free_ns: what the capture's programs
 * take for a call; units: an allocation stands for the target's work. Returns 0 or -ENOMEM.
 */
int probe_budget_add_allocator(struct probe_budget *b, const struct heap_probes *p,
			       uint64_t alloc_ns, uint64_t free_ns, bool units);

/* Count for a moment in the processes that t watches. Returns 0 or a negative errno. */
int probe_budget_measure(struct probe_budget *b, const struct target *t);

/* What was asked for, what is done instead, and what either costs: for people. */
struct probe_budget_verdict {
	double calls_per_s, busy;
	double asked, done; /* how much longer the target's work takes, in per cent */
	bool at_least;	    /* or more */
	bool narrowed;	    /* done is less than asked for */
};

#endif
