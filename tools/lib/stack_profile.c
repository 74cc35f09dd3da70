/* SPDX-License-Identifier: MIT */
#include "stack_profile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ksyms.h"
#include "process.h"
#include "util.h"

#define STACK_MAX_TURNED (2 * STACK_MAX_FRAMES)

/* A process's JIT symbols, read at the first frame that belongs to no object. */
struct jit {
	uint32_t tgid;
	struct perf_map *map; /* NULL: it has none */
};

/* Memo: a frame (of a process, when it is in no object) and the location it became. */
struct memo {
	uint64_t frame;
	uint32_t tgid;
	uint32_t location; /* + 1; 0: the slot is empty */
};

struct stack_profile {
	struct profile *p;
	const struct stacks *stacks;
	const struct objects *objects;
	const struct stack_profile_options *o;
	struct ksyms *ksyms;
	uint32_t kernel_mapping, note_mapping;
	uint32_t *mappings; /* by object id - 1; PROFILE_NONE: not yet made */
	struct jit *jits;
	size_t nr_jits, cap_jits;
	struct memo *memos;
	size_t memo_slots, nr_memos;
	uint32_t key_tid, key_pid; /* of labels */
};

static int add_function(struct profile *p, const struct sym_frame *f, bool kernel, uint32_t *ret)
{
	struct profile_function fn = { .start_line = f->start_line,
				       .kernel = kernel,
				       .guessed = f->guessed };
	int err;

	err = profile_string(p, f->function, &fn.name);
	if (!err)
		err = profile_string(p, f->linkage ? f->linkage : f->function, &fn.system_name);
	if (!err)
		err = profile_string(p, f->file, &fn.file);
	return err ? err : profile_function(p, &fn, ret);
}

static int one_line_location(struct stack_profile *f, uint64_t address, uint32_t mapping,
			     const struct sym_frame *frame, bool kernel, uint32_t *ret)
{
	struct profile_line line = { 0 };
	int err = add_function(f->p, frame, kernel, &line.function);

	return err ? err : profile_location(f->p, address, mapping, &line, 1, ret);
}

static int kernel_location(struct stack_profile *f, uint64_t address, uint32_t *ret)
{
	const char *module = NULL, *name = NULL;
	struct sym_frame frame = { 0 };
	char text[32];
	int err;

	if (f->kernel_mapping == PROFILE_NONE) {
		err = profile_mapping(f->p, UINT64_C(1) << 63, UINT64_MAX, 0, "[kernel.kallsyms]",
				      "", &f->kernel_mapping);
		if (err)
			return err;
		f->p->mappings[f->kernel_mapping].has_functions = f->ksyms != NULL;
	}
	if (f->ksyms)
		name = ksyms_lookup(f->ksyms, address, &module);
	if (!name) {
		snprintf(text, sizeof(text), "0x%" PRIx64, address);
		name = text;
		frame.guessed = true;
	}
	frame.function = name;
	return one_line_location(f, address, f->kernel_mapping, &frame, true, ret);
}

static struct perf_map *jit_of(struct stack_profile *f, uint32_t tgid)
{
	struct jit jit = { .tgid = tgid };

	for (size_t i = 0; i < f->nr_jits; i++)
		if (f->jits[i].tgid == tgid)
			return f->jits[i].map;
	if (array_grow((void **)&f->jits, f->nr_jits, &f->cap_jits, sizeof(*f->jits)))
		return NULL;
	jit.map = jit_maps_read(&f->objects->jits, (pid_t)tgid);
	f->jits[f->nr_jits++] = jit;
	return jit.map;
}

/* An address of no object: generated code, if the process says so, else nameless. */
static int bare_location(struct stack_profile *f, uint32_t tgid, uint64_t address, uint32_t *ret)
{
	struct perf_map *map = jit_of(f, tgid);
	const char *name = map ? perf_map_lookup(map, address) : NULL;
	struct sym_frame frame = { .function = name };
	char text[32];

	if (!name) {
		snprintf(text, sizeof(text), "[unknown 0x%" PRIx64 "]", address);
		frame.function = text;
		frame.guessed = true;
	}
	return one_line_location(f, address, PROFILE_NONE, &frame, false, ret);
}

