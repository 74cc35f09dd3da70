/* SPDX-License-Identifier: MIT */
#include "pb.h"

#include <string.h>

#include "strbuf.h"
#include "trace_file_codec.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LEN = 2 };

/* Room for a tag, a varint and n bytes; NULL once memory has run out. */
static uint8_t *room(struct pb *p, size_t n)
{
	uint8_t *at = p->failed ? NULL : bytes_room(&p->b, 2 * VARINT_MAX + n);

	if (!at)
		p->failed = true;
	return at;
}

static uint8_t *put_tag(uint8_t *at, unsigned int field, enum wire_type type)
{
	return varint_put(at, (uint64_t)field << 3 | type);
}

static void used(struct pb *p, const uint8_t *end)
{
	p->b.len = (size_t)(end - p->b.data);
}

void pb_uint(struct pb *p, unsigned int field, uint64_t value)
{
	uint8_t *at = room(p, 0);

	if (at)
		used(p, varint_put(put_tag(at, field, WIRE_VARINT), value));
}

void pb_fixed64(struct pb *p, unsigned int field, uint64_t value)
{
	uint8_t *at = room(p, 0);

	if (!at)
		return;
	at = put_tag(at, field, WIRE_FIXED64);
	for (int i = 0; i < 8; i++)
		*at++ = (uint8_t)(value >> 8 * i);
	used(p, at);
}

void pb_bytes(struct pb *p, unsigned int field, const void *data, size_t len)
{
	uint8_t *at = room(p, len);

	if (!at)
		return;
	at = varint_put(put_tag(at, field, WIRE_LEN), len);
	if (len)
		memcpy(at, data, len);
	used(p, at + len);
}

static bool is_ascii(const char *s)
{
	while (*s > 0)
		s++;
	return !*s;
}

void pb_string(struct pb *p, unsigned int field, const char *s)
{
	struct strbuf clean = { 0 };

	if (is_ascii(s)) {
		pb_bytes(p, field, s, strlen(s));
		return;
	}
	strbuf_puts_utf8(&clean, s);
	p->failed = p->failed || strbuf_error(&clean);
	pb_bytes(p, field, strbuf_str(&clean), clean.len);
	strbuf_release(&clean);
}

void pb_varint(struct pb *p, uint64_t value)
{
	uint8_t *at = room(p, 0);

	if (at)
		used(p, varint_put(at, value));
}

size_t pb_begin(struct pb *p, unsigned int field)
{
	uint8_t *at = room(p, 0);

	if (!at)
		return 0;
	/* One byte for the length, which will do for most. */
	used(p, put_tag(at, field, WIRE_LEN) + 1);
	return p->b.len;
}

void pb_end(struct pb *p, size_t begin)
{
	uint8_t length[VARINT_MAX], *at = room(p, 0);
	size_t len, n;

	if (!at)
		return;
	len = p->b.len - begin;
	n = (size_t)(varint_put(length, len) - length);
	if (n > 1)
		memmove(p->b.data + begin + n - 1, p->b.data + begin, len);
	memcpy(p->b.data + begin - 1, length, n);
	p->b.len += n - 1;
}

void pb_release(struct pb *p)
{
	bytes_release(&p->b);
	p->failed = false;
}
