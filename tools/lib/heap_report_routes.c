/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "heap_report_impl.h"
#include "report.h"
#include "util.h"

/* What sites came to, by route. */
static struct heap_counts *sum_routes(const struct heap_snapshot *s)
{
	struct heap_counts *sums = calloc(HEAP_MAX_ROUTES, sizeof(*sums));

	for (size_t i = 0; sums && i < s->nr; i++)
		if (s->items[i].key.route < HEAP_MAX_ROUTES)
			heap_counts_add(&sums[s->items[i].key.route], &s->items[i].n);
	return sums;
}

static void add_row(struct report_table *t, const char *name, bool are_requests,
		    struct heap_route n, const struct heap_counts *sum, bool alloc_only)
{
	report_add_text(t, name);
	if (are_requests)
		report_add(t, (int64_t)n.begun);
	else
		report_add_none(t);
	report_add(t, (int64_t)sum->allocs);
	report_add(t, (int64_t)sum->alloc_bytes);
	if (n.begun) {
		report_add_real(t, (double)sum->allocs / (double)n.begun);
		report_add_real(t, (double)sum->alloc_bytes / (double)n.begun);
	} else {
		report_add_none(t);
		report_add_none(t);
	}
	if (alloc_only)
		return;
	report_add(t, sum->live_bytes);
	report_add(t, sum->live);
}

void heap_report_routes(struct report *r, const struct capture_heap *c,
			const struct heap_snapshot *s, bool alloc_only)
{
	static const struct report_column columns[] = {
		{ "route", "route", REPORT_PLACE },
		{ "requests", "requests", REPORT_COUNT },
		{ "alloc_objects", "allocations", REPORT_COUNT },
		{ "alloc_space", "allocated", REPORT_BYTES },
		{ "alloc_objects_each", "each", REPORT_MEAN },
		{ "alloc_space_each", "bytes each", REPORT_MEAN },
		{ "inuse_space", "in use", REPORT_BYTES },
		{ "inuse_objects", "blocks", REPORT_COUNT },
	};
	const struct heap_routes *routes = capture_heap_routes(c);
	struct report_section *section;
	struct heap_counts *sums;
	struct heap_route total;
	struct report_table *t;

	if (!routes)
		return;
	section = report_section(r, "routes", "By route of the request");
	sums = sum_routes(s);
	if (!sums) {
		report_note(section, "out of memory");
		return;
	}
	t = report_table(section, "routes", NULL, columns, ARRAY_SIZE(columns) - 2 * alloc_only);
	for (uint32_t i = 0; i < HEAP_MAX_ROUTES; i++) {
		struct heap_route n = heap_routes_count(routes, i);

		if (n.begun || sums[i].allocs || sums[i].live)
			add_row(t, heap_routes_name(routes, i), i >= HEAP_ROUTE_OTHER, n, &sums[i],
				alloc_only);
	}
	report_sort(t, "alloc_space");
	free(sums);
	total = heap_routes_total(routes);
	if (total.begun > total.done)
		report_note(section, "%lu of the requests had not ended at the end",
			    (unsigned long)(total.begun - total.done));
	report_note(section, "requests are those that began in the capture; an allocation is "
			     "charged to the request that its thread was at work on");
}
