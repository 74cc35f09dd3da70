/* SPDX-License-Identifier: MIT */
#include "report_impl.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hist.h"
#include "util.h"

void report_fail(struct report *r, int err)
{
	if (!r->err)
		r->err = err;
}

bool report_grow(struct report *r, void *items, size_t n, size_t *cap, size_t size)
{
	if (r->err)
		return false;
	if (array_grow(items, n, cap, size))
		report_fail(r, -ENOMEM);
	return !r->err;
}

char *report_copy(struct report *r, const char *text)
{
	char *s = text ? strdup(text) : NULL;

	if (text && !s)
		report_fail(r, -ENOMEM);
	return s;
}

struct report *report_new(void)
{
	return calloc(1, sizeof(struct report));
}

/* ---------------------------------------------------------------- release ---- */

bool report_is_text(enum report_unit unit)
{
	return unit == REPORT_TEXT || unit == REPORT_PLACE || unit == REPORT_STACK;
}

bool report_is_real(enum report_unit unit)
{
	return unit == REPORT_PERCENT || unit == REPORT_RATE || unit == REPORT_MEAN;
}

static void free_value(enum report_unit unit, struct report_value *v)
{
	if (report_is_text(unit))
		free(v->text);
}

static void free_table(struct report_table *t)
{
	for (size_t i = 0; i < t->nr_values; i++)
		free_value(t->columns[i % t->nr_columns].unit, &t->values[i]);
	free(t->values);
	free(t->title);
	free(t);
}

static void free_histogram(struct report_histogram *h)
{
	free(h->buckets);
	free(h->marks);
	free(h->title);
	free(h);
}

static void free_series(struct report_series *s)
{
	for (size_t i = 0; i < s->nr_points; i++)
		free(s->points[i].values);
	free(s->points);
	free(s->title);
	free(s);
}

static void free_trace(struct report_trace *t)
{
	for (size_t i = 0; i < t->nr_spans; i++) {
		free(t->spans[i].name);
		free(t->spans[i].detail);
	}
	free(t->spans);
	free(t->name);
	free(t->note);
	free(t);
}

static void free_waterfall(struct report_waterfall *w)
{
	for (size_t i = 0; i < w->nr_traces; i++)
		free_trace(w->traces[i]);
	for (size_t i = 0; i < w->nr_classes; i++)
		free(w->classes[i]);
	free(w->traces);
	free(w->classes);
	free(w->title);
	free(w);
}

static void free_part(const struct report_part *p)
{
	switch (p->kind) {
	case REPORT_TABLE:
		free_table(p->table);
		break;
	case REPORT_HISTOGRAM:
		free_histogram(p->histogram);
		break;
	case REPORT_SERIES:
		free_series(p->series);
		break;
	case REPORT_WATERFALL:
		free_waterfall(p->waterfall);
		break;
	}
}

static void free_section(struct report_section *s)
{
	for (size_t i = 0; i < s->nr_parts; i++)
		free_part(&s->parts[i]);
	for (size_t i = 0; i < s->nr_notes; i++)
		free(s->notes[i]);
	for (size_t i = 0; i < s->nr_facts; i++)
		free_value(s->facts[i].what.unit, &s->facts[i].value);
	free(s->parts);
	free(s->notes);
	free(s->facts);
	free(s->title);
	free(s);
}

void report_free(struct report *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->nr_sections; i++)
		free_section(r->sections[i]);
	free(r->sections);
	free(r);
}

int report_error(const struct report *r)
{
	for (size_t i = 0; i < r->nr_sections && !r->err; i++) {
		const struct report_section *s = r->sections[i];

		for (size_t j = 0; j < s->nr_parts; j++)
			if (s->parts[j].kind == REPORT_TABLE &&
			    s->parts[j].table->nr_values % s->parts[j].table->nr_columns)
				return -EINVAL; /* a row that is not whole */
	}
	return r->err;
}

/* ---------------------------------------------------------------- sections ---- */

