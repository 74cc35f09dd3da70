/* SPDX-License-Identifier: MIT */
/* Histograms, series and waterfalls of text reports: bars of block elements or of ASCII. */
#include "write_report_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report_value.h"
#include "util.h"

#define MAX_BAR	     80 /* columns; longer ones are no easier to compare */
#define MIN_BAR	     4
#define MIN_GAP	     3 /* so many empty buckets side by side are one line */
#define MAX_SPANS    30
#define DETAIL_LINES 8
#define NR_LEVELS    8

/* Block elements (Unicode 15, 2580-259F): U+2588 is full, U+258F an eighth from the left. */
#define FULL_BLOCK   0x2588
#define EIGHTH_BLOCK 0x258f
#define LIGHT_SHADE  0x2591 /* what is not known */
#define LOW_BLOCK    0x2581 /* an eighth from below; U+2588 is the highest of them, too */

/*
 * A bar of up to `columns`, padded to them. What is more than nothing is seen.
 */
static void put_bar(struct text_page *p, size_t columns, double part, double whole)
{
	double length = whole > 0 ? part / whole * (double)columns : 0;
	size_t full = MIN((size_t)length, columns), used = full;
	unsigned int eighths = (unsigned int)((length - (double)full) * 8);

	if (p->o->unicode) {
		for (size_t i = 0; i < full; i++)
			strbuf_put_utf8(&p->out, FULL_BLOCK);
		if (!full && !eighths && part > 0)
			eighths = 1;
		if (eighths && full < columns) {
			strbuf_put_utf8(&p->out, EIGHTH_BLOCK + 1 - eighths);
			used++;
		}
	} else {
		strbuf_fill(&p->out, '#', full);
		if (full < columns && (eighths >= 4 || (!full && part > 0))) {
			strbuf_putc(&p->out, eighths >= 4 ? '#' : '.');
			used++;
		}
	}
	strbuf_fill(&p->out, ' ', columns - used);
}

/* ---------------------------------------------------------------- histograms ---- */

/* How a histogram is set on the page. */
struct columns {
	const struct report_histogram *h;
	size_t first,
		end; /* buckets that are shown: from the first to the last that holds something */
	uint64_t sum, most, most_second;
	int low, high, count, second; /* columns of text */
	size_t bar;
};

static const char *second_text(const struct report_histogram *h, uint64_t value, char *buf)
{
	return report_unsigned(h->second.unit, value, buf);
}

static void measure_columns(struct columns *c, size_t page_width)
{
	const struct report_histogram *h = c->h;
	char low[MEASURE_LEN], high[MEASURE_LEN];
	size_t text, bars = h->second.key ? 2 : 1;

	c->first = h->nr_buckets;
	for (size_t i = 0; i < h->nr_buckets; i++) {
		const struct report_bucket *b = &h->buckets[i];

		if (!b->count && !b->second)
			continue;
		c->first = MIN(c->first, i);
		c->end = i + 1;
		c->sum += b->count;
		c->most = MAX(c->most, b->count);
		c->most_second = MAX(c->most_second, b->second);
	}
	c->count = (int)strlen(h->what);
	c->second = h->second.key ? (int)strlen(h->second.heading) : 0;
	for (size_t i = c->first; i < c->end; i++) {
		const struct report_bucket *b = &h->buckets[i];

		report_bounds(h->unit, b, low, high);
		c->low = MAX(c->low, (int)strlen(low));
		c->high = MAX(c->high, (int)strlen(high));
		c->count = MAX(c->count, snprintf(low, sizeof(low), "%" PRIu64, b->count));
		if (h->second.key)
			c->second = MAX(c->second, (int)strlen(second_text(h, b->second, low)));
	}
	/* "[low, high)  count  12.34%  bar" and perhaps "  second  bar" */
	text = (size_t)c->low + (size_t)c->high + 4 + 2 + (size_t)c->count + 2 + 7 + 2;
	if (h->second.key)
		text += (size_t)c->second + 4;
	c->bar = page_width > text ? MIN((page_width - text) / bars, (size_t)MAX_BAR) : 0;
	if (c->bar < MIN_BAR)
		c->bar = MIN_BAR;
}

