/* SPDX-License-Identifier: MIT */
#include "gzip_sink.h"

#include <errno.h>
#include <stdlib.h>

#include "util.h"

#define CHUNK ((size_t)64 * 1024)

static int compress_part(struct gzip_sink *s, const void *data, size_t len, int flush)
{
	int err = 0;

	s->z.next_in = (unsigned char *)data;
	s->z.avail_in = (uInt)len;
	do {
		s->z.next_out = s->out;
		s->z.avail_out = CHUNK;
		if (deflate(&s->z, flush) == Z_STREAM_ERROR)
			return -EINVAL;
		err = sink_write(s->to, s->out, CHUNK - s->z.avail_out);
	} while (!err && !s->z.avail_out);
	return err;
}

static int gzip_write(struct sink *sink, const void *data, size_t len)
{
	struct gzip_sink *s = (struct gzip_sink *)sink;
	int err = 0;

	/* What zlib takes at a time is counted in 32 bits. */
	for (size_t part; len && !err; len -= part) {
		part = MIN(len, (size_t)1 << 30);
		err = compress_part(s, data, part, Z_NO_FLUSH);
		data = (const char *)data + part;
	}
	return err;
}

int gzip_sink_init(struct gzip_sink *s, struct sink *to, int level)
{
	*s = (struct gzip_sink){ .sink = { .write = gzip_write }, .to = to };
	s->out = malloc(CHUNK);
	if (!s->out)
		return -ENOMEM;
	/* 15 bits of window, and 16 more ask zlib for a gzip header (zlib.h); it holds no time. */
	if (deflateInit2(&s->z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK)
		return 0;
	free(s->out);
	return -ENOMEM;
}

int gzip_sink_finish(struct gzip_sink *s)
{
	return compress_part(s, NULL, 0, Z_FINISH);
}

void gzip_sink_release(struct gzip_sink *s)
{
	deflateEnd(&s->z);
	free(s->out);
}