struct report_section *report_section(struct report *r, const char *key, const char *title)
{
	struct report_section *s;

	for (size_t i = 0; i < r->nr_sections; i++)
		if (!strcmp(r->sections[i]->key, key))
			report_fail(r, -EINVAL);
	if (!report_grow(r, &r->sections, r->nr_sections, &r->cap_sections, sizeof(void *)))
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s) {
		report_fail(r, -ENOMEM);
		return NULL;
	}
	s->report = r;
	s->key = key;
	s->title = report_copy(r, title);
	r->sections[r->nr_sections++] = s;
	return s;
}

void report_note(struct report_section *s, const char *format, ...)
{
	va_list args;
	char *text;

	if (!s || !report_grow(s->report, &s->notes, s->nr_notes, &s->cap_notes, sizeof(void *)))
		return;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		report_fail(s->report, -ENOMEM);
	else
		s->notes[s->nr_notes++] = text;
	va_end(args);
}

/* The new fact without its value, or NULL. */
static struct report_value *add_fact(struct report_section *s, const char *key, const char *heading,
				     enum report_unit unit, bool fits)
{
	struct report_fact *f;

	if (!s)
		return NULL;
	for (size_t i = 0; i < s->nr_facts; i++)
		fits = fits && strcmp(s->facts[i].what.key, key) != 0;
	if (!fits)
		report_fail(s->report, -EINVAL);
	if (!report_grow(s->report, &s->facts, s->nr_facts, &s->cap_facts, sizeof(*s->facts)))
		return NULL;
	f = &s->facts[s->nr_facts++];
	*f = (struct report_fact){ .what = { key, heading, unit } };
	return &f->value;
}

void report_fact(struct report_section *s, const char *key, const char *heading,
		 enum report_unit unit, int64_t value)
{
	struct report_value *v =
		add_fact(s, key, heading, unit, !report_is_text(unit) && !report_is_real(unit));

	if (v)
		*v = (struct report_value){ .known = true, .number = value };
}

void report_fact_real(struct report_section *s, const char *key, const char *heading,
		      enum report_unit unit, double value)
{
	struct report_value *v = add_fact(s, key, heading, unit, report_is_real(unit));

	if (v)
		*v = (struct report_value){ .known = isfinite(value), .real = value };
}

void report_fact_text(struct report_section *s, const char *key, const char *heading,
		      const char *text)
{
	struct report_value *v = add_fact(s, key, heading, REPORT_TEXT, true);

	if (v)
		*v = (struct report_value){ .known = text, .text = report_copy(s->report, text) };
}

void *report_add_part(struct report_section *s, enum report_kind kind, size_t size)
{
	void *part;

	if (!s || !report_grow(s->report, &s->parts, s->nr_parts, &s->cap_parts, sizeof(*s->parts)))
		return NULL;
	part = calloc(1, size);
	if (!part) {
		report_fail(s->report, -ENOMEM);
		return NULL;
	}
	s->parts[s->nr_parts++] = (struct report_part){ .kind = kind, .table = part };
	return part;
}

/* ---------------------------------------------------------------- tables ---- */

struct report_table *report_table(struct report_section *s, const char *key, const char *title,
				  const struct report_column *columns, size_t nr)
{
	struct report_table *t = nr ? report_add_part(s, REPORT_TABLE, sizeof(*t)) : NULL;

	if (!t) {
		if (s)
			report_fail(s->report, -EINVAL);
		return NULL;
	}
	t->report = s->report;
	t->key = key;
	t->title = report_copy(s->report, title);
	t->columns = columns;
	t->nr_columns = nr;
	for (size_t i = 0; i + 1 < nr; i++)
		if (columns[i].unit == REPORT_STACK)
			report_fail(s->report, -EINVAL);
	return t;
}

/* The next value of the table if one of that kind is due, or NULL. */
static struct report_value *next_value(struct report_table *t, bool text, bool real, bool any)
{
	enum report_unit unit;

