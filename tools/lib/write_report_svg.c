/* SPDX-License-Identifier: MIT */
#include "write_report_svg.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "report_value.h"
#include "sink.h"
#include "util.h"
#include "write_report.h"

#define DEFAULT_TITLE "Report"

/*
 * Hues after Okabe and Ito's palette ("Color Universal Design", 2008), as in flame graphs: light
 * enough to carry dark text in both themes.
 */
static const struct {
	const char *light, *dark;
} colors[CHART_NR_COLORS] = {
	{ "#4db795", "#2f9673" }, { "#f3a83b", "#d08a25" }, { "#d793b9", "#b8739b" },
	{ "#7cc4f0", "#5a9fc8" }, { "#f4ea7a", "#cfc552" }, { "#e98d6b", "#c76f50" },
	{ "#8ea6ec", "#7189d0" }, { "#d3d6db", "#a9aeb7" },
};

static void put_style(struct strbuf *b)
{
	strbuf_puts(b, "<style>\n");
	svg_put_style(b);
	strbuf_puts(
		b,
		".a{font:11px system-ui,\"Segoe UI\",Helvetica,Arial,sans-serif;"
		"fill:#5b626d;paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}"
		".e{text-anchor:end}.n{text-anchor:middle}\n"
		".k{font:600 14px system-ui,\"Segoe UI\",Helvetica,Arial,sans-serif;"
		"fill:#14161a}\n"
		".g{stroke:#e2e5ea}.x{stroke:#8b929d}.v{stroke:#14161a;stroke-dasharray:3 3}\n");
	for (size_t i = 0; i < CHART_NR_COLORS; i++)
		strbuf_printf(b, ".c%zu{fill:%s}.l%zu{stroke:%s;fill:none;stroke-width:2}", i,
			      colors[i].light, i, colors[i].light);
	strbuf_printf(b,
		      "\n.c%d{fill:#8b929d;fill-opacity:.12;stroke:#8b929d;stroke-dasharray:3 2}",
		      CHART_HOLLOW);
	strbuf_puts(
		b,
		"\n@media (prefers-color-scheme:dark){\n.a{fill:#9aa1ac;stroke:#16181d}.k{fill:#e8eaee}"
		".g{stroke:#2b2f37}.x{stroke:#6a717c}.v{stroke:#e8eaee}\n");
	for (size_t i = 0; i < CHART_NR_COLORS; i++)
		strbuf_printf(b, ".c%zu{fill:%s}.l%zu{stroke:%s}", i, colors[i].dark, i,
			      colors[i].dark);
	strbuf_puts(b, "}\n</style>\n");
}

double chart_step(enum report_unit unit, double most, int n)
{
	static const double decimal[] = { 1, 2, 5, 10 }, binary[] = { 1, 2, 4, 8, 16 };
	double step = most / n, base;

	if (step <= 1)
		return 1;
	base = unit == REPORT_BYTES ? exp2(4 * floor(log2(step) / 4)) : pow(10, floor(log10(step)));
	for (size_t i = 0; i < ARRAY_SIZE(binary); i++) {
		double next =
			base * (unit == REPORT_BYTES ? binary[i] : decimal[MIN(i, (size_t)3)]);

		if (next >= step)
			return next;
	}
	return base * 16;
}

void chart_put_grid(struct chart_page *c, enum report_unit unit, double most, double top)
{
	double step = chart_step(unit, most, 4), bottom = top + CHART_HEIGHT;
	char label[MEASURE_LEN];

	for (int i = 0; i * step <= most; i++) {
		double value = i * step, y = bottom - value / most * CHART_HEIGHT;

		strbuf_printf(&c->out,
			      "<line class=\"%s\" x1=\"%g\" y1=\"%.1f\" x2=\"%g\" y2=\"%.1f\"/>"
			      "<text class=\"a e\" x=\"%g\" y=\"%.1f\">%s</text>\n",
			      value > 0 ? "g" : "x", CHART_LEFT, y, CHART_RIGHT, y, CHART_LEFT - 6,
			      y + 4, report_unsigned(unit, (uint64_t)MIN(value, 9e18), label));
	}
}

void chart_put_line(struct chart_page *c, const char *class, const char *text)
{
	c->y += SVG_LINE_HEIGHT;
	strbuf_printf(&c->out, "<text class=\"%s\" x=\"%g\" y=\"%.1f\">", class, SVG_MARGIN, c->y);
	svg_put_clipped(&c->out, text, SVG_FACT_COLUMNS);
	strbuf_puts(&c->out, "</text>\n");
}

