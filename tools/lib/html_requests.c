/* SPDX-License-Identifier: MIT */
/*
 * Requests in a page, told at their ends. HTML_REQUESTS, each: s id since last, u route, u pid,
 * u home, s end since last, u latency, s status, u bytes, u 1 partial + 2 lost + 4 open + 8 aborted,
 * u pieces, syscalls, faults, switches, commit_items; text: what; u number of states with a time,
 * u state and u time of each; phases likewise; u number of its longest waits, u start since its
 * begin, u length, u state, u phase and u stack of each; u number of HTML_PIECES, of HTML_PHASES,
 * s start of the first piece since the begin.
 *
 * While a thread works on a request its state is that of the thread, which is in the page already:
 * only who worked on it, and when, is told.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "html_impl.h"

struct html_request {
	struct strbuf pieces, phases;
	uint64_t first, start, end, what; /* of the piece in the making; start == end: none */
	uint64_t last_end;
	size_t nr_pieces, nr_phases;
	unsigned int depth;
	uint64_t open[TIMELINE_PHASE_DEPTH];
};

static void end_piece(struct html_request *m)
{
	uint64_t gap = m->start - m->last_end;

	if (m->start == m->end)
		return;
	if (!m->nr_pieces) {
		m->first = m->start;
		gap = 0;
	}
	html_put(&m->pieces, 2 * m->what + (gap > 0));
	if (gap)
		html_put(&m->pieces, gap);
	html_put(&m->pieces, m->end - m->start);
	m->last_end = m->end;
	m->nr_pieces++;
}

int html_request_begin(void *ctx, struct timeline_request *r, const struct event *e)
{
	(void)ctx;
	(void)e;
	r->data = calloc(1, sizeof(struct html_request));
	return r->data ? 0 : -ENOMEM;
}

int html_request_state(void *ctx, struct timeline_request *r, const struct timeline_interval *i)
{
	struct html_request *m = r->data;
	const struct html_thread *worker = i->thread ? i->thread->data : NULL;
	uint64_t what = worker ? 64 + worker->number : i->state;

	(void)ctx;
	if (m->start != m->end && m->what == what && m->end == i->start) {
		m->end = i->end;
		return 0;
	}
	end_piece(m);
	m->start = i->start;
	m->end = i->end;
	m->what = what;
	return strbuf_error(&m->pieces);
}

int html_phase_begin(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time)
{
	struct html_request *m = r->data;

	(void)ctx;
	(void)phase;
	if (m->depth < TIMELINE_PHASE_DEPTH)
		m->open[m->depth] = time;
	m->depth++;
	return 0;
}

int html_phase_end(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time)
{
	struct html_request *m = r->data;

	if (!m->depth || --m->depth >= TIMELINE_PHASE_DEPTH)
		return 0;
	html_put(&m->phases, html_name(ctx, phase));
	html_put(&m->phases, m->depth);
	html_put(&m->phases, m->open[m->depth] - r->begin);
	html_put(&m->phases, time - m->open[m->depth]);
	m->nr_phases++;
	return strbuf_error(&m->phases);
}

static void put_parts(struct strbuf *b, const uint64_t *by, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		n += by[i] > 0;
	html_put(b, n);
	for (size_t i = 0; i < size; i++) {
		if (!by[i])
			continue;
		html_put(b, i);
		html_put(b, by[i]);
	}
}

static void put_waits(struct html *h, struct strbuf *b, const struct timeline_request *r)
{
	size_t n = 0;

	while (n < TIMELINE_WAITS && r->waits[n].end > r->waits[n].start)
		n++;
	html_put(b, n);
	for (size_t i = 0; i < n; i++) {
		const struct timeline_wait *w = &r->waits[i];

		html_put_signed(b, (int64_t)(w->start - r->begin));
		html_put(b, w->end - w->start);
		html_put(b, w->state);
		html_put(b, w->phase);
		html_put(b, html_stack(h, w->stack));
	}
}

/* For people; and whether it is why all this was kept. */
static void put_what(struct html *h, struct strbuf *b, const struct timeline_request *r)
{
	char text[TIMELINE_WHAT + 128];

	if (r->trigger)
		snprintf(text, sizeof(text), "%s%skept for %s", r->what, *r->what ? ", " : "",
			 trace_string(h->trace, r->trigger));
	html_put_text(b, r->trigger ? text : r->what);
}

static void put_request(struct html *h, const struct timeline_request *r, bool open)
{
	struct strbuf *b = &h->columns[HTML_REQUESTS];
	const uint32_t counts[] = { r->pieces, r->syscalls, r->faults, r->switches,
				    r->commit_items };

	html_put_signed(b, (int64_t)(r->id - h->last_id));
	html_put(b, html_name(h, r->route));
	html_put(b, r->pid);
	html_put(b, r->home);
	html_put_signed(b, (int64_t)(r->end - h->last_request));
	html_put(b, r->end - r->begin);
	html_put_signed(b, r->status);
	html_put(b, r->bytes);
	html_put(b, (uint64_t)r->partial | (uint64_t)r->lost << 1 | (uint64_t)open << 2 |
			    (uint64_t) !!(r->flags & EVENT_REQUEST_ABORTED) << 3);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		html_put(b, counts[i]);
	put_what(h, b, r);
	put_parts(b, r->by_state, REQUEST_NR_STATES);
	put_parts(b, r->by_phase, TIMELINE_MAX_PHASES);
	put_waits(h, b, r);
	h->last_id = r->id;
	h->last_request = r->end;
}

int html_request_end(void *ctx, struct timeline_request *r, const struct event *e)
{
	struct html *h = ctx;
	struct html_request *m = r->data;
	struct strbuf *b = &h->columns[HTML_REQUESTS];
	int err;

	if (!m)
		return 0;
	end_piece(m);
	put_request(h, r, !e);
	html_put(b, m->nr_pieces);
	html_put(b, m->nr_phases);
	html_put_signed(b, m->nr_pieces ? (int64_t)(m->first - r->begin) : 0);
	strbuf_add(&h->columns[HTML_PIECES], strbuf_str(&m->pieces), m->pieces.len);
	strbuf_add(&h->columns[HTML_PHASES], strbuf_str(&m->phases), m->phases.len);
	err = strbuf_error(&m->pieces);
	if (!err)
		err = strbuf_error(&m->phases);
	strbuf_release(&m->pieces);
	strbuf_release(&m->phases);
	free(m);
	r->data = NULL;
	for (unsigned int i = HTML_REQUESTS; i <= HTML_PHASES && !err; i++)
		err = html_flush(h, i, 0, &h->columns[i], HTML_BUFFER);
	return err;
}