static void put_marks(struct text_page *p, const struct report_histogram *h, uint64_t sum)
{
	char count[MEASURE_LEN], buf[MEASURE_LEN];
	size_t used;

	snprintf(count, sizeof(count), "%" PRIu64, sum);
	strbuf_printf(&p->out, "%s %s ", count, h->what);
	used = strlen(count) + strlen(h->what) + 2;
	for (size_t i = 0; i < h->nr_marks; i++) {
		const struct report_mark *m = &h->marks[i];
		size_t len = strlen(m->name) + strlen(report_unsigned(h->unit, m->value, buf)) + 3;

		if (used + len > p->width) {
			strbuf_putc(&p->out, '\n');
			used = 0;
		}
		strbuf_puts(&p->out, "  ");
		text_style(p, TEXT_DIM);
		strbuf_puts(&p->out, m->name);
		text_style(p, TEXT_PLAIN);
		strbuf_printf(&p->out, " %s", buf);
		used += len;
	}
	text_end_line(p);
}

static void put_bucket(struct text_page *p, const struct columns *c, const struct report_bucket *b)
{
	const struct report_histogram *h = c->h;
	struct report_value share = { .known = true };
	char low[MEASURE_LEN], high[MEASURE_LEN];

	report_bounds(h->unit, b, low, high);
	if (*high)
		strbuf_printf(&p->out, "[%*s, %*s)", c->low, low, c->high, high);
	else
		strbuf_printf(&p->out, " %*s  %*s ", c->low, low, c->high, "");
	share.real = report_share(b->count, c->sum);
	strbuf_printf(&p->out, "  %*" PRIu64 "  %7s  ", c->count, b->count,
		      report_value(REPORT_PERCENT, &share, NULL, low));
	put_bar(p, c->bar, (double)b->count, (double)c->most);
	if (h->second.key) {
		strbuf_printf(&p->out, "  %*s  ", c->second, second_text(h, b->second, low));
		put_bar(p, c->bar, (double)b->second, (double)c->most_second);
	}
	text_end_line(p);
}

/* How many empty buckets begin at i. */
static size_t empty_run(const struct columns *c, size_t i)
{
	size_t n = 0;

	while (i + n < c->end && !c->h->buckets[i + n].count && !c->h->buckets[i + n].second)
		n++;
	return n;
}

void text_histogram(struct text_page *p, const struct report_histogram *h)
{
	struct columns c = { .h = h };

	text_subheading(p, h->title);
	measure_columns(&c, p->width);
	put_marks(p, h, c.sum);
	if (c.first >= c.end)
		return;
	text_style(p, TEXT_DIM);
	strbuf_printf(&p->out, "%*s  %*s  %7s", c.low + c.high + 4, "", c.count, h->what, "share");
	if (h->second.key)
		strbuf_printf(&p->out, "  %*s  %*s", (int)c.bar, "", c.second, h->second.heading);
	text_style(p, TEXT_PLAIN);
	text_end_line(p);
	for (size_t i = c.first; i < c.end; i++) {
		const struct report_bucket *b = &h->buckets[i];
		size_t empty = empty_run(&c, i);

		if (empty >= MIN_GAP || (i > c.first && b->low != b[-1].high + 1)) {
			strbuf_printf(&p->out, " %*s\n", c.low, "...");
			i += empty >= MIN_GAP ? empty : 0;
		}
		put_bucket(p, &c, &h->buckets[i]);
	}
}

/* ---------------------------------------------------------------- over time ---- */

