/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TRACE_FILE_CODEC_H
#define PERISCOPE_TRACE_FILE_CODEC_H

/*
 * The numbers of a trace file (trace_file.h). In a header, since they are most of what reading and
 * writing one is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VARINT_MAX 10 /* bytes */

/* Store n at p, which has room for VARINT_MAX bytes. Returns the place behind it. */
static inline uint8_t *varint_put(uint8_t *p, uint64_t n)
{
	while (n >= 0x80) {
		*p++ = (uint8_t)(n | 0x80);
		n >>= 7;
	}
	*p++ = (uint8_t)n;
	return p;
}

static inline uint64_t zigzag(int64_t n)
{
	return ((uint64_t)n << 1) ^ -(uint64_t)(n < 0);
}

static inline int64_t unzigzag(uint64_t n)
{
	return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
}

/*
 * Reads numbers from memory. Behind the end, or at a number that is too long, it becomes `bad`, stays
 * so, and gives 0: a run of reads is checked once, at its end.
 */
struct varint_reader {
	const uint8_t *p, *end;
	bool bad;
};

/* The general case of the below. */
uint64_t varint_get_slow(struct varint_reader *r);

static inline uint64_t varint_get(struct varint_reader *r)
{
	if (r->p < r->end && *r->p < 0x80)
		return *r->p++;
	return varint_get_slow(r);
}

static inline int64_t varint_get_signed(struct varint_reader *r)
{
	return unzigzag(varint_get(r));
}

static inline size_t varint_left(const struct varint_reader *r)
{
	return (size_t)(r->end - r->p);
}

/* `len` bytes as they are, borrowed; NULL and bad if there are fewer. */
static inline const uint8_t *varint_bytes(struct varint_reader *r, uint64_t len)
{
	const uint8_t *p = r->p;

	if (r->bad || len > varint_left(r)) {
		r->bad = true;
		return NULL;
	}
	r->p += len;
	return p;
}

/* A part of the given length, to be read by itself; empty and bad if it is not there. */
static inline struct varint_reader varint_part(struct varint_reader *r, uint64_t len)
{
	const uint8_t *p = varint_bytes(r, len);

	return (struct varint_reader){ .p = p, .end = p ? p + len : p, .bad = !p };
}

#endif
