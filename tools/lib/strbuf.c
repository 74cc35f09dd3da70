/* SPDX-License-Identifier: MIT */
#include "strbuf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define UTF8_ELLIPSIS 0x2026

void strbuf_init(struct strbuf *b)
{
	*b = (struct strbuf){ 0 };
}

void strbuf_release(struct strbuf *b)
{
	free(b->data);
	strbuf_init(b);
}

void strbuf_reset(struct strbuf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data)
		b->data[0] = '\0';
}

/* Room for len more bytes and the NUL; false when there is none. */
static bool make_room(struct strbuf *b, size_t len)
{
	size_t need, cap;
	char *data;

	if (b->failed)
		return false;
	if (len < b->cap - b->len) /* cap 0: len 0 as well */
		return true;
	if (__builtin_add_overflow(b->len, len, &need) || need > SIZE_MAX / 2 - 1)
		goto fail;
	cap = MAX(b->cap, (size_t)64);
	while (cap < need + 1)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data)
		goto fail;
	b->data = data;
	b->cap = cap;
	return true;
fail:
	b->failed = true;
	return false;
}

void strbuf_add(struct strbuf *b, const void *data, size_t len)
{
	if (!make_room(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void strbuf_puts(struct strbuf *b, const char *s)
{
	strbuf_add(b, s, strlen(s));
}

void strbuf_putc(struct strbuf *b, char c)
{
	strbuf_add(b, &c, 1);
}

void strbuf_fill(struct strbuf *b, char c, size_t n)
{
	if (!make_room(b, n))
		return;
	memset(b->data + b->len, c, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void strbuf_printf(struct strbuf *b, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0) {
		b->failed = true;
		return;
	}
	if (!make_room(b, len))
		return;
	va_start(args, format);
	vsnprintf(b->data + b->len, (size_t)len + 1, format, args);
	va_end(args);
	b->len += len;
}

bool strbuf_chop(struct strbuf *b, char c)
{
	if (b->failed || !b->len || b->data[b->len - 1] != c)
		return false;
	b->data[--b->len] = '\0';
	return true;
}

const char *strbuf_str(const struct strbuf *b)
{
	return b->data ? b->data : "";
}

int strbuf_error(const struct strbuf *b)
{
	return b->failed ? -ENOMEM : 0;
}

char *strbuf_detach(struct strbuf *b)
{
	char *data;

	strbuf_add(b, "", 0); /* an empty text is a string too */
	if (b->failed) {
		strbuf_release(b);
		errno = ENOMEM;
		return NULL;
	}
	data = b->data;
	strbuf_init(b);
	return data;
}

uint32_t utf8_next(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	uint32_t c = p[0], least;
	int i, more;

	if (!c)
		return 0;
	*s += 1;
	if (c < 0x80)
		return c;
	if (c >= 0xc2 && c <= 0xdf) {
		more = 1;
		least = 0x80;
		c &= 0x1f;
	} else if (c >= 0xe0 && c <= 0xef) {
		more = 2;
		least = 0x800;
		c &= 0x0f;
	} else if (c >= 0xf0 && c <= 0xf4) {
		more = 3;
		least = 0x10000;
		c &= 0x07;
	} else {
		return UTF8_REPLACEMENT;
	}
	for (i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80) /* the NUL too */
			return UTF8_REPLACEMENT;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return UTF8_REPLACEMENT;
	*s += more;
	return c;
}

void strbuf_put_utf8(struct strbuf *b, uint32_t c)
{
	char out[4];
	size_t len;

	if (c < 0x80) {
		out[0] = (char)c;
		len = 1;
	} else if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		len = 2;
	} else if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		len = 3;
	} else {
		out[0] = (char)(0xf0 | c >> 18);
		len = 4;
	}
	for (size_t i = 1; i < len; i++)
		out[i] = (char)(0x80 | (c >> (6 * (len - 1 - i)) & 0x3f));
	strbuf_add(b, out, len);
}

void strbuf_puts_utf8(struct strbuf *b, const char *s)
{
	uint32_t c;

	while ((c = utf8_next(&s)))
		strbuf_put_utf8(b, c);
}

struct range {
	uint32_t first, last;
};

static bool in_ranges(uint32_t c, const struct range *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

unsigned int utf8_width(uint32_t c)
{
	static const struct range none[] = {
		{ 0x300, 0x36f },   { 0x483, 0x489 },	{ 0x591, 0x5bd },   { 0x610, 0x61a },
		{ 0x64b, 0x65f },   { 0x1ab0, 0x1aff }, { 0x1dc0, 0x1dff }, { 0x200b, 0x200d },
		{ 0x20d0, 0x20ff }, { 0xfe00, 0xfe0f }, { 0xfe20, 0xfe2f }, { 0xfeff, 0xfeff },
	};
	static const struct range wide[] = {
		{ 0x1100, 0x115f },   { 0x2e80, 0x303e },   { 0x3041, 0xa4cf },
		{ 0xac00, 0xd7a3 },   { 0xf900, 0xfaff },   { 0xfe30, 0xfe6f },
		{ 0xff00, 0xff60 },   { 0xffe0, 0xffe6 },   { 0x1f300, 0x1f64f },
		{ 0x1f680, 0x1f6ff }, { 0x1f900, 0x1f9ff }, { 0x20000, 0x3fffd },
	};

	if (c < 0x300)
		return 1;
	if (in_ranges(c, none, ARRAY_SIZE(none)))
		return 0;
	return in_ranges(c, wide, ARRAY_SIZE(wide)) ? 2 : 1;
}

bool utf8_unsafe(uint32_t c)
{
	static const struct range unsafe[] = {
		{ 0x01, 0x1f },	    { 0x7f, 0x9f },	{ 0x61c, 0x61c },   { 0x200e, 0x200f },
		{ 0x2028, 0x202e }, { 0x2066, 0x2069 }, { 0xfffe, 0xffff },
	};

	return in_ranges(c, unsafe, ARRAY_SIZE(unsafe));
}

void strbuf_puts_escaped(struct strbuf *b, const char *s)
{
	const char *p = s;
	uint32_t c;

	for (; (c = utf8_next(&p)); s = p) {
		bool broken = c == UTF8_REPLACEMENT && p - s == 1;

		if (c == '\\')
			strbuf_puts(b, "\\\\");
		else if (c == '\n')
			strbuf_puts(b, "\\n");
		else if (c == '\t')
			strbuf_puts(b, "\\t");
		else if (!broken && !utf8_unsafe(c))
			strbuf_add(b, s, (size_t)(p - s));
		else
			for (; s < p; s++)
				strbuf_printf(b, "\\x%02x", (unsigned char)*s);
	}
}

size_t strbuf_puts_clipped(struct strbuf *b, const char *s, size_t columns)
{
	const char *p = s;
	size_t used = 0, before_last = 0, end = 0;
	uint32_t c;

	/* What fits, and what of it still fits beside an ellipsis. */
	while ((c = utf8_next(&p))) {
		used += utf8_width(utf8_unsafe(c) ? UTF8_REPLACEMENT : c);
		if (used > columns)
			break;
		if (used + 1 <= columns) {
			before_last = used;
			end = (size_t)(p - s);
		}
	}
	if (!c)
		end = (size_t)(p - s);
	for (p = s; p < s + end;) {
		uint32_t next = utf8_next(&p);

		strbuf_put_utf8(b, utf8_unsafe(next) ? UTF8_REPLACEMENT : next);
	}
	if (!c)
		return used;
	if (!columns)
		return 0;
	strbuf_put_utf8(b, UTF8_ELLIPSIS);
	return before_last + 1;
}

size_t utf8_columns(const char *s)
{
	size_t columns = 0;
	uint32_t c;

	while ((c = utf8_next(&s)))
		columns += utf8_width(utf8_unsafe(c) ? UTF8_REPLACEMENT : c);
	return columns;
}

size_t strbuf_puts_middle(struct strbuf *b, const char *s, size_t columns)
{
	size_t left = utf8_columns(s), head = columns / 2, tail, used = 0;
	bool skipping = false;
	uint32_t c;

	if (left <= columns || columns < 3)
		return strbuf_puts_clipped(b, s, columns);
	tail = columns - 1 - head;
	while ((c = utf8_next(&s))) {
		uint32_t shown = utf8_unsafe(c) ? UTF8_REPLACEMENT : c;
		size_t width = utf8_width(shown);

		if (!skipping && used + width > head) {
			skipping = true;
			strbuf_put_utf8(b, UTF8_ELLIPSIS);
			used++;
		}
		if (!skipping || left <= tail) {
			strbuf_put_utf8(b, shown);
			used += width;
		}
		left -= width;
	}
	return used;
}
