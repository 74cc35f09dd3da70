/* SPDX-License-Identifier: MIT */
#include "timeline_budget.h"

#include <errno.h>
#include <stdio.h>

#include "attach.h"

/*
 * What the programs take for a hit, by the kernel's own count (sysctl kernel.bpf_stats_enabled), in a
 * program that does nothing but malloc and free. In one whose caches are full of its own it is more,
 * as is the hit itself: the governor finds out how much.
 */
#define ENTRY_NS  230
#define RETURN_NS 220
#define FOLLOW_NS 380 /* an allocation, from its call to its return */
#define FREE_NS	  190
#define COUNT_NS  120 /* its call alone */

/* Functions come first: that many. */
static int list(struct probe_budget *b, const struct timeline_sources *s, const struct target *t,
		size_t *ret_functions)
{
	int err = timeline_probes_list(&s->probes, t, b, ENTRY_NS, RETURN_NS);

	*ret_functions = b->nr;
	if (!err && s->with_allocs)
		err = probe_budget_add_allocator(b, &s->allocs.probes,
						 s->follows ? FOLLOW_NS : COUNT_NS, FREE_NS, true);
	return err;
}

/* The same hits when of the allocator frees and, but for a few functions, returns are not probed. */
static double price_of_counting(struct probe_budget *b, size_t nr_functions)
{
	struct governor_estimate e = b->cost;

	for (size_t i = nr_functions; i < b->nr; i++) {
		b->probes[i].program_ns = b->probes[i].frees ? UINT64_MAX : COUNT_NS;
		b->probes[i].returns = false;
	}
	governor_again(b->probes, b->nr, &e);
	return e.overhead;
}

static const char *which(const struct timeline_sources *s)
{
	return !s->with_allocs ? "--func" : s->probes.nr_found ? "--alloc and --func" : "--alloc";
}

static int decide(struct timeline_sources *s, const struct target *t, struct probe_budget *b,
		  size_t nr_functions, double max_overhead, struct probe_budget_verdict *v)
{
	*v = (struct probe_budget_verdict){
		.calls_per_s = b->calls_per_s,
		.busy = b->busy,
		.asked = b->cost.overhead,
		.done = b->cost.overhead,
		.at_least = b->cost.at_least,
	};
	if (v->asked <= max_overhead)
		return 0;
	if (s->follows) {
		v->narrowed = true;
		v->done = price_of_counting(b, nr_functions);
	}
	if (v->done <= max_overhead) {
		s->follows = false;
		return timeline_allocs_follow(&s->allocs, t, false);
	}
	snprintf(s->error, sizeof(s->error),
		 "%.0f calls a second of what %s is to record, on %s%.2f CPUs: the process's work "
		 "would take %s%.0f%% longer%s; --max-overhead is %.1f%% (--force goes on)",
		 v->calls_per_s, which(s), v->at_least ? "at most " : "", v->busy,
		 v->at_least ? "at least " : "", v->done, v->narrowed ? " even without frees" : "",
		 max_overhead);
	return -EBUSY;
}

int timeline_budget_keep(struct timeline_sources *s, const struct target *t, double max_overhead,
			 bool *ret_any, struct probe_budget_verdict *ret)
{
	struct probe_budget b;
	size_t nr_functions;
	int err;

	probe_budget_init(&b);
	err = list(&b, s, t, &nr_functions);
	if (!err && b.nr)
		err = probe_budget_measure(&b, t);
	if (err)
		snprintf(s->error, sizeof(s->error), "cannot find out what %s would cost: %s",
			 which(s), attach_error(err));
	else if (b.nr)
		err = decide(s, t, &b, nr_functions, max_overhead, ret);
	*ret_any = b.nr;
	probe_budget_release(&b);
	return err;
}
