/* SPDX-License-Identifier: MIT */
#include "html_pack.h"

#include <errno.h>
#include <string.h>

#include "sink.h"
#include "util.h"

#define LEVEL 6
#define PIECE (64 * 1024)

int html_pack_init(struct html_pack *p, struct sink *out)
{
	*p = (struct html_pack){ .out = out };
	if (deflateInit(&p->z, LEVEL) != Z_OK)
		return -ENOMEM;
	p->ready = true;
	return 0;
}

void html_pack_release(struct html_pack *p)
{
	if (p->ready)
		deflateEnd(&p->z);
	p->ready = false;
	strbuf_release(&p->text);
}

static void put_group(struct html_pack *p, unsigned int n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned int bits = 0;
	char group[4];

	for (unsigned int i = 0; i < 3; i++)
		bits = bits << 8 | (i < n ? p->rest[i] : 0U);
	for (unsigned int i = 0; i < 4; i++)
		group[i] = i <= n ? digits[bits >> (18 - 6 * i) & 63] : '=';
	strbuf_add(&p->text, group, sizeof(group));
}

static void put_base64(struct html_pack *p, const unsigned char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		p->rest[p->nr_rest++] = data[i];
		if (p->nr_rest < 3)
			continue;
		put_group(p, 3);
		p->nr_rest = 0;
	}
}

static int pack(struct html_pack *p, const char *data, size_t len, int flush)
{
	unsigned char out[PIECE];
	int err = 0;

	/* zlib counts in 32 bits; columns are far shorter. */
	p->z.next_in = (unsigned char *)data;
	p->z.avail_in = (uInt)len;
	do {
		p->z.next_out = out;
		p->z.avail_out = sizeof(out);
		if (deflate(&p->z, flush) == Z_STREAM_ERROR)
			return -EINVAL;
		put_base64(p, out, sizeof(out) - p->z.avail_out);
		err = sink_flush(p->out, &p->text, PIECE);
	} while (!err && !p->z.avail_out);
	return err;
}

int html_pack_chunk(struct html_pack *p, unsigned int column, uint64_t track, struct strbuf *b)
{
	struct strbuf head = { 0 };
	int err = strbuf_error(b);

	if (!err && !b->len)
		return 0;
	html_put(&head, column);
	html_put(&head, track);
	html_put(&head, b->len);
	if (!err)
		err = strbuf_error(&head);
	if (!err)
		err = pack(p, strbuf_str(&head), head.len, Z_NO_FLUSH);
	if (!err)
		err = pack(p, strbuf_str(b), b->len, Z_NO_FLUSH);
	strbuf_release(&head);
	strbuf_reset(b);
	return err;
}

int html_pack_finish(struct html_pack *p)
{
	int err = pack(p, "", 0, Z_FINISH);

	if (p->nr_rest)
		put_group(p, p->nr_rest);
	p->nr_rest = 0;
	return err ? err : sink_flush(p->out, &p->text, 0);
}

void html_put(struct strbuf *b, uint64_t n)
{
	char bytes[10];
	size_t len = 0;

	do {
		bytes[len++] = (char)((n & 0x7f) | (n > 0x7f ? 0x80U : 0));
		n >>= 7;
	} while (n);
	strbuf_add(b, bytes, len);
}

void html_put_signed(struct strbuf *b, int64_t n)
{
	html_put(b, (uint64_t)n << 1 ^ -(uint64_t)(n < 0));
}

void html_put_text(struct strbuf *b, const char *s)
{
	size_t len = strlen(s);

	html_put(b, len);
	strbuf_add(b, s, len);
}
