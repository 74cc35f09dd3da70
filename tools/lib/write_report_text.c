/* SPDX-License-Identifier: MIT */
#include "write_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report_value.h"
#include "sink.h"
#include "text_page.h"
#include "util.h"
#include "write_report_text.h"

#define GAP	    2  /* columns between columns */
#define MIN_FIRST   24 /* the name that a row is of is not cut below this, */
#define MIN_NAME    16 /* others not below this */
#define LEAF_FRAMES 12 /* of a deep stack these are shown, */
#define ROOT_FRAMES 4  /* and these */

/*
 * A table as it fits on the page: in blocks, one below the other, each of which has the names that
 * its rows begin with and as many of the columns to come as there is room for.
 */
struct layout {
	const struct report_table *t;
	size_t rows;
	struct {
		struct report_format format;
		size_t natural; /* the width it wants */
		size_t width;	/* that it has in this block, */
		bool hidden;	/* if it is in it */
		bool done;	/* it was in an earlier one */
	} * columns;
};

static const char *first_line_end(const char *text)
{
	return strchrnul(text, '\n');
}

/* The i-th line of a text, to be released by strbuf_release(). */
static void take_line(struct strbuf *b, const char **text)
{
	const char *end = first_line_end(*text);

	strbuf_reset(b);
	strbuf_add(b, *text, (size_t)(end - *text));
	*text = *end ? end + 1 : end;
}

static void choose_unit(struct layout *l, size_t column)
{
	enum report_unit unit = l->t->columns[column].unit;
	int64_t least = INT64_MAX, most = 0;

	if (report_is_text(unit) || report_is_real(unit))
		return;
	for (size_t i = 0; i < l->rows; i++) {
		const struct report_value *v = report_cell(l->t, i, column);

		if (!v->known || !v->number || v->number == INT64_MIN)
			continue;
		least = MIN(least, llabs(v->number));
		most = MAX(most, llabs(v->number));
	}
	if (most)
		l->columns[column].format = report_format_for(unit, least, most);
}

static const char *cell_text(const struct layout *l, size_t row, size_t column, char *buf)
{
	return report_value(l->t->columns[column].unit, report_cell(l->t, row, column),
			    &l->columns[column].format, buf);
}

static size_t natural_width(const struct layout *l, size_t column, struct strbuf *line)
{
	size_t width = utf8_columns(l->t->columns[column].heading);
	char buf[MEASURE_LEN];

	for (size_t i = 0; i < l->rows; i++) {
		const struct report_value *v = report_cell(l->t, i, column);

		if (!report_is_text(l->t->columns[column].unit)) {
			width = MAX(width, strlen(cell_text(l, i, column, buf)));
			continue;
		}
		for (const char *text = v->known ? v->text : "-"; *text;) {
			take_line(line, &text);
			width = MAX(width, utf8_columns(strbuf_str(line)));
		}
	}
	return width;
}

static size_t total_width(const struct layout *l)
{
	size_t width = 0;

	for (size_t i = 0; i < l->t->nr_columns; i++)
		if (!l->columns[i].hidden)
			width += l->columns[i].width + (width ? GAP : 0);
	return width;
}

static size_t least_width(const struct layout *l, size_t column)
{
	return MIN(l->columns[column].width, (size_t)(column ? MIN_NAME : MIN_FIRST));
}

/* Take a column from the widest name that can spare one; false when none can. */
static bool narrow_names(struct layout *l)
{
	size_t widest = l->t->nr_columns;

	for (size_t i = 0; i < l->t->nr_columns; i++)
		if (report_is_text(l->t->columns[i].unit) &&
		    l->columns[i].width > least_width(l, i) &&
		    (widest == l->t->nr_columns || l->columns[i].width > l->columns[widest].width))
			widest = i;
	if (widest == l->t->nr_columns)
		return false;
	l->columns[widest].width--;
	return true;
}

/* Leave out the last column of numbers; false when there is none. */
static bool hide_number(struct layout *l)
{
	for (size_t i = l->t->nr_columns; i--;) {
		if (l->columns[i].hidden || report_is_text(l->t->columns[i].unit))
			continue;
		l->columns[i].hidden = true;
		return true;
	}
	return false;
}

static int measure(struct layout *l)
{
	struct strbuf line = { 0 };
	int err;

	l->columns = calloc(l->t->nr_columns, sizeof(*l->columns));
	if (!l->columns)
		return -ENOMEM;
	for (size_t i = 0; i < l->t->nr_columns; i++) {
		choose_unit(l, i);
		l->columns[i].natural = natural_width(l, i, &line);
	}
	err = strbuf_error(&line);
	strbuf_release(&line);
	return err;
}