/* The greatest value of a line between two points of time, of `columns` equal ones; or of none. */
static bool level_of(const struct report_series *s, size_t line, size_t column, size_t columns,
		     int64_t *ret)
{
	uint64_t first = s->points[0].ns, length = s->points[s->nr_points - 1].ns - first + 1;
	bool any = false;

	for (size_t i = 0; i < s->nr_points; i++) {
		const struct report_point *p = &s->points[i];
		size_t at = (size_t)((unsigned __int128)(p->ns - first) * columns / length);

		if (at != column || (any && p->values[line] <= *ret))
			continue;
		*ret = p->values[line];
		any = true;
	}
	return any;
}

static void put_spark(struct text_page *p, const struct report_series *s, size_t line,
		      size_t columns, int64_t most)
{
	static const char ascii[NR_LEVELS] = { '_', '.', ':', '-', '=', '+', '*', '#' };
	int64_t value = s->points[0].values[line];

	for (size_t i = 0; i < columns; i++) {
		int64_t level;

		/* Between two points it stays as it was. */
		level_of(s, line, i, columns, &value);
		level = most > 0 ? (int64_t)((double)MAX(value, 0) / (double)most * NR_LEVELS) : 0;
		level = MIN(level, NR_LEVELS - 1);
		if (p->o->unicode)
			strbuf_put_utf8(&p->out, LOW_BLOCK + (uint32_t)level);
		else
			strbuf_putc(&p->out, ascii[level]);
	}
}

static void put_line(struct text_page *p, const struct report_series *s, size_t line, size_t name,
		     size_t columns, int64_t most)
{
	const struct report_point *last = &s->points[s->nr_points - 1];
	enum report_unit unit = s->lines[line].unit;
	int64_t greatest = s->points[0].values[line];
	char from[MEASURE_LEN], to[MEASURE_LEN], top[MEASURE_LEN];
	size_t used;

	for (size_t i = 0; i < s->nr_points; i++)
		greatest = MAX(greatest, s->points[i].values[line]);
	text_style(p, TEXT_DIM);
	used = strbuf_puts_clipped(&p->out, s->lines[line].heading, name);
	text_style(p, TEXT_PLAIN);
	strbuf_fill(&p->out, ' ', name - used);
	strbuf_printf(&p->out, "  %10s to %10s, at most %10s  ",
		      report_number(unit, s->points[0].values[line], from),
		      report_number(unit, last->values[line], to),
		      report_number(unit, greatest, top));
	put_spark(p, s, line, columns, most);
	text_end_line(p);
}

void text_series(struct text_page *p, const struct report_series *s)
{
	size_t name = 0, columns;
	int64_t most = 0;

	text_subheading(p, s->title);
	if (!s->nr_points) {
		strbuf_puts(&p->out, "none\n");
		return;
	}
	for (size_t i = 0; i < s->nr_lines; i++) {
		name = MAX(name, utf8_columns(s->lines[i].heading));
		for (size_t k = 0; k < s->nr_points; k++)
			most = MAX(most, s->points[k].values[i]);
	}
	name = MIN(name, p->width / 4);
	/* "  1234567890 to 1234567890, at most 1234567890  " */
	columns = p->width - MIN(p->width - MIN_BAR, name + 2 + 10 + 4 + 10 + 10 + 10 + 2);
	for (size_t i = 0; i < s->nr_lines; i++)
		put_line(p, s, i, name, MIN(columns, (size_t)MAX_BAR), most);
}

/* ---------------------------------------------------------------- waterfalls ---- */

struct trace_layout {
	const struct report_trace *t;
	size_t *order;
	size_t name, time, bar; /* columns */
	uint64_t least;		/* duration of what is shown; */
	size_t nr_least;	/* of so many that last no longer */
};

static const char *const class_styles[] = {
	"\033[32m", "\033[33m", "\033[34m", "\033[35m", "\033[36m", "\033[31m", "\033[37m",
};

