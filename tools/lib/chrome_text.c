/* SPDX-License-Identifier: MIT */
/* The text of Chrome's events: numbers and names, of which there are millions. */
#include <errno.h>
#include <string.h>

#include "chrome_impl.h"
#include "json.h"
#include "sink.h"
#include "trace_file.h"
#include "util.h"

#define STACK_FRAMES 16 /* shown of a stack */

int chrome_flush(struct chrome *c, size_t limit)
{
	if (!c->err)
		c->err = sink_flush(c->out, &c->b, limit);
	return c->err;
}

/* The digits of n at p. Returns the place behind them. */
static char *put_number(char *p, uint64_t n)
{
	char digits[20];
	size_t i = sizeof(digits);

	do
		digits[--i] = (char)('0' + n % 10);
	while (n /= 10);
	memcpy(p, digits + i, sizeof(digits) - i);
	return p + sizeof(digits) - i;
}

/* ns as microseconds with three decimals. */
static char *put_us(char *p, uint64_t ns)
{
	unsigned int rest = (unsigned int)(ns % 1000);

	p = put_number(p, ns / 1000);
	*p++ = '.';
	*p++ = (char)('0' + rest / 100);
	*p++ = (char)('0' + rest / 10 % 10);
	*p++ = (char)('0' + rest % 10);
	return p;
}

void chrome_number(struct strbuf *b, uint64_t n)
{
	char text[24];

	strbuf_add(b, text, (size_t)(put_number(text, n) - text));
}

void chrome_signed(struct strbuf *b, int64_t n)
{
	char text[24] = "-";
	char *end = n < 0 ? put_number(text + 1, -(uint64_t)n) : put_number(text, (uint64_t)n);

	strbuf_add(b, text, (size_t)(end - text));
}

void chrome_hex(struct strbuf *b, uint64_t n)
{
	char text[20];
	size_t i = sizeof(text);

	text[--i] = '"';
	do
		text[--i] = "0123456789abcdef"[n & 15];
	while (n >>= 4);
	text[--i] = 'x';
	text[--i] = '0';
	text[--i] = '"';
	strbuf_add(b, text + i, sizeof(text) - i);
}

/* Text in memory that lives as long as c; "" for lack of memory, which is remembered. */
static const char *keep(struct chrome *c, const struct strbuf *b)
{
	char *copy = strbuf_error(b) ? NULL : arena_take(&c->memory, b->len + 1);

	if (!copy) {
		c->err = c->err ? c->err : -ENOMEM;
		return "\"\"";
	}
	return strcpy(copy, strbuf_str(b));
}

const char *chrome_name(struct chrome *c, uint32_t string)
{
	struct strbuf b = { 0 };

	if (string >= c->nr_names)
		return "\"\"";
	if (!c->names[string]) {
		json_put_string(&b, trace_string(c->trace, string));
		c->names[string] = keep(c, &b);
		strbuf_release(&b);
	}
	return c->names[string];
}

/* "futex_wait < pthread_cond_wait < worker" */
static void put_frames(struct chrome *c, struct strbuf *b, uint32_t stack)
{
	const struct trace *t = c->trace;
	uint32_t frames[STACK_FRAMES];
	size_t n = trace_stack_frames(t, stack, frames, STACK_FRAMES), shown = 0;
	char name[256];

	for (size_t i = 0; i < n; i++) {
		const struct trace_frame *f = frames[i] < t->nr_frames ? &t->frames[frames[i]]
								       : NULL;

		for (uint32_t j = 0; f && j < f->nr_lines && shown < STACK_FRAMES; j++) {
			const struct trace_line *l = &t->lines[f->first_line + j];

			strbuf_puts(b, shown++ ? " < " : "");
			strbuf_puts(b, trace_string(t, l->function));
		}
		if (f && f->nr_lines)
			continue;
		strbuf_puts(b, shown++ ? " < " : "");
		strbuf_puts(b, trace_frame_name(t, frames[i], name, sizeof(name)));
	}
}

