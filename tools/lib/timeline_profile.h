/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_PROFILE_H
#define PERISCOPE_TIMELINE_PROFILE_H

/*
 * Profiles out of a timeline: where threads waited, by stack, as `go tool trace` has them (network,
 * sync, syscall, scheduler; cmd/trace/pprof.go), and the CPU samples that are in it.
 */

#include "timeline_view.h"

struct profile;

enum timeline_profile_kind {
	TIMELINE_NETWORK,   /* blocked on a socket, or on any of several to become ready */
	TIMELINE_SYNC,	    /* blocked on a futex */
	TIMELINE_SYSCALLS,  /* blocked in any other system call: files, sleeps, pipes */
	TIMELINE_SCHEDULER, /* runnable, but without a CPU; by where it left its CPU */
	TIMELINE_CPU,	    /* samples */
	TIMELINE_NR_PROFILES,
};

/* "network", "sync", "syscall", "scheduler", "cpu". */
const char *timeline_profile_name(enum timeline_profile_kind kind);

/*
 * Types: contentions and delay in ns, or samples and cpu in ns. Samples have the labels tid, state
 * and, if the thread worked on a request, route. Returns 0 and a profile that the caller frees,
 * -ENOMEM, or what timeline_run() returned.
 */
int timeline_profile(const struct timeline_view *v, enum timeline_profile_kind kind,
		     struct profile **ret);

#endif
