/* SPDX-License-Identifier: MIT */
#include "write_folded.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "sink.h"
#include "strbuf.h"
#include "util.h"

#define CHUNK (64 * 1024)

struct folded_line {
	const char *text; /* without the count */
	size_t offset;	  /* of text in the buffer, which moves while it grows */
	int64_t value;
};

struct folded {
	struct strbuf text; /* NUL-separated */
	struct folded_line *lines;
	size_t nr_lines, cap_lines;
};

static void put_name(struct strbuf *b, const char *name)
{
	uint32_t c;

	while ((c = utf8_next(&name))) {
		if (c == ';')
			c = ':';
		else if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029)
			c = ' ';
		strbuf_put_utf8(b, c);
	}
}

static int add_line(struct folded *d, const struct frames *f, const struct frame_stack *stack,
		    int64_t value)
{
	struct folded_line line = { .offset = d->text.len, .value = value };

	if (array_grow((void **)&d->lines, d->nr_lines, &d->cap_lines, sizeof(*d->lines)))
		return -ENOMEM;
	for (size_t i = 0; i < stack->n; i++) {
		const struct frame_symbol *s = &f->symbols[stack->items[i].symbol];

		if (i)
			strbuf_putc(&d->text, ';');
		put_name(&d->text, s->name);
		if (s->origin == FRAME_KERNEL)
			strbuf_puts(&d->text, "_[k]");
	}
	if (!stack->n)
		strbuf_puts(&d->text, "[unknown]");
	strbuf_putc(&d->text, '\0');
	d->lines[d->nr_lines++] = line;
	return strbuf_error(&d->text);
}

static int collect(struct folded *d, const struct profile *p, size_t type)
{
	struct frame_stack stack = { 0 };
	struct frames f;
	int err = frames_init(&f, p);

	if (err)
		return err;
	for (size_t i = 0; i < p->nr_samples && !err; i++) {
		const struct profile_sample *s = &p->samples[i];

		if (!s->values[type])
			continue;
		err = frames_stack(&f, s, &stack);
		if (!err)
			err = add_line(d, &f, &stack, s->values[type]);
	}
	frame_stack_release(&stack);
	frames_release(&f);
	return err;
}

static int by_text(const void *a, const void *b)
{
	const struct folded_line *x = a, *y = b;

	return strcmp(x->text, y->text);
}

/* Samples with the same names are one line, whatever set them apart. */
static int write_lines(struct folded *d, int64_t unit, struct sink *out)
{
	struct strbuf b = { 0 };
	int err = 0;

	for (size_t i = 0; i < d->nr_lines; i++)
		d->lines[i].text = d->text.data + d->lines[i].offset;
	if (d->nr_lines)
		qsort(d->lines, d->nr_lines, sizeof(*d->lines), by_text);
	for (size_t i = 0; i < d->nr_lines && !err;) {
		const char *text = d->lines[i].text;
		int64_t value = 0;

		for (; i < d->nr_lines && !strcmp(d->lines[i].text, text); i++)
			value = profile_sum(value, d->lines[i].value);
		value = value / unit + (value % unit >= (unit + 1) / 2);
		if (value)
			strbuf_printf(&b, "%s %" PRId64 "\n", text, value);
		err = sink_flush(out, &b, CHUNK);
	}
	if (!err)
		err = sink_flush(out, &b, 0);
	strbuf_release(&b);
	return err;
}

int write_folded(const struct profile *p, const struct write_options *o, struct sink *out)
{
	size_t type = o->type == PROFILE_NONE ? 0 : o->type;
	struct folded d = { 0 };
	int err = 0;

	if (type && type >= p->nr_types)
		return -EINVAL;
	err = collect(&d, p, type);
	if (!err)
		err = write_lines(&d, o->folded_unit ? o->folded_unit : 1, out);
	strbuf_release(&d.text);
	free(d.lines);
	return err;
}