/* The next block. */
static void lay_out(struct layout *l, size_t page_width)
{
	size_t least = 0;

	for (size_t i = 0; i < l->t->nr_columns; i++) {
		l->columns[i].width = l->columns[i].natural;
		l->columns[i].hidden = l->columns[i].done;
	}
	/* Columns go only when names cut as short as can be do not make enough room. */
	do {
		least = 0;
		for (size_t i = 0; i < l->t->nr_columns; i++)
			if (!l->columns[i].hidden)
				least += (least ? GAP : 0) + (report_is_text(l->t->columns[i].unit)
								      ? least_width(l, i)
								      : l->columns[i].width);
	} while (least > page_width && hide_number(l));
	while (total_width(l) > page_width && narrow_names(l))
		;
}

/* After a block: is there anything for another one? Not if no number had room in this one. */
static bool is_unfinished(struct layout *l)
{
	bool leading = true, any = false, left = false;

	for (size_t i = 0; i < l->t->nr_columns; i++) {
		bool text = report_is_text(l->t->columns[i].unit);

		leading = leading && text;
		any = any || (!text && !l->columns[i].hidden);
		left = left || (l->columns[i].hidden && !l->columns[i].done);
		l->columns[i].done = l->columns[i].done || (!l->columns[i].hidden && !leading);
	}
	return any && left;
}

static void put_padding(struct text_page *p, const struct layout *l, size_t column, size_t used)
{
	/* Nothing is to the right of the last column. */
	for (size_t i = column + 1; i < l->t->nr_columns; i++) {
		if (l->columns[i].hidden)
			continue;
		strbuf_fill(&p->out, ' ', l->columns[column].width - used + GAP);
		return;
	}
}

static void put_heads(struct text_page *p, const struct layout *l)
{
	text_style(p, TEXT_DIM);
	for (size_t i = 0; i < l->t->nr_columns; i++) {
		const struct report_column *c = &l->t->columns[i];
		size_t width = utf8_columns(c->heading), indent = 0;

		if (l->columns[i].hidden)
			continue;
		if (!report_is_text(c->unit))
			indent = l->columns[i].width - width;
		strbuf_fill(&p->out, ' ', indent);
		width = indent + strbuf_puts_clipped(&p->out, c->heading, l->columns[i].width);
		put_padding(p, l, i, width);
	}
	text_style(p, TEXT_PLAIN);
	strbuf_putc(&p->out, '\n');
}

/* The frames below the one in the row, under their column, the middle of a deep stack left out. */
static void put_frames(struct text_page *p, const struct layout *l, size_t column, const char *text)
{
	size_t indent = total_width(l) - l->columns[column].width, n = 0;
	struct strbuf line = { 0 };

	for (const char *rest = text; *rest; n++)
		take_line(&line, &rest);
	for (size_t i = 0; i < n; i++) {
		take_line(&line, &text);
		if (!i)
			continue; /* in the row itself */
		strbuf_fill(&p->out, ' ', indent);
		text_style(p, TEXT_DIM);
		if (i == LEAF_FRAMES && n > LEAF_FRAMES + ROOT_FRAMES + 1) {
			strbuf_printf(&p->out, "... %zu more ...", n - LEAF_FRAMES - ROOT_FRAMES);
			for (; i + 1 < n - ROOT_FRAMES; i++)
				take_line(&line, &text);
		} else {
			strbuf_puts_middle(&p->out, strbuf_str(&line), l->columns[column].width);
		}
		text_style(p, TEXT_PLAIN);
		strbuf_putc(&p->out, '\n');
	}
	if (strbuf_error(&line))
		p->out.failed = true;
	strbuf_release(&line);
}

static size_t put_text_cell(struct text_page *p, const struct layout *l, size_t column,
			    const struct report_value *v)
{
	const char *text = v->known ? v->text : "-";
	enum report_unit unit = l->t->columns[column].unit;
	struct strbuf line = { 0 };
	size_t used;

	if (unit == REPORT_STACK) {
		take_line(&line, &text);
		text = strbuf_str(&line);
	}
	if (unit == REPORT_TEXT)
		used = strbuf_puts_clipped(&p->out, text, l->columns[column].width);
	else
		used = strbuf_puts_middle(&p->out, text, l->columns[column].width);
	strbuf_release(&line);
	return used;
}

static void put_row(struct text_page *p, const struct layout *l, size_t row)
{
	size_t last = l->t->nr_columns - 1;
	char buf[MEASURE_LEN];

	for (size_t i = 0; i < l->t->nr_columns; i++) {
		const struct report_value *v = report_cell(l->t, row, i);
		size_t used;

		if (l->columns[i].hidden)
			continue;
		if (report_is_text(l->t->columns[i].unit)) {
			used = put_text_cell(p, l, i, v);
		} else {
			used = l->columns[i].width;
			strbuf_printf(&p->out, "%*s", (int)used, cell_text(l, row, i, buf));
		}
		put_padding(p, l, i, used);
	}
	strbuf_putc(&p->out, '\n');
	if (l->t->columns[last].unit == REPORT_STACK && !l->columns[last].hidden &&
	    report_cell(l->t, row, last)->known)
		put_frames(p, l, last, report_cell(l->t, row, last)->text);
}

