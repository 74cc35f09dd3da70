/* SPDX-License-Identifier: MIT */
#include "report_value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "util.h"

/* Values whose greatest is within this factor of the least are written in one unit. */
#define ONE_UNIT 1000

/* As measure.h knows it. */
static const char *unit_name(enum report_unit unit)
{
	return unit == REPORT_NS ? "nanoseconds" : unit == REPORT_BYTES ? "bytes" : "count";
}

/* So many that a number has three digits, or more where it is whole. */
static int decimals_of(double number)
{
	number = fabs(number);
	return number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2;
}

static const char *put_number(const struct measure *m, int decimals, int64_t value, char *buf)
{
	double number = (double)value / m->size;

	if (!value)
		snprintf(buf, MEASURE_LEN, "0");
	else if (m->size == 1)
		snprintf(buf, MEASURE_LEN, "%" PRId64 "%.14s", value, m->unit);
	else
		snprintf(buf, MEASURE_LEN, "%.*f%.14s", number == floor(number) ? 0 : decimals,
			 number, m->unit);
	return buf;
}

struct report_format report_format_for(enum report_unit unit, int64_t least, int64_t most)
{
	struct report_format f = { 0 };

	if (unit == REPORT_COUNT || most / least >= ONE_UNIT)
		return f;
	/* The least is written as 0.1 or more. */
	f.measure = measure_for(least > most / 10 ? most : least * 10, unit_name(unit));
	f.decimals = decimals_of((double)least / f.measure.size);
	return f;
}

const char *report_number(enum report_unit unit, int64_t value, char *buf)
{
	struct measure m = measure_for(value, unit_name(unit));

	return put_number(&m, decimals_of((double)value / m.size), value, buf);
}

const char *report_unsigned(enum report_unit unit, uint64_t value, char *buf)
{
	return report_number(unit, (int64_t)MIN(value, (uint64_t)INT64_MAX), buf);
}

const char *report_value(enum report_unit unit, const struct report_value *v,
			 const struct report_format *f, char *buf)
{
	if (!v->known)
		snprintf(buf, MEASURE_LEN, "-");
	else if (unit == REPORT_PERCENT && v->real > 0 && v->real < 0.005)
		snprintf(buf, MEASURE_LEN, "<0.01%%");
	else if (unit == REPORT_PERCENT)
		snprintf(buf, MEASURE_LEN, fabs(v->real) < 1e6 ? "%.2f%%" : "%.4g%%", v->real);
	else if (unit == REPORT_RATE)
		snprintf(buf, MEASURE_LEN, fabs(v->real) < 1e12 ? "%.*f/s" : "%.*g/s",
			 fabs(v->real) < 10 ? 2 : 1, v->real);
	else if (unit == REPORT_MEAN)
		snprintf(buf, MEASURE_LEN, fabs(v->real) < 1e12 ? "%.*f" : "%.*g",
			 v->real == floor(v->real) ? 0 : 2, v->real);
	else if (f && f->measure.size > 0)
		put_number(&f->measure, f->decimals, v->number, buf);
	else
		report_number(unit, v->number, buf);
	return buf;
}

void report_bounds(enum report_unit unit, const struct report_bucket *b, char *low, char *high)
{
	report_unsigned(unit, b->low, low);
	if (b->high == UINT64_MAX)
		snprintf(high, MEASURE_LEN, "...");
	else if (b->high == b->low)
		high[0] = '\0';
	else
		report_unsigned(unit, b->high + 1, high);
}

double report_share(uint64_t part, uint64_t whole)
{
	return whole ? 100 * (double)part / (double)whole : 0;
}

static int by_start(const void *a, const void *b, void *ctx)
{
	const struct report_span *spans = ctx;
	const size_t *i = a, *j = b;
	const struct report_span *x = &spans[*i], *y = &spans[*j];

	if (x->start_ns != y->start_ns)
		return x->start_ns < y->start_ns ? -1 : 1;
	if (x->depth != y->depth)
		return x->depth < y->depth ? -1 : 1;
	return (*i > *j) - (*i < *j);
}

size_t *report_span_order(const struct report_trace *t)
{
	size_t *order = calloc(t->nr_spans + 1, sizeof(*order));

	if (!order)
		return NULL;
	for (size_t i = 0; i < t->nr_spans; i++)
		order[i] = i;
	if (t->nr_spans)
		qsort_r(order, t->nr_spans, sizeof(*order), by_start, t->spans);
	return order;
}
