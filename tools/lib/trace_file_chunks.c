/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "trace_file_read_impl.h"
#include "util.h"

#define WINDOW	   ((size_t)1 << 20)   /* bytes searched at a time */
#define MAX_SEARCH (UINT64_C(1) << 30) /* bytes searched for chunks at all */

int read_at(int fd, uint64_t offset, void *data, size_t len)
{
	char *p = data;

	while (len) {
		ssize_t n = pread(fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -EBADMSG;
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static bool is_header(const struct trace_chunk_header *h)
{
	return h->magic == TRACE_CHUNK_MAGIC && h->size <= TRACE_MAX_PAYLOAD &&
	       h->unpacked <= TRACE_MAX_PAYLOAD && h->first <= h->last &&
	       h->last <= TRACE_MAX_TIME &&
	       h->crc == crc32(0, (const void *)h, offsetof(struct trace_chunk_header, crc));
}

static int unpack(const struct trace_chunk_header *h, const uint8_t *packed, uint8_t *data)
{
	uLongf len = h->unpacked;

	if (h->packing == TRACE_STORED && h->size == h->unpacked) {
		memcpy(data, packed, h->size);
		return 0;
	}
	if (h->packing != TRACE_ZLIB || uncompress(data, &len, packed, h->size) != Z_OK)
		return -EBADMSG;
	return len == h->unpacked ? 0 : -EBADMSG;
}

int chunk_load(const struct trace *t, const struct trace_chunk *c, uint8_t **ret, size_t *ret_len)
{
	struct trace_chunk_header h;
	uint8_t *packed, *data = NULL;
	int err = read_at(t->private->fd, c->offset, &h, sizeof(h));

	if (err)
		return err;
	/* The same as when it was found? The index may be wrong, and files change. */
	if (!is_header(&h) || h.type != c->type || h.size + sizeof(h) != c->size)
		return -EBADMSG;
	packed = malloc(h.size + (size_t)1);
	data = malloc(h.unpacked + (size_t)1);
	if (!packed || !data)
		err = -ENOMEM;
	if (!err)
		err = read_at(t->private->fd, c->offset + sizeof(h), packed, h.size);
	if (!err && crc32(0, packed, h.size) != h.payload)
		err = -EBADMSG;
	if (!err)
		err = unpack(&h, packed, data);
	free(packed);
	if (err) {
		free(data);
		return err;
	}
	*ret = data;
	*ret_len = h.unpacked;
	return 0;
}

static int add_chunk(struct trace *t, const struct trace_chunk *c)
{
	if (array_grow((void **)&t->chunks, t->nr_chunks, &t->private->cap_chunks,
		       sizeof(*t->chunks)))
		return -ENOMEM;
	t->chunks[t->nr_chunks++] = *c;
	return 0;
}

static int read_index(struct trace *t, const uint8_t *data, size_t len)
{
	struct varint_reader r = { .p = data, .end = data + len };
	uint64_t at = t->header.size, first = 0;
	int err = 0;

	while (r.p < r.end && !err) {
		struct trace_chunk c = { .offset = at };
		uint64_t size = varint_get(&r), type = varint_get(&r);
		uint64_t events, span;

		c.flags = (uint16_t)varint_get(&r);
		events = varint_get(&r);
		first += (uint64_t)varint_get_signed(&r);
		span = varint_get(&r);
		if (r.bad || size > t->header.index - at || type > UINT8_MAX || !type ||
		    events > UINT32_MAX || first > TRACE_MAX_TIME || span > TRACE_MAX_TIME - first)
			return -EBADMSG;
		c.size = (uint32_t)size;
		c.type = (uint8_t)type;
		c.events = (uint32_t)events;
		c.first = first;
		c.last = first + span;
		at += size;
		err = add_chunk(t, &c);
	}
	/* Nothing between the last chunk and the index. */
	return !err && at != t->header.index ? -EBADMSG : err;
}

static int use_index(struct trace *t)
{
	struct trace_chunk c = { .offset = t->header.index, .type = TRACE_CHUNK_INDEX };
	struct trace_chunk_header h;
	uint8_t *data;
	size_t len;
	int err;

	if (c.offset < t->header.size || c.offset >= t->size)
		return -EBADMSG;
	err = read_at(t->private->fd, c.offset, &h, sizeof(h));
	if (err)
		return err;
	c.size = h.size + (uint32_t)sizeof(h);
	err = chunk_load(t, &c, &data, &len);
	if (err)
		return err;
	err = read_index(t, data, len);
	free(data);
	return err;
}

/* The place of the next thing at or after *at that begins like a chunk, or the file's size. */
static int search(struct trace *t, uint64_t *at, uint64_t *searched)
{
	static const uint32_t magic = TRACE_CHUNK_MAGIC;
	uint8_t *window = malloc(WINDOW);
	int err = window ? 0 : -ENOMEM;

	while (!err && *at < t->size && *searched < MAX_SEARCH) {
		size_t len = MIN(WINDOW, t->size - *at);
		const uint8_t *found;

		err = read_at(t->private->fd, *at, window, len);
		if (err)
			break;
		found = memmem(window, len, &magic, sizeof(magic));
		if (found) {
			*at += (uint64_t)(found - window);
			*searched += (uint64_t)(found - window);
			break;
		}
		/* It may begin in this window and end in the next. */
		len = *at + len < t->size ? len - sizeof(magic) + 1 : len;
		*at += len;
		*searched += len;
	}
	if (*searched >= MAX_SEARCH)
		*at = t->size;
	free(window);
	return err;
}

/* How far the events of the chunks so far reach. */
static uint64_t reached(const struct trace *t)
{
	for (size_t i = t->nr_chunks; i--;)
		if (t->chunks[i].type == TRACE_CHUNK_EVENTS)
			return t->chunks[i].last;
	return t->header.start;
}

static int add_gap(struct trace *t, uint32_t missing)
{
	struct trace_chunk gap = { .type = TRACE_CHUNK_GAP, .first = reached(t) };

	t->damage.missing += missing;
	return add_chunk(t, &gap);
}

/* What is missing may have had events up to the first that are there again. */
static void end_gaps(struct trace *t)
{
	uint64_t next = 0;

	for (size_t i = t->nr_chunks; i--;) {
		struct trace_chunk *c = &t->chunks[i];

		if (c->type == TRACE_CHUNK_EVENTS)
			next = c->first;
		if (c->type == TRACE_CHUNK_GAP)
			c->last = MAX(c->first, next);
	}
}

static int scan(struct trace *t)
{
	uint64_t at = t->header.size, searched = 0, skipped;
	uint32_t serial = 0;
	int err = 0;

	while (!err && at + sizeof(struct trace_chunk_header) <= t->size) {
		struct trace_chunk c = { .offset = at };
		struct trace_chunk_header h;

		err = read_at(t->private->fd, at, &h, sizeof(h));
		if (err)
			break;
		if (!is_header(&h)) {
			skipped = at++;
			err = search(t, &at, &searched);
			t->damage.bytes += at - skipped;
			continue;
		}
		if (h.size > t->size - at - sizeof(h))
			break;
		c.type = h.type;
		c.flags = h.flags;
		c.size = h.size + (uint32_t)sizeof(h);
		c.events = h.events;
		c.first = h.first;
		c.last = h.last;
		if (h.serial > serial)
			err = add_gap(t, h.serial - serial);
		serial = h.serial + 1;
		/* A type of gap is none of a file. */
		if (!err && c.type != TRACE_CHUNK_GAP)
			err = add_chunk(t, &c);
		at += c.size;
	}
	t->damage.bytes += t->size - MIN(at, t->size);
	end_gaps(t);
	return err == -EBADMSG ? 0 : err;
}

int chunks_find(struct trace *t)
{
	int err;

	if (!(t->header.flags & TRACE_INCOMPLETE) && t->header.index) {
		err = use_index(t);
		t->complete = !err;
		if (err != -EBADMSG)
			return err;
		t->nr_chunks = 0;
		t->damage.chunks++;
	}
	return scan(t);
}
