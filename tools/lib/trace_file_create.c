/* SPDX-License-Identifier: MIT */
/*
 * The receiver of chunks that writes a file. Unlike other outputs it has its name from the begin, so
 * that what was recorded is there when the recorder is killed. After a failed write the file is cut
 * back to the last whole chunk.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "output.h"
#include "trace_file_impl.h"
#include "util.h"

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#error "which machine is this?"
#endif

struct trace_file {
	struct trace_chunks chunks;
	int fd;
	bool owned;
	int err; /* the first one */
	struct trace_header header;
	uint64_t size;	    /* of the file: the header and whole chunks */
	uint64_t last_time; /* `first` of the last chunk in the index */
	uint32_t nr_chunks;
	struct bytes index; /* what is to be in it */
};

/* All of it, at the place where a file is written to next. */
static int write_fully(int fd, struct iovec *parts, int n)
{
	while (n) {
		ssize_t done = writev(fd, parts, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		while (n && (size_t)done >= parts->iov_len) {
			done -= (ssize_t)parts->iov_len;
			parts++;
			n--;
		}
		if (!n)
			break;
		parts->iov_base = (char *)parts->iov_base + done;
		parts->iov_len -= (size_t)done;
	}
	return 0;
}

/* What a full disk left of a chunk goes. A pipe has to keep it. */
static int fail(struct trace_file *f, int err)
{
	if (!f->err)
		f->err = err;
	if (!ftruncate(f->fd, (off_t)f->size))
		lseek(f->fd, (off_t)f->size, SEEK_SET);
	return f->err;
}

static int add_to_index(struct trace_file *f, const struct trace_chunk_header *h)
{
	uint64_t numbers[] = {
		sizeof(*h) + h->size,
		h->type,
		h->flags,
		h->events,
		zigzag((int64_t)(h->first - f->last_time)),
		h->last - h->first,
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(numbers) && !err; i++)
		err = bytes_varint(&f->index, numbers[i]);
	f->last_time = h->first;
	return err;
}

static int write_chunk(struct trace_file *f, const struct trace_chunk_header *header,
		       const void *payload)
{
	struct iovec parts[] = {
		{ .iov_base = (void *)header, .iov_len = sizeof(*header) },
		{ .iov_base = (void *)payload, .iov_len = header->size },
	};
	int err = write_fully(f->fd, parts, 2);

	if (err)
		return fail(f, err);
	f->size += sizeof(*header) + header->size;
	f->nr_chunks++;
	return 0;
}

static int take_chunk(struct trace_chunks *c, const struct trace_chunk_header *header,
		      const void *payload)
{
	struct trace_file *f = (struct trace_file *)c;
	int err = f->err;

	if (!err)
		err = write_chunk(f, header, payload);
	if (!err && add_to_index(f, header))
		err = fail(f, -ENOMEM);
	return err;
}

/* The header as it is now, at the begin of the file. Where there is no going back it stays. */
static int rewrite_header(struct trace_file *f)
{
	ssize_t n;

	f->header.crc =
		(uint32_t)crc32(0, (const void *)&f->header, offsetof(struct trace_header, crc));
	do
		n = pwrite(f->fd, &f->header, sizeof(f->header), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == ESPIPE)
		return 0;
	return n < 0 ? -errno : 0;
}

static int finish(struct trace_chunks *c, uint64_t end)
{
	struct trace_file *f = (struct trace_file *)c;
	struct trace_chunk_header h = {
		.type = TRACE_CHUNK_INDEX,
		.serial = f->nr_chunks,
	};
	struct packer packer = { 0 };
	uint64_t at = f->size;
	int err = f->err;

	if (err)
		return err;
	err = packer_pack(&packer, Z_DEFAULT_COMPRESSION, &h, &f->index);
	if (!err)
		err = write_chunk(f, &h, packer.out.data);
	packer_release(&packer);
	if (err)
		return err;
	f->header.flags &= ~(uint32_t)TRACE_INCOMPLETE;
	f->header.end = end;
	f->header.index = at;
	return rewrite_header(f);
}

int trace_file_attach(int fd, uint64_t start, uint64_t realtime, struct trace_chunks **ret)
{
	struct trace_file *f = calloc(1, sizeof(*f));
	struct iovec part;
	int err;

	if (!f)
		return -ENOMEM;
	f->chunks = (struct trace_chunks){ .chunk = take_chunk, .finish = finish };
	f->fd = fd;
	f->header = (struct trace_header){
		.magic = TRACE_MAGIC,
		.major = TRACE_MAJOR,
		.minor = TRACE_MINOR,
		.size = sizeof(f->header),
		.flags = TRACE_INCOMPLETE,
		.machine = MACHINE,
		.start = start,
		.realtime = realtime,
	};
	f->header.crc =
		(uint32_t)crc32(0, (const void *)&f->header, offsetof(struct trace_header, crc));
	part = (struct iovec){ .iov_base = &f->header, .iov_len = sizeof(f->header) };
	err = write_fully(fd, &part, 1);
	f->size = sizeof(f->header);
	if (err)
		free(f);
	else
		*ret = &f->chunks;
	return err;
}

int trace_file_begin(struct trace_chunks *file, uint64_t begin)
{
	struct trace_chunk_header h = { .type = TRACE_CHUNK_DICTIONARY };
	struct bytes body = { 0 }, entry = { 0 };
	struct packer packer = { 0 };
	int err = bytes_varint(&body, begin);

	if (!err)
		err = bytes_varint(&entry, TRACE_BEGIN);
	if (!err)
		err = bytes_text(&entry, body.data, body.len);
	if (!err)
		err = packer_pack(&packer, Z_DEFAULT_COMPRESSION, &h, &entry);
	if (!err)
		err = take_chunk(file, &h, packer.out.data);
	packer_release(&packer);
	bytes_release(&entry);
	bytes_release(&body);
	return err;
}

int trace_file_create(const char *path, uint64_t start, uint64_t realtime,
		      struct trace_chunks **ret)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	int err;

	if (fd < 0)
		return -errno;
	output_give_to_caller(fd);
	err = trace_file_attach(fd, start, realtime, ret);
	if (err)
		close(fd);
	else
		((struct trace_file *)*ret)->owned = true;
	return err;
}

uint64_t trace_file_bytes(const struct trace_chunks *file)
{
	return ((const struct trace_file *)file)->size;
}

int trace_file_close(struct trace_chunks *file)
{
	struct trace_file *f = (struct trace_file *)file;
	int err;

	if (!f)
		return 0;
	err = f->err;
	if (f->owned && close(f->fd) && !err && errno != EINTR)
		err = -errno;
	bytes_release(&f->index);
	free(f);
	return err;
}
