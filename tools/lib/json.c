/* SPDX-License-Identifier: MIT */
#include "json.h"

#include "strbuf.h"

void json_put_string(struct strbuf *b, const char *s)
{
	uint32_t c;

	strbuf_putc(b, '"');
	while ((c = utf8_next(&s))) {
		if (c == '"' || c == '\\')
			strbuf_putc(b, '\\');
		strbuf_put_utf8(b, utf8_unsafe(c) ? UTF8_REPLACEMENT : c);
	}
	strbuf_putc(b, '"');
}