static int object_mapping(struct stack_profile *f, struct object *obj, uint32_t *ret)
{
	char hex[2 * ELF_BUILD_ID_MAX + 1] = "";
	struct profile_mapping *m;
	int err;

	if (f->mappings[obj->id - 1] == PROFILE_NONE) {
		if (obj->elf)
			elf_build_id_hex(obj->elf->build_id, obj->elf->build_id_len, hex);
		err = profile_mapping(f->p, obj->first.start, obj->first.end, obj->first.offset,
				      obj->path, hex, &f->mappings[obj->id - 1]);
		if (err)
			return err;
		m = &f->p->mappings[f->mappings[obj->id - 1]];
		m->has_functions = true;
		if (obj->sym && sym_object_has_lines(obj->sym))
			m->has_filenames = m->has_line_numbers = m->has_inline_frames = true;
	}
	*ret = f->mappings[obj->id - 1];
	return 0;
}

static int object_location(struct stack_profile *f, struct object *obj, uint64_t vaddr,
			   uint32_t *ret)
{
	const struct sym_frame *frames;
	struct profile_line lines[64];
	uint32_t mapping;
	uint64_t bias = 0, base;
	int n, err;

	err = object_mapping(f, obj, &mapping);
	if (err)
		return err;
	n = obj->sym ? sym_object_lookup(obj->sym, vaddr, &frames) : -ENODATA;
	if (n == -ENOMEM)
		return n;
	n = MIN(n, (int)ARRAY_SIZE(lines));
	for (int i = 0; i < n; i++) {
		lines[i].line = frames[i].line;
		err = add_function(f->p, &frames[i], false, &lines[i].function);
		if (err)
			return err;
	}
	if (obj->elf && !elf_offset_to_vaddr(obj->elf, obj->first.offset, &base))
		bias = obj->first.start - base;
	return profile_location(f->p, vaddr + bias, mapping, lines, MAX(n, 0), ret);
}

static int make_location(struct stack_profile *f, uint32_t tgid, uint64_t frame, uint32_t *ret)
{
	struct object *obj;

	if (FRAME_IS_KERNEL(frame))
		return kernel_location(f, frame, ret);
	obj = objects_by_id(f->objects, FRAME_OBJECT(frame));
	if (!obj)
		return bare_location(f, tgid, FRAME_ADDR(frame), ret);
	return object_location(f, obj, FRAME_ADDR(frame), ret);
}

static int grow_memos(struct stack_profile *f)
{
	size_t n = f->memo_slots ? f->memo_slots * 2 : 4096;
	struct memo *old = f->memos, *t;

	if (f->nr_memos * 2 < f->memo_slots)
		return 0;
	t = calloc(n, sizeof(*t));
	if (!t)
		return -ENOMEM;
	for (size_t i = 0; i < f->memo_slots; i++) {
		size_t at = hash_bytes(&old[i].frame, sizeof(old[i].frame)) & (n - 1);

		if (!old[i].location)
			continue;
		while (t[at].location)
			at = (at + 1) & (n - 1);
		t[at] = old[i];
	}
	free(old);
	f->memos = t;
	f->memo_slots = n;
	return 0;
}

/* A sample without frames: pprof leaves out samples that have no location at all. */
static int no_frames(struct stack_profile *f, uint32_t *ret)
{
	struct sym_frame frame = {
		.function = f->o->no_user ? "[user mode]" : "[no stack]",
		.guessed = true,
	};

	return one_line_location(f, 0, PROFILE_NONE, &frame, false, ret);
}

int stack_profile_location(struct stack_profile *f, uint32_t tgid, uint64_t frame, uint32_t *ret)
{
	struct memo *m;
	size_t at;
	int err;

	if (FRAME_OBJECT(frame) || FRAME_IS_KERNEL(frame))
		tgid = 0;
	err = grow_memos(f);
	if (err)
		return err;
	at = hash_bytes(&frame, sizeof(frame)) & (f->memo_slots - 1);
	while (f->memos[at].location && (f->memos[at].frame != frame || f->memos[at].tgid != tgid))
		at = (at + 1) & (f->memo_slots - 1);
	m = &f->memos[at];
	if (!m->location) {
		err = make_location(f, tgid, frame, ret);
		if (err)
			return err;
		*m = (struct memo){ frame, tgid, *ret + 1 };
		f->nr_memos++;
	}
	*ret = m->location - 1;
	return 0;
}

