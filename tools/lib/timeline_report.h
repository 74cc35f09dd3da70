/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_REPORT_H
#define PERISCOPE_TIMELINE_REPORT_H

/*
 * The text of a timeline: what ran, the tables of `go tool trace` by thread and by request, with
 * columns that do not overlap and add up, and the slowest requests as pictures.
 */

#include "arena.h"
#include "report.h"
#include "timeline_summary.h"

struct timeline_report {
	struct report *report;
	struct timeline_summary summary;
	struct arena memory; /* of keys and columns */
};

/*
 * `slowest`: requests shown one by one. `all_columns`: also those that are 0 in all rows, for programs.
 * Returns 0 or a negative errno (timeline_summary_init).
 */
int timeline_report_init(struct timeline_report *r, const struct timeline_view *v, size_t slowest,
			 bool all_columns);
void timeline_report_release(struct timeline_report *r);

struct strbuf;

/* A stack's functions, innermost first, a line each; replaces what is in `text`. */
void timeline_put_stack(const struct trace *t, uint32_t stack, struct strbuf *text);

/* The first section: what it all came to. What fails, the report remembers. */
void timeline_report_summary(struct report *report, const struct timeline_summary *s,
			     const struct timeline_view *v);

/* Add what triggers and signals there were, if any. What fails, the report remembers. */
void timeline_report_marks(struct report *report, const struct timeline_summary *s,
			   const struct trace *t);

#endif
