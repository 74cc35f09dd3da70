/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_BYTES_H
#define PERISCOPE_BYTES_H

/* Binary data in the making: what strbuf is for text, with room that is written to directly. */

#include <stddef.h>
#include <stdint.h>

/* Starts as { 0 }. */
struct bytes {
	uint8_t *data;
	size_t len, cap;
};

/* Room for n more bytes at data + len, or NULL for lack of memory; len is the caller's to raise. */
uint8_t *bytes_room(struct bytes *b, size_t n);
/* Append: as they are, a varint (trace_file_codec.h), a varint of the length and then the data. Each
 * returns 0 or -ENOMEM. */
int bytes_add(struct bytes *b, const void *data, size_t len);
int bytes_varint(struct bytes *b, uint64_t n);
int bytes_text(struct bytes *b, const void *data, size_t len);
void bytes_release(struct bytes *b);

#endif