/* The thread's and the process's numbers, and the sample's own labels behind them. */
static size_t fill_labels(const struct stack_profile *f, const struct stack_sample *sample,
			  struct profile_label *labels)
{
	size_t n = 0;

	labels[n++] = (struct profile_label){ .key = f->key_tid, .num = sample->tid };
	if (f->o->label_pid)
		labels[n++] = (struct profile_label){ .key = f->key_pid, .num = sample->tgid };
	for (size_t i = 0; i < sample->nr_labels; i++)
		labels[n++] = sample->labels[i];
	return n;
}

static int note_location(struct stack_profile *f, const char *text, uint32_t *ret)
{
	struct sym_frame frame = { .function = text };
	int err = 0;

	if (f->note_mapping == PROFILE_NONE) {
		err = profile_mapping(f->p, 0, 0, 0, PROFILE_NOTE_MAPPING, "", &f->note_mapping);
		if (!err)
			f->p->mappings[f->note_mapping].has_functions = true;
	}
	return err ? err : one_line_location(f, 0, f->note_mapping, &frame, false, ret);
}

/*
 * A location whose inlined functions have to come the other way round: one for each. Room is for
 * STACK_MAX_TURNED of them; of a stack with more the frames nearest the root are left.
 */
static int turned_location(struct stack_profile *f, uint32_t tgid, uint64_t frame,
			   uint32_t *locations, size_t *n)
{
	struct profile_location l;
	uint32_t index;
	int err = stack_profile_location(f, tgid, frame, &index);

	if (err)
		return err;
	l = f->p->locations[index];
	if (l.nr_lines <= 1 && *n < STACK_MAX_TURNED) {
		locations[(*n)++] = index;
		return 0;
	}
	for (uint32_t i = l.nr_lines; i-- && !err && *n < STACK_MAX_TURNED;) {
		struct profile_line line = f->p->lines[l.first_line + i];

		err = profile_location(f->p, l.address, l.mapping, &line, 1, &locations[(*n)++]);
	}
	return err;
}

/* The stack turned around, its thread's name before it and the separator behind. */
static int chained_locations(struct stack_profile *f, const struct stack_sample *sample,
			     uint32_t *locations, size_t *n)
{
	const struct stack *s = &f->stacks->items[sample->chained];
	const uint64_t *frames = f->stacks->frames + s->first_frame;
	int err = note_location(f, sample->chained_comm, &locations[(*n)++]);

	for (size_t i = s->nr_frames; i-- && !err;)
		err = turned_location(f, sample->tgid, frames[i], locations, n);
	return err ? err : note_location(f, "--", &locations[(*n)++]);
}

/* Does a location begin a stack for nobody's sake? By its function itself, not what is inlined. */
static bool is_hidden(const struct stack_profile *f, uint32_t location)
{
	const struct profile_location *l = &f->p->locations[location];
	const char *name;
	uint32_t function;

	if (!f->o->hide_leaves || !l->nr_lines)
		return false;
	function = f->p->lines[l->first_line + l->nr_lines - 1].function;
	name = profile_str(f->p, f->p->functions[function].system_name);
	for (const char *const *hide = f->o->hide_leaves; *hide; hide++)
		if (!strncmp(name, *hide, strlen(*hide)))
			return true;
	return false;
}

int stack_profile_caller(struct stack_profile *f, uint32_t tgid, size_t stack, uint32_t *ret)
{
	const struct stack *s = &f->stacks->items[stack];
	int err = -EINVAL;

	for (size_t i = 0; i < s->nr_frames; i++) {
		err = stack_profile_location(f, tgid, f->stacks->frames[s->first_frame + i], ret);
		if (err || !is_hidden(f, *ret))
			break;
	}
	return err;
}

/* Innermost first: who woke, a note, the stack. */
static int fill_locations(struct stack_profile *f, const struct stack_sample *sample,
			  uint32_t *locations, size_t *n)
{
	const struct stack *s;
	int err = 0;

	if (sample->chained_comm)
		err = chained_locations(f, sample, locations, n);
	if (!err && sample->note)
		err = note_location(f, sample->note, &locations[(*n)++]);
	if (err || sample->stack == STACK_SAMPLE_NONE)
		return err;
	s = &f->stacks->items[sample->stack];
	for (size_t i = 0; i < s->nr_frames && !err; i++) {
		err = stack_profile_location(f, sample->tgid, f->stacks->frames[s->first_frame + i],
					     &locations[*n]);
		*n += err || *n || i + 1 == s->nr_frames || !is_hidden(f, locations[0]);
	}
	if (!err && !s->nr_frames)
		err = no_frames(f, &locations[(*n)++]);
	return err;
}

