/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CAPTURE_HEAP_H
#define PERISCOPE_CAPTURE_HEAP_H

/*
 * The heap capture: every allocation and free of the target, by where it was made. Finds the
 * allocator, loads and attaches the BPF side, keeps its books in order while processes come and
 * go. What it gives are figures of sites (heap_table.h), the stacks and threads that these name, and
 * the heap's size over time; profiles, tables and files are made of them elsewhere.
 *
 * Driven through capture_heap_ops. A snapshot may be taken at any time between start and free; it
 * is exact once the capture has stopped. Memory does not grow with the number of allocations, but
 * with that of different stacks, threads and, by a point every so often, slowly with time. Nothing
 * stays in the kernel after free, or after the process is killed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture.h"
#include "heap_fates.h"
#include "heap_govern.h"
#include "heap_routes.h"
#include "heap_series.h"
#include "heap_table.h"
#include "stacks.h"
#include "target.h"
#include "trace_file_writer.h"
#include "watch.h"

#define HEAP_MAX_LIVE 1000000 /* the default of max_live */

struct capture_heap_options {
	struct watch_options watch;
	uint64_t max_live;	     /* blocks that there is room for; 98 bytes each */
	uint64_t min_size, max_size; /* only blocks of these sizes, both included; max 0: any */
	uint32_t temporary; /* a block freed with at most so many others since is temporary */
	bool peak;	    /* follow the highest point */
	bool record;	    /* for capture_heap_record() */
	bool alloc_only;    /* count calls of malloc, look at no free and no result */
	bool fates;	    /* keep how blocks end: by whom they are freed, and where */
	double duty;	    /* likewise, and only this share of the time; 0: all the time */
	/*
	 * Tell apart what is allocated by route of the request that the thread works on, if the
	 * target has probes that tell (and not with duty: they would cost all of the time). points:
	 * the user's, moved into the engine; empty: those of a program that we know.
	 */
	bool requests;
	struct request_points points;
	/*
	 * The capture may make the target's work take so many per cent longer; 0: as it may be.
	 * may_narrow: if what is asked for costs more, do less. tell, if not NULL, hears at the start
	 * what it will cost and what will be done.
	 */
	double max_overhead;
	bool may_narrow;
	void (*tell)(void *arg, const struct heap_cost *cost, enum heap_mode mode, double duty);
	void *tell_arg;
};

/* A thread that has allocated. */
struct heap_thread_name {
	uint32_t tgid, tid;
	char comm[STACK_COMM_LEN]; /* the last that it had; "" when its record was lost */
};

struct capture_heap_stats {
	struct heap_counts sum;
	/* Allocations that are not in sum. */
	uint64_t failed;    /* the allocator gave none */
	uint64_t filtered;  /* of sizes or by threads that were not asked for */
	uint64_t missed;    /* whose return was never seen, or whose thread ended inside */
	uint64_t no_thread; /* probes passed by threads that there was no room for */
	/* Calls by which an allocating function does its work: part of that one's allocation. */
	uint64_t nested;
	/* Frees that are not in sum, of blocks ... */
	uint64_t before;    /* from before the capture */
	uint64_t inherited; /* that a process has from its parent */
	uint64_t internal;  /* that the allocator's own object freed */
	uint64_t unknown;   /* that should be known */
	/* Addresses given out again that were never seen freed; counted as frees. */
	uint64_t reused;
	/* Of sum's allocations, those whose stack is not known, for any reason. */
	uint64_t no_stack;
	uint64_t no_site;     /* of these: for lack of room for sites */
	uint64_t lost_events; /* notices of fork, exec, exit or a thread's name */
	uint64_t missed_hits; /* probe hits for which the kernel did not run the program */
	uint64_t by_end[UNWIND_NR_ENDS]; /* allocations by how the walk of their stack ended */
	uint64_t guessed;		 /* allocations with a frame found by frame pointers */
	uint64_t lost_fates;		 /* frees of which it was not kept how they came about */
	uint64_t lost_requests;		 /* without room: what they allocate is no request's */
	uint64_t unprobed; /* processes that run another program whose allocator was not found */
	size_t sites, stacks, threads;
	size_t probes, stepped; /* probed places; of these, slow ones */
	bool alloc_only;	/* frees were not looked at, by wish or for what they cost */
	/* Looked so large a share of the time (0: all of it): sum and by_end are estimates. */
	double duty;
	size_t windows;
	uint64_t counted;     /* allocations, in these */
	double error_percent; /* of the estimate of all allocations (95 %); < 0: not known */
	bool everywhere;      /* the probes were in all processes that use the allocator's object */
};

struct capture_heap;

/*
 * Returns NULL and errno; capture_heap_ops.error(NULL) then says why. The points are released with
 * the capture, also on failure.
 */
struct capture_heap *capture_heap_new(const struct capture_heap_options *o);
void capture_heap_free(struct capture_heap *c);

extern const struct capture_ops capture_heap_ops;

/*
 * Before the start: every event goes to `to` as well, which is borrowed until the capture's end.
 * Returns 0 or a negative errno. What fails later ends the recording, not the capture.
 */
int capture_heap_record(struct capture_heap *c, struct trace_chunks *to);
/* A fact about the recording. Returns 0 or a negative errno. */
int capture_heap_record_info(struct capture_heap *c, const char *key, const char *value);
/* Why the recording ended: 0 or a negative errno. */
int capture_heap_record_error(const struct capture_heap *c);
/* All 0 if nothing is recorded. */
void capture_heap_record_stats(const struct capture_heap *c, struct trace_writer_stats *ret);

/* All sites now. Returns 0 or -ENOMEM; release *ret on success. */
int capture_heap_snapshot(const struct capture_heap *c, struct heap_snapshot *ret);
int capture_heap_stats(struct capture_heap *c, struct capture_heap_stats *ret);

/* Or are only calls counted, by wish or for what they cost? Known after the start. */
bool capture_heap_sees_frees(const struct capture_heap *c);

/* What sites name: their key's stack (stacks_find), their key's thread. Valid until free. */
const struct stacks *capture_heap_stacks(const struct capture_heap *c);
const struct heap_thread_name *capture_heap_thread(const struct capture_heap *c, uint32_t serial);
const struct target *capture_heap_target(const struct capture_heap *c);

/* With `fates`: how the blocks ended that were freed. Returns as heap_fates_read(). */
int capture_heap_fates(const struct capture_heap *c, struct heap_fates *ret);

/* What sites' routes are; NULL: the target has no probes that tell of requests. Until free. */
const struct heap_routes *capture_heap_routes(const struct capture_heap *c);

/* Sizes, lifetimes and live blocks; see heap_table.h. Valid until free. */
const struct heap_table *capture_heap_table(const struct capture_heap *c);

/* The heap over time, the oldest first; valid until the next poll. */
const struct heap_point *capture_heap_points(const struct capture_heap *c, size_t *ret_n);

#endif