/* What is not shown, and why. */
static void put_rest(struct text_page *p, const struct layout *l)
{
	struct strbuf note = { 0 };
	size_t all = report_rows(l->t), nr_hidden = 0;

	for (size_t i = 0; i < l->t->nr_columns; i++)
		if (l->columns[i].hidden && !l->columns[i].done)
			strbuf_printf(&note, "%s%s",
				      nr_hidden++ ? ", " : "not shown for lack of width: ",
				      l->t->columns[i].heading);
	text_style(p, TEXT_DIM);
	if (l->rows < all)
		strbuf_printf(&p->out, "... and %zu more\n", all - l->rows);
	if (nr_hidden) {
		strbuf_puts_clipped(&p->out, strbuf_str(&note), p->width);
		strbuf_putc(&p->out, '\n');
	}
	text_style(p, TEXT_PLAIN);
	if (strbuf_error(&note))
		p->out.failed = true;
	strbuf_release(&note);
}

static void put_blocks(struct text_page *p, struct layout *l)
{
	lay_out(l, p->width);
	for (;;) {
		put_heads(p, l);
		for (size_t i = 0; i < l->rows; i++)
			put_row(p, l, i);
		if (p->o->short_tables || !is_unfinished(l))
			break;
		lay_out(l, p->width);
		strbuf_putc(&p->out, '\n');
	}
	put_rest(p, l);
}

static int put_table(struct text_page *p, const struct report_table *t)
{
	size_t top = p->o->top ? p->o->top : TEXT_DEFAULT_TOP;
	struct layout l = { .t = t, .rows = report_rows(t) };
	int err;

	if (!t->all_rows)
		l.rows = MIN(l.rows, top);
	text_subheading(p, t->title);
	if (!report_rows(t)) {
		strbuf_puts(&p->out, "none\n");
		return 0;
	}
	err = measure(&l);
	if (!err)
		put_blocks(p, &l);
	free(l.columns);
	return err;
}

void text_subheading(struct text_page *p, const char *title)
{
	if (!title)
		return;
	strbuf_puts_clipped(&p->out, title, p->width);
	strbuf_putc(&p->out, '\n');
}

/* A sentence, broken at blanks. */
static void put_paragraph(struct text_page *p, const char *text)
{
	struct strbuf word = { 0 };
	size_t used = 0;

	while (*text) {
		size_t len = strcspn(text, " "), columns;

		strbuf_reset(&word);
		strbuf_add(&word, text, len);
		text += len + strspn(text + len, " ");
		columns = utf8_columns(strbuf_str(&word));
		if (used && used + 1 + columns > p->width) {
			strbuf_putc(&p->out, '\n');
			used = 0;
		}
		if (used)
			strbuf_putc(&p->out, ' ');
		used += (used ? 1 : 0) + strbuf_puts_clipped(&p->out, strbuf_str(&word), p->width);
	}
	strbuf_putc(&p->out, '\n');
	if (strbuf_error(&word))
		p->out.failed = true;
	strbuf_release(&word);
}

static void put_facts(struct text_page *p, const struct report_section *s)
{
	size_t widest = 0;
	char buf[MEASURE_LEN];

	for (size_t i = 0; i < s->nr_facts; i++)
		widest = MAX(widest, utf8_columns(s->facts[i].what.heading));
	widest = MIN(widest, p->width / 2);
	for (size_t i = 0; i < s->nr_facts; i++) {
		const struct report_fact *f = &s->facts[i];
		const char *text;

		if (report_is_text(f->what.unit))
			text = f->value.known ? f->value.text : "-";
		else
			text = report_value(f->what.unit, &f->value, NULL, buf);
		text_field(p, f->what.heading, widest, text);
	}
}

static int put_part(struct text_page *p, const struct report_part *part)
{
	switch (part->kind) {
	case REPORT_TABLE:
		return put_table(p, part->table);
	case REPORT_HISTOGRAM:
		text_histogram(p, part->histogram);
		return 0;
	case REPORT_SERIES:
		text_series(p, part->series);
		return 0;
	case REPORT_WATERFALL:
		return text_waterfall(p, part->waterfall);
	}
	return -EINVAL;
}

static int put_section(struct text_page *p, const struct report_section *s)
{
	int err = 0;

	text_heading(p, "%s", s->title);
	for (size_t i = 0; i < s->nr_notes; i++)
		put_paragraph(p, s->notes[i]);
	put_facts(p, s);
	for (size_t i = 0; i < s->nr_parts && !err; i++) {
		if (i || s->nr_facts)
			strbuf_putc(&p->out, '\n');
		err = put_part(p, &s->parts[i]);
	}
	return err;
}

int write_report_text(const struct report *r, const struct write_options *o, struct sink *out)
{
	struct text_page p;
	int err = report_error(r);

	if (err)
		return err;
	text_page_init(&p, o);
	text_fields(&p);
	for (size_t i = 0; i < r->nr_sections && !err; i++)
		err = put_section(&p, r->sections[i]);
	if (!err)
		err = sink_flush(out, &p.out, 0);
	strbuf_release(&p.out);
	return err;
}