const char *chrome_stack(struct chrome *c, uint32_t stack)
{
	struct strbuf text = { 0 }, quoted = { 0 };

	if (!stack || stack >= c->nr_stacks || !trace_stack(c->trace, stack)->node)
		return NULL;
	if (!c->stacks[stack]) {
		put_frames(c, &text, stack);
		json_put_string(&quoted, strbuf_str(&text));
		c->stacks[stack] = keep(c, &quoted);
		strbuf_release(&text);
		strbuf_release(&quoted);
	}
	return c->stacks[stack];
}

#define PUT(p, text) ((char *)memcpy((p), (text), sizeof(text) - 1) + sizeof(text) - 1)

/* In one piece: there are millions. */
static void put_begin(struct chrome *c, char phase, uint32_t pid, uint32_t tid, uint64_t time,
		      const uint64_t *duration)
{
	char text[160], *p = text;

	if (c->any)
		p = PUT(p, ",\n");
	p = PUT(p, "{\"ph\":\"");
	*p++ = phase;
	p = PUT(p, "\",\"pid\":");
	p = put_number(p, pid);
	p = PUT(p, ",\"tid\":");
	p = put_number(p, tid);
	p = PUT(p, ",\"ts\":");
	p = put_us(p, time - c->trace->start);
	if (duration) {
		p = PUT(p, ",\"dur\":");
		p = put_us(p, *duration);
	}
	strbuf_add(&c->b, text, (size_t)(p - text));
	c->any = true;
}

void chrome_begin(struct chrome *c, char phase, uint32_t pid, uint32_t tid, uint64_t time)
{
	put_begin(c, phase, pid, tid, time, NULL);
}

void chrome_slice(struct chrome *c, uint32_t pid, uint32_t tid, uint64_t start, uint64_t end)
{
	uint64_t duration = end - start;

	put_begin(c, 'X', pid, tid, start, &duration);
}

void chrome_what(struct chrome *c, const char *name, const char *category)
{
	strbuf_add(&c->b, ",\"name\":", 8);
	strbuf_puts(&c->b, name);
	strbuf_add(&c->b, ",\"cat\":\"", 8);
	strbuf_puts(&c->b, category);
	strbuf_putc(&c->b, '"');
}

void chrome_key(struct chrome *c, const char *key)
{
	strbuf_add(&c->b, ",\"", 2);
	strbuf_puts(&c->b, key);
	strbuf_add(&c->b, "\":", 2);
}

int chrome_end(struct chrome *c)
{
	strbuf_putc(&c->b, '}');
	return chrome_flush(c, (size_t)64 << 10);
}

void chrome_put_args(struct chrome *c, const struct strbuf *args)
{
	if (!args->len)
		return;
	strbuf_add(&c->b, ",\"args\":{", 9);
	strbuf_add(&c->b, strbuf_str(args), args->len);
	strbuf_putc(&c->b, '}');
	if (strbuf_error(args))
		c->err = c->err ? c->err : -ENOMEM;
}

struct strbuf *chrome_scratch(struct chrome *c)
{
	strbuf_reset(&c->scratch);
	return &c->scratch;
}

void chrome_arg(struct strbuf *b, const char *key)
{
	strbuf_puts(b, b->len ? ",\"" : "\"");
	strbuf_puts(b, key);
	strbuf_add(b, "\":", 2);
}

void chrome_args(struct chrome *c, struct strbuf *b, const struct event *e)
{
	for (unsigned int i = 0; e && i < e->nr_args; i++) {
		const struct event_arg *a = &e->args[i];

		if (b->len)
			strbuf_putc(b, ',');
		strbuf_puts(b, chrome_name(c, a->name));
		strbuf_putc(b, ':');
		switch (a->type) {
		case EVENT_ARG_INT:
			chrome_signed(b, a->i);
			break;
		case EVENT_ARG_HEX:
			chrome_hex(b, a->u);
			break;
		case EVENT_ARG_TEXT:
			json_put_string(b, a->text);
			break;
		default:
			chrome_number(b, a->u);
		}
	}
}
