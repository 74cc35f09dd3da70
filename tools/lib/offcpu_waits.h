/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_OFFCPU_WAITS_H
#define PERISCOPE_OFFCPU_WAITS_H

/*
 * What an off-CPU capture has seen: the waits that are told from one another, each with what it
 * sums up to, and the threads.
 */

#include <stddef.h>
#include <stdint.h>

#include "bpf/offcpu.h"
#include "dedup.h"

struct offcpu_wait {
	struct offcpu_key key;
	struct offcpu_value value;
};

struct offcpu_waits {
	struct offcpu_wait *items;
	size_t nr, cap;
	struct dedup by_key;
	struct offcpu_thread *threads; /* those that have ended, and after the capture all */
	size_t nr_threads, cap_threads;
	struct dedup by_tid; /* into threads: the last of that number */
};

/* Start from { 0 }. */
void offcpu_waits_release(struct offcpu_waits *w);

/* Add to what waits of this key sum up to. Returns 0 or -ENOMEM. */
int offcpu_waits_add(struct offcpu_waits *w, const struct offcpu_key *key,
		     const struct offcpu_value *value);

/* Add a thread, whose sums are final. Returns 0 or -ENOMEM. */
int offcpu_waits_thread(struct offcpu_waits *w, const struct offcpu_thread *t);

/* The name of a thread; NULL for one that was never added. */
const char *offcpu_waits_comm(const struct offcpu_waits *w, uint32_t tid);

/*
 * What thread t is in the midst of at the end of the window [start, end): adds it to t's sums, and
 * returns it through *ret. The BPF programs do the same for what is over.
 */
void offcpu_open_wait(struct offcpu_thread *t, uint64_t start, uint64_t end,
		      struct offcpu_value *ret);

void offcpu_value_add(struct offcpu_value *sum, const struct offcpu_value *v);

/* "futex", "page-fault", ... */
const char *offcpu_reason_name(unsigned int reason);

#endif
