/* SPDX-License-Identifier: MIT */
#include "write_html.h"

#include <errno.h>
#include <inttypes.h>

#include "html_threads.h"
#include "json.h"
#include "sink.h"
#include "svg_page.h"
#include "util.h"
#include "web_flame.h" /* made of tools/web */
#include "web_timeline.h"
#include "write_svg_paint.h"

int html_flush(struct html *h, unsigned int column, uint64_t track, struct strbuf *b, size_t limit)
{
	if (!h->err && b->len > limit)
		h->err = html_pack_chunk(&h->pack, column, track, b);
	return h->err;
}

static int flush(struct html *h, unsigned int column)
{
	return html_flush(h, column, 0, &h->columns[column], HTML_BUFFER);
}

/* -------- what is of no thread -------- */

static uint64_t cpu_or_none(const struct event *e)
{
	return e->cpu == EVENT_NO_CPU ? 0 : e->cpu + UINT64_C(1);
}

static int on_counter(void *ctx, const struct event *e)
{
	struct html *h = ctx;
	struct strbuf *b = &h->columns[HTML_COUNTERS];
	uint64_t time = html_time(h, e->time);

	html_put_signed(b, (int64_t)(time - h->last_counter));
	h->last_counter = time;
	html_put(b, e->counter.counter);
	html_put(b, cpu_or_none(e));
	html_put(b, e->tid);
	html_put_signed(b, (int64_t)e->counter.value);
	return flush(h, HTML_COUNTERS);
}

static int on_io(void *ctx, const struct timeline_io *io)
{
	struct html *h = ctx;
	struct strbuf *b = &h->columns[HTML_IOS];
	uint64_t start = html_time(h, io->start);

	html_put_signed(b, (int64_t)(start - h->last_io));
	h->last_io = start;
	html_put(b, io->end - io->start);
	html_put(b, io->dev);
	html_put(b, io->sector);
	html_put(b, io->bytes);
	html_put(b, io->flags);
	html_put(b, io->tid);
	html_put_signed(b, io->error);
	return flush(h, HTML_IOS);
}

static int on_lost(void *ctx, const struct event *e)
{
	struct html *h = ctx;
	struct strbuf *b = &h->columns[HTML_LOST];
	uint64_t time = html_time(h, e->time);

	html_put_signed(b, (int64_t)(time - h->last_lost));
	h->last_lost = time;
	html_put(b, cpu_or_none(e));
	html_put(b, e->lost.count);
	html_put(b, e->lost.until > e->time ? e->lost.until - e->time : 0);
	return flush(h, HTML_LOST);
}

/* -------- what it all came to -------- */

static void put_number(struct strbuf *b, const char *key, uint64_t n)
{
	strbuf_printf(b, ",\"%s\":%" PRIu64, key, n);
}

static void put_names(struct html *h, const struct timeline_names *n)
{
	struct strbuf *b = &h->columns[HTML_META];

	strbuf_puts(b, ",\"states\":[");
	for (unsigned int i = 0; i < REQUEST_QUEUED + n->nr_queues; i++) {
		const char *queue = i < REQUEST_QUEUED
					    ? NULL
					    : trace_string(h->trace, n->queues[i - REQUEST_QUEUED]);

		strbuf_puts(b, i ? "," : "");
		json_put_string(b, queue ? queue : request_state_name(i));
	}
	strbuf_puts(b, "],\"phases\":[\"\"");
	for (unsigned int i = 1; i < n->nr_phases; i++) {
		strbuf_putc(b, ',');
		json_put_string(b, trace_string(h->trace, n->phases[i]));
	}
	strbuf_putc(b, ']');
}

static void put_counters(struct strbuf *b)
{
	strbuf_puts(b, ",\"counters_info\":[");
	for (unsigned int i = 0; i < COUNTER_NR; i++) {
		const struct event_counter_info *c = event_counter_info(i);

		strbuf_puts(b, i ? ",[" : "[");
		json_put_string(b, c->what);
		strbuf_putc(b, ',');
		json_put_string(b, c->unit);
		strbuf_printf(b, ",%d]", c->total);
	}
	strbuf_puts(b, "],\"kinds\":[");
	for (unsigned int i = 0; i < EVT_NR; i++) {
		strbuf_puts(b, i ? "," : "");
		json_put_string(b, event_kinds[i].name ? event_kinds[i].name : "");
	}
	strbuf_putc(b, ']');
}

static void put_pair(struct strbuf *b, const char *key, const char *value, bool first)
{
	strbuf_puts(b, first ? "[" : ",[");
	json_put_string(b, key);
	strbuf_putc(b, ',');
	json_put_string(b, value);
	strbuf_putc(b, ']');
}

static void put_facts(struct html *h, const struct write_options *o)
{
	struct strbuf *b = &h->columns[HTML_META];
	const struct trace *t = h->trace;

	strbuf_puts(b, ",\"fields\":[");
	for (size_t i = 0; i < o->nr_fields; i++)
		put_pair(b, o->fields[i].key, o->fields[i].value, !i);
	strbuf_puts(b, "],\"infos\":[");
	for (size_t i = 0; i < t->nr_infos; i++)
		put_pair(b, t->infos[i].key, t->infos[i].value, !i);
	strbuf_putc(b, ']');
}

