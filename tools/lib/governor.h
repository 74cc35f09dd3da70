/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_GOVERNOR_H
#define PERISCOPE_GOVERNOR_H

/*
 * What a capture will cost the target, before it costs it: for a moment the places that are to be
 * probed are hit by a program that only counts, and the target's CPU time of that moment is
 * measured. With the price of a hit on this machine, tried out on ourselves (probe_cost.h), and what
 * the tool's own programs take for it, that gives by how much the target's work will take longer.
 *
 * In the target, whose caches are full of its own, a hit costs more than on ourselves, three times
 * and more. How much, it tells by itself: first those probes alone are counted that stand for a unit
 * of work (`unit`, a call or an allocation), then all, and returns; what a unit has come to cost more
 * is the price of the others.
 *
 * Knows nothing of any tool: who has probes on hot paths asks before placing them, and then decides.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct elf_file;

#define GOVERNOR_WINDOW_NS  50000000ULL
#define GOVERNOR_MAX_DEARER 12.0 /* beyond that the windows were of different work */

/* A place that is to be probed. */
struct governor_probe {
	struct elf_file *elf; /* borrowed */
	uint64_t offset;      /* in the file */
	pid_t pid;	      /* -1: in all processes */
	bool stepped;	      /* PROBE_STEPPED */
	bool returns;	      /* the return is probed, too */
	bool may_return;      /* it is not, but could be, as far as the target's safety goes */
	bool unit;	      /* its hits stand for the target's work */
	bool frees;	      /* for the caller: a free() */
	uint64_t program_ns;  /* that the tool's programs take for a call, its return included */
	uint64_t hits;	      /* out: in the window of all */
};

struct governor_estimate {
	uint64_t window_ns; /* how long all were counted */
	uint64_t hits;
	uint64_t cpu_ns;   /* the target's CPU time in the window, without what the counting took */
	uint64_t added_ns; /* what the probes would have added to it */
	/* added_ns in per cent of cpu_ns: how much longer the same work takes. 0 for no hits. */
	double overhead;
	double dearer; /* a hit in the target than one on ourselves, at least 1 */
	/*
	 * It takes longer than that, nobody knows how: hardly any of the time was the target's own, or
	 * it could not be told how much dearer a hit is there.
	 */
	bool at_least;
};

/* What was seen in one window. */
struct governor_window {
	uint64_t ns, cpu_ns;	      /* how long it was; the target's CPU time in it */
	uint64_t units, others;	      /* hits */
	uint64_t units_ns, others_ns; /* what these would have taken on ourselves */
};

/*
 * How much dearer the others' hits were in the target than on ourselves, from the window of the units
 * alone and that of all; 1 to GOVERNOR_MAX_DEARER, or 0: there were too few hits.
 */
double governor_dearer(const struct governor_window *units, const struct governor_window *all);

/*
 * Count for twice GOVERNOR_WINDOW_NS; takes about 0.5 s in all. pids: the processes whose CPU time is
 * looked at; one that is gone counts for nothing. Returns 0 or a negative errno: those of loading a
 * program and of attach_sites.
 */
int governor_measure(struct governor_probe *probes, size_t n, const pid_t *pids, size_t nr_pids,
		     struct governor_estimate *ret);

/*
 * The same hits at other prices: what the estimate becomes when the probes' other members have been
 * changed. program_ns UINT64_MAX: without this probe.
 */
void governor_again(const struct governor_probe *probes, size_t n, struct governor_estimate *e);

#endif
