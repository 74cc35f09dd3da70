/* SPDX-License-Identifier: MIT */
#include "sink.h"

#include <string.h>

#include "strbuf.h"

int sink_write(struct sink *s, const void *data, size_t len)
{
	return len ? s->write(s, data, len) : 0;
}

int sink_puts(struct sink *s, const char *text)
{
	return sink_write(s, text, strlen(text));
}

int sink_flush(struct sink *s, struct strbuf *b, size_t limit)
{
	int err = strbuf_error(b);

	if (err || b->len < limit)
		return err;
	err = sink_write(s, strbuf_str(b), b->len);
	strbuf_reset(b);
	return err;
}

static int strbuf_sink_write(struct sink *sink, const void *data, size_t len)
{
	struct strbuf_sink *s = (struct strbuf_sink *)sink;

	strbuf_add(s->out, data, len);
	return strbuf_error(s->out);
}

void strbuf_sink_init(struct strbuf_sink *s, struct strbuf *out)
{
	s->sink.write = strbuf_sink_write;
	s->out = out;
}