	if (!t)
		return NULL;
	unit = t->columns[t->nr_values % t->nr_columns].unit;
	if (!any && (report_is_text(unit) != text || report_is_real(unit) != real))
		report_fail(t->report, -EINVAL);
	if (!report_grow(t->report, &t->values, t->nr_values, &t->cap_values, sizeof(*t->values)))
		return NULL;
	t->values[t->nr_values] = (struct report_value){ 0 };
	return &t->values[t->nr_values++];
}

void report_add_text(struct report_table *t, const char *text)
{
	struct report_value *v = next_value(t, true, false, false);

	if (v)
		*v = (struct report_value){ .known = text, .text = report_copy(t->report, text) };
}

void report_add(struct report_table *t, int64_t value)
{
	struct report_value *v = next_value(t, false, false, false);

	if (v)
		*v = (struct report_value){ .known = true, .number = value };
}

void report_add_real(struct report_table *t, double value)
{
	struct report_value *v = next_value(t, false, true, false);

	if (v)
		*v = (struct report_value){ .known = isfinite(value), .real = value };
}

void report_add_none(struct report_table *t)
{
	next_value(t, false, false, true);
}

void report_add_latency(struct report_table *t, const struct hist *h)
{
	static const uint32_t percentiles[] = { HIST_P50, HIST_P90, HIST_P99, HIST_P999, 100000 };

	for (size_t i = 0; i < ARRAY_SIZE(percentiles); i++) {
		if (h->count)
			report_add(t, (int64_t)MIN(hist_percentile(h, percentiles[i]),
						   (uint64_t)INT64_MAX));
		else
			report_add_none(t);
	}
}

size_t report_rows(const struct report_table *t)
{
	return t->nr_columns ? t->nr_values / t->nr_columns : 0;
}

const struct report_value *report_cell(const struct report_table *t, size_t row, size_t column)
{
	return &t->values[row * t->nr_columns + column];
}

struct order {
	const struct report_table *table;
	size_t column;
};

static int compare_rows(const void *a, const void *b, void *ctx)
{
	const struct order *o = ctx;
	const size_t *i = a, *j = b;
	const struct report_value *x = report_cell(o->table, *i, o->column);
	const struct report_value *y = report_cell(o->table, *j, o->column);
	enum report_unit unit = o->table->columns[o->column].unit;
	int order = 0;

	if (x->known != y->known)
		return x->known ? -1 : 1;
	if (x->known && report_is_text(unit))
		order = strcmp(x->text, y->text);
	else if (x->known && report_is_real(unit))
		order = (x->real < y->real) - (x->real > y->real);
	else if (x->known)
		order = (x->number < y->number) - (x->number > y->number);
	return order ? order : (*i > *j) - (*i < *j);
}

void report_sort(struct report_table *t, const char *key)
{
	struct order order = { .table = t };
	struct report_value *sorted;
	size_t *rows, n;

	if (!t || t->report->err)
		return;
	while (order.column < t->nr_columns && strcmp(t->columns[order.column].key, key) != 0)
		order.column++;
	if (order.column >= t->nr_columns || t->nr_values % t->nr_columns) {
		report_fail(t->report, -EINVAL);
		return;
	}
	n = report_rows(t);
	rows = calloc(n + 1, sizeof(*rows));
	sorted = calloc(t->nr_values + 1, sizeof(*sorted));
	if (!rows || !sorted) {
		report_fail(t->report, -ENOMEM);
		goto cleanup;
	}
	for (size_t i = 0; i < n; i++)
		rows[i] = i;
	qsort_r(rows, n, sizeof(*rows), compare_rows, &order);
	for (size_t i = 0; i < n; i++)
		memcpy(&sorted[i * t->nr_columns], report_cell(t, rows[i], 0),
		       t->nr_columns * sizeof(*sorted));
	memcpy(t->values, sorted, t->nr_values * sizeof(*sorted));
cleanup:
	free(rows);
	free(sorted);
}
