/* SPDX-License-Identifier: MIT */
#include "trace_file_codec.h"

uint64_t varint_get_slow(struct varint_reader *r)
{
	const uint8_t *p = r->p;
	uint64_t n = 0;

	for (unsigned int shift = 0; shift < 64 && p < r->end && !r->bad; shift += 7) {
		uint8_t byte = *p++;

		/* The tenth byte holds the last bit. */
		if (shift == 63 && byte > 1)
			break;
		n |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			r->p = p;
			return n;
		}
	}
	r->bad = true;
	return 0;
}