/* "+ 12ms" to the right, the bar where the span lies in the trace. */
static void put_span_bar(struct text_page *p, const struct trace_layout *l,
			 const struct report_span *span)
{
	uint64_t total = MAX(l->t->total_ns, (uint64_t)1), end, first, last;
	bool unknown = span->class + 1 == l->t->waterfall->unknown, sliver;

	end = MIN(span->start_ns, total) +
	      MIN(span->duration_ns, total - MIN(span->start_ns, total));
	first = (uint64_t)((unsigned __int128)MIN(span->start_ns, total) * l->bar / total);
	last = (uint64_t)(((unsigned __int128)end * l->bar + total - 1) / total);
	first = MIN(first, l->bar - 1);
	last = MIN(MAX(last, first + 1), (uint64_t)l->bar);
	sliver = (unsigned __int128)span->duration_ns * l->bar < total;
	strbuf_putc(&p->out, '|');
	strbuf_fill(&p->out, ' ', first);
	text_style(p, class_styles[span->class % ARRAY_SIZE(class_styles)]);
	for (uint64_t i = first; i < last; i++) {
		if (p->o->unicode)
			strbuf_put_utf8(&p->out, unknown  ? LIGHT_SHADE
						 : sliver ? EIGHTH_BLOCK
							  : FULL_BLOCK);
		else
			strbuf_putc(&p->out, unknown ? '?' : sliver ? '.' : '#');
		if (sliver) { /* it is narrower than the one column that it gets */
			last = i + 1;
			break;
		}
	}
	text_style(p, TEXT_PLAIN);
	strbuf_fill(&p->out, ' ', l->bar - last);
	strbuf_puts(&p->out, "|\n");
}

static void put_detail(struct text_page *p, size_t indent, const char *text)
{
	size_t n = 0, shown = 0;

	for (const char *c = text; *c; n++)
		c = *(c = strchrnul(c, '\n')) ? c + 1 : c;
	for (; *text && shown < DETAIL_LINES; shown++) {
		const char *end = strchrnul(text, '\n');
		struct strbuf line = { 0 };

		strbuf_add(&line, text, (size_t)(end - text));
		strbuf_fill(&p->out, ' ', indent);
		text_style(p, TEXT_DIM);
		if (shown + 1 == DETAIL_LINES && n > DETAIL_LINES)
			strbuf_printf(&p->out, "... %zu more ...", n - shown);
		else
			strbuf_puts_middle(&p->out, strbuf_str(&line), p->width - indent);
		text_style(p, TEXT_PLAIN);
		strbuf_putc(&p->out, '\n');
		if (strbuf_error(&line))
			p->out.failed = true;
		strbuf_release(&line);
		text = *end ? end + 1 : end;
	}
}

static const char *span_name(const struct report_trace *t, const struct report_span *span)
{
	return span->name ? span->name : t->waterfall->classes[span->class];
}

static size_t span_indent(const struct report_span *span)
{
	return 4 + 2 * (size_t)MIN(span->depth, 6U);
}

static void put_span(struct text_page *p, const struct trace_layout *l,
		     const struct report_span *span)
{
	size_t indent = span_indent(span), used;
	char buf[MEASURE_LEN];

	strbuf_fill(&p->out, ' ', indent);
	used = indent + strbuf_puts_middle(&p->out, span_name(l->t, span),
					   MAX(l->name, indent + MIN_BAR) - indent);
	strbuf_fill(&p->out, ' ', MAX(l->name, used) - used);
	strbuf_printf(&p->out, "  %*s  ", (int)l->time,
		      report_unsigned(REPORT_NS, span->duration_ns, buf));
	put_span_bar(p, l, span);
	if (span->detail)
		put_detail(p, indent + 2, span->detail);
}

static int longest_first(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x < *y) - (*x > *y);
}

