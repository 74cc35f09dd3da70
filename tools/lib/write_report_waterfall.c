/* SPDX-License-Identifier: MIT */
/*
 * Waterfalls as pictures: the spans of a trace in lanes, a lane or more for each depth, all traces
 * on one scale of time so that they can be compared.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report_value.h"
#include "util.h"
#include "write_report_svg.h"

#define LANE	     18.0
#define MAX_LANES    24
#define MIN_DRAWN    0.3 /* pixels; shorter spans are counted */
#define SPAN_PADDING 4.0
#define NOT_DRAWN    SIZE_MAX

struct fall {
	struct chart_page *c;
	const struct report_trace *t;
	double scale; /* pixels a nanosecond */
	size_t *order;
	size_t *lane; /* of each span, or NOT_DRAWN */
	size_t nr_lanes, nr_short, nr_crowded;
};

/* The part of a span that lies within its trace. */
static uint64_t span_end(const struct report_trace *t, const struct report_span *span)
{
	uint64_t start = MIN(span->start_ns, t->total_ns);

	return start + MIN(span->duration_ns, t->total_ns - start);
}

static bool is_short(const struct fall *f, const struct report_span *span)
{
	uint64_t start = MIN(span->start_ns, f->t->total_ns);

	return (double)(span_end(f->t, span) - start) * f->scale < MIN_DRAWN;
}

