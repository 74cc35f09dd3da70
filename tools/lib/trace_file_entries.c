/* SPDX-License-Identifier: MIT */
/* What a trace file tells besides events: its dictionaries. */
#include <errno.h>
#include <string.h>

#include "symbolizer.h"
#include "trace_file_impl.h"
#include "util.h"

#define MAX_DICTIONARY ((size_t)4 << 20) /* bytes of entries that wait */

int writer_done(struct trace_writer *w, int err)
{
	if (!w->err)
		w->err = err;
	return w->err;
}

int writer_chunk(struct trace_writer *w, struct trace_chunk_header *h, const struct bytes *payload,
		 uint64_t *bytes)
{
	int err;

	h->serial = w->serial++;
	err = packer_pack(&w->packer, w->o.level, h, payload);
	if (!err)
		err = w->to->chunk(w->to, h, w->packer.out.data);
	if (!err)
		*bytes += sizeof(*h) + h->size;
	return err;
}

int writer_kinds(struct intern *d)
{
	int err = 0;

	for (unsigned int i = 1; i < EVT_NR && !err; i++) {
		const struct event_kind_info *k = &event_kinds[i];

		d->scratch.len = 0;
		err = bytes_varint(&d->scratch, i);
		if (!err)
			err = bytes_text(&d->scratch, k->name, strlen(k->name));
		if (!err)
			err = bytes_varint(&d->scratch, k->args);
		if (!err)
			err = bytes_varint(&d->scratch, k->nr_fields);
		for (unsigned int j = 0; j < k->nr_fields && !err; j++) {
			const char *name = k->fields[j].name;

			err = bytes_text(&d->scratch, name, strlen(name));
			if (!err)
				err = bytes_varint(&d->scratch, k->fields[j].type);
		}
		if (!err)
			err = intern_entry(d, TRACE_KIND);
	}
	return err;
}

int writer_dictionary(struct trace_writer *w)
{
	struct trace_chunk_header h = { .type = TRACE_CHUNK_DICTIONARY };
	int err = intern_collect(&w->dict);

	if (err || !w->dict.entries.len)
		return err;
	err = writer_chunk(w, &h, &w->dict.entries, &w->stats.dictionary);
	w->dict.entries.len = 0;
	return err;
}

/* After anything was added to the dictionary. */
static int added(struct trace_writer *w, int err)
{
	const struct intern *d = &w->dict;

	if (!w->err && !err && d->entries.len + d->stack_entries.len > MAX_DICTIONARY)
		err = writer_dictionary(w);
	return writer_done(w, err);
}

uint32_t trace_writer_string(struct trace_writer *w, const char *s)
{
	uint32_t n = 0;

	if (!w->err)
		writer_done(w, intern_string(&w->dict, s, &n));
	return n;
}

int trace_writer_info(struct trace_writer *w, const char *key, const char *value)
{
	struct bytes *b = &w->dict.scratch;
	int err;

	if (w->err)
		return w->err;
	b->len = 0;
	err = bytes_text(b, key, strnlen(key, EVENT_MAX_TEXT));
	if (!err)
		err = bytes_text(b, value, strnlen(value, EVENT_MAX_TEXT));
	if (!err)
		err = intern_entry(&w->dict, TRACE_INFO);
	return added(w, err);
}

static int put_numbers(struct bytes *b, const uint64_t *numbers, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = bytes_varint(b, numbers[i]);
	return err;
}

int trace_writer_object(struct trace_writer *w, const struct trace_object *o)
{
	uint64_t numbers[] = { o->vdso, o->start, o->end, o->offset, o->bias };
	struct bytes *b = &w->dict.scratch;
	int err;

	if (w->err)
		return w->err;
	b->len = 0;
	err = bytes_varint(b, o->object);
	if (!err)
		err = bytes_text(b, o->path, strnlen(o->path, EVENT_MAX_TEXT));
	if (!err)
		err = bytes_text(b, o->build_id, o->build_id_len);
	if (!err)
		err = put_numbers(b, numbers, ARRAY_SIZE(numbers));
	if (!err)
		err = intern_entry(&w->dict, TRACE_OBJECT);
	return added(w, err);
}

int trace_writer_mapping(struct trace_writer *w, uint32_t pid, uint64_t time, uint64_t start,
			 uint64_t end, uint64_t offset, uint32_t object)
{
	uint64_t numbers[] = { pid, time, start, end, offset, object };
	int err;

	if (w->err)
		return w->err;
	w->dict.scratch.len = 0;
	err = put_numbers(&w->dict.scratch, numbers, ARRAY_SIZE(numbers));
	if (!err)
		err = intern_entry(&w->dict, TRACE_MAPPING);
	return added(w, err);
}

int trace_writer_stack(struct trace_writer *w, const struct trace_stack *s)
{
	return w->err ? w->err : added(w, intern_define_stack(&w->dict, s));
}

uint32_t trace_writer_nr_frames(const struct trace_writer *w)
{
	return (uint32_t)w->dict.nr_frames - 1;
}

uint64_t trace_writer_frame(const struct trace_writer *w, uint32_t frame, uint32_t *ret_pid)
{
	if (!frame || frame >= w->dict.nr_frames)
		return 0;
	*ret_pid = w->dict.frames[frame].pid;
	return w->dict.frames[frame].frame;
}

static int put_line(struct trace_writer *w, const struct sym_frame *f, struct bytes *body)
{
	uint32_t function, linkage = 0, file = 0;
	int err = intern_string(&w->dict, f->function, &function);

	if (!err && f->linkage && f->linkage != f->function)
		err = intern_string(&w->dict, f->linkage, &linkage);
	if (!err && f->file)
		err = intern_string(&w->dict, f->file, &file);
	if (!err) {
		uint64_t numbers[] = {
			function,
			linkage ? linkage : function,
			file,
			f->line,
			f->start_line,
			(f->inlined ? TRACE_SYMBOL_INLINED : 0) | (f->guessed ? TRACE_SYMBOL_GUESSED : 0),
		};

		err = put_numbers(body, numbers, ARRAY_SIZE(numbers));
	}
	return err;
}

int trace_writer_symbol(struct trace_writer *w, uint32_t frame, const struct sym_frame *lines,
			size_t nr_lines)
{
	struct bytes *b = &w->dict.scratch;
	int err;

	if (w->err)
		return w->err;
	/* The frame's own entry comes first. */
	err = frame < w->dict.frames_done ? 0 : intern_collect(&w->dict);
	b->len = 0;
	if (!err)
		err = bytes_varint(b, frame);
	for (size_t i = 0; i < MIN(nr_lines, TRACE_MAX_FRAMES) && !err; i++)
		err = put_line(w, &lines[i], b);
	if (!err)
		err = intern_entry(&w->dict, TRACE_SYMBOL);
	return added(w, err);
}