/* The duration from which on a span is among the longest that are shown. */
static int choose_least(struct trace_layout *l)
{
	uint64_t *durations;

	if (l->t->nr_spans <= MAX_SPANS) {
		l->nr_least = MAX_SPANS;
		return 0;
	}
	durations = calloc(l->t->nr_spans, sizeof(*durations));
	if (!durations)
		return -ENOMEM;
	for (size_t i = 0; i < l->t->nr_spans; i++)
		durations[i] = l->t->spans[i].duration_ns;
	qsort(durations, l->t->nr_spans, sizeof(*durations), longest_first);
	l->least = durations[MAX_SPANS - 1];
	for (size_t i = MAX_SPANS; i-- && durations[i] == l->least;)
		l->nr_least++;
	free(durations);
	return 0;
}

static void put_spans(struct text_page *p, struct trace_layout *l)
{
	size_t room = l->nr_least, left_out = 0;
	uint64_t sum = 0;
	char buf[MEASURE_LEN];

	for (size_t i = 0; i < l->t->nr_spans; i++) {
		const struct report_span *span = &l->t->spans[l->order[i]];

		if (span->duration_ns > l->least || (span->duration_ns == l->least && room)) {
			room -= span->duration_ns == l->least;
			put_span(p, l, span);
		} else {
			left_out++;
			sum += span->duration_ns;
		}
	}
	if (left_out) {
		text_style(p, TEXT_DIM);
		strbuf_printf(&p->out, "    ... and %zu shorter ones, %s in all\n", left_out,
			      report_unsigned(REPORT_NS, sum, buf));
		text_style(p, TEXT_PLAIN);
	}
}

/* "  1. 182ms  POST /bookings  at 1.23s  status 201" */
static void put_trace_head(struct text_page *p, size_t rank, const struct report_trace *t)
{
	char total[MEASURE_LEN], start[MEASURE_LEN];
	size_t used;

	report_unsigned(REPORT_NS, t->total_ns, total);
	report_unsigned(REPORT_NS, t->start_ns, start);
	strbuf_printf(&p->out, "%3zu. ", rank);
	text_style(p, TEXT_BOLD);
	strbuf_printf(&p->out, "%s  ", total);
	used = 5 + strlen(total) + 2;
	used += strbuf_puts_middle(&p->out, t->name, p->width / 2);
	text_style(p, TEXT_PLAIN);
	strbuf_printf(&p->out, "  at %s", start);
	used += 5 + strlen(start);
	if (t->note && *t->note && used + 4 < p->width) {
		strbuf_puts(&p->out, "  ");
		strbuf_puts_clipped(&p->out, t->note, p->width - used - 2);
	}
	strbuf_putc(&p->out, '\n');
}

static int put_trace(struct text_page *p, size_t rank, const struct report_trace *t)
{
	struct trace_layout l = { .t = t, .order = report_span_order(t) };
	char buf[MEASURE_LEN];
	int err;

	if (!l.order)
		return -ENOMEM;
	for (size_t i = 0; i < t->nr_spans; i++) {
		const struct report_span *span = &t->spans[i];

		l.name = MAX(l.name, span_indent(span) + utf8_columns(span_name(t, span)));
		l.time = MAX(l.time, strlen(report_unsigned(REPORT_NS, span->duration_ns, buf)));
	}
	l.name = MIN(l.name, p->width * 2 / 5);
	/* "name  time  |bar|" */
	l.bar = MIN(p->width - l.name - 2 - l.time - 2 - 2, (size_t)MAX_BAR);
	put_trace_head(p, rank, t);
	err = choose_least(&l);
	if (!err)
		put_spans(p, &l);
	free(l.order);
	return err;
}

int text_waterfall(struct text_page *p, const struct report_waterfall *w)
{
	int err = 0;

	text_subheading(p, w->title);
	if (!w->nr_traces)
		strbuf_puts(&p->out, "none\n");
	for (size_t i = 0; i < w->nr_traces && !err; i++)
		err = put_trace(p, i + 1, w->traces[i]);
	return err;
}
