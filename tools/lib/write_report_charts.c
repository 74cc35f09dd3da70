/* SPDX-License-Identifier: MIT */
/* Histograms and values over time as pictures. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report_value.h"
#include "util.h"
#include "write_report_svg.h"

#define MAX_BAR	    64.0 /* pixels */
#define BAR_GAP	    1.5
#define LABEL_ROOM  58.0 /* for a bound below the axis */
#define MARK_HEIGHT 15.0
#define MARK_ROOM   96.0 /* for "p99.9 123ms" */
#define MARK_ROWS   6
#define COLOR_COUNT 3
#define COLOR_SUM   1

/* ---------------------------------------------------------------- histograms ---- */

/* A slot is a bucket, or where buckets are missing. */
struct plot {
	const struct report_histogram *h;
	size_t first, end; /* buckets that are shown */
	size_t slots;
	uint64_t sum;
	double width; /* of a slot */
};

static bool is_gap(const struct plot *p, size_t bucket)
{
	return bucket > p->first && p->h->buckets[bucket].low != p->h->buckets[bucket - 1].high + 1;
}

static void lay_out(struct plot *p)
{
	const struct report_histogram *h = p->h;

	p->first = h->nr_buckets;
	for (size_t i = 0; i < h->nr_buckets; i++) {
		if (!h->buckets[i].count && !h->buckets[i].second)
			continue;
		p->first = MIN(p->first, i);
		p->end = i + 1;
		p->sum += h->buckets[i].count;
	}
	for (size_t i = p->first; i < p->end; i++)
		p->slots += is_gap(p, i) ? 2 : 1;
	if (p->slots)
		p->width = MIN((CHART_RIGHT - CHART_LEFT) / (double)p->slots, MAX_BAR);
}

/* Where a bucket's bar begins. */
static double bucket_x(const struct plot *p, size_t bucket)
{
	double x = CHART_LEFT;

	for (size_t i = p->first; i <= bucket; i++)
		x += (is_gap(p, i) ? p->width : 0) + (i < bucket ? p->width : 0);
	return x;
}

/* Where a value lies, between its bucket's bounds by their logarithm. */
static double value_x(const struct plot *p, uint64_t value)
{
	for (size_t i = p->first; i < p->end; i++) {
		const struct report_bucket *b = &p->h->buckets[i];
		double low = log2((double)b->low + 1), high;

		if (value > b->high)
			continue;
		high = log2((double)(b->high == UINT64_MAX ? MAX(value, b->low) : b->high) + 2);
		return bucket_x(p, i) +
		       p->width * (log2((double)MAX(value, b->low) + 1) - low) / (high - low);
	}
	return p->end ? bucket_x(p, p->end - 1) + p->width : CHART_LEFT;
}

static void put_bar(struct chart_page *c, const struct plot *p, size_t bucket, bool second,
		    double most, double bottom)
{
	const struct report_bucket *b = &p->h->buckets[bucket];
	uint64_t value = second ? b->second : b->count;
	double height = most > 0 ? (double)value / most * CHART_HEIGHT : 0, x = bucket_x(p, bucket);
	char low[MEASURE_LEN], high[MEASURE_LEN], text[MEASURE_LEN];
	struct report_value share = { .known = true, .real = report_share(b->count, p->sum) };

	if (!value)
		return;
	height = MAX(height, 1.0); /* what is more than nothing is seen */
	report_bounds(p->h->unit, b, low, high);
	if (*high)
		strbuf_printf(&c->out, "<g><title>[%s, %s): ", low, high);
	else
		strbuf_printf(&c->out, "<g><title>%s: ", low);
	strbuf_printf(&c->out, "%" PRIu64 " ", b->count);
	svg_put_escaped(&c->out, p->h->what);
	strbuf_puts(&c->out, ", ");
	svg_put_escaped(&c->out, report_value(REPORT_PERCENT, &share, NULL, text));
	if (p->h->second.key)
		strbuf_printf(&c->out, ", %s", report_unsigned(p->h->second.unit, b->second, text));
	strbuf_printf(&c->out,
		      "</title><rect class=\"c%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.2f\" "
		      "height=\"%.1f\"/>",
		      second ? COLOR_SUM : COLOR_COUNT, x, bottom - height,
		      MAX(p->width - BAR_GAP, 1.0), height);
	strbuf_puts(&c->out, "</g>\n");
}

