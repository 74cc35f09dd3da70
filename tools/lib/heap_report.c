/* SPDX-License-Identifier: MIT */
#include "heap_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap_callers.h"
#include "heap_report_impl.h"
#include "report.h"
#include "summary.h"
#include "util.h"

#define MAX_CALLERS	  100 /* rows of a table; JSON has them all, text by --top */
#define HISTOGRAM_CALLERS 5   /* that get histograms of their own */
#define COMMON_SIZES	  16
#define MAX_LINE_POINTS	  400 /* of the series */

static double share(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0.0;
}

/* ---------------------------------------------------------------- callers ---- */

/* "64B", "16-80B" */
void heap_report_sizes(struct report_table *t, const struct heap_caller *c)
{
	char text[48];

	if (c->smallest == c->largest)
		snprintf(text, sizeof(text), "%" PRIu64, c->largest);
	else
		snprintf(text, sizeof(text), "%" PRIu64 "-%" PRIu64, c->smallest, c->largest);
	report_add_text(t, text);
}

static const char *bound_text(uint64_t us, char *buf, size_t size)
{
	if (us < 1000)
		snprintf(buf, size, "%" PRIu64 "us", us);
	else if (us < 1000000)
		snprintf(buf, size, "%" PRIu64 "ms", us / 1000);
	else
		snprintf(buf, size, "%" PRIu64 "s", us / 1000000);
	return buf;
}

/*
 * Where the median of the lifetimes lies: its power of two, no more was measured. In thousands of
 * 1024, as the eye reads them: 1024us is "1ms".
 */
static void put_median_life(struct report_table *t, const uint64_t *n)
{
	uint64_t all = 0, seen = 0;
	char text[64], high[16];
	int i;

	for (i = 0; i < HEAP_LIFETIMES; i++)
		all += n[i];
	if (!all) {
		report_add_none(t);
		return;
	}
	for (i = 0; i < HEAP_LIFETIMES - 1; i++) {
		seen += n[i];
		if (2 * seen >= all)
			break;
	}
	if (i == HEAP_LIFETIMES - 1)
		snprintf(text, sizeof(text), "> %s",
			 bound_text(1ULL << (i - 1), high, sizeof(high)));
	else
		snprintf(text, sizeof(text), "< %s", bound_text(1ULL << i, high, sizeof(high)));
	report_add_text(t, text);
}

static void add_callers(struct report *r, struct heap_callers *l, const struct heap_snapshot *s,
			bool alloc_only)
{
	static const struct report_column columns[] = {
		{ "caller", "caller", REPORT_PLACE },
		{ "inuse_space", "in use", REPORT_BYTES },
		{ "inuse_objects", "blocks", REPORT_COUNT },
		{ "alloc_space", "allocated", REPORT_BYTES },
		{ "alloc_objects", "allocations", REPORT_COUNT },
		{ "temporary", "temporary", REPORT_PERCENT },
		{ "size", "size", REPORT_TEXT },
		{ "median_life", "median life", REPORT_TEXT },
	};
	static const struct report_column counted[] = {
		{ "caller", "caller", REPORT_PLACE },
		{ "alloc_space", "allocated", REPORT_BYTES },
		{ "alloc_objects", "allocations", REPORT_COUNT },
		{ "share", "share", REPORT_PERCENT },
		{ "size", "size", REPORT_TEXT },
	};
	struct report_section *section = report_section(r, "callers", "Who allocates");
	struct report_table *t =
		report_table(section, "callers", NULL, alloc_only ? counted : columns,
			     alloc_only ? ARRAY_SIZE(counted) : ARRAY_SIZE(columns));

	heap_callers_sort(l, alloc_only ? HEAP_BY_ALLOC_BYTES : HEAP_BY_LIVE_BYTES);
	for (size_t i = 0; i < MIN(l->nr, (size_t)MAX_CALLERS); i++) {
		const struct heap_caller *c = l->items[i];

		report_add_text(t, c->name);
		if (!alloc_only) {
			report_add(t, c->n.live_bytes);
			report_add(t, c->n.live);
		}
		report_add(t, (int64_t)c->n.alloc_bytes);
		report_add(t, (int64_t)c->n.allocs);
		if (alloc_only) {
			report_add_real(t, share(c->n.alloc_bytes, s->sum.alloc_bytes));
			heap_report_sizes(t, c);
			continue;
		}
		report_add_real(t, share(c->n.temps, c->n.allocs));
		heap_report_sizes(t, c);
		put_median_life(t, c->lifetimes);
	}
	if (l->nr > MAX_CALLERS)
		report_note(section, "%zu callers; these are the first %d", l->nr, MAX_CALLERS);
}

