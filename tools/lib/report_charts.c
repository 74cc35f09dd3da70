/* SPDX-License-Identifier: MIT */
/* The parts of a report that are drawn: histograms, series, waterfalls. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hist.h"
#include "report_impl.h"
#include "util.h"

#define MAX_RECORDED_BUCKETS 24 /* that a recorded histogram is shown as, about */

/* ---------------------------------------------------------------- histograms ---- */

struct report_histogram *report_histogram(struct report_section *s, const char *key,
					  const char *title, enum report_unit unit,
					  const char *what)
{
	struct report_histogram *h = report_add_part(s, REPORT_HISTOGRAM, sizeof(*h));

	if (!h)
		return NULL;
	h->report = s->report;
	h->key = key;
	h->title = report_copy(s->report, title);
	h->unit = unit;
	h->what = what;
	if (report_is_text(unit) || report_is_real(unit))
		report_fail(s->report, -EINVAL);
	return h;
}

void report_bucket(struct report_histogram *h, uint64_t low, uint64_t high, uint64_t count,
		   uint64_t second)
{
	if (!h)
		return;
	if (low > high || (h->nr_buckets && low <= h->buckets[h->nr_buckets - 1].high))
		report_fail(h->report, -EINVAL);
	if (report_grow(h->report, &h->buckets, h->nr_buckets, &h->cap_buckets,
			sizeof(*h->buckets)))
		h->buckets[h->nr_buckets++] = (struct report_bucket){ low, high, count, second };
}

void report_bucket_log2(struct report_histogram *h, unsigned int power, uint64_t count,
			uint64_t second)
{
	/* 0 is with 1; 2^64 - 1 is a bound, too, and in report_bucket() stands for none. */
	report_bucket(h, power ? (uint64_t)1 << power : 0,
		      power == 63 ? UINT64_MAX - 1 : ((uint64_t)2 << power) - 1, count, second);
}

void report_second(struct report_histogram *h, const char *key, const char *heading,
		   enum report_unit unit)
{
	if (!h)
		return;
	h->second = (struct report_column){ key, heading, unit };
	if (report_is_text(unit) || report_is_real(unit))
		report_fail(h->report, -EINVAL);
}

void report_mark(struct report_histogram *h, const char *name, uint64_t value)
{
	if (h && report_grow(h->report, &h->marks, h->nr_marks, &h->cap_marks, sizeof(*h->marks)))
		h->marks[h->nr_marks++] = (struct report_mark){ name, value };
}

/* Buckets of each power of two: so many that there are at most MAX_RECORDED_BUCKETS or about. */
static unsigned int choose_parts(const struct hist *h)
{
	unsigned int powers = hist_log2(h->max) - hist_log2(h->min) + 1, parts = 1;

	while (parts < 8 && powers * parts * 2 <= MAX_RECORDED_BUCKETS)
		parts *= 2;
	return parts;
}

struct report_histogram *report_histogram_of(struct report_section *s, const char *key,
					     const char *title, enum report_unit unit,
					     const char *what, const struct hist *from)
{
	static const struct {
		const char *name;
		uint32_t milli;
	} marks[] = { { "p50", HIST_P50 },
		      { "p90", HIST_P90 },
		      { "p99", HIST_P99 },
		      { "p99.9", HIST_P999 },
		      { "max", 100000 } };
	struct report_histogram *h = report_histogram(s, key, title, unit, what);
	uint64_t low, high;

	if (!from->count)
		return h;
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		report_mark(h, marks[i].name, hist_percentile(from, marks[i].milli));
	for (low = 0; low <= from->max; low = high + 1) {
		uint64_t step = ((uint64_t)1 << hist_log2(low)) / choose_parts(from), count;

		/* Powers of two and these parts of them begin where a recorded bucket begins. */
		high = low + MAX(step, (uint64_t)1) - 1;
		count = hist_count_between(from, low, high);
		if (high >= from->min)
			report_bucket(h, low, high, count, 0);
		if (high == UINT64_MAX)
			break;
	}
	return h;
}

/* ---------------------------------------------------------------- over time ---- */

