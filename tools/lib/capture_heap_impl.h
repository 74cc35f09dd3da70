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

/* A process that runs another program: its allocator may be another, too. */
struct execed {
	pid_t pid;
	uint32_t generation; /* of the mappings that it was looked for in */
	uint64_t until_ns;
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
	struct execed *execed;
	size_t nr_execed, cap_execed;
	struct heap_series series;
	struct heap_record record; /* its writer NULL: none */
	struct request_probes requests;
	struct heap_routes routes;
	struct heap_cost cost;
	enum heap_mode mode;
	struct heap_duty duty;
	uint64_t ended_ns;
	uint64_t swept_ns;
	uint64_t unprobed; /* processes whose allocator was not found */
	bool running;
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

/* Allocations that were counted so far, as they were. */
uint64_t capture_heap_count(const struct capture_heap *c);

#endif
