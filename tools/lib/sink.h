/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SINK_H
#define PERISCOPE_SINK_H

/*
 * Where a writer's bytes go. A writer of a format knows its model and a sink, and nothing of files,
 * pipes or connections. Embed a struct sink first in what implements one.
 */

#include <stddef.h>

struct strbuf;

struct sink {
	/* Take all of len bytes. Returns 0 or a negative errno, after which the writer stops. */
	int (*write)(struct sink *s, const void *data, size_t len);
};

int sink_write(struct sink *s, const void *data, size_t len);
int sink_puts(struct sink *s, const char *text);

/*
 * Pass on a text in the making once it is `limit` bytes long (0: always) and empty it. Returns 0 or
 * a negative errno, of the sink or of the strbuf.
 */
int sink_flush(struct sink *s, struct strbuf *b, size_t limit);

/* A sink into memory. */
struct strbuf_sink {
	struct sink sink;
	struct strbuf *out; /* borrowed */
};

void strbuf_sink_init(struct strbuf_sink *s, struct strbuf *out);

#endif
