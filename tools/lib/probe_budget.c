/* SPDX-License-Identifier: MIT */
#include "probe_budget.h"

#include <errno.h>
#include <stdlib.h>

#include "util.h"

void probe_budget_init(struct probe_budget *b)
{
	*b = (struct probe_budget){ 0 };
}

void probe_budget_release(struct probe_budget *b)
{
	free(b->probes);
	probe_budget_init(b);
}

int probe_budget_add(struct probe_budget *b, const struct governor_probe *probe)
{
	if (array_grow((void **)&b->probes, b->nr, &b->cap, sizeof(*b->probes)))
		return -ENOMEM;
	b->probes[b->nr++] = *probe;
	return 0;
}

int probe_budget_add_allocator(struct probe_budget *b, const struct heap_probes *p,
			       uint64_t alloc_ns, uint64_t free_ns, bool units)
{
	int err = 0;

	for (size_t i = 0; i < p->nr_probed; i++) {
		const struct heap_probed *o = &p->probed[i];

		for (size_t j = 0; j < o->nr_calls && !err; j++)
			err = probe_budget_add(
				b, &(struct governor_probe){
					   .elf = o->object->elf,
					   .offset = o->calls[j].offset,
					   .pid = o->pid,
					   .stepped = o->classes[j].stepped,
					   .returns = o->classes[j].returns,
					   /* malloc neither throws nor switches stacks */
					   .may_return = !o->classes[j].frees,
					   .unit = units && !o->classes[j].frees,
					   .frees = o->classes[j].frees,
					   .program_ns = o->classes[j].frees ? free_ns : alloc_ns,
				   });
	}
	return err;
}

int probe_budget_measure(struct probe_budget *b, const struct target *t)
{
	pid_t *pids = calloc(t->nr_procs + 1, sizeof(*pids));
	uint64_t calls = 0, frees = 0;
	double seconds;
	int err;

	if (!pids)
		return -ENOMEM;
	for (size_t i = 0; i < t->nr_procs; i++)
		pids[i] = t->procs[i]->pid;
	err = governor_measure(b->probes, b->nr, pids, t->nr_procs, &b->cost);
	free(pids);
	if (err)
		return err;
	for (size_t i = 0; i < b->nr; i++)
		*(b->probes[i].frees ? &frees : &calls) += b->probes[i].hits;
	seconds = (double)MAX(b->cost.window_ns, 1) / 1e9;
	b->calls_per_s = (double)calls / seconds;
	b->frees_per_s = (double)frees / seconds;
	b->busy = (double)b->cost.cpu_ns / 1e9 / seconds;
	return 0;
}