/* Its value above a bar, if there is room. */
static void put_value(struct chart_page *c, const struct plot *p, size_t bucket, bool second,
		      double most, double bottom)
{
	const struct report_bucket *b = &p->h->buckets[bucket];
	uint64_t value = second ? b->second : b->count;
	char text[MEASURE_LEN];

	report_unsigned(second ? p->h->second.unit : REPORT_COUNT, value, text);
	if (value && (double)strlen(text) * CHART_COLUMN <= p->width)
		strbuf_printf(&c->out, "<text class=\"a n\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
			      bucket_x(p, bucket) + (p->width - BAR_GAP) / 2,
			      bottom - (double)value / most * CHART_HEIGHT - 4, text);
}

/* Bounds below the axis, as many as there is room for. */
static void put_bounds(struct chart_page *c, const struct plot *p, double y)
{
	double next = 0, x;
	char low[MEASURE_LEN], high[MEASURE_LEN] = "";

	for (size_t i = p->first; i < p->end; i++) {
		x = bucket_x(p, i);
		report_bounds(p->h->unit, &p->h->buckets[i], low, high);
		if (is_gap(p, i))
			strbuf_printf(&c->out,
				      "<text class=\"a n\" x=\"%.1f\" y=\"%.1f\">...</text>\n",
				      x - p->width / 2, y - 20);
		if (x < next)
			continue;
		strbuf_printf(&c->out, "<text class=\"a n\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", x,
			      y, low);
		next = x + LABEL_ROOM;
	}
	x = bucket_x(p, p->end - 1) + p->width;
	if (*high && x >= next)
		strbuf_printf(&c->out, "<text class=\"a n\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", x,
			      y, high);
}

/* A row for each mark's label such that none covers another. Returns how many rows. */
static size_t place_marks(const struct plot *p, size_t *rows)
{
	double ends[MARK_ROWS] = { 0 };
	size_t used = 0;

	for (size_t i = 0; i < p->h->nr_marks; i++) {
		double x = value_x(p, p->h->marks[i].value);
		size_t row = 0;

		while (row + 1 < MARK_ROWS && ends[row] > x)
			row++;
		ends[row] = x + MARK_ROOM;
		rows[i] = row;
		used = MAX(used, row + 1);
	}
	return used;
}

/* Lines from the labels, which are above the plot, down to the axis. */
static void put_marks(struct chart_page *c, const struct plot *p, const size_t *rows, double top,
		      double bottom)
{
	char text[MEASURE_LEN];

	for (size_t i = 0; i < p->h->nr_marks; i++) {
		const struct report_mark *m = &p->h->marks[i];
		double x = value_x(p, m->value), y = top + (double)rows[i] * MARK_HEIGHT;
		bool right = x + MARK_ROOM < CHART_RIGHT;

		strbuf_printf(&c->out,
			      "<line class=\"v\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>"
			      "<text class=\"a%s\" x=\"%.1f\" y=\"%.1f\">%s %s</text>\n",
			      x, y + 3, x, bottom, right ? "" : " e", x + (right ? 4 : -4), y + 12,
			      m->name, report_unsigned(p->h->unit, m->value, text));
	}
}

/* Bars, then the lines of marks over them, then what is to be read. `rows` NULL: no marks. */
static void put_plot(struct chart_page *c, const struct plot *p, bool second, const size_t *rows,
		     double marks_top)
{
	double most = 0, top = c->y + 20, bottom = top + CHART_HEIGHT;

	for (size_t i = p->first; i < p->end; i++)
		most = MAX(most,
			   (double)(second ? p->h->buckets[i].second : p->h->buckets[i].count));
	if (most <= 0)
		return;
	chart_put_grid(c, second ? p->h->second.unit : REPORT_COUNT, most, top);
	for (size_t i = p->first; i < p->end; i++)
		put_bar(c, p, i, second, most, bottom);
	if (rows)
		put_marks(c, p, rows, marks_top, bottom);
	for (size_t i = p->first; i < p->end; i++)
		put_value(c, p, i, second, most, bottom);
	put_bounds(c, p, bottom + 15);
	c->y = bottom + 18;
}

