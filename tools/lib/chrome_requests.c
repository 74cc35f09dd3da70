/* SPDX-License-Identifier: MIT */
/* Requests as nested asynchronous events: the same category and id from their begin to their end. */
#include "chrome_impl.h"
#include "util.h"

static void begin(struct chrome *c, const struct timeline_request *r, char phase, uint64_t time,
		  const char *name)
{
	chrome_begin(c, phase, r->pid, r->home, time);
	chrome_what(c, name, "request");
	chrome_key(c, "id");
	chrome_hex(&c->b, r->serial + 1);
}

static int put_in_flight(struct chrome *c, const struct timeline_request *r, uint64_t time,
			 int change)
{
	c->in_flight += change;
	chrome_begin(c, 'C', r->pid, 0, time);
	chrome_what(c, "\"requests in flight\"", "counter");
	strbuf_puts(&c->b, ",\"args\":{\"requests\":");
	chrome_signed(&c->b, c->in_flight);
	strbuf_putc(&c->b, '}');
	return chrome_end(c);
}

static const char *name_of(struct chrome *c, const struct timeline_request *r)
{
	return r->route ? chrome_name(c, r->route) : "\"request\"";
}

int chrome_request_begin(void *ctx, struct timeline_request *r, const struct event *e)
{
	struct chrome *c = ctx;
	uint64_t time = e ? e->time : MAX(r->begin, c->window);
	struct strbuf *args = chrome_scratch(c);

	begin(c, r, 'b', time, name_of(c, r));
	chrome_arg(args, "id");
	chrome_number(args, r->id);
	chrome_args(c, args, e);
	chrome_put_args(c, args);
	chrome_end(c);
	return put_in_flight(c, r, time, 1);
}

int chrome_phase_begin(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time)
{
	begin(ctx, r, 'b', time, chrome_name(ctx, phase));
	return chrome_end(ctx);
}

int chrome_phase_end(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time)
{
	begin(ctx, r, 'e', time, chrome_name(ctx, phase));
	return chrome_end(ctx);
}

int chrome_request_state(void *ctx, struct timeline_request *r, const struct timeline_interval *i)
{
	struct chrome *c = ctx;
	const char *stack = chrome_stack(c, i->stack);
	struct strbuf *args = chrome_scratch(c);
	const char *name = c->states[i->state];

	if (thread_state_running(i->state))
		return 0;
	begin(c, r, 'b', i->start, name);
	if (stack) {
		chrome_arg(args, "stack");
		strbuf_puts(args, stack);
	}
	if (i->queue) {
		chrome_arg(args, "queue");
		strbuf_puts(args, chrome_name(c, i->queue));
	}
	if (i->thread) {
		chrome_arg(args, "thread");
		chrome_number(args, i->thread->tid);
	}
	chrome_put_args(c, args);
	chrome_end(c);
	begin(c, r, 'e', i->end, name);
	return chrome_end(c);
}

int chrome_request_end(void *ctx, struct timeline_request *r, const struct event *e)
{
	struct chrome *c = ctx;
	struct strbuf *args = chrome_scratch(c);

	begin(c, r, 'e', r->end, name_of(c, r));
	if (e) {
		chrome_arg(args, "status");
		chrome_signed(args, r->status);
		chrome_arg(args, "bytes");
		chrome_number(args, r->bytes);
	}
	if (r->allocs) {
		chrome_arg(args, "allocs");
		chrome_number(args, r->allocs);
		chrome_arg(args, "allocated");
		chrome_number(args, r->alloc_bytes);
	}
	if (r->trigger) {
		chrome_arg(args, "trigger");
		strbuf_puts(args, chrome_name(c, r->trigger));
	}
	if (r->partial) {
		chrome_arg(args, "partial");
		chrome_number(args, 1);
	}
	if (r->lost) {
		chrome_arg(args, "lost");
		chrome_number(args, 1);
	}
	chrome_args(c, args, e);
	chrome_put_args(c, args);
	chrome_end(c);
	return put_in_flight(c, r, r->end, -1);
}
