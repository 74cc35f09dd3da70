/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "report_value.h"
#include "sink.h"
#include "strbuf.h"
#include "util.h"
#include "write_report.h"

#define CHUNK (64 * 1024)

struct json {
	struct strbuf out;
	struct sink *sink;
	int err;
};

/* `"key"`, ended by the unit, and the colon. */
static void put_key(struct json *j, const char *key, enum report_unit unit)
{
	static const char *const endings[] = {
		[REPORT_BYTES] = "_bytes",
		[REPORT_NS] = "_ns",
		[REPORT_PERCENT] = "_percent",
		[REPORT_RATE] = "_per_s",
	};

	json_put_string(&j->out, key);
	if (unit < ARRAY_SIZE(endings) && endings[unit]) {
		strbuf_chop(&j->out, '"');
		strbuf_printf(&j->out, "%s\"", endings[unit]);
	}
	strbuf_putc(&j->out, ':');
}

static const char *unit_word(enum report_unit unit)
{
	static const char *const words[] = {
		[REPORT_TEXT] = "text",	      [REPORT_PLACE] = "text",
		[REPORT_STACK] = "frames",    [REPORT_COUNT] = "count",
		[REPORT_BYTES] = "bytes",     [REPORT_NS] = "nanoseconds",
		[REPORT_PERCENT] = "percent", [REPORT_RATE] = "per second",
		[REPORT_MEAN] = "mean",
	};

	return words[unit];
}

static void put_member(struct json *j, const char *key, const char *text)
{
	strbuf_printf(&j->out, "\"%s\":", key);
	if (text)
		json_put_string(&j->out, text);
	else
		strbuf_puts(&j->out, "null");
	strbuf_putc(&j->out, ',');
}

/* A comma is written after each element; the last one is taken back here. */
static void end_list(struct json *j, char closing)
{
	strbuf_chop(&j->out, ',');
	strbuf_putc(&j->out, closing);
}

/* After an element and its comma, which stays: end_list() may have to take it back. */
static void flush(struct json *j)
{
	if (j->err || j->out.len < CHUNK)
		return;
	strbuf_chop(&j->out, ',');
	j->err = sink_flush(j->sink, &j->out, 0);
	strbuf_putc(&j->out, ',');
}

/* Lines as an array of strings. */
static void put_lines(struct json *j, const char *text)
{
	const char *end;

	strbuf_putc(&j->out, '[');
	while (text && *text) {
		struct strbuf line = { 0 };

		end = strchrnul(text, '\n');
		strbuf_add(&line, text, (size_t)(end - text));
		json_put_string(&j->out, strbuf_str(&line));
		strbuf_putc(&j->out, ',');
		if (strbuf_error(&line))
			j->out.failed = true;
		strbuf_release(&line);
		text = *end ? end + 1 : end;
	}
	end_list(j, ']');
}

static void put_value(struct json *j, enum report_unit unit, const struct report_value *v)
{
	if (!v->known)
		strbuf_puts(&j->out, "null");
	else if (unit == REPORT_STACK)
		put_lines(j, v->text);
	else if (report_is_text(unit))
		json_put_string(&j->out, v->text);
	else if (report_is_real(unit))
		strbuf_printf(&j->out, "%.9g", v->real);
	else
		strbuf_printf(&j->out, "%" PRId64, v->number);
	strbuf_putc(&j->out, ',');
}

static void put_columns(struct json *j, const struct report_column *columns, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		strbuf_puts(&j->out, "{\"key\":");
		put_key(j, columns[i].key, columns[i].unit);
		strbuf_chop(&j->out, ':');
		strbuf_putc(&j->out, ',');
		put_member(j, "heading", columns[i].heading);
		put_member(j, "unit", unit_word(columns[i].unit));
		end_list(j, '}');
		strbuf_putc(&j->out, ',');
	}
	end_list(j, ']');
}

