/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_PB_H
#define PERISCOPE_PB_H

/*
 * Protocol buffers by hand (protobuf.dev/programming-guides/encoding), for messages of which there are
 * millions: what they hold is appended field by field. Lack of memory is remembered, as by strbuf.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

/* Starts as { 0 }. */
struct pb {
	struct bytes b;
	bool failed;
};

/* For varints of any type; negative int32 and int64 as their 64-bit two's complement. */
void pb_uint(struct pb *p, unsigned int field, uint64_t value);
void pb_fixed64(struct pb *p, unsigned int field, uint64_t value);
void pb_bytes(struct pb *p, unsigned int field, const void *data, size_t len);
/* What is not UTF-8 is mended, since a string must be. */
void pb_string(struct pb *p, unsigned int field, const char *s);
/* A packed field's values are appended between begin and end. */
void pb_varint(struct pb *p, uint64_t value);

/* A message inside: its fields come between. Returns what end wants. */
size_t pb_begin(struct pb *p, unsigned int field);
void pb_end(struct pb *p, size_t begin);

void pb_release(struct pb *p);

#endif
