/* SPDX-License-Identifier: MIT */
/* Payloads, compressed into chunks. */
#include <endian.h>
#include <errno.h>

#include "trace_file_impl.h"

_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "headers of trace files are stored as they are");

void trace_chunk_seal(struct trace_chunk_header *header)
{
	header->crc =
		(uint32_t)crc32(0, (const void *)header, offsetof(struct trace_chunk_header, crc));
}

static int pack(struct packer *p, int level, const struct bytes *payload)
{
	uint8_t *out;
	size_t room;

	if (!p->ready && deflateInit(&p->z, level) != Z_OK)
		return -ENOMEM;
	p->ready = true;
	deflateReset(&p->z);
	room = deflateBound(&p->z, payload->len);
	p->out.len = 0;
	out = bytes_room(&p->out, room);
	if (!out)
		return -ENOMEM;
	p->z.next_in = payload->data;
	p->z.avail_in = (uInt)payload->len;
	p->z.next_out = out;
	p->z.avail_out = (uInt)room;
	if (deflate(&p->z, Z_FINISH) != Z_STREAM_END)
		return -EINVAL;
	p->out.len = room - p->z.avail_out;
	return 0;
}

int packer_pack(struct packer *p, int level, struct trace_chunk_header *header,
		const struct bytes *payload)
{
	int err;

	if (payload->len > TRACE_MAX_PAYLOAD)
		return -E2BIG;
	err = pack(p, level, payload);
	if (err)
		return err;
	header->magic = TRACE_CHUNK_MAGIC;
	header->packing = TRACE_ZLIB;
	header->size = (uint32_t)p->out.len;
	header->unpacked = (uint32_t)payload->len;
	header->payload = (uint32_t)crc32(0, p->out.data, (uInt)p->out.len);
	trace_chunk_seal(header);
	return 0;
}

void packer_release(struct packer *p)
{
	if (p->ready)
		deflateEnd(&p->z);
	bytes_release(&p->out);
	p->ready = false;
}
