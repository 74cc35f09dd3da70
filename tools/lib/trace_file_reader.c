/* SPDX-License-Identifier: MIT */
#include "trace_file_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "trace_file_read_impl.h"
#include "util.h"

static int open_regular(struct trace *t, const char *path, struct read_error *error)
{
	struct stat st;

	/* A pipe would wait for its other end. */
	t->private->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (t->private->fd < 0 || fstat(t->private->fd, &st)) {
		int err = -errno;

		read_fail(error, "%s", strerror(-err));
		return err;
	}
	if (!S_ISREG(st.st_mode))
		return read_fail(error, "it is no regular file: traces are not read from pipes");
	t->size = (uint64_t)st.st_size;
	return 0;
}

static int read_header(struct trace *t, struct read_error *error)
{
	static const uint8_t magic[] = TRACE_MAGIC;
	struct trace_header *h = &t->header;
	int err = read_at(t->private->fd, 0, h, MIN(sizeof(*h), t->size));

	if (err && err != -EBADMSG) {
		read_fail(error, "%s", strerror(-err));
		return err;
	}
	if (err || t->size < sizeof(magic) || memcmp(h->magic, magic, sizeof(magic)) != 0)
		return read_fail(error, "it is no trace file (.periscope)");
	if (t->size < sizeof(*h))
		return read_fail(error, "it ends after %" PRIu64 " bytes, within its header",
				 t->size);
	if (h->major != TRACE_MAJOR)
		return read_fail(error,
				 "its format is version %u.%u, this periscope reads %u; use a "
				 "newer one",
				 h->major, h->minor, TRACE_MAJOR);
	if (h->crc != crc32(0, (const void *)h, offsetof(struct trace_header, crc)) ||
	    h->size < sizeof(*h) || h->start > TRACE_MAX_TIME || h->end > TRACE_MAX_TIME)
		return read_fail(error, "its header is damaged");
	return 0;
}

static int read_dictionaries(struct trace *t, struct read_error *error)
{
	uint64_t total = 0;
	int err = 0;

	kinds_init(t->private->kinds);
	/* Stacks get their numbers by events and their entries later, in another order. */
	t->private->gaps = TRACE_MAX_GAPS;
	for (size_t i = 0; i < t->nr_chunks && !err; i++) {
		const struct trace_chunk *c = &t->chunks[i];
		uint8_t *payload;
		size_t len;

		if (c->type == TRACE_CHUNK_EVENTS || c->type == TRACE_CHUNK_GAP)
			continue;
		if (c->type != TRACE_CHUNK_DICTIONARY) {
			t->damage.unknown += c->type != TRACE_CHUNK_INDEX;
			continue;
		}
		err = chunk_load(t, c, &payload, &len);
		if (err == -EBADMSG) {
			t->damage.chunks++;
			err = 0;
			continue;
		}
		if (err)
			break;
		total += len;
		if (total > TRACE_MAX_DICTIONARY)
			err = -EFBIG;
		else
			err = dictionary_take(t, payload, len);
		free(payload);
	}
	if (err == -EFBIG)
		read_fail(error, "its dictionaries are larger than 1 GB");
	else if (err)
		read_fail(error, "%s", strerror(-err));
	return err;
}

/* When it was, and how much there is, as far as headers tell. */
static void find_span(struct trace *t)
{
	uint64_t first = UINT64_MAX;

	t->end = t->header.end;
	for (size_t i = 0; i < t->nr_chunks; i++) {
		const struct trace_chunk *c = &t->chunks[i];

		if (c->type != TRACE_CHUNK_EVENTS)
			continue;
		t->nr_events += c->events;
		t->end = MAX(t->end, c->last);
		first = MIN(first, c->first);
	}
	t->first = MAX(t->header.start, first == UINT64_MAX ? 0 : first);
	t->end = MAX(t->end, t->first);
	t->start = MIN(MAX(t->first, t->private->begin), t->end);
	t->realtime = t->header.realtime + (t->start - t->header.start);
}

int trace_open(const char *path, struct trace **ret, struct read_error *error)
{
	struct trace *t = calloc(1, sizeof(*t));
	int err = -ENOMEM;

	if (t)
		t->private = calloc(1, sizeof(*t->private));
	if (!t || !t->private) {
		read_fail(error, "out of memory");
		goto fail;
	}
	t->private->fd = -1;
	err = open_regular(t, path, error);
	if (!err)
		err = read_header(t, error);
	if (err)
		goto fail;
	err = chunks_find(t);
	if (err) {
		read_fail(error, "%s", strerror(-err));
		goto fail;
	}
	err = read_dictionaries(t, error);
	if (err)
		goto fail;
	find_span(t);
	*ret = t;
	return 0;
fail:
	trace_close(t);
	return err;
}

void trace_close(struct trace *t)
{
	if (!t)
		return;
	if (t->private) {
		if (t->private->fd >= 0)
			close(t->private->fd);
		arena_release(&t->private->text);
		free(t->private->nodes);
		free(t->private->syscalls);
	}
	free(t->private);
	free(t->strings);
	free(t->objects);
	free(t->mappings);
	free(t->frames);
	free(t->lines);
	free(t->stacks);
	free(t->infos);
	free(t->chunks);
	free(t);
}

const char *trace_string(const struct trace *t, uint64_t string)
{
	const char *s = string < t->nr_strings ? t->strings[string] : NULL;

	return s ? s : "";
}

const char *trace_info(const struct trace *t, const char *key)
{
	for (size_t i = 0; i < t->nr_infos; i++)
		if (!strcmp(t->infos[i].key, key))
			return t->infos[i].value;
	return NULL;
}

const char *trace_syscall(const struct trace *t, uint64_t nr)
{
	for (size_t i = 0; i < t->private->nr_syscalls; i++)
		if (t->private->syscalls[i].nr == nr)
			return t->private->syscalls[i].name;
	return NULL;
}

const struct trace_stack_info *trace_stack(const struct trace *t, uint64_t stack)
{
	static const struct trace_stack_info none;

	return stack < t->nr_stacks ? &t->stacks[stack] : &none;
}

size_t trace_stack_frames(const struct trace *t, uint64_t stack, uint32_t *ret, size_t max)
{
	const struct trace_private *p = t->private;
	uint32_t node = trace_stack(t, stack)->node;
	size_t n = 0;

	while (node && node < p->nr_nodes && n < max) {
		ret[n++] = p->nodes[node].frame;
		node = p->nodes[node].up;
	}
	return n;
}

const char *trace_frame_name(const struct trace *t, uint32_t frame, char *buf, size_t size)
{
	const struct trace_frame *f = frame < t->nr_frames ? &t->frames[frame] : NULL;
	const char *path = NULL, *slash;

	if (!f) {
		snprintf(buf, size, "[lost]");
		return buf;
	}
	if (f->where == TRACE_FRAME_OBJECT && f->object < t->nr_objects)
		path = t->objects[f->object].path;
	slash = path ? strrchr(path, '/') : NULL;
	if (path && *path)
		snprintf(buf, size, "%s+0x%" PRIx64, slash ? slash + 1 : path, f->address);
	else if (f->where == TRACE_FRAME_KERNEL)
		snprintf(buf, size, "[kernel 0x%" PRIx64 "]", f->address);
	else
		snprintf(buf, size, "[unknown 0x%" PRIx64 "]", f->address);
	return buf;
}