void chart_put_legend(struct chart_page *c, size_t color, const char *text, double *x)
{
	size_t columns = MIN(utf8_columns(text), (size_t)60);
	double width = 17 + 7.0 * (double)columns + 14;

	if (*x + width > CHART_RIGHT && *x > CHART_LEFT) {
		*x = CHART_LEFT;
		c->y += SVG_LINE_HEIGHT;
	}
	strbuf_printf(&c->out,
		      "<rect class=\"c%zu\" x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\" "
		      "rx=\"2\"/><text class=\"s\" x=\"%.1f\" y=\"%.1f\">",
		      color, *x, c->y - 10, *x + 17, c->y);
	svg_put_clipped(&c->out, text, columns);
	strbuf_puts(&c->out, "</text>\n");
	*x += width;
}

/* Words broken into lines that fit. */
static void put_paragraph(struct chart_page *c, const char *text)
{
	struct strbuf line = { 0 };

	while (*text) {
		size_t len = strcspn(text, " ");

		if (line.len && line.len + 1 + len > SVG_FACT_COLUMNS) {
			chart_put_line(c, "s q", strbuf_str(&line));
			strbuf_reset(&line);
		}
		if (line.len)
			strbuf_putc(&line, ' ');
		strbuf_add(&line, text, len);
		text += len + strspn(text + len, " ");
	}
	if (line.len)
		chart_put_line(c, "s q", strbuf_str(&line));
	if (strbuf_error(&line))
		c->out.failed = true;
	strbuf_release(&line);
}

/* A section's figures, side by side. */
static void put_facts(struct chart_page *c, const struct report_section *s)
{
	struct strbuf line = { 0 };
	char buf[MEASURE_LEN];

	for (size_t i = 0; i < s->nr_facts; i++) {
		const struct report_fact *f = &s->facts[i];
		const char *text;

		if (report_is_text(f->what.unit))
			text = f->value.known ? f->value.text : "-";
		else
			text = report_value(f->what.unit, &f->value, NULL, buf);
		strbuf_printf(&line, "%s%s %s", i ? "   " : "", f->what.heading, text);
	}
	if (line.len)
		chart_put_line(c, "s", strbuf_str(&line));
	if (strbuf_error(&line))
		c->out.failed = true;
	strbuf_release(&line);
}

static int put_part(struct chart_page *c, const struct report_part *p)
{
	switch (p->kind) {
	case REPORT_TABLE:
		return 0;
	case REPORT_HISTOGRAM:
		chart_histogram(c, p->histogram);
		return 0;
	case REPORT_SERIES:
		chart_series(c, p->series);
		return 0;
	case REPORT_WATERFALL:
		return chart_waterfall(c, p->waterfall);
	}
	return -EINVAL;
}

/* Sections of tables alone are left out. */
static int put_section(struct chart_page *c, const struct report_section *s)
{
	bool any = false;
	int err = 0;

	for (size_t i = 0; i < s->nr_parts; i++)
		any = any || s->parts[i].kind != REPORT_TABLE;
	if (!any)
		return 0;
	c->y += SVG_LINE_HEIGHT;
	chart_put_line(c, "k", s->title);
	for (size_t i = 0; i < s->nr_notes; i++)
		put_paragraph(c, s->notes[i]);
	put_facts(c, s);
	for (size_t i = 0; i < s->nr_parts && !err; i++)
		err = put_part(c, &s->parts[i]);
	return err;
}

static int put_sections(struct chart_page *c, const struct report *r)
{
	size_t before = c->out.len;
	int err = 0;

	for (size_t i = 0; i < r->nr_sections && !err; i++)
		err = put_section(c, r->sections[i]);
	if (c->out.len == before)
		chart_put_line(c, "s q", "Nothing to draw: this report has tables only.");
	return err;
}

int write_report_svg(const struct report *r, const struct write_options *o, struct sink *out)
{
	const char *title = o->title ? o->title : DEFAULT_TITLE;
	struct chart_page c = { .y = 0 };
	struct strbuf head = { 0 };
	int err = report_error(r);

	if (err)
		return err;
	/* The head tells the height, which is known in the end. */
	c.y = svg_put_facts(&c.out, o);
	err = put_sections(&c, r);
	svg_put_head(&head, title, (int)c.y + 24);
	put_style(&head);
	svg_put_title(&head, title);
	strbuf_puts(&c.out, "</svg>\n");
	if (!err)
		err = sink_flush(out, &head, 0);
	if (!err)
		err = sink_flush(out, &c.out, 0);
	strbuf_release(&head);
	strbuf_release(&c.out);
	return err;
}