/* ---------------------------------------------------------------- sizes ---- */

static int by_count(const void *x, const void *y)
{
	const struct heap_size *a = x, *b = y;

	return (b->count > a->count) - (b->count < a->count);
}

static unsigned int log2_of(uint64_t v)
{
	return v ? 63 - __builtin_clzll(v) : 0;
}

static void add_size_histogram(struct report_section *s, const struct heap_sizes *sizes)
{
	struct report_histogram *h =
		report_histogram(s, "sizes", "Sizes asked for", REPORT_BYTES, "allocations");
	uint64_t counts[64] = { 0 }, bytes[64] = { 0 }, zero = 0;

	report_second(h, "bytes", "bytes", REPORT_BYTES);
	for (size_t i = 0; i < sizes->nr; i++) {
		const struct heap_size *z = &sizes->items[i];

		if (!z->size)
			zero += z->count;
		else
			counts[log2_of(z->size)] += z->count;
		bytes[log2_of(z->size)] += z->size * z->count;
	}
	/* Of these only the power of two is known: their bytes are not shown as known. */
	for (int i = 0; i < 64; i++)
		counts[i] += sizes->others[i];
	if (zero)
		report_bucket(h, 0, 0, zero, 0);
	for (int i = 0; i < 64; i++)
		if (counts[i])
			report_bucket(h, 1ULL << i, i == 63 ? UINT64_MAX : (2ULL << i) - 1,
				      counts[i], bytes[i]);
}

static void add_common_sizes(struct report_section *s, struct heap_sizes *sizes)
{
	static const struct report_column columns[] = {
		{ "size", "size", REPORT_BYTES },
		{ "allocations", "allocations", REPORT_COUNT },
		{ "share", "share", REPORT_PERCENT },
		{ "total", "bytes in all", REPORT_BYTES },
	};
	struct report_table *t = report_table(s, "common_sizes", "The commonest sizes", columns,
					      ARRAY_SIZE(columns));

	if (sizes->nr)
		qsort(sizes->items, sizes->nr, sizeof(*sizes->items), by_count);
	for (size_t i = 0; i < MIN(sizes->nr, (size_t)COMMON_SIZES); i++) {
		const struct heap_size *z = &sizes->items[i];

		report_add(t, (int64_t)z->size);
		report_add(t, (int64_t)z->count);
		report_add_real(t, share(z->count, sizes->count));
		report_add(t, (int64_t)(z->size * z->count));
	}
	if (sizes->nr > COMMON_SIZES)
		report_note(s, "%zu different sizes", sizes->nr);
}

/* Keys are constants of the caller; there are few. */
static const char *const size_keys[HISTOGRAM_CALLERS] = { "caller_1", "caller_2", "caller_3",
							  "caller_4", "caller_5" };

static void add_sizes_by_caller(struct report *r, struct heap_callers *l)
{
	struct report_section *s = report_section(r, "sizes_by_caller", "Sizes, by caller");

	heap_callers_sort(l, HEAP_BY_ALLOCS);
	for (size_t i = 0; i < MIN(l->nr, (size_t)HISTOGRAM_CALLERS); i++) {
		const struct heap_caller *c = l->items[i];
		struct report_histogram *h =
			report_histogram(s, size_keys[i], c->name, REPORT_BYTES, "allocations");

		for (uint32_t class = 0; class < HEAP_CLASSES; class ++)
			if (c->by_class[class])
				report_bucket(h, class ? heap_class_max(class - 1) + 1 : 0,
					      heap_class_max(class), c->by_class[class], 0);
	}
	if (l->nr > HISTOGRAM_CALLERS)
		report_note(s, "the %d with most allocations, of %zu", HISTOGRAM_CALLERS, l->nr);
}