static void put_table(struct json *j, const struct report_table *t)
{
	strbuf_puts(&j->out, "\"columns\":[");
	put_columns(j, t->columns, t->nr_columns);
	strbuf_puts(&j->out, ",\"rows\":[");
	for (size_t i = 0; i < report_rows(t); i++) {
		strbuf_puts(&j->out, "\n{");
		for (size_t k = 0; k < t->nr_columns; k++) {
			put_key(j, t->columns[k].key, t->columns[k].unit);
			put_value(j, t->columns[k].unit, report_cell(t, i, k));
		}
		end_list(j, '}');
		strbuf_putc(&j->out, ',');
		flush(j);
	}
	end_list(j, ']');
}

/* "p99.9" is p999_ns, as in tables. */
static void put_mark_key(struct json *j, const struct report_histogram *h, size_t mark)
{
	char key[32];
	size_t n = 0;

	for (const char *c = h->marks[mark].name; *c && n + 1 < sizeof(key); c++)
		if (*c != '.')
			key[n++] = *c;
	key[n] = '\0';
	put_key(j, key, h->unit);
}

static void put_histogram(struct json *j, const struct report_histogram *h)
{
	put_member(j, "unit", unit_word(h->unit));
	put_member(j, "counts", h->what);
	strbuf_puts(&j->out, "\"buckets\":[");
	for (size_t i = 0; i < h->nr_buckets; i++) {
		const struct report_bucket *b = &h->buckets[i];

		strbuf_puts(&j->out, "\n{");
		put_key(j, "low", h->unit);
		strbuf_printf(&j->out, "%" PRIu64 ",", b->low);
		put_key(j, "high", h->unit);
		if (b->high == UINT64_MAX)
			strbuf_puts(&j->out, "null");
		else
			strbuf_printf(&j->out, "%" PRIu64, b->high);
		strbuf_printf(&j->out, ",\"count\":%" PRIu64 ",", b->count);
		if (h->second.key) {
			put_key(j, h->second.key, h->second.unit);
			strbuf_printf(&j->out, "%" PRIu64 ",", b->second);
		}
		end_list(j, '}');
		strbuf_putc(&j->out, ',');
	}
	end_list(j, ']');
	strbuf_puts(&j->out, ",\"marks\":{");
	for (size_t i = 0; i < h->nr_marks; i++) {
		put_mark_key(j, h, i);
		strbuf_printf(&j->out, "%" PRIu64 ",", h->marks[i].value);
	}
	end_list(j, '}');
}

static void put_series(struct json *j, const struct report_series *s)
{
	put_member(j, "unit", unit_word(s->lines[0].unit));
	strbuf_puts(&j->out, "\"lines\":[");
	put_columns(j, s->lines, s->nr_lines);
	strbuf_puts(&j->out, ",\"points\":[");
	for (size_t i = 0; i < s->nr_points; i++) {
		strbuf_printf(&j->out, "\n{\"time_ns\":%" PRIu64 ",", s->points[i].ns);
		for (size_t k = 0; k < s->nr_lines; k++) {
			put_key(j, s->lines[k].key, s->lines[k].unit);
			strbuf_printf(&j->out, "%" PRId64 ",", s->points[i].values[k]);
		}
		end_list(j, '}');
		strbuf_putc(&j->out, ',');
		flush(j);
	}
	end_list(j, ']');
}

static void put_trace(struct json *j, const struct report_trace *t)
{
	size_t *order = report_span_order(t);

	if (!order) {
		j->out.failed = true;
		return;
	}
	strbuf_puts(&j->out, "\n{");
	put_member(j, "name", t->name);
	put_member(j, "note", t->note);
	strbuf_printf(&j->out, "\"start_ns\":%" PRIu64 ",\"total_ns\":%" PRIu64 ",\"spans\":[",
		      t->start_ns, t->total_ns);
	for (size_t i = 0; i < t->nr_spans; i++) {
		const struct report_span *span = &t->spans[order[i]];

		strbuf_puts(&j->out, "\n {");
		put_member(j, "class", t->waterfall->classes[span->class]);
		put_member(j, "name", span->name);
		strbuf_printf(&j->out,
			      "\"start_ns\":%" PRIu64 ",\"duration_ns\":%" PRIu64
			      ",\"depth\":%u,\"detail\":",
			      span->start_ns, span->duration_ns, span->depth);
		put_lines(j, span->detail);
		strbuf_puts(&j->out, "},");
		flush(j);
	}
	end_list(j, ']');
	strbuf_puts(&j->out, "},");
	free(order);
}