int stack_profile_add(struct stack_profile *f, const struct stack_sample *sample)
{
	const struct stack *s =
		sample->stack == STACK_SAMPLE_NONE ? NULL : &f->stacks->items[sample->stack];
	uint32_t locations[STACK_MAX_TURNED + 2 + STACK_MAX_FRAMES];
	struct profile_label labels[STACK_SAMPLE_LABELS + 2];
	struct profile_sample_key key = { .locations = locations, .labels = labels };
	char comm[STACK_COMM_LEN + 16];
	int err;

	if (sample->nr_labels > STACK_SAMPLE_LABELS)
		return -E2BIG;
	key.nr_labels = fill_labels(f, sample, labels);
	err = fill_locations(f, sample, locations, &key.nr_locations);
	/* The thread's name is the sample's comm; pprof files have it as a label, too. */
	if (f->o->per_thread)
		snprintf(comm, sizeof(comm), "%s/%u", sample->comm, sample->tid);
	else
		snprintf(comm, sizeof(comm), "%s", sample->comm);
	if (!err)
		err = profile_string(f->p, comm, &key.comm);
	if (!err && s && !f->o->no_user && s->end != UNWIND_COMPLETE)
		err = profile_string(f->p, unwind_end_name(s->end), &key.truncated);
	return err ? err : profile_add(f->p, &key, sample->values);
}

struct stack_profile *stack_profile_new(struct profile *p, const struct stacks *s,
					const struct objects *objects,
					const struct stack_profile_options *o)
{
	struct stack_profile *f = calloc(1, sizeof(*f));
	uint32_t first;
	int err = 0;

	if (!f)
		return NULL;
	*f = (struct stack_profile){
		.p = p,
		.stacks = s,
		.objects = objects,
		.o = o,
		.kernel_mapping = PROFILE_NONE,
		.note_mapping = PROFILE_NONE,
	};
	f->mappings = malloc((objects->nr + 1) * sizeof(*f->mappings));
	if (!f->mappings)
		err = -ENOMEM;
	for (size_t i = 0; i < objects->nr && !err; i++)
		f->mappings[i] = PROFILE_NONE;
	if (!err && o->kernel)
		f->ksyms = ksyms_new(NULL);
	/* pprof takes the first mapping for the program's; it is the lowest of the first process. */
	if (!err && objects->nr)
		err = object_mapping(f, objects->items[0], &first);
	if (!err)
		err = profile_string(p, "tid", &f->key_tid);
	if (!err)
		err = profile_string(p, "pid", &f->key_pid);
	if (!err)
		return f;
	stack_profile_free(f);
	errno = -err;
	return NULL;
}

void stack_profile_free(struct stack_profile *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->nr_jits; i++)
		perf_map_free(f->jits[i].map);
	free(f->jits);
	free(f->memos);
	free(f->mappings);
	ksyms_free(f->ksyms);
	free(f);
}

static int add_count(struct stack_profile *f, const struct stack_count *c)
{
	int64_t values[PROFILE_MAX_TYPES];
	struct stack_sample sample = {
		.stack = c->stack,
		.tgid = c->key.tgid,
		.tid = c->key.tid,
		.comm = c->comm,
		.values = values,
	};

	if (!c->count)
		return 0;
	for (size_t i = 0; i < f->p->nr_types; i++)
		values[i] = (int64_t)c->count * f->o->weights[i];
	return stack_profile_add(f, &sample);
}

int stack_profile_fill(struct profile *p, const struct stacks *s, const struct objects *objects,
		       const struct stack_profile_options *o)
{
	struct stack_profile *f = stack_profile_new(p, s, objects, o);
	int err = f ? 0 : -ENOMEM;

	for (size_t i = 0; i < s->nr_counts && !err; i++)
		err = add_count(f, &s->counts[i]);
	stack_profile_free(f);
	return err;
}
