/* SPDX-License-Identifier: MIT */
#include "governor.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attach.h"
#include "bpf/probe.h"
#include "governor.skel.h"
#include "probe_cost.h"
#include "util.h"

#define MAX_CPUS    1024
#define ENOUGH_HITS 500 /* to compare CPU times by */

struct count {
	struct governor_bpf *bpf;
	struct attach attach;
};

/* CPU time of all threads of a process, those that have ended included. */
static uint64_t cpu_ns(const pid_t *pids, size_t n)
{
	struct timespec ts;
	uint64_t sum = 0;
	clockid_t clock;

	for (size_t i = 0; i < n; i++)
		if (!clock_getcpuclockid(pids[i], &clock) && !clock_gettime(clock, &ts))
			sum += (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	return sum;
}

static int load(struct count *c, size_t n)
{
	int err;

	c->bpf = governor_bpf__open();
	if (!c->bpf)
		return -errno;
	err = bpf_map__set_max_entries(c->bpf->maps.hits, (uint32_t)n);
	if (!err)
		err = attach_prepare(c->bpf->progs.governor_hit);
	if (!err)
		err = attach_prepare(c->bpf->progs.governor_return);
	return err ? err : governor_bpf__load(c->bpf);
}

enum sites { UNITS, OTHERS, RETURNS };

static bool is_among(const struct governor_probe *p, enum sites which)
{
	if (which == RETURNS)
		return p->returns || p->may_return;
	return p->unit == (which == UNITS);
}

static int attach(struct count *c, const struct governor_probe *probes, size_t n, enum sites which)
{
	const struct bpf_program *prog = which == RETURNS ? c->bpf->progs.governor_return
							  : c->bpf->progs.governor_hit;
	struct attach_to to = { .prog_fd = bpf_program__fd(prog), .returns = which == RETURNS };
	struct attach_site *sites = calloc(n + 1, sizeof(*sites));
	size_t nr = 0;
	int err = sites ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && err >= 0; i++) {
		if (is_among(&probes[i], which)) {
			sites[nr++] =
				(struct attach_site){ .offset = probes[i].offset, .cookie = i };
			to.elf = probes[i].elf;
			to.pid = probes[i].pid;
		}
		/* One call for neighbours of one object and process. */
		if (!nr ||
		    (i + 1 < n && probes[i + 1].elf == to.elf && probes[i + 1].pid == to.pid))
			continue;
		/* A site that is refused is not hit; whoever places it will hear why. */
		err = attach_sites(&c->attach, &to, sites, nr);
		nr = 0;
	}
	free(sites);
	return MIN(err, 0);
}

/* Add what was counted so far, or take it off again: a window is a difference. */
static void add_hits(const struct count *c, struct governor_probe *probes, size_t n, bool off)
{
	int fd = bpf_map__fd(c->bpf->maps.hits), cpus = libbpf_num_possible_cpus();
	uint64_t values[MAX_CPUS];

	for (uint32_t i = 0; i < n; i++) {
		if (cpus <= 0 || cpus > MAX_CPUS || bpf_map_lookup_elem(fd, &i, values))
			continue;
		for (int cpu = 0; cpu < cpus; cpu++)
			probes[i].hits += off ? -values[cpu] : values[cpu];
	}
}

static struct probe_cost prices; /* of this machine, once measured */

static uint64_t price_of_count(const struct governor_probe *p)
{
	return p->stepped ? prices.stepped_ns : prices.emulated_ns;
}

static uint64_t price_of_return(void)
{
	if (prices.returning_ns < prices.emulated_ns)
		return 0;
	return prices.returning_ns - prices.emulated_ns;
}

static uint64_t price_of(const struct governor_probe *p)
{
	return price_of_count(p) + (p->returns ? price_of_return() : 0) + p->program_ns;
}

