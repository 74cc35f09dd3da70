/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_REPORT_IMPL_H
#define PERISCOPE_HEAP_REPORT_IMPL_H

/* Parts of the heap report that are files of their own. */

#include <stdbool.h>

#include "capture_heap.h"

struct heap_caller;
struct heap_callers;
struct report;
struct report_table;

/* What was allocated by route; nothing for a target without requests. */
void heap_report_routes(struct report *r, const struct capture_heap *c,
			const struct heap_snapshot *s, bool alloc_only);

/* What could be done with allocations, by how their blocks ended. l: of the snapshot. */
void heap_report_verdicts(struct report *r, const struct capture_heap *c,
			  const struct heap_snapshot *s, const struct heap_callers *l);

/* Fill a column of texts: "64", "16-80". */
void heap_report_sizes(struct report_table *t, const struct heap_caller *c);

#endif
