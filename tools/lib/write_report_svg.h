/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_REPORT_SVG_H
#define PERISCOPE_WRITE_REPORT_SVG_H

/* The parts of a report's picture; see write_report.h for the whole. */

#include "report.h"
#include "strbuf.h"
#include "svg_page.h"

/* Of charts, in pixels. */
#define CHART_LEFT   78.0 /* where the plot begins, right of the axis' labels */
#define CHART_RIGHT  (SVG_WIDTH - SVG_MARGIN)
#define CHART_HEIGHT 160.0
/* A column of 11px text, on the wide side. */
#define CHART_COLUMN 6.7

/* Classes of colours: .c0 to .c7 to fill, .l0 to .l7 to draw lines; also .a text at axes, .g grid. */
#define CHART_NR_COLORS 8
#define CHART_HOLLOW	CHART_NR_COLORS /* what is not known */

/* A picture in the making: what comes next goes below y. */
struct chart_page {
	struct strbuf out;
	double y;
};

/*
 * Steps for an axis from 0 to `most`, about n of them, at round numbers of the unit. At least 1.
 * The greatest label is the last one that is not beyond most.
 */
double chart_step(enum report_unit unit, double most, int n);

/* Horizontal lines with their labels, from the bottom of a plot to its top; `most` is at the top. */
void chart_put_grid(struct chart_page *c, enum report_unit unit, double most, double top);

/* A line of text of a style ("s", "s q") below what is there. */
void chart_put_line(struct chart_page *c, const char *class, const char *text);
/* A patch of a colour, below CHART_NR_COLORS or CHART_HOLLOW, and what it means; x advances, at the end of the line to the next one. */
void chart_put_legend(struct chart_page *c, size_t color, const char *text, double *x);

void chart_histogram(struct chart_page *c, const struct report_histogram *h);
void chart_series(struct chart_page *c, const struct report_series *s);
/* Returns 0 or -ENOMEM. */
int chart_waterfall(struct chart_page *c, const struct report_waterfall *w);

#endif