void governor_again(const struct governor_probe *probes, size_t n, struct governor_estimate *e)
{
	double added = 0;

	for (size_t i = 0; i < n; i++)
		if (probes[i].program_ns != UINT64_MAX)
			added += (double)probes[i].hits * (double)price_of(&probes[i]);
	added *= e->dearer;
	e->added_ns = (uint64_t)added;
	e->overhead = e->added_ns ? 100.0 * added / (double)MAX(e->cpu_ns, 1) : 0.0;
}

/* all: the others and the returns are there, too. */
static void look(struct count *c, struct governor_probe *probes, size_t n, const pid_t *pids,
		 size_t nr_pids, bool all, struct governor_window *ret)
{
	struct timespec time = { .tv_nsec = GOVERNOR_WINDOW_NS };
	uint64_t began = now_ns(), cpu = cpu_ns(pids, nr_pids);

	for (size_t i = 0; i < n; i++)
		probes[i].hits = 0;
	add_hits(c, probes, n, true);
	nanosleep(&time, NULL);
	*ret = (struct governor_window){ .cpu_ns = cpu_ns(pids, nr_pids) - cpu,
					 .ns = now_ns() - began };
	add_hits(c, probes, n, false);
	for (size_t i = 0; i < n; i++) {
		*(probes[i].unit ? &ret->units : &ret->others) += probes[i].hits;
		*(probes[i].unit ? &ret->units_ns : &ret->others_ns) +=
			probes[i].hits * price_of_count(&probes[i]);
		if (!all || !is_among(&probes[i], RETURNS))
			continue;
		ret->others += probes[i].hits;
		ret->others_ns += probes[i].hits * price_of_return();
	}
}

double governor_dearer(const struct governor_window *units, const struct governor_window *all)
{
	double without, with, dearer;

	if (units->units < ENOUGH_HITS || all->units < ENOUGH_HITS || all->others < ENOUGH_HITS ||
	    !all->others_ns)
		return 0;
	without = (double)units->cpu_ns / (double)units->units;
	with = (double)all->cpu_ns / (double)all->units;
	dearer = (with - without) * (double)all->units / (double)all->others_ns;
	return MIN(MAX(dearer, 1.0), GOVERNOR_MAX_DEARER);
}

int governor_measure(struct governor_probe *probes, size_t n, const pid_t *pids, size_t nr_pids,
		     struct governor_estimate *ret)
{
	struct governor_window units = { 0 }, all = { 0 };
	struct governor_estimate e;
	struct count c = { 0 };
	uint64_t counting;
	int err;

	err = prices.emulated_ns ? 0 : probe_cost_measure(&prices);
	if (!err)
		err = load(&c, MAX(n, 1));
	if (!err)
		err = attach(&c, probes, n, UNITS);
	if (!err)
		look(&c, probes, n, pids, nr_pids, false, &units);
	if (!err)
		err = attach(&c, probes, n, OTHERS);
	if (!err)
		err = attach(&c, probes, n, RETURNS);
	if (!err)
		look(&c, probes, n, pids, nr_pids, true, &all);
	attach_release(&c.attach);
	governor_bpf__destroy(c.bpf);
	if (err)
		return err;
	e = (struct governor_estimate){
		.window_ns = all.ns,
		.cpu_ns = all.cpu_ns,
		.dearer = governor_dearer(&units, &all),
	};
	for (size_t i = 0; i < n; i++)
		e.hits += probes[i].hits;
	if (e.dearer == 0) {
		e.dearer = 1;
		e.at_least = e.hits > 0;
	}
	counting = (uint64_t)(e.dearer * (double)(all.units_ns + all.others_ns));
	/* Below a tenth the rest is no longer a difference that can be told from 0. */
	if (counting > e.cpu_ns - e.cpu_ns / 10) {
		e.at_least = true;
		e.cpu_ns /= 10;
	} else {
		e.cpu_ns -= counting;
	}
	governor_again(probes, n, &e);
	*ret = e;
	return 0;
}
