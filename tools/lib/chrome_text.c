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

void chrome_number(struct strbuf *b, uint64_t n)
{
	char digits[20], *p = digits + sizeof(digits);

	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	strbuf_add(b, p, (size_t)(digits + sizeof(digits) - p));
}

void chrome_signed(struct strbuf *b, int64_t n)
{
	if (n < 0)
		strbuf_putc(b, '-');
	chrome_number(b, n < 0 ? -(uint64_t)n : (uint64_t)n);
}

static void put_us(struct strbuf *b, uint64_t ns)
{
	unsigned int rest = (unsigned int)(ns % 1000);
	const char fraction[] = { '.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
				  (char)('0' + rest % 10) };

	chrome_number(b, ns / 1000);
	strbuf_add(b, fraction, sizeof(fraction));
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

void chrome_begin(struct chrome *c, char phase, uint32_t pid, uint32_t tid, uint64_t time)
{
	struct strbuf *b = &c->b;

	strbuf_puts(b, c->any ? ",\n{\"ph\":\"" : "{\"ph\":\"");
	strbuf_putc(b, phase);
	strbuf_add(b, "\",\"pid\":", 8);
	chrome_number(b, pid);
	strbuf_add(b, ",\"tid\":", 7);
	chrome_number(b, tid);
	strbuf_add(b, ",\"ts\":", 6);
	put_us(b, time - c->trace->start);
	c->any = true;
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

void chrome_time(struct chrome *c, const char *key, uint64_t ns)
{
	chrome_key(c, key);
	put_us(&c->b, ns);
}

int chrome_end(struct chrome *c)
{
	strbuf_putc(&c->b, '}');
	return chrome_flush(c, (size_t)64 << 10);
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
			strbuf_printf(b, "\"0x%llx\"", (unsigned long long)a->u);
			break;
		case EVENT_ARG_TEXT:
			json_put_string(b, a->text);
			break;
		default:
			chrome_number(b, a->u);
		}
	}
}