static void put_meta(struct html *h, const struct write_options *o, const struct timeline_totals *s)
{
	struct strbuf *b = &h->columns[HTML_META];
	const struct trace_damage *d = &h->trace->damage;

	strbuf_puts(b, "{\"title\":");
	json_put_string(b, o->title ? o->title : "Timeline");
	/* As text: more digits than a double has. */
	strbuf_printf(b, ",\"realtime\":\"%" PRIu64 "\"", h->trace->realtime);
	put_number(b, "start", html_time(h, s->start));
	put_number(b, "end", html_time(h, s->end));
	put_number(b, "events", s->events);
	put_number(b, "losses", s->losses);
	put_number(b, "lost", s->lost);
	put_number(b, "lost_more", s->lost_more);
	put_number(b, "threads", s->threads);
	put_number(b, "requests", s->requests);
	put_number(b, "unchosen", s->unchosen);
	put_number(b, "odd", s->odd);
	put_number(b, "left_out", s->left_out);
	put_number(b, "summed", s->summed);
	put_number(b, "complete", h->trace->complete);
	put_number(b, "damaged", d->chunks + d->missing + d->entries + d->events);
	put_names(h, &s->names);
	put_counters(b);
	put_facts(h, o);
	strbuf_putc(b, '}');
}

/* -------- the page -------- */

static const struct timeline_visitor visitor = {
	.thread = html_thread,
	.thread_end = html_thread_end,
	.state = html_state,
	.waking = html_waking,
	.span_begin = html_span_begin,
	.span_end = html_span_end,
	.instant = html_instant,
	.request_begin = html_request_begin,
	.request_state = html_request_state,
	.phase_begin = html_phase_begin,
	.phase_end = html_phase_end,
	.request_end = html_request_end,
	.counter = on_counter,
	.io = on_io,
	.lost = on_lost,
};

static int put_data(struct html *h, const struct timeline_view *v, const struct write_options *o)
{
	struct timeline_totals totals;
	int err = html_tables_init(h);

	if (!err)
		err = timeline_run(v->trace, &v->filter, &visitor, h, &totals);
	if (err)
		return err;
	put_meta(h, o, &totals);
	for (unsigned int i = 1; i < HTML_NR_COLUMNS && !err; i++)
		err = html_flush(h, i, 0, &h->columns[i], 0);
	return err ? err : html_pack_finish(&h->pack);
}

/* The page may load nothing; its flame graphs are documents of its own making. */
static int put_head(struct html *h, const struct write_options *o, struct sink *out)
{
	struct strbuf *b = &h->scratch;

	strbuf_puts(b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
		       "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
		       "script-src 'unsafe-inline'; style-src 'unsafe-inline'; frame-src blob:\">\n"
		       "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
		       "<title>");
	svg_put_escaped(b, o->title ? o->title : "Timeline");
	strbuf_puts(b, "</title>\n<style>");
	strbuf_add(b, web_timeline_css, sizeof(web_timeline_css));
	strbuf_puts(
		b,
		"</style></head>\n<body><noscript>This timeline is drawn by a script.</noscript>\n"
		"<script type=\"text/plain\" id=\"data\">");
	return sink_flush(out, b, 0);
}

static int put_tail(struct html *h, struct sink *out)
{
	struct strbuf *b = &h->scratch;

	strbuf_reset(b);
	strbuf_puts(b, "</script>\n<script type=\"text/plain\" id=\"flame-js\">");
	strbuf_add(b, web_flame_js, sizeof(web_flame_js));
	strbuf_puts(b, "</script>\n<script type=\"text/plain\" id=\"flame-css\">");
	strbuf_add(b, web_flame_css, sizeof(web_flame_css));
	strbuf_puts(b, "</script>\n<script type=\"text/plain\" id=\"paint-cpu\">");
	paint_put_style(b, PAINT_CPU, false);
	strbuf_puts(b, "</script>\n<script type=\"text/plain\" id=\"paint-offcpu\">");
	paint_put_style(b, PAINT_OFFCPU, false);
	strbuf_puts(b, "</script>\n<script>");
	strbuf_add(b, web_timeline_js, sizeof(web_timeline_js));
	strbuf_puts(b, "</script></body></html>\n");
	return sink_flush(out, b, 0);
}

int write_html(const struct timeline_view *v, const struct write_options *o, struct sink *out)
{
	struct html h = { .trace = v->trace, .last_request = v->trace->start };
	int err = html_pack_init(&h.pack, out);

	if (!err)
		err = put_head(&h, o, out);
	if (!err)
		err = put_data(&h, v, o);
	if (!err)
		err = put_tail(&h, out);
	for (unsigned int i = 0; i < HTML_NR_COLUMNS; i++)
		strbuf_release(&h.columns[i]);
	strbuf_release(&h.scratch);
	html_tables_release(&h);
	html_pack_release(&h.pack);
	return err;
}
