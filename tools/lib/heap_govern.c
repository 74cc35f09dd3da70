/* SPDX-License-Identifier: MIT */
#include "heap_govern.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach.h"
#include "governor.h"

/*
 * What our programs take for a call, beyond an empty one, with stacks of a dozen frames: as measured
 * by `make bench BENCH=heap`. Deeper stacks take more, about 35 ns a frame.
 */
#define FOLLOW_NS 560 /* an allocation, from its call to its return */
#define FREE_NS	  160
#define COUNT_NS  420 /* an allocation's call alone */

static struct governor_probe *list_probes(const struct heap_probes *p, size_t *ret_n)
{
	struct governor_probe *list;
	size_t n = 0;

	for (size_t i = 0; i < p->nr_probed; i++)
		n += p->probed[i].nr_calls;
	list = calloc(n + 1, sizeof(*list));
	if (!list)
		return NULL;
	n = 0;
	for (size_t i = 0; i < p->nr_probed; i++) {
		const struct heap_probed *o = &p->probed[i];

		for (size_t j = 0; j < o->nr_calls; j++)
			list[n++] = (struct governor_probe){
				.elf = o->object->elf,
				.offset = o->calls[j].offset,
				.pid = o->pid,
				.stepped = o->classes[j].stepped,
				.returns = o->classes[j].returns,
				.unit = !o->classes[j].frees,
				.program_ns = o->classes[j].frees ? FREE_NS : FOLLOW_NS,
			};
	}
	*ret_n = n;
	return list;
}

static pid_t *list_pids(const struct target *t)
{
	pid_t *pids = calloc(t->nr_procs + 1, sizeof(*pids));

	for (size_t i = 0; pids && i < t->nr_procs; i++)
		pids[i] = t->procs[i]->pid;
	return pids;
}

/* The same calls when only those of allocations are counted, without their returns. */
static double price_of_counting(const struct heap_probes *p, struct governor_probe *list, size_t n,
				struct governor_estimate e)
{
	size_t at = 0;

	for (size_t i = 0; i < p->nr_probed; i++) {
		for (size_t j = 0; j < p->probed[i].nr_calls; j++, at++) {
			list[at].program_ns = p->probed[i].classes[j].frees ? UINT64_MAX : COUNT_NS;
			list[at].returns = false;
		}
	}
	governor_again(list, n, &e);
	return e.overhead;
}

int heap_cost_measure(struct heap_cost *ret, struct heap_probes *p, const struct target *t)
{
	struct governor_estimate e;
	struct governor_probe *list;
	uint64_t allocs = 0, frees = 0;
	pid_t *pids = list_pids(t);
	size_t n = 0, at = 0;
	double seconds;
	int err;

	list = list_probes(p, &n);
	err = list && pids ? governor_measure(list, n, pids, t->nr_procs, &e) : -ENOMEM;
	for (size_t i = 0; i < p->nr_probed && !err; i++)
		for (size_t j = 0; j < p->probed[i].nr_calls; j++, at++)
			*(p->probed[i].classes[j].frees ? &frees : &allocs) += list[at].hits;
	if (!err) {
		seconds = (double)e.window_ns / 1e9;
		*ret = (struct heap_cost){
			.measured = true,
			.allocs_per_s = (double)allocs / seconds,
			.frees_per_s = (double)frees / seconds,
			.busy = (double)e.cpu_ns / (double)e.window_ns,
			.full = e.overhead,
			.at_least = e.at_least,
			.calls_only = price_of_counting(p, list, n, e),
		};
	} else {
		snprintf(p->error, sizeof(p->error), "cannot find out what it would cost: %s",
			 attach_error(err));
	}
	free(list);
	free(pids);
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
