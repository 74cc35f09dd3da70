/* SPDX-License-Identifier: MIT */
/* Names for frames of a trace that was cut off before it was symbolized. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "dedup.h"
#include "elf.h"
#include "symbolizer.h"
#include "trace_file_read_impl.h"
#include "util.h"

/* The files of a trace's objects that are here. */
struct here {
	struct trace *t;
	struct symbolizer *symbolizer;
	struct elf_file **files; /* by object; NULL: not looked for, or not here */
	struct sym_object **objects;
	bool *looked;
	struct dedup by_text; /* the trace's strings */
};

static bool same_string(const void *ctx, uint32_t index)
{
	const void *const *key = ctx;

	return !strcmp(trace_string(key[0], index), key[1]);
}

/* The number of a string in the trace, which gets it if it is not there. */
static int add_string(struct here *h, const char *s, uint32_t *ret)
{
	struct trace *t = h->t;
	const void *key[] = { t, s };
	uint64_t hash;
	uint32_t at;
	char *copy;

	*ret = 0;
	if (!s || !*s)
		return 0;
	hash = hash_bytes(s, strlen(s));
	at = dedup_find(&h->by_text, hash, same_string, key);
	if (at == DEDUP_NONE) {
		at = (uint32_t)MAX(t->nr_strings, 1);
		copy = arena_take(&t->private->text, strlen(s) + 1);
		if (!copy || dedup_reserve(&h->by_text) ||
		    array_grow((void **)&t->strings, at, &t->private->cap_strings,
			       sizeof(*t->strings)))
			return -ENOMEM;
		t->strings[0] = NULL;
		t->strings[at] = strcpy(copy, s);
		t->nr_strings = at + (size_t)1;
		dedup_insert(&h->by_text, hash, at);
	}
	*ret = at;
	return 0;
}

static bool same_build(const struct elf_file *f, const char *build_id)
{
	char hex[2 * ELF_BUILD_ID_MAX + 1];

	if (!f->build_id_len)
		return false;
	return !strcmp(elf_build_id_hex(f->build_id, f->build_id_len, hex), build_id);
}

static struct sym_object *find_object(struct here *h, uint32_t object)
{
	const struct trace_object_info *o = &h->t->objects[object];
	struct elf_file *f;
	int fd;

	if (h->looked[object])
		return h->objects[object];
	h->looked[object] = true;
	if (!o->path || *o->path != '/' || !*o->build_id)
		return NULL;
	fd = open(o->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	f = fd < 0 ? NULL : elf_open_fd(fd);
	if (f && !same_build(f, o->build_id)) {
		elf_close(f);
		f = NULL;
	}
	h->files[object] = f;
	if (f)
		h->objects[object] = symbolizer_add(h->symbolizer, f, o->path, -1);
	return h->objects[object];
}

static int add_lines(struct here *h, struct trace_frame *frame, const struct sym_frame *lines,
		     size_t n)
{
	struct trace *t = h->t;
	size_t first = t->nr_lines;
	int err = 0;

	for (size_t i = 0; i < MIN(n, TRACE_MAX_FRAMES) && !err; i++) {
		struct trace_line l = {
			.line = lines[i].line,
			.start_line = lines[i].start_line,
			.flags = (lines[i].inlined ? TRACE_SYMBOL_INLINED : 0) |
				 (lines[i].guessed ? TRACE_SYMBOL_GUESSED : 0),
		};

		err = add_string(h, lines[i].function, &l.function);
		if (!err)
			err = add_string(h, lines[i].linkage, &l.linkage);
		if (!err)
			err = add_string(h, lines[i].file, &l.file);
		if (!err)
			err = array_grow((void **)&t->lines, t->nr_lines, &t->private->cap_lines,
					 sizeof(*t->lines));
		if (!err)
			t->lines[t->nr_lines++] = l;
	}
	if (err)
		return err;
	frame->first_line = (uint32_t)first;
	frame->nr_lines = (uint32_t)(t->nr_lines - first);
	return 0;
}

static int name_frames(struct here *h)
{
	struct trace *t = h->t;
	int named = 0, err = 0;

	for (size_t i = 1; i < t->nr_frames && !err; i++) {
		struct trace_frame *f = &t->frames[i];
		const struct sym_frame *lines;
		struct sym_object *o;
		int n;

		if (f->nr_lines || f->where != TRACE_FRAME_OBJECT || f->object >= t->nr_objects)
			continue;
		o = find_object(h, f->object);
		n = o ? sym_object_lookup(o, f->address, &lines) : 0;
		if (n == -ENOMEM)
			return n;
		if (n <= 0)
			continue;
		err = add_lines(h, f, lines, (size_t)n);
		named++;
	}
	return err ? err : named;
}

int trace_symbolize(struct trace *t)
{
	struct here h = { .t = t };
	int ret = -ENOMEM;

	h.symbolizer = symbolizer_new();
	h.files = calloc(t->nr_objects + 1, sizeof(struct elf_file *));
	h.objects = calloc(t->nr_objects + 1, sizeof(struct sym_object *));
	h.looked = calloc(t->nr_objects + 1, sizeof(*h.looked));
	if (h.symbolizer && h.files && h.objects && h.looked)
		ret = name_frames(&h);
	symbolizer_free(h.symbolizer);
	for (size_t i = 0; h.files && i < t->nr_objects; i++)
		elf_close(h.files[i]);
	dedup_release(&h.by_text);
	free(h.files);
	free(h.objects);
	free(h.looked);
	return ret;
}
