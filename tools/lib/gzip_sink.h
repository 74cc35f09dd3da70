/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_GZIP_SINK_H
#define PERISCOPE_GZIP_SINK_H

/* A sink that compresses (gzip, RFC 1952) what it gets into another one. */

#include <zlib.h>

#include "sink.h"

struct gzip_sink {
	struct sink sink; /* to write to */
	struct sink *to;  /* borrowed */
	z_stream z;
	unsigned char *out;
};

/* The level is zlib's, 1 to 9. Returns 0 or -ENOMEM; release after success only. */
int gzip_sink_init(struct gzip_sink *s, struct sink *to, int level);
/* All was written. Returns 0 or a negative errno. */
int gzip_sink_finish(struct gzip_sink *s);
void gzip_sink_release(struct gzip_sink *s);

#endif
