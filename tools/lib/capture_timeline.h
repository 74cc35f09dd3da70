/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CAPTURE_TIMELINE_H
#define PERISCOPE_CAPTURE_TIMELINE_H

/*
 * The timeline's engine: loads and attaches the BPF side, and writes what it records to a trace
 * while it comes in, so that its own memory does not grow with the number of events.
 *
 * Driven through capture_timeline_ops. Nothing stays in the kernel after free, or after the
 * process is killed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/timeline.h"
#include "capture.h"
#include "request_spec.h"
#include "timeline_only.h"
#include "timeline_probes.h"
#include "timeline_triggers.h"
#include "trace_file_writer.h"
#include "watch.h"

struct capture_timeline_options {
	struct watch_options watch;
	unsigned int groups;	/* enum timeline_group */
	unsigned int frequency; /* of CPU samples; 0: none */
	bool wait_stacks;
	/*
	 * Probes that tell of requests: those of programs that are known, unless there are points, which
	 * the capture takes, also if it fails.
	 */
	bool requests;
	struct request_points points;
	bool force_returns;
	bool allocs;		      /* count calls of the allocator, their bytes, the heap */
	const char *const *usdt;      /* patterns of more; borrowed */
	const char *const *functions; /* globs; borrowed */
	/* Of the triggers below, by their numbers; borrowed. */
	const struct timeline_wish *wishes;
	size_t nr_usdt, nr_functions, nr_wishes;
	size_t max_functions;
	/*
	 * By how many per cent the probes of functions and of the allocator may make the target's work
	 * take longer, 0: any number; less is recorded for it, or nothing. Who is told of what was found
	 * out, before the recording begins.
	 */
	double max_overhead;
	void (*tell)(void *arg, const struct probe_budget_verdict *v);
	void *tell_arg;
	uint64_t key_ns;   /* how often every thread's state is repeated; 0: by default */
	struct only *only; /* which requests are kept with all events; borrowed; NULL: all */
	/*
	 * For a flight recorder: conditions (borrowed; NULL: none), and who is told when one holds.
	 * If that returns true the trace gets a mark.
	 */
	struct triggers *triggers;
	bool (*on_hit)(void *arg, const struct trigger_hit *hit);
	void *hit_arg;
};

struct capture_timeline_stats {
	uint64_t events, left_out;
	uint64_t lost;	   /* records without room in the ring, and what the trace lost besides */
	uint64_t losses;   /* places where some were lost */
	uint64_t stacks;   /* distinct ones */
	uint64_t no_stack; /* waits and samples whose stack was lost */
	uint64_t lost_events; /* notices of fork, exec or exit */
	uint64_t bad;	      /* records and events that made no sense */
	uint64_t unread;      /* hits of requests' probes whose ids could not be read */
	uint64_t threads;     /* ever seen of the target */
	size_t probes, functions, entry_only, refused;
	size_t allocators;	 /* probed functions of these */
	uint64_t allocs;	 /* calls */
	uint64_t allocs_missing; /* calls by threads that there was no room for */
	uint64_t untracked;	 /* blocks that are not in the heap's figures */
	const char *refused_why;
	uint64_t by_end[UNWIND_NR_ENDS]; /* distinct stacks */
};

struct capture_timeline;

/* Returns NULL and errno; capture_timeline_ops.error(NULL) then says why. */
struct capture_timeline *capture_timeline_new(struct capture_timeline_options *o);
void capture_timeline_free(struct capture_timeline *c);

/*
 * Say where the trace goes: after new, before the capture starts. Borrowed. Returns 0 or a negative
 * errno.
 */
int capture_timeline_open(struct capture_timeline *c, struct trace_chunks *to);

extern const struct capture_ops capture_timeline_ops;

/* A fact for the trace's head, as trace_writer_info(). */
int capture_timeline_info(struct capture_timeline *c, const char *key, const char *value);

/* Hand on all that has come so far. Returns 0 or a negative errno. */
int capture_timeline_flush(struct capture_timeline *c);

/* Complete after stop. */
void capture_timeline_stats(struct capture_timeline *c, struct capture_timeline_stats *ret);
const struct target *capture_timeline_target(const struct capture_timeline *c);
const struct stacks *capture_timeline_stacks(const struct capture_timeline *c);

/* Lines: what was asked for and is not there, or could not be probed and why. Complete after stop. */
const char *capture_timeline_notes(const struct capture_timeline *c);

/* CLOCK_MONOTONIC at which the recording began and ended. */
void capture_timeline_span(const struct capture_timeline *c, uint64_t *ret_start,
			   uint64_t *ret_end);

#endif