static void put_waterfall(struct json *j, const struct report_waterfall *w)
{
	strbuf_puts(&j->out, "\"classes\":[");
	for (size_t i = 0; i < w->nr_classes; i++) {
		json_put_string(&j->out, w->classes[i]);
		strbuf_putc(&j->out, ',');
	}
	end_list(j, ']');
	strbuf_puts(&j->out, ",\"traces\":[");
	for (size_t i = 0; i < w->nr_traces; i++)
		put_trace(j, w->traces[i]);
	end_list(j, ']');
}

/* All parts of a section that are of one kind. */
static void put_parts(struct json *j, const struct report_section *s, enum report_kind kind)
{
	static const char *const names[REPORT_NR_KINDS] = {
		[REPORT_TABLE] = "tables",
		[REPORT_HISTOGRAM] = "histograms",
		[REPORT_SERIES] = "series",
		[REPORT_WATERFALL] = "waterfalls",
	};

	strbuf_printf(&j->out, ",\n \"%s\":[", names[kind]);
	for (size_t i = 0; i < s->nr_parts; i++) {
		const struct report_part *p = &s->parts[i];

		if (p->kind != kind)
			continue;
		strbuf_puts(&j->out, "\n{");
		switch (kind) {
		case REPORT_TABLE:
			put_member(j, "key", p->table->key);
			put_member(j, "title", p->table->title);
			put_table(j, p->table);
			break;
		case REPORT_HISTOGRAM:
			put_member(j, "key", p->histogram->key);
			put_member(j, "title", p->histogram->title);
			put_histogram(j, p->histogram);
			break;
		case REPORT_SERIES:
			put_member(j, "key", p->series->key);
			put_member(j, "title", p->series->title);
			put_series(j, p->series);
			break;
		case REPORT_WATERFALL:
			put_member(j, "key", p->waterfall->key);
			put_member(j, "title", p->waterfall->title);
			put_waterfall(j, p->waterfall);
			break;
		}
		strbuf_puts(&j->out, "},");
	}
	end_list(j, ']');
}

static void put_section(struct json *j, const struct report_section *s)
{
	strbuf_putc(&j->out, '\n');
	put_key(j, s->key, REPORT_TEXT);
	strbuf_putc(&j->out, '{');
	put_member(j, "title", s->title);
	strbuf_puts(&j->out, "\n \"notes\":[");
	for (size_t i = 0; i < s->nr_notes; i++) {
		json_put_string(&j->out, s->notes[i]);
		strbuf_putc(&j->out, ',');
	}
	end_list(j, ']');
	strbuf_puts(&j->out, ",\n \"facts\":{");
	for (size_t i = 0; i < s->nr_facts; i++) {
		put_key(j, s->facts[i].what.key, s->facts[i].what.unit);
		put_value(j, s->facts[i].what.unit, &s->facts[i].value);
	}
	end_list(j, '}');
	for (int kind = 0; kind < REPORT_NR_KINDS; kind++)
		put_parts(j, s, (enum report_kind)kind);
	strbuf_puts(&j->out, "},");
	flush(j);
}

int write_report_json(const struct report *r, const struct write_options *o, struct sink *out)
{
	struct json j = { .sink = out, .err = report_error(r) };

	if (j.err)
		return j.err;
	strbuf_puts(&j.out, "{\"periscope_report\":1,\n");
	put_member(&j, "title", o->title);
	strbuf_puts(&j.out, "\n\"facts\":{");
	for (size_t i = 0; i < o->nr_fields; i++) {
		put_key(&j, o->fields[i].key, REPORT_TEXT);
		json_put_string(&j.out, o->fields[i].value);
		strbuf_putc(&j.out, ',');
	}
	end_list(&j, '}');
	strbuf_puts(&j.out, ",\n\"sections\":{");
	for (size_t i = 0; i < r->nr_sections; i++)
		put_section(&j, r->sections[i]);
	end_list(&j, '}');
	strbuf_puts(&j.out, "}\n");
	if (!j.err)
		j.err = sink_flush(out, &j.out, 0);
	strbuf_release(&j.out);
	return j.err;
}