void chart_histogram(struct chart_page *c, const struct report_histogram *h)
{
	struct plot p = { .h = h };
	size_t *rows = calloc(h->nr_marks + 1, sizeof(*rows));
	double top, x = CHART_LEFT;

	if (!rows) {
		c->out.failed = true;
		return;
	}
	lay_out(&p);
	if (h->title) {
		c->y += 6;
		chart_put_line(c, "s", h->title);
	}
	c->y += SVG_LINE_HEIGHT + 3;
	chart_put_legend(c, COLOR_COUNT, h->what, &x);
	top = c->y + 4;
	if (p.slots)
		c->y += MARK_HEIGHT * (double)place_marks(&p, rows);
	put_plot(c, &p, false, rows, top);
	if (h->second.key) {
		x = CHART_LEFT;
		c->y += SVG_LINE_HEIGHT + 3;
		chart_put_legend(c, COLOR_SUM, h->second.heading, &x);
		put_plot(c, &p, true, NULL, 0);
	}
	if (!p.slots)
		chart_put_line(c, "s q", "none");
	free(rows);
}

/* ---------------------------------------------------------------- over time ---- */

static void put_times(struct chart_page *c, const struct report_series *s, double y)
{
	double first = (double)s->points[0].ns;
	double length = (double)s->points[s->nr_points - 1].ns - first, step;
	char text[MEASURE_LEN];

	if (length <= 0)
		return;
	step = chart_step(REPORT_NS, length, 12);
	for (int i = 0; i * step <= length; i++)
		strbuf_printf(&c->out, "<text class=\"a n\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
			      CHART_LEFT + i * step / length * (CHART_RIGHT - CHART_LEFT - 20), y,
			      report_unsigned(REPORT_NS, (uint64_t)(first + i * step), text));
}

static void put_polyline(struct chart_page *c, const struct report_series *s, size_t line,
			 double most, double bottom)
{
	double first = (double)s->points[0].ns;
	double length = MAX((double)s->points[s->nr_points - 1].ns - first, 1.0);

	strbuf_printf(&c->out, "<polyline class=\"l%zu\" points=\"", line % CHART_NR_COLORS);
	for (size_t i = 0; i < s->nr_points; i++)
		strbuf_printf(&c->out, "%s%.1f,%.1f", i ? " " : "",
			      CHART_LEFT + ((double)s->points[i].ns - first) / length *
						   (CHART_RIGHT - CHART_LEFT - 20),
			      bottom - MAX((double)s->points[i].values[line], 0.0) / most *
					       CHART_HEIGHT);
	strbuf_puts(&c->out, "\"/>\n");
}

void chart_series(struct chart_page *c, const struct report_series *s)
{
	double most = 1, top, x = CHART_LEFT;

	c->y += 6;
	if (s->title)
		chart_put_line(c, "s", s->title);
	if (!s->nr_points) {
		chart_put_line(c, "s q", "none");
		return;
	}
	for (size_t i = 0; i < s->nr_points; i++)
		for (size_t k = 0; k < s->nr_lines; k++)
			most = MAX(most, (double)s->points[i].values[k]);
	c->y += SVG_LINE_HEIGHT + 3;
	for (size_t k = 0; k < s->nr_lines; k++)
		chart_put_legend(c, k % CHART_NR_COLORS, s->lines[k].heading, &x);
	top = c->y + 14;
	chart_put_grid(c, s->lines[0].unit, most, top);
	for (size_t k = 0; k < s->nr_lines; k++)
		put_polyline(c, s, k, most, top + CHART_HEIGHT);
	put_times(c, s, top + CHART_HEIGHT + 15);
	c->y = top + CHART_HEIGHT + 18;
}