static int compare_depths(const void *a, const void *b)
{
	const unsigned int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The depths that occur, ascending, each once. Returns their number; *ret is freed by the caller. */
static ssize_t list_depths(const struct report_trace *t, unsigned int **ret)
{
	unsigned int *depths = calloc(t->nr_spans + 1, sizeof(*depths));
	size_t n = 0;

	if (!depths)
		return -ENOMEM;
	for (size_t i = 0; i < t->nr_spans; i++)
		depths[i] = t->spans[i].depth;
	if (t->nr_spans)
		qsort(depths, t->nr_spans, sizeof(*depths), compare_depths);
	for (size_t i = 0; i < t->nr_spans; i++)
		if (!n || depths[i] != depths[n - 1])
			depths[n++] = depths[i];
	*ret = depths;
	return (ssize_t)n;
}

/* Each span of a depth into the first of its lanes that is free by then. */
static void place_depth(struct fall *f, unsigned int depth)
{
	uint64_t ends[MAX_LANES] = { 0 };
	size_t base = f->nr_lanes;

	for (size_t i = 0; i < f->t->nr_spans; i++) {
		const struct report_span *span = &f->t->spans[f->order[i]];
		uint64_t start = MIN(span->start_ns, f->t->total_ns);
		size_t lane = base;

		if (span->depth != depth || is_short(f, span))
			continue;
		while (lane < MAX_LANES && lane < f->nr_lanes && ends[lane] > start)
			lane++;
		if (lane >= MAX_LANES)
			continue;
		ends[lane] = span_end(f->t, span);
		f->lane[f->order[i]] = lane;
		f->nr_lanes = MAX(f->nr_lanes, lane + 1);
	}
}

/* Returns 0 or -ENOMEM. */
static int place_spans(struct fall *f)
{
	unsigned int *depths = NULL;
	ssize_t nr;

	f->order = report_span_order(f->t);
	f->lane = calloc(f->t->nr_spans + 1, sizeof(*f->lane));
	nr = f->order && f->lane ? list_depths(f->t, &depths) : -ENOMEM;
	if (nr < 0)
		return (int)nr;
	for (size_t i = 0; i < f->t->nr_spans; i++)
		f->lane[i] = NOT_DRAWN;
	for (ssize_t i = 0; i < nr; i++)
		place_depth(f, depths[i]);
	free(depths);
	for (size_t i = 0; i < f->t->nr_spans; i++) {
		const struct report_span *span = &f->t->spans[i];

		if (f->lane[i] != NOT_DRAWN)
			continue;
		f->nr_short += is_short(f, span);
		f->nr_crowded += !is_short(f, span);
	}
	return 0;
}

static size_t color_of(const struct report_waterfall *w, size_t class)
{
	return class + 1 == w->unknown ? CHART_HOLLOW : class % CHART_NR_COLORS;
}

static void put_span(struct fall *f, const struct report_span *span, double y)
{
	const char *class = f->t->waterfall->classes[span->class];
	const char *name = span->name ? span->name : class;
	uint64_t start = MIN(span->start_ns, f->t->total_ns);
	double x = CHART_LEFT + (double)start * f->scale;
	double width = (double)(span_end(f->t, span) - start) * f->scale;
	double columns = (width - 2 * SPAN_PADDING) / CHART_COLUMN;
	struct strbuf *b = &f->c->out;
	char time[MEASURE_LEN];

	strbuf_puts(b, "<g><title>");
	svg_put_escaped(b, name);
	strbuf_puts(b, "\n");
	svg_put_escaped(b, class);
	strbuf_printf(b, ", %s", report_unsigned(REPORT_NS, span->duration_ns, time));
	strbuf_printf(b, ", from %s on", report_unsigned(REPORT_NS, span->start_ns, time));
	for (const char *line = span->detail; line && *line;) {
		const char *end = strchrnul(line, '\n');
		struct strbuf text = { 0 };

		strbuf_add(&text, line, (size_t)(end - line));
		strbuf_puts(b, "\n  ");
		svg_put_clipped(b, strbuf_str(&text), SVG_FACT_COLUMNS);
		strbuf_release(&text);
		line = *end ? end + 1 : end;
	}
	strbuf_printf(b,
		      "</title><rect class=\"c%zu\" x=\"%.1f\" y=\"%.1f\" width=\"%.2f\" "
		      "height=\"%g\"%s/>",
		      color_of(f->t->waterfall, span->class), x, y, width > 2 ? width - 0.5 : width,
		      LANE - 1, width > 4 ? " rx=\"1.5\"" : "");
	if (columns >= 3) {
		strbuf_printf(b, "<text x=\"%.1f\" y=\"%.1f\">", x + SPAN_PADDING, y + 12.5);
		svg_put_clipped(b, name, (size_t)columns);
		strbuf_puts(b, "</text>");
	}
	strbuf_puts(b, "</g>\n");
}

static void put_trace_head(struct chart_page *c, size_t rank, const struct report_trace *t)
{
	struct strbuf line = { 0 };
	char total[MEASURE_LEN], start[MEASURE_LEN];

	strbuf_printf(&line, "%zu. %s  ", rank, report_unsigned(REPORT_NS, t->total_ns, total));
	strbuf_puts_middle(&line, t->name, SVG_FACT_COLUMNS / 2);
	strbuf_printf(&line, "  at %s", report_unsigned(REPORT_NS, t->start_ns, start));
	if (t->note && *t->note)
		strbuf_printf(&line, "  %s", t->note);
	c->y += 8;
	chart_put_line(c, "s", strbuf_str(&line));
	if (strbuf_error(&line))
		c->out.failed = true;
	strbuf_release(&line);
}

static int put_trace(struct chart_page *c, size_t rank, const struct report_trace *t, double scale)
{
	struct fall f = { .c = c, .t = t, .scale = scale };
	int err = place_spans(&f);
	char note[160];

	if (err)
		goto cleanup;
	put_trace_head(c, rank, t);
	c->y += 6;
	for (size_t i = 0; i < t->nr_spans; i++)
		if (f.lane[f.order[i]] != NOT_DRAWN)
			put_span(&f, &t->spans[f.order[i]],
				 c->y + (double)f.lane[f.order[i]] * LANE);
	c->y += (double)f.nr_lanes * LANE;
	if (f.nr_short) {
		snprintf(note, sizeof(note), "%zu spans are too short to be seen", f.nr_short);
		chart_put_line(c, "a", note);
	}
	if (f.nr_crowded) {
		snprintf(note, sizeof(note), "%zu spans are not drawn: too many at one time",
			 f.nr_crowded);
		chart_put_line(c, "a", note);
	}
cleanup:
	free(f.order);
	free(f.lane);
	return err;
}

/* Times above the traces, with lines down through all of them. */
static void put_times(struct chart_page *c, double longest, double scale, double bottom)
{
	double step = chart_step(REPORT_NS, longest, 10);
	char text[MEASURE_LEN];

	for (int i = 0; i * step <= longest; i++) {
		double at = i * step, x = CHART_LEFT + at * scale;

		strbuf_printf(&c->out,
			      "<line class=\"g\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>"
			      "<text class=\"a n\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
			      x, c->y + 4, x, bottom, x, c->y,
			      report_unsigned(REPORT_NS, (uint64_t)MIN(at, 9e18), text));
	}
}

int chart_waterfall(struct chart_page *c, const struct report_waterfall *w)
{
	struct chart_page traces = { 0 };
	double longest = 1, scale, x = CHART_LEFT;
	int err = 0;

	if (w->title) {
		c->y += 6;
		chart_put_line(c, "s", w->title);
	}
	if (!w->nr_traces) {
		chart_put_line(c, "s q", "none");
		return 0;
	}
	for (size_t i = 0; i < w->nr_traces; i++)
		longest = MAX(longest, (double)w->traces[i]->total_ns);
	scale = (CHART_RIGHT - CHART_LEFT - 20) / longest;
	c->y += SVG_LINE_HEIGHT + 3;
	for (size_t i = 0; i < w->nr_classes; i++)
		chart_put_legend(c, color_of(w, i), w->classes[i], &x);
	c->y += SVG_LINE_HEIGHT + 3;
	/* The lines of the grid lie behind the traces, whose height is known afterwards. */
	traces.y = c->y;
	for (size_t i = 0; i < w->nr_traces && !err; i++)
		err = put_trace(&traces, i + 1, w->traces[i], scale);
	put_times(c, longest, scale, traces.y);
	strbuf_add(&c->out, strbuf_str(&traces.out), traces.out.len);
	if (strbuf_error(&traces.out))
		c->out.failed = true;
	strbuf_release(&traces.out);
	c->y = traces.y + 6;
	return err;
}
