/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_REPORT_H
#define PERISCOPE_HEAP_REPORT_H

/*
 * What a heap capture has seen, as tables and histograms: who allocates, in which sizes, for how
 * long blocks live, how the heap grows; and in a summary.
 */

#include <stdbool.h>
#include <stdint.h>

#include "capture_heap.h"

struct report;
struct summary;

struct heap_report_options {
	bool alloc_only;     /* nothing is known of frees */
	bool estimated;	     /* the snapshot was scaled up */
	bool verdicts;	     /* the capture has kept how blocks ended */
	bool brief;	     /* for a terminal, again and again: the callers alone */
	uint64_t started_ns; /* CLOCK_MONOTONIC: the series begins there */
};

/* Adds the sections. Lack of memory is in report_error(). */
void heap_report(struct report *r, const struct capture_heap *c, const struct heap_snapshot *s,
		 const struct heap_report_options *o);

/* What was counted and what was not. */
void heap_summarize(struct summary *s, const struct capture_heap_stats *st, bool alloc_only);

/* Allocations that are not in the figures, or not with their stack. */
uint64_t heap_lost(const struct capture_heap_stats *st);

#endif
