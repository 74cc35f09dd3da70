/* SPDX-License-Identifier: MIT */
#include "request_allocs.h"

#include <errno.h>

#include "attach.h"
#include "probe_budget.h"

#define ALLOC_NS 100 /* that the capture's program takes for an allocation, beyond an empty one */

int request_allocs_update(struct heap_probes *p, struct watch *w)
{
	int err = heap_probes_update(p, &w->target);

	return err ? watch_fail(w, err, "--alloc: %s", p->error) : 0;
}

static int decide(struct watch *w, const struct probe_budget *b,
		  const struct capture_requests_options *o)
{
	struct probe_budget_verdict v = {
		.calls_per_s = b->calls_per_s,
		.busy = b->busy,
		.asked = b->cost.overhead,
		.done = b->cost.overhead,
		.at_least = b->cost.at_least,
	};

	if (v.asked > o->max_overhead)
		return watch_fail(
			w, -EBUSY,
			"%.0f allocations a second on %s%.2f CPUs: to count them (--alloc) "
			"would make the process's work take %s%.0f%% longer; --max-overhead "
			"is %.1f%% (--force goes on)",
			v.calls_per_s, v.at_least ? "at most " : "", v.busy,
			v.at_least ? "at least " : "", v.asked, o->max_overhead);
	if (o->tell)
		o->tell(o->tell_arg, &v);
	return 0;
}

static int keep_within_budget(struct heap_probes *p, struct watch *w,
			      const struct capture_requests_options *o)
{
	struct probe_budget b;
	int err;

	probe_budget_init(&b);
	err = probe_budget_add_allocator(&b, p, ALLOC_NS, 0, true);
	if (!err)
		err = probe_budget_measure(&b, &w->target);
	if (err)
		err = watch_fail(w, err, "cannot find out what --alloc would cost: %s",
				 attach_error(err));
	else
		err = decide(w, &b, o);
	probe_budget_release(&b);
	return err;
}

int request_allocs_place(struct heap_probes *p, struct watch *w,
			 const struct capture_requests_options *o)
{
	int err = 0;

	if (o->max_overhead > 0 && p->nr_probed)
		err = keep_within_budget(p, w, o);
	if (err)
		return err;
	p->away = false;
	err = heap_probes_place_all(p);
	return err ? watch_fail(w, err, "--alloc: %s", p->error) : 0;
}
