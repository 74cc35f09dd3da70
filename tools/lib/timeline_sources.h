/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_SOURCES_H
#define PERISCOPE_TIMELINE_SOURCES_H

/*
 * All that is probed in a timeline's target: USDT probes and functions that were asked for, those that
 * tell of requests, the allocator.
 */

#include "request_probes.h"
#include "timeline_allocs.h"
#include "timeline_probes.h"

struct timeline_sources {
	struct timeline_probes probes;
	struct request_probes points;
	struct timeline_allocs allocs;
	bool with_points, with_allocs;
	char error[640]; /* a sentence without a full stop */
};

/* All zeroes is an empty one, for release; then the parts that are wanted are initialised. */
void timeline_sources_release(struct timeline_sources *s);

/* Take all probes away, which takes its time. */
void timeline_sources_detach(struct timeline_sources *s);

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
