/* SPDX-License-Identifier: MIT */
#include "frames.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

static bool starts_with(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

static bool is_kernel_file(const char *file)
{
	return starts_with(file, "[kernel") || starts_with(file, "[guest.kernel");
}

/* The last part of a path. What has none ("[vdso]") is itself. */
static const char *module_name(const char *file)
{
	const char *slash = strrchr(file, '/');

	if (!strcmp(file, PROFILE_NOTE_MAPPING))
		return "";
	if (is_kernel_file(file))
		return "kernel";
	return slash && file[0] == '/' ? slash + 1 : file;
}

static enum frame_origin module_origin(const char *file, const char *module)
{
	static const char *const libc[] = {
		"libc.so", "libc-2.", "ld-linux", "ld-musl",	"ld-2.",   "libm.so",
		"libm-2.", "librt",   "libdl",	  "libpthread", "libmvec",
	};

	if (is_kernel_file(file))
		return FRAME_KERNEL;
	if (!strcmp(file, PROFILE_NOTE_MAPPING))
		return FRAME_NOTE;
	for (size_t i = 0; i < ARRAY_SIZE(libc); i++)
		if (starts_with(module, libc[i]))
			return FRAME_LIBC;
	return strstr(module, ".so") || !strcmp(module, "[vdso]") ? FRAME_LIBRARY : FRAME_PROGRAM;
}

struct symbol_key {
	const struct frames *f;
	const char *name, *module;
	enum frame_origin origin;
};

static bool symbol_equal(const void *ctx, uint32_t index)
{
	const struct symbol_key *key = ctx;
	const struct frame_symbol *s = &key->f->symbols[index];

	return s->origin == key->origin && !strcmp(s->name, key->name) &&
	       !strcmp(s->module, key->module);
}

static int add_symbol(struct frames *f, const char *name, const char *module,
		      enum frame_origin origin, uint32_t *ret)
{
	struct symbol_key key = { .f = f, .name = name, .module = module, .origin = origin };
	uint64_t words[] = { hash_bytes(name, strlen(name)), hash_bytes(module, strlen(module)),
			     origin };
	uint64_t hash = hash_bytes(words, sizeof(words));
	uint32_t found = dedup_find(&f->index, hash, symbol_equal, &key);
	char *copy;

	if (found != DEDUP_NONE) {
		*ret = found;
		return 0;
	}
	if (dedup_reserve(&f->index) ||
	    array_grow((void **)&f->symbols, f->nr_symbols, &f->cap_symbols, sizeof(*f->symbols)))
		return -ENOMEM;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	dedup_insert(&f->index, hash, (uint32_t)f->nr_symbols);
	*ret = (uint32_t)f->nr_symbols;
	f->symbols[f->nr_symbols++] =
		(struct frame_symbol){ .name = copy, .module = module, .origin = origin };
	return 0;
}

static int add_frame(struct frames *f, const struct frame *frame)
{
	if (array_grow((void **)&f->frames, f->nr_frames, &f->cap_frames, sizeof(*f->frames)))
		return -ENOMEM;
	f->frames[f->nr_frames++] = *frame;
	return 0;
}

/* A function has one source file; of a name that several share, the first met is told. */
static void note_place(struct frame_symbol *s, uint32_t file, uint32_t line)
{
	if (!s->file)
		s->file = file;
	if (!line || file != s->file)
		return;
	s->min_line = s->min_line ? MIN(s->min_line, line) : line;
	s->max_line = MAX(s->max_line, line);
}

/* An address nobody could name: by its place in its file. NULL without memory. */
static char *address_name(const struct profile *p, const struct profile_location *l,
			  const char *module)
{
	char *name;
	int len;

	if (*module) {
		const struct profile_mapping *m = &p->mappings[l->mapping];

		len = asprintf(&name, "%s+0x%" PRIx64, module, l->address - m->start + m->offset);
	} else {
		len = asprintf(&name, "0x%" PRIx64, l->address);
	}
	return len < 0 ? NULL : name;
}

/* One frame of a location; line NULL stands for the bare address. */
static int add_line(struct frames *f, const struct profile_location *l, const char *file,
		    const struct profile_line *line, bool inlined)
{
	static const struct profile_function nameless;
	const struct profile *p = f->profile;
	const struct profile_function *fn = line ? &p->functions[line->function] : &nameless;
	struct frame frame = { .file = fn->file,
			       .line = line ? line->line : 0,
			       .inlined = inlined };
	const char *name = profile_str(p, fn->name), *module = module_name(file);
	enum frame_origin origin = fn->kernel ? FRAME_KERNEL : module_origin(file, module);
	char *made = NULL;
	int err = 0;

	if (!*name) {
		name = made = address_name(p, l, module);
		if (!made)
			return -ENOMEM;
	}
	err = add_symbol(f, name, module, origin, &frame.symbol);
	free(made);
	if (!err)
		note_place(&f->symbols[frame.symbol], frame.file, frame.line);
	return err ? err : add_frame(f, &frame);
}

static int add_location(struct frames *f, const struct profile_location *l)
{
	const struct profile *p = f->profile;
	const char *file = "";
	int err = 0;

	if (l->mapping != PROFILE_NONE)
		file = profile_str(p, p->mappings[l->mapping].file);
	if (!l->nr_lines)
		return add_line(f, l, file, NULL, false);
	for (uint32_t i = 0; i < l->nr_lines && !err; i++)
		err = add_line(f, l, file, &p->lines[l->first_line + i], i + 1 < l->nr_lines);
	return err;
}

int frames_init(struct frames *f, const struct profile *p)
{
	int err = 0;

	*f = (struct frames){ .profile = p };
	f->first = calloc(p->nr_locations + 1, sizeof(*f->first));
	if (!f->first)
		return -ENOMEM;
	for (size_t i = 0; i < p->nr_locations && !err; i++) {
		err = add_location(f, &p->locations[i]);
		f->first[i + 1] = f->nr_frames;
	}
	if (err)
		frames_release(f);
	return err;
}

void frames_release(struct frames *f)
{
	for (size_t i = 0; i < f->nr_symbols; i++)
		free((char *)f->symbols[i].name); /* ours; const for all others */
	free(f->symbols);
	free(f->frames);
	free(f->first);
	dedup_release(&f->index);
	*f = (struct frames){ 0 };
}

static int push(struct frame_stack *stack, const struct frame *frame)
{
	if (array_grow((void **)&stack->items, stack->n, &stack->cap, sizeof(*stack->items)))
		return -ENOMEM;
	stack->items[stack->n++] = *frame;
	return 0;
}

static int push_note(struct frames *f, struct frame_stack *stack, const char *text)
{
	struct frame frame = { 0 };
	int err = add_symbol(f, text, "", FRAME_NOTE, &frame.symbol);

	return err ? err : push(stack, &frame);
}

static int push_notes(struct frames *f, const struct profile_sample *s, struct frame_stack *stack)
{
	char *mark;
	int err = 0;

	if (s->comm)
		err = push_note(f, stack, profile_str(f->profile, s->comm));
	if (err || !s->truncated)
		return err;
	if (asprintf(&mark, "[truncated: %s]", profile_str(f->profile, s->truncated)) < 0)
		return -ENOMEM;
	err = push_note(f, stack, mark);
	free(mark);
	return err;
}

int frames_stack(struct frames *f, const struct profile_sample *s, struct frame_stack *stack)
{
	int err;

	stack->n = 0;
	err = push_notes(f, s, stack);
	for (uint32_t i = s->nr_locations; i-- && !err;) {
		uint32_t location = f->profile->stack_locations[s->first_location + i];

		for (size_t j = f->first[location + 1]; j-- > f->first[location] && !err;)
			err = push(stack, &f->frames[j]);
	}
	return err;
}

void frame_stack_release(struct frame_stack *stack)
{
	free(stack->items);
	*stack = (struct frame_stack){ 0 };
}
