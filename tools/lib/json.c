/* SPDX-License-Identifier: MIT */
#include "json.h"

#include "strbuf.h"

/* How many characters from s on are what they are: most of most strings. */
static size_t plain(const char *s)
{
	size_t n = 0;

	while (s[n] >= ' ' && s[n] < 0x7f && s[n] != '"' && s[n] != '\\')
		n++;
	return n;
}

void json_put_string(struct strbuf *b, const char *s)
{
	uint32_t c;
	size_t n;

	strbuf_putc(b, '"');
	for (;;) {
		n = plain(s);
		strbuf_add(b, s, n);
		s += n;
		c = utf8_next(&s);
		if (!c)
			break;
		if (c == '"' || c == '\\')
			strbuf_putc(b, '\\');
		strbuf_put_utf8(b, utf8_unsafe(c) ? UTF8_REPLACEMENT : c);
	}
	strbuf_putc(b, '"');
}
