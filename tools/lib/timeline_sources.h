/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_SOURCES_H
#define PERISCOPE_TIMELINE_SOURCES_H

/*
 * All that is probed in a timeline's target: USDT probes and functions that were asked for, those that
 * tell of requests, the allocator.
 */

#include "probe_budget.h"
#include "request_probes.h"
#include "timeline_allocs.h"
#include "timeline_probes.h"

struct timeline_sources {
	struct timeline_probes probes;
	struct request_probes points;
	struct timeline_allocs allocs;
	bool with_points, with_allocs;
	bool follows; /* blocks to their frees, for the heap */
	/* By how many per cent the target's work may take longer; 0: as much as it may. */
	double max_overhead;
	char error[640]; /* a sentence without a full stop */
};

/* All zeroes is an empty one, for release; then the parts that are wanted are initialised. */
void timeline_sources_release(struct timeline_sources *s);

/* Take all probes away, which takes its time. */
void timeline_sources_detach(struct timeline_sources *s);

/*
 * Find what there is to be probed, and probe it, as far as it costs no more than s->max_overhead:
 * before the first update. What was asked for by name has to be there, unless a command is yet to
 * run. Returns 0, and whether there was anything to be found out, and what; or a negative errno and
 * s->error.
 */
int timeline_sources_begin(struct timeline_sources *s, const struct target *t,
			   struct trace_writer *w, bool *ret_measured,
			   struct probe_budget_verdict *ret);

/* Another thread than the first of process pid runs another program. Returns 0 or -ENOMEM. */
int timeline_sources_execed(struct timeline_sources *s, pid_t pid);

/*
 * Probe what is new in the target. first: the capture has not begun. Returns 0 or a negative errno and
 * s->error.
 */
int timeline_sources_update(struct timeline_sources *s, const struct target *t,
			    struct trace_writer *w, bool first);

/* Is everything there that was asked for by name? Returns 0, or -ENOENT and s->error. */
int timeline_sources_check(struct timeline_sources *s, const struct target *t);

/* The same at the end, of a command: as lines in s->points.notes. */
void timeline_sources_note_missing(struct timeline_sources *s);

#endif
