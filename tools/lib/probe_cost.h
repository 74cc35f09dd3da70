/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_PROBE_COST_H
#define PERISCOPE_PROBE_COST_H

/*
 * What a hit of a uprobe costs on this machine now, by trying it on ourselves: a function of ours
 * is probed with a program that does nothing, and called. So it is the least that a probe costs,
 * before its program does anything. No other process is touched.
 */

#include <stdint.h>

/* Nanoseconds a call, beyond those of the call without a probe; the least of several bursts. */
struct probe_cost {
	uint64_t emulated_ns;
	uint64_t stepped_ns;
	uint64_t returning_ns; /* an emulated entry and the return */
};

/*
 * Takes about 0.2 s. Returns 0; -ENOTSUP on machines other than x86-64; the errors of attach_sites
 * and of loading a program.
 */
int probe_cost_measure(struct probe_cost *ret);

#endif
