/* SPDX-License-Identifier: MIT */
/* Threads in a page: their states, spans, and what happened to them at a moment. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "html_threads.h"

int html_thread(void *ctx, struct timeline_thread *t)
{
	struct html *h = ctx;
	struct html_thread *m = t->data;

	if (m)
		return 0;
	m = t->data = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->number = h->threads++;
	m->cpu = EVENT_NO_CPU;
	return 0;
}

static int flush_thread(struct html *h, struct html_thread *m, size_t limit)
{
	struct strbuf *columns[] = { &m->states, &m->lengths,	 &m->state_more,
				     &m->spans,	 &m->span_times, &m->span_more };
	int err = 0;

	for (unsigned int i = 0; i < 6 && !err; i++)
		err = html_flush(h, HTML_STATES + i, m->number, columns[i], limit);
	return err;
}

int html_thread_end(void *ctx, struct timeline_thread *t)
{
	struct html *h = ctx;
	struct html_thread *m = t->data;
	struct strbuf *b = &h->columns[HTML_THREADS];
	const uint64_t counts[] = { t->runs,   t->preemptions, t->wakeups, t->syscalls,
				    t->faults, t->samples,     t->lost };
	int err;

	if (!m)
		return 0;
	html_put(b, m->number);
	html_put(b, t->tid);
	html_put(b, t->pid);
	html_put(b, html_name(h, t->name));
	html_put(b, html_name(h, t->process));
	html_put_signed(b, (int64_t)html_time(h, t->born));
	html_put(b, t->died ? t->died - t->born + 1 : 0);
	html_put(b, t->before);
	for (unsigned int i = 0; i < THREAD_NR_STATES; i++)
		html_put(b, t->total[i]);
	for (unsigned int i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		html_put(b, counts[i]);
	err = flush_thread(h, m, 0);
	strbuf_release(&m->states);
	strbuf_release(&m->lengths);
	strbuf_release(&m->state_more);
	strbuf_release(&m->spans);
	strbuf_release(&m->span_times);
	strbuf_release(&m->span_more);
	strbuf_release(&m->args);
	free(m);
	t->data = NULL;
	return err ? err : html_flush(h, HTML_THREADS, 0, b, HTML_BUFFER);
}

int html_state(void *ctx, struct timeline_thread *t, const struct timeline_interval *i)
{
	struct html *h = ctx;
	struct html_thread *m = t->data;
	uint64_t start = html_time(h, i->start);
	bool running = thread_state_running(i->state);
	unsigned int head = i->state;

	if (start != m->end)
		head |= HTML_STATE_GAP;
	if (running && i->cpu != m->cpu)
		head |= HTML_STATE_CPU;
	if (!running && i->stack)
		head |= HTML_STATE_STACK;
	if (i->state == THREAD_RUNNABLE && i->waker)
		head |= HTML_STATE_WAKER;
	strbuf_putc(&m->states, (char)head);
	html_put(&m->lengths, i->end - i->start);
	if (head & HTML_STATE_GAP)
		html_put_signed(&m->state_more, (int64_t)(start - m->end));
	if (head & HTML_STATE_CPU)
		html_put(&m->state_more, m->cpu = i->cpu);
	if (head & HTML_STATE_STACK)
		html_put(&m->state_more, html_stack(h, i->stack));
	if (head & HTML_STATE_WAKER) {
		bool known = m->waker == i->waker;

		html_put(&m->state_more, i->waker);
		html_put(&m->state_more, known ? html_name(h, m->waker_name) : 0);
		html_put(&m->state_more, known ? html_stack(h, m->waker_stack) : 0);
	}
	m->end = html_time(h, i->end);
	return h->err ? h->err : flush_thread(h, m, HTML_BUFFER);
}

int html_waking(void *ctx, struct timeline_thread *waker, struct timeline_thread *wakee,
		const struct event *e)
{
	struct html_thread *m = wakee->data;

	(void)ctx;
	if (!m)
		return 0;
	m->waker = waker ? waker->tid : 0;
	m->waker_name = waker ? waker->name : 0;
	m->waker_stack = (uint32_t)e->waking.stack;
	return 0;
}

/* -------- spans -------- */

int html_span_begin(void *ctx, struct timeline_thread *t, const struct timeline_span *s,
		    const struct event *e)
{
	struct html_thread *m = t->data;
	unsigned int depth = m->depth++;

	if (depth >= HTML_DEPTH)
		return 0;
	m->begin[depth] = m->args.len;
	for (unsigned int i = 0; i < 3; i++)
		m->arg[depth][i] = 0;
	if (e && s->kind == TIMELINE_SYSCALL) {
		m->arg[depth][0] = e->enter.arg0;
		m->arg[depth][1] = e->enter.arg1;
		m->arg[depth][2] = e->enter.arg2;
	} else if (e) {
		html_args(ctx, &m->args, e);
	}
	return strbuf_error(&m->args);
}

