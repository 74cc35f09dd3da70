/* SPDX-License-Identifier: MIT */
#include "bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_file_codec.h"
#include "util.h"

uint8_t *bytes_room(struct bytes *b, size_t n)
{
	size_t cap = MAX(b->cap * 2, b->len + n);
	uint8_t *data;

	if (n <= b->cap - b->len)
		return b->data + b->len;
	data = realloc(b->data, cap);
	if (!data)
		return NULL;
	b->data = data;
	b->cap = cap;
	return data + b->len;
}

int bytes_add(struct bytes *b, const void *data, size_t len)
{
	uint8_t *at;

	if (!len)
		return 0;
	at = bytes_room(b, len);
	if (!at)
		return -ENOMEM;
	memcpy(at, data, len);
	b->len += len;
	return 0;
}

int bytes_varint(struct bytes *b, uint64_t n)
{
	uint8_t *at = bytes_room(b, VARINT_MAX);

	if (!at)
		return -ENOMEM;
	b->len = (size_t)(varint_put(at, n) - b->data);
	return 0;
}

int bytes_text(struct bytes *b, const void *data, size_t len)
{
	int err = bytes_varint(b, len);

	return err ? err : bytes_add(b, data, len);
}

void bytes_release(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){ 0 };
}
