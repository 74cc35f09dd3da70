/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CAPTURE_HEAP_IMPL_H
#define PERISCOPE_CAPTURE_HEAP_IMPL_H

/* What capture_heap.c, the engine, and capture_heap_results.c share; for them only. */

#include "capture_heap.h"
#include "heap.skel.h"
#include "heap_duty.h"
#include "heap_probes.h"
#include "heap_record.h"
#include "request_probes.h"
#include "sym_fde.h"

/* A function whose entries are watched. */
struct heap_watched_function {
	uint32_t object;
	uint64_t start, end; /* addresses in the file */
	uint64_t since_ns;   /* 0: it is not, for it cannot be probed, or was called too often */
	uint64_t entries;
	bool stepped;
	struct attach attach;
};

struct heap_watched {
	struct heap_watched_function items[HEAP_MAX_WATCHED];
	size_t nr;
	uint64_t *since;       /* by site, mapped; NULL: nothing is watched */
	struct sym_fdes *fdes; /* by object */
	size_t nr_fdes, cap_fdes;
	uint64_t looked_ns;
	unsigned int looks;
};

struct capture_heap {
	struct watch watch; /* first, for watch_op_* */
	struct capture_heap_options o;
	struct heap_bpf *bpf;
	struct heap_table table;
	struct heap_probes probes;
	struct bpf_link *links[3];
	struct heap_thread_name *threads; /* by serial number */
	size_t nr_threads, cap_threads;
	struct heap_series series;
	struct heap_record record; /* its writer NULL: none */
	struct request_probes requests;
	struct heap_routes routes;
	struct heap_watched watched;
	struct heap_cost cost;
	enum heap_mode mode;
	struct heap_duty duty;
	uint64_t ended_ns;
	uint64_t swept_ns;
	uint64_t unprobed; /* processes whose allocator was not found */
	bool running;
	bool failed; /* to be polled: to try again would fail again */
};

/*
 * Of capture_heap_requests.c, at their times in the engine's life: before the load, after it, when
 * the target maps something new, and when the user's probes ought to have been found. Return 0 or a
 * negative errno; the last two with a reason in the watch.
 */
int heap_requests_prepare(struct capture_heap *c);
int heap_requests_open(struct capture_heap *c);
int heap_requests_update(struct capture_heap *c);
int heap_requests_check(struct capture_heap *c);

/*
 * Of capture_heap_watch.c, for captures that keep how blocks end: before the load, after it, every
 * now and then, at the end. Return 0 or a negative errno.
 */
int heap_watch_prepare(struct capture_heap *c);
int heap_watch_open(struct capture_heap *c);
void heap_watch_poll(struct capture_heap *c, uint64_t now);
void heap_watch_release(struct capture_heap *c);

/* Allocations that were counted so far, as they were. */
uint64_t capture_heap_count(const struct capture_heap *c);

#endif