static void add_sizes(struct report *r, const struct capture_heap *c, struct heap_callers *l,
		      bool estimated)
{
	struct report_section *s = report_section(r, "sizes", "Sizes");
	struct heap_sizes sizes;

	if (estimated)
		report_note(s, "as counted, not scaled up");
	if (heap_table_sizes(capture_heap_table(c), &sizes)) {
		report_note(s, "could not be read");
		return;
	}
	add_size_histogram(s, &sizes);
	add_common_sizes(s, &sizes);
	heap_sizes_release(&sizes);
	add_sizes_by_caller(r, l);
}

/* ---------------------------------------------------------------- lifetimes ---- */

static void add_life_buckets(struct report_histogram *h, const uint64_t *n)
{
	for (int i = 0; i < HEAP_LIFETIMES; i++) {
		uint64_t low = i ? 1000ULL << (i - 1) : 0;
		uint64_t high = i == HEAP_LIFETIMES - 1 ? UINT64_MAX : (1000ULL << i) - 1;

		if (n[i])
			report_bucket(h, low, high, n[i], 0);
	}
}

static void add_lifetimes(struct report *r, struct heap_callers *l, const struct heap_snapshot *s)
{
	struct report_section *section = report_section(r, "lifetimes", "Lifetimes");
	uint64_t all[HEAP_LIFETIMES] = { 0 };

	for (size_t i = 0; i < l->nr; i++)
		for (int j = 0; j < HEAP_LIFETIMES; j++)
			all[j] += l->items[i]->lifetimes[j];
	add_life_buckets(report_histogram(section, "lifetimes", "From allocation to free",
					  REPORT_NS, "blocks"),
			 all);
	report_fact(section, "temporary", "temporary", REPORT_COUNT, (int64_t)s->sum.temps);
	report_fact(section, "held", "not freed yet", REPORT_COUNT, s->sum.live);
	section = report_section(r, "lifetimes_by_caller", "Lifetimes, by caller");
	heap_callers_sort(l, HEAP_BY_FREES);
	for (size_t i = 0; i < MIN(l->nr, (size_t)HISTOGRAM_CALLERS); i++)
		if (l->items[i]->n.frees)
			add_life_buckets(report_histogram(section, size_keys[i], l->items[i]->name,
							  REPORT_NS, "blocks"),
					 l->items[i]->lifetimes);
	if (l->nr > HISTOGRAM_CALLERS)
		report_note(section, "the %d with most frees, of %zu", HISTOGRAM_CALLERS, l->nr);
}

/* ---------------------------------------------------------------- over time ---- */

static void add_growth(struct report *r, const struct capture_heap *c, uint64_t started_ns,
		       bool alloc_only)
{
	static const struct report_column lines[] = {
		{ "rss", "resident (RSS)", REPORT_BYTES },
		{ "inuse", "in use, allocated since the start", REPORT_BYTES },
	};
	static const struct report_column rates[] = { { "allocations", "allocations so far",
							REPORT_COUNT } };
	struct report_section *s = report_section(r, "growth", "Growth");
	struct report_series *memory, *count;
	size_t n, step;
	const struct heap_point *points = capture_heap_points(c, &n);

	memory = report_series(s, "memory", "Memory over time", lines, alloc_only ? 1 : 2);
	count = report_series(s, "allocations", "Allocations over time", rates, 1);
	step = n / MAX_LINE_POINTS + 1;
	/* So that the last one is there. */
	for (size_t i = n ? (n - 1) % step : 0; i < n; i += step) {
		const struct heap_point *p = &points[i];
		uint64_t ns = p->time_ns - MIN(p->time_ns, started_ns);
		int64_t values[] = { (int64_t)p->rss_bytes, p->live_bytes };
		int64_t allocs = (int64_t)p->allocs;

		report_point(memory, ns, values);
		report_point(count, ns, &allocs);
	}
}

/* ---------------------------------------------------------------- all ---- */

