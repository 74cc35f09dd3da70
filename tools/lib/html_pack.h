/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HTML_PACK_H
#define PERISCOPE_HTML_PACK_H

/*
 * How data lie in a page: deflated (RFC 1950) and in base64 (RFC 4648 section 4), so that they are
 * text that no HTML parser stumbles over. They are chunks, each a varint (unsigned LEB128) of its
 * column, one of its track, one of its length, and so many bytes; the bytes of a column of a track
 * belong together, in the order of their chunks.
 */

#include <stdbool.h>
#include <zlib.h>

#include "strbuf.h"

struct sink;

struct html_pack {
	struct sink *out; /* borrowed */
	z_stream z;
	bool ready;
	unsigned char rest[3]; /* that do not fill a group of base64 yet */
	unsigned int nr_rest;
	struct strbuf text; /* in the making */
};

/* Returns 0 or -ENOMEM. */
int html_pack_init(struct html_pack *p, struct sink *out);
void html_pack_release(struct html_pack *p);
/* Hand on what is in b, and empty it. Returns 0, -ENOMEM or what the sink returned. */
int html_pack_chunk(struct html_pack *p, unsigned int column, uint64_t track, struct strbuf *b);
/* No chunk comes after this. */
int html_pack_finish(struct html_pack *p);

/* Numbers, as the chunks hold them: unsigned LEB128, and the zigzag form of signed ones. */
void html_put(struct strbuf *b, uint64_t n);
void html_put_signed(struct strbuf *b, int64_t n);
/* Its length and its bytes, whatever they are. */
void html_put_text(struct strbuf *b, const char *s);

#endif