struct report_series *report_series(struct report_section *s, const char *key, const char *title,
				    const struct report_column *lines, size_t nr)
{
	struct report_series *series = nr ? report_add_part(s, REPORT_SERIES, sizeof(*series))
					  : NULL;

	if (!series) {
		if (s)
			report_fail(s->report, -EINVAL);
		return NULL;
	}
	series->report = s->report;
	series->key = key;
	series->title = report_copy(s->report, title);
	series->lines = lines;
	series->nr_lines = nr;
	for (size_t i = 0; i < nr; i++)
		if (lines[i].unit != lines[0].unit || report_is_text(lines[i].unit) ||
		    report_is_real(lines[i].unit))
			report_fail(s->report, -EINVAL);
	return series;
}

void report_point(struct report_series *s, uint64_t ns, const int64_t *values)
{
	struct report_point *p;

	if (!s)
		return;
	if (s->nr_points && ns < s->points[s->nr_points - 1].ns)
		report_fail(s->report, -EINVAL);
	if (!report_grow(s->report, &s->points, s->nr_points, &s->cap_points, sizeof(*s->points)))
		return;
	p = &s->points[s->nr_points];
	*p = (struct report_point){ .ns = ns, .values = calloc(s->nr_lines, sizeof(*p->values)) };
	if (!p->values) {
		report_fail(s->report, -ENOMEM);
		return;
	}
	memcpy(p->values, values, s->nr_lines * sizeof(*p->values));
	s->nr_points++;
}

/* ---------------------------------------------------------------- waterfalls ---- */

struct report_waterfall *report_waterfall(struct report_section *s, const char *key,
					  const char *title)
{
	struct report_waterfall *w = report_add_part(s, REPORT_WATERFALL, sizeof(*w));

	if (!w)
		return NULL;
	w->report = s->report;
	w->key = key;
	w->title = report_copy(s->report, title);
	return w;
}

/* The index of a class, made at need; 0 after a failure. */
static size_t find_class(struct report_waterfall *w, const char *class)
{
	char *text;

	for (size_t i = 0; i < w->nr_classes; i++)
		if (!strcmp(w->classes[i], class))
			return i;
	if (!report_grow(w->report, &w->classes, w->nr_classes, &w->cap_classes, sizeof(void *)))
		return 0;
	text = report_copy(w->report, class);
	if (!text)
		return 0;
	w->classes[w->nr_classes] = text;
	return w->nr_classes++;
}

void report_class(struct report_waterfall *w, const char *class)
{
	if (w)
		find_class(w, class);
}

void report_unknown(struct report_waterfall *w, const char *class)
{
	if (w)
		w->unknown = find_class(w, class) + 1;
}

struct report_trace *report_trace(struct report_waterfall *w, const char *name, uint64_t start_ns,
				  uint64_t total_ns, const char *note)
{
	struct report_trace *t;

	if (!w || !report_grow(w->report, &w->traces, w->nr_traces, &w->cap_traces, sizeof(void *)))
		return NULL;
	t = calloc(1, sizeof(*t));
	if (!t) {
		report_fail(w->report, -ENOMEM);
		return NULL;
	}
	t->report = w->report;
	t->waterfall = w;
	t->name = report_copy(w->report, name);
	t->note = report_copy(w->report, note);
	t->start_ns = start_ns;
	t->total_ns = total_ns;
	w->traces[w->nr_traces++] = t;
	return t;
}

void report_span(struct report_trace *t, const char *class, const char *name, uint64_t start_ns,
		 uint64_t duration_ns, unsigned int depth, const char *detail)
{
	struct report_span *span;

	if (!t || !report_grow(t->report, &t->spans, t->nr_spans, &t->cap_spans, sizeof(*t->spans)))
		return;
	span = &t->spans[t->nr_spans++];
	*span = (struct report_span){
		.class = find_class(t->waterfall, class),
		.name = report_copy(t->report, name),
		.start_ns = start_ns,
		.duration_ns = duration_ns,
		.depth = depth,
		.detail = report_copy(t->report, detail),
	};
}
