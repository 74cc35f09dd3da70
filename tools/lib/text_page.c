/* SPDX-License-Identifier: MIT */
#include "text_page.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define DEFAULT_WIDTH 80
#define MIN_WIDTH     60
#define MAX_WIDTH     1000

void text_page_init(struct text_page *p, const struct write_options *o)
{
	p->o = o;
	p->width = o->width ? MIN(MAX(o->width, MIN_WIDTH), MAX_WIDTH) : DEFAULT_WIDTH;
	strbuf_init(&p->out);
}

void text_style(struct text_page *p, const char *style)
{
	if (p->o->color)
		strbuf_puts(&p->out, style);
}

void text_heading(struct text_page *p, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (!text) {
		p->out.failed = true;
		return;
	}
	strbuf_putc(&p->out, '\n');
	text_style(p, TEXT_BOLD);
	strbuf_puts_clipped(&p->out, text, p->width);
	text_style(p, TEXT_PLAIN);
	strbuf_putc(&p->out, '\n');
	free(text);
}

void text_end_line(struct text_page *p)
{
	while (strbuf_chop(&p->out, ' '))
		;
	strbuf_putc(&p->out, '\n');
}

void text_field(struct text_page *p, const char *key, size_t widest, const char *value)
{
	size_t used;

	text_style(p, TEXT_DIM);
	used = strbuf_puts_clipped(&p->out, key, widest);
	text_style(p, TEXT_PLAIN);
	strbuf_fill(&p->out, ' ', widest - used + 2);
	strbuf_puts_clipped(&p->out, value, p->width - widest - 2);
	strbuf_putc(&p->out, '\n');
}

void text_fields(struct text_page *p)
{
	size_t widest = 0;

	for (size_t i = 0; i < p->o->nr_fields; i++)
		widest = MAX(widest, utf8_columns(p->o->fields[i].key));
	widest = MIN(widest, p->width / 2);
	for (size_t i = 0; i < p->o->nr_fields; i++)
		text_field(p, p->o->fields[i].key, widest, p->o->fields[i].value);
}
