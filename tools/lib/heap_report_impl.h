/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_REPORT_IMPL_H
#define PERISCOPE_HEAP_REPORT_IMPL_H

/* Parts of the heap report that are files of their own. */

#include <stdbool.h>

#include "capture_heap.h"

struct report;

/* What was allocated by route; nothing for a target without requests. */
void heap_report_routes(struct report *r, const struct capture_heap *c,
			const struct heap_snapshot *s, bool alloc_only);

#endif
