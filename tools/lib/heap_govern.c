/* SPDX-License-Identifier: MIT */
#include "heap_govern.h"

#include <stdio.h>

#include "attach.h"
#include "probe_budget.h"

/*
 * What our programs take for a call, beyond an empty one, with stacks of a dozen frames: as measured
 * by `make bench BENCH=heap`. Deeper stacks take more, about 35 ns a frame.
 */
#define FOLLOW_NS 560 /* an allocation, from its call to its return */
#define FREE_NS	  160
#define FATE_NS	  1100 /* more, of one whose stack is walked (--verdicts) */
#define COUNT_NS  420  /* an allocation's call alone */

/* The same calls when only those of allocations are counted, without their returns. */
static double price_of_counting(struct probe_budget *b)
{
	struct governor_estimate e = b->cost;

	for (size_t i = 0; i < b->nr; i++) {
		b->probes[i].program_ns = b->probes[i].frees ? UINT64_MAX : COUNT_NS;
		b->probes[i].returns = false;
	}
	governor_again(b->probes, b->nr, &e);
	return e.overhead;
}

int heap_cost_measure(struct heap_cost *ret, struct heap_probes *p, const struct target *t)
{
	uint64_t free_ns = p->fates ? FREE_NS + FATE_NS : FREE_NS;
	struct probe_budget b;
	int err;

	probe_budget_init(&b);
	err = probe_budget_add_allocator(&b, p, FOLLOW_NS, free_ns, true);
	if (!err)
		err = probe_budget_measure(&b, t);
	if (!err)
		*ret = (struct heap_cost){
			.measured = true,
			.allocs_per_s = b.calls_per_s,
			.frees_per_s = b.frees_per_s,
			.busy = b.busy,
			.full = b.cost.overhead,
			.at_least = b.cost.at_least,
			.calls_only = price_of_counting(&b),
		};
	else
		snprintf(p->error, sizeof(p->error), "cannot find out what it would cost: %s",
			 attach_error(err));
	probe_budget_release(&b);
	return err;
}

enum heap_mode heap_decide(const struct heap_cost *cost, double max_overhead, enum heap_mode asked,
			   bool may_narrow, double *ret_duty)
{
	if (asked == HEAP_FOLLOW_ALL && cost->full <= max_overhead)
		return HEAP_FOLLOW_ALL;
	if (asked == HEAP_FOLLOW_ALL && !may_narrow)
		return HEAP_REFUSE;
	if (asked == HEAP_COUNT_SOMETIMES)
		return *ret_duty * cost->calls_only <= max_overhead ? asked : HEAP_REFUSE;
	if (cost->calls_only <= max_overhead)
		return HEAP_COUNT_CALLS;
	if (max_overhead / cost->calls_only < HEAP_LEAST_DUTY || attach_kind() != ATTACH_MULTI)
		return HEAP_REFUSE;
	*ret_duty = max_overhead / cost->calls_only;
	return HEAP_COUNT_SOMETIMES;
}
