/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_BUDGET_H
#define PERISCOPE_TIMELINE_BUDGET_H

/*
 * What the probes of a timeline that are hit often, on functions and on the allocator, are to cost
 * the target: found out before they are placed (probe_budget.h).
 */

#include "probe_budget.h"
#include "timeline_sources.h"

/*
 * Decide for what s has found and not placed: all, or the allocator's calls without its frees, or
 * nothing. Then s->follows says whether frees are followed. max_overhead: by how many per cent the
 * target's work may take longer. Returns 0, whether there is anything to be placed, and a verdict if
 * so; -EBUSY for too much, or another negative errno, and s->error.
 */
int timeline_budget_keep(struct timeline_sources *s, const struct target *t, double max_overhead,
			 bool *ret_any, struct probe_budget_verdict *ret);

#endif
