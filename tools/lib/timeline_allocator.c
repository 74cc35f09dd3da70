/* SPDX-License-Identifier: MIT */
#include "timeline_allocator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "timeline_allocs.h"
#include "util.h"

/* "START-END START-END ..." of an object. What is no such list adds nothing. */
static int add_ranges(struct timeline_allocator *a, uint32_t object, const char *text)
{
	struct timeline_allocator_range r = { .object = object };
	char *end;

	while (*text) {
		r.start = strtoull(text, &end, 16);
		if (end == text || *end != '-')
			break;
		text = end + 1;
		r.end = strtoull(text, &end, 16);
		if (end == text)
			break;
		text = end + (*end == ' ');
		if (array_grow((void **)&a->ranges, a->nr, &a->cap, sizeof(*a->ranges)))
			return -ENOMEM;
		a->ranges[a->nr++] = r;
	}
	return 0;
}

static int add_object(struct timeline_allocator *a, const char *path, const char *text)
{
	int err = 0;

	for (size_t i = 0; i < a->trace->nr_objects && !err; i++)
		if (a->trace->objects[i].path && !strcmp(a->trace->objects[i].path, path))
			err = add_ranges(a, (uint32_t)i, text);
	return err;
}

int timeline_allocator_init(struct timeline_allocator *a, const struct trace *t)
{
	size_t len = strlen(TIMELINE_ALLOCATOR);
	int err = 0;

	*a = (struct timeline_allocator){ .trace = t };
	for (size_t i = 0; i < t->nr_infos && !err; i++)
		if (!strncmp(t->infos[i].key, TIMELINE_ALLOCATOR, len))
			err = add_object(a, t->infos[i].key + len, t->infos[i].value);
	if (!err && a->nr) {
		a->places = calloc(t->nr_stacks + 1, 1);
		err = a->places ? 0 : -ENOMEM;
	}
	if (err)
		timeline_allocator_release(a);
	return err;
}

void timeline_allocator_release(struct timeline_allocator *a)
{
	free(a->ranges);
	free(a->places);
	*a = (struct timeline_allocator){ 0 };
}

/*
 * What the kernel does for a probe: arch/x86/entry (exc_int3), kernel/events/uprobes.c
 * (uprobe_notify_resume, uretprobe's system call), arch/arm64 (brk).
 */
static bool is_probe(const char *function)
{
	return strstr(function, "uprobe") || strstr(function, "uretprobe") ||
	       strstr(function, "exc_int3") || strstr(function, "brk_handler");
}

static bool is_ours(const struct timeline_allocator *a, const struct trace_frame *f)
{
	for (size_t i = 0; i < a->nr; i++)
		if (a->ranges[i].object == f->object && f->address >= a->ranges[i].start &&
		    f->address < a->ranges[i].end)
			return true;
	return false;
}

static enum timeline_place find_place(const struct timeline_allocator *a, uint64_t stack)
{
	const struct trace *t = a->trace;
	uint32_t frames[TRACE_MAX_FRAMES];
	size_t n = trace_stack_frames(t, stack, frames, ARRAY_SIZE(frames));
	enum timeline_place place = TIMELINE_ELSEWHERE;

	for (size_t i = 0; i < n; i++) {
		const struct trace_frame *f = frames[i] < t->nr_frames ? &t->frames[frames[i]]
								       : NULL;

		if (f && f->where == TRACE_FRAME_KERNEL && f->nr_lines &&
		    is_probe(trace_string(t, t->lines[f->first_line].function)))
			return TIMELINE_IN_PROBE;
		if (f && f->where == TRACE_FRAME_OBJECT && is_ours(a, f))
			place = TIMELINE_IN_ALLOCATOR;
	}
	return place;
}

enum timeline_place timeline_allocator_place(struct timeline_allocator *a, uint64_t stack)
{
	if (!a->nr || stack >= a->trace->nr_stacks)
		return TIMELINE_ELSEWHERE;
	if (!a->places[stack])
		a->places[stack] = (uint8_t)(find_place(a, stack) + 1);
	return (enum timeline_place)(a->places[stack] - 1);
}
