/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_GOVERN_H
#define PERISCOPE_HEAP_GOVERN_H

/*
 * How a heap capture keeps within what it may cost: asks the governor, and follows everything, or
 * counts calls only, or these only a share of the time.
 */

#include <stdbool.h>
#include <stdint.h>

#include "heap_probes.h"
#include "target.h"

/* Beyond this nothing sensible comes of a share of the time. */
#define HEAP_LEAST_DUTY 0.005

struct heap_cost {
	bool measured; /* the following are known */
	double allocs_per_s, frees_per_s;
	double busy;	   /* CPUs that the target kept busy; at most, if at_least */
	double full;	   /* how much longer its work takes, in per cent: all followed, ... */
	double calls_only; /* ... or only calls counted (--alloc-only) */
	bool at_least;	   /* or more */
};

/*
 * Estimate for the processes that t watches. p has their probes described and not placed, for
 * following all. Returns 0 or a negative errno with a reason in p->error.
 */
int heap_cost_measure(struct heap_cost *ret, struct heap_probes *p, const struct target *t);

enum heap_mode { HEAP_FOLLOW_ALL, HEAP_COUNT_CALLS, HEAP_COUNT_SOMETIMES, HEAP_REFUSE };

/*
 * What may be done at most `max_overhead` per cent; *ret_duty the share of the time for
 * HEAP_COUNT_SOMETIMES. asked: what the user has asked for; no more than that is done. may_narrow:
 * less may be done.
 */
enum heap_mode heap_decide(const struct heap_cost *cost, double max_overhead, enum heap_mode asked,
			   bool may_narrow, double *ret_duty);

#endif