static void add_facts(struct report *r, const struct heap_snapshot *s, bool alloc_only)
{
	struct report_section *section = report_section(r, "heap", "The heap");
	const struct heap_counts *n = &s->sum;

	report_fact(section, "allocations", "allocations", REPORT_COUNT, (int64_t)n->allocs);
	report_fact(section, "allocated", "allocated", REPORT_BYTES, (int64_t)n->alloc_bytes);
	if (alloc_only)
		return;
	report_fact(section, "frees", "frees", REPORT_COUNT, (int64_t)n->frees);
	report_fact(section, "freed", "freed", REPORT_BYTES, (int64_t)n->free_bytes);
	report_fact(section, "inuse_blocks", "blocks in use", REPORT_COUNT, n->live);
	report_fact(section, "inuse", "in use", REPORT_BYTES, n->live_bytes);
	report_fact(section, "temporary", "temporary", REPORT_COUNT, (int64_t)n->temps);
	if (s->peak_time_ns)
		report_fact(section, "peak", "in use at the peak", REPORT_BYTES, n->peak_bytes);
	if (n->untracked)
		report_note(section,
			    "%" PRIu64 " blocks found no room (--max-live) and are not in use here",
			    n->untracked);
}

void heap_report(struct report *r, const struct capture_heap *c, const struct heap_snapshot *s,
		 const struct heap_report_options *o)
{
	struct heap_callers callers;

	add_facts(r, s, o->alloc_only);
	if (heap_callers_init(&callers, c, s)) {
		report_note(report_section(r, "callers", "Who allocates"), "out of memory");
		return;
	}
	add_callers(r, &callers, s, o->alloc_only);
	if (!o->brief) {
		heap_report_routes(r, c, s, o->alloc_only);
		if (o->verdicts)
			heap_report_verdicts(r, c, s, &callers);
		add_sizes(r, c, &callers, o->estimated);
		if (!o->alloc_only)
			add_lifetimes(r, &callers, s);
		add_growth(r, c, o->started_ns, o->alloc_only);
	}
	heap_callers_release(&callers);
}

/* ---------------------------------------------------------------- in a line ---- */

uint64_t heap_lost(const struct capture_heap_stats *st)
{
	return st->missed + st->no_thread + st->missed_hits + st->no_stack;
}

static void unless_0(struct summary *s, const char *key, uint64_t value)
{
	if (value)
		summary_u64(s, key, value);
}

void heap_summarize(struct summary *s, const struct capture_heap_stats *st, bool alloc_only)
{
	summary_u64(s, "allocations", st->sum.allocs);
	summary_u64(s, "bytes", st->sum.alloc_bytes);
	if (!alloc_only) {
		summary_u64(s, "frees", st->sum.frees);
		summary_u64(s, "freed-bytes", st->sum.free_bytes);
		summary_u64(s, "in-use", (uint64_t)st->sum.live);
		summary_u64(s, "in-use-bytes", (uint64_t)st->sum.live_bytes);
	}
	summary_u64(s, "complete", st->by_end[UNWIND_COMPLETE]);
	summary_u64(s, "lost", heap_lost(st));
	for (size_t i = UNWIND_COMPLETE + 1; i < UNWIND_NR_ENDS; i++)
		unless_0(s, unwind_end_name(i), st->by_end[i]);
	unless_0(s, "by-frame-pointer", st->guessed);
	unless_0(s, "untracked", st->sum.untracked);
	unless_0(s, "failed", st->failed);
	unless_0(s, "filtered", st->filtered);
	unless_0(s, "nested", st->nested);
	unless_0(s, "frees-from-before", st->before);
	unless_0(s, "frees-inherited", st->inherited);
	unless_0(s, "frees-by-allocator", st->internal);
	unless_0(s, "frees-unknown", st->unknown);
	unless_0(s, "unseen-frees", st->reused);
	unless_0(s, "no-stack", st->no_stack);
	unless_0(s, "no-site", st->no_site);
	unless_0(s, "missed", st->missed);
	unless_0(s, "no-thread", st->no_thread);
	unless_0(s, "missed-hits", st->missed_hits);
	unless_0(s, "exec-dropped", st->sum.execed);
	unless_0(s, "exited", st->sum.exited);
	unless_0(s, "unprobed-processes", st->unprobed);
	unless_0(s, "lost-requests", st->lost_requests);
	unless_0(s, "lost-fates", st->lost_fates);
	unless_0(s, "lost-events", st->lost_events);
}