static void put_span(struct html *h, struct html_thread *m, const struct timeline_span *s,
		     const struct event *e)
{
	struct strbuf *b = &m->span_more;

	switch (s->kind) {
	case TIMELINE_SPAN:
		html_put(b, html_name(h, s->name));
		html_put(b, html_name(h, s->category));
		break;
	case TIMELINE_SYSCALL:
		html_syscall(h, s->number);
		html_put(b, s->number);
		html_put_signed(b, e ? (int64_t)e->leave.ret : 0);
		for (unsigned int i = 0; i < 3; i++)
			html_put(b, m->arg[m->depth][i]);
		break;
	case TIMELINE_FAULT:
		html_put(b, s->number);
		html_put(b, s->flags);
		break;
	default:
		html_put(b, s->number);
	}
}

/* What of m->args came after its begin; the rest is of the spans around it. */
static void put_args(struct html_thread *m)
{
	size_t begin = m->begin[m->depth];
	const char *text = strbuf_str(&m->args) + begin;
	size_t len = m->args.len - begin;

	if (len && *text == 0x1f) {
		text++;
		len--;
	}
	html_put(&m->span_more, len);
	strbuf_add(&m->span_more, text, len);
	m->args.len = begin;
}

int html_span_end(void *ctx, struct timeline_thread *t, const struct timeline_span *s, uint64_t end,
		  const struct event *e)
{
	struct html *h = ctx;
	struct html_thread *m = t->data;
	uint64_t start = html_time(h, s->start);
	unsigned int head = s->kind;

	if (!m->depth || --m->depth >= HTML_DEPTH)
		return 0;
	if (s->kind != TIMELINE_SYSCALL)
		html_args(h, &m->args, e);
	head |= s->inherited ? HTML_SPAN_INHERITED : 0U;
	head |= s->cut ? HTML_SPAN_CUT : 0U;
	head |= m->args.len > m->begin[m->depth] ? HTML_SPAN_ARGS : 0U;
	head |= s->stack ? HTML_SPAN_STACK : 0U;
	strbuf_putc(&m->spans, (char)head);
	strbuf_putc(&m->spans, (char)(m->depth > 255 ? 255 : m->depth));
	html_put_signed(&m->span_times, (int64_t)(start - m->last_span));
	html_put(&m->span_times, end - s->start);
	m->last_span = start;
	put_span(h, m, s, e);
	if (head & HTML_SPAN_STACK)
		html_put(&m->span_more, html_stack(h, s->stack));
	if (head & HTML_SPAN_ARGS)
		put_args(m);
	return h->err ? h->err : flush_thread(h, m, HTML_BUFFER);
}

/* -------- moments -------- */

static void describe(struct html *h, const struct event *e, uint32_t *ret_name, uint64_t *ret_stack,
		     uint64_t *ret_weight)
{
	struct strbuf *b = &h->scratch;

	switch (e->kind) {
	case EVT_SAMPLE:
		*ret_stack = e->sample.stack;
		*ret_weight = e->sample.weight;
		break;
	case EVT_INSTANT:
		*ret_name = (uint32_t)e->span.name;
		*ret_stack = e->span.stack;
		break;
	case EVT_SIGNAL:
		strbuf_printf(b,
			      "signo=%" PRIu64 "\x1f"
			      "code=%" PRId64 "\x1f"
			      "address=0x%" PRIx64,
			      e->signal.signo, (int64_t)e->signal.code, e->signal.address);
		*ret_stack = e->signal.stack;
		break;
	case EVT_TRIGGER:
		*ret_name = (uint32_t)e->trigger.name;
		strbuf_printf(b, "request=%" PRIu64, e->trigger.request);
		break;
	case EVT_EXEC:
		*ret_name = (uint32_t)e->exec.name;
		break;
	case EVT_EXIT:
		strbuf_printf(b, "code=%" PRId64, (int64_t)e->exit.code);
		break;
	case EVT_FAULT_BEGIN:
		strbuf_printf(b, "address=0x%" PRIx64, e->fault.address);
		break;
	default:
		break;
	}
	html_args(h, b, e);
}

int html_instant(void *ctx, struct timeline_thread *t, const struct event *e)
{
	struct html *h = ctx;
	struct strbuf *b = &h->columns[HTML_INSTANTS];
	const struct html_thread *m = t ? t->data : NULL;
	uint64_t stack = 0, weight = 0, time = html_time(h, e->time);
	uint32_t name = 0;

	strbuf_reset(&h->scratch);
	describe(h, e, &name, &stack, &weight);
	html_put_signed(b, (int64_t)(time - h->last_instant));
	h->last_instant = time;
	html_put(b, m ? m->number + 1 : 0);
	html_put(b, e->kind);
	html_put(b, html_name(h, name));
	html_put(b, html_stack(h, stack));
	html_put(b, weight);
	html_put(b, h->scratch.len);
	strbuf_add(b, strbuf_str(&h->scratch), h->scratch.len);
	if (!h->err)
		h->err = strbuf_error(&h->scratch);
	return h->err ? h->err : html_flush(h, HTML_INSTANTS, 0, b, HTML_BUFFER);
}
