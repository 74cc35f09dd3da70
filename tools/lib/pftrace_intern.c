/* SPDX-License-Identifier: MIT */
/*
 * Names, frames and stacks of a Perfetto file: each once, in a packet of its own before the first that
 * refers to it. Their iids are their numbers in the trace, moved up to make room for our words.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pftrace_impl.h"
#include "util.h"

#define FIRST_STRING 100		 /* iid of string 0 */
#define MADE_UP	     (UINT64_C(1) << 32) /* and the frame: a name that is no string */

static const char *const words[WORD_NR] = {
	[WORD_REQUEST] = "request",  [WORD_PHASE] = "phase",
	[WORD_STATE] = "state",	     [WORD_SYSCALL] = "syscall",
	[WORD_FAULT] = "page fault", [WORD_COMMIT] = "commit",
	[WORD_SPAN] = "span",	     [WORD_WAKES] = "wakes",
	[WORD_LOST] = "lost",	     [WORD_IO] = "block I/O",
	[WORD_RET] = "ret",	     [WORD_STATUS] = "status",
	[WORD_BYTES] = "bytes",	     [WORD_ID] = "id",
	[WORD_ALLOCS] = "allocs",    [WORD_ALLOCATED] = "allocated",
	[WORD_WAKER] = "waker",	     [WORD_WAKEE] = "wakee",
	[WORD_THREAD] = "thread",    [WORD_CPU] = "cpu",
	[WORD_ADDRESS] = "address",  [WORD_MAJOR] = "major",
	[WORD_ITEMS] = "items",	     [WORD_RESULT] = "result",
	[WORD_CUT] = "cut",	     [WORD_LOOP_NS] = "loop_ns",
	[WORD_COUNT] = "count",	     [WORD_SECTOR] = "sector",
	[WORD_ERROR] = "error",	     [WORD_ARG0] = "arg0",
	[WORD_EXEC] = "exec",	     [WORD_EXIT] = "exit",
	[WORD_SIGNAL] = "signal",    [WORD_TRIGGER] = "trigger",
	[WORD_CODE] = "code",	     [WORD_PARTIAL] = "partial",
	[WORD_READ] = "read",	     [WORD_QUEUE] = "queue",
	[WORD_WRITE] = "write",
};

_Static_assert(REQUEST_NR_STATES <= WORD_NR - WORD_STATES, "room for the names of states");

/* True once for each number. False also for lack of memory. */
static bool is_new(struct pftrace *p, struct seen *s, uint64_t n)
{
	if (n / 8 >= s->nr) {
		size_t nr = MAX(s->nr * 2, (size_t)n / 8 + 64);
		uint8_t *bits = realloc(s->bits, nr);

		if (!bits) {
			p->err = p->err ? p->err : -ENOMEM;
			return false;
		}
		memset(bits + s->nr, 0, nr - s->nr);
		s->bits = bits;
		s->nr = nr;
	}
	if (s->bits[n / 8] >> n % 8 & 1)
		return false;
	s->bits[n / 8] |= (uint8_t)(1 << n % 8);
	return true;
}

struct nested {
	size_t packet, interned;
};

static struct nested begin(struct pftrace *p)
{
	struct nested n = { .packet = pb_begin(&p->pb, TRACE_PACKET) };

	pb_uint(&p->pb, PACKET_SEQUENCE_ID, SEQUENCE_MAIN);
	pb_uint(&p->pb, PACKET_SEQUENCE_FLAGS, FLAG_NEEDS_STATE);
	n.interned = pb_begin(&p->pb, PACKET_INTERNED_DATA);
	return n;
}

static void end(struct pftrace *p, struct nested n)
{
	pb_end(&p->pb, n.interned);
	pb_end(&p->pb, n.packet);
}

/* EventName, EventCategory, DebugAnnotationName and InternedString have the same two fields. */
static void put_string(struct pftrace *p, unsigned int table, uint64_t iid, const char *s)
{
	size_t at = pb_begin(&p->pb, table);

	pb_uint(&p->pb, 1, iid);
	pb_string(&p->pb, 2, s);
	pb_end(&p->pb, at);
}

static uint64_t intern(struct pftrace *p, struct seen *seen, unsigned int table, uint32_t string)
{
	struct nested n;

	if (is_new(p, seen, string)) {
		n = begin(p);
		put_string(p, table, FIRST_STRING + (uint64_t)string,
			   trace_string(p->trace, string));
		end(p, n);
	}
	return FIRST_STRING + (uint64_t)string;
}

uint64_t pftrace_name(struct pftrace *p, uint32_t string)
{
	return intern(p, &p->names, INTERNED_EVENT_NAMES, string);
}

uint64_t pftrace_category(struct pftrace *p, uint32_t string)
{
	return string ? intern(p, &p->categories, INTERNED_CATEGORIES, string) : WORD_SPAN;
}

uint64_t pftrace_annotation(struct pftrace *p, uint32_t string)
{
	return intern(p, &p->annotations, INTERNED_ANNOTATION_NAMES, string);
}

uint64_t pftrace_syscall(struct pftrace *p, uint64_t nr)
{
	uint64_t iid = FIRST_STRING + p->trace->nr_strings + (uint32_t)nr;
	const char *name = trace_syscall(p->trace, nr);
	char text[32];
	struct nested n;

	/* Of numbers that are none nobody keeps account. */
	if (nr >= 4096)
		return WORD_SYSCALL;
	if (is_new(p, &p->syscalls, nr)) {
		if (!name) {
			snprintf(text, sizeof(text), "syscall %u", (unsigned int)nr);
			name = text;
		}
		n = begin(p);
		put_string(p, INTERNED_EVENT_NAMES, iid, name);
		end(p, n);
	}
	return iid;
}

uint64_t pftrace_word(enum pftrace_word word)
{
	return word;
}

void pftrace_words(struct pftrace *p)
{
	static const unsigned int tables[] = {
		INTERNED_CATEGORIES,
		INTERNED_EVENT_NAMES,
		INTERNED_ANNOTATION_NAMES,
	};

	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		for (unsigned int i = 1; i < WORD_STATES; i++)
			put_string(p, tables[t], i, words[i]);
		for (unsigned int i = 0; i < REQUEST_NR_STATES; i++)
			put_string(p, tables[t], WORD_STATES + i, request_state_name(i));
	}
}

/* -------- stacks -------- */

static unsigned int nibble(char c)
{
	return (unsigned int)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The build ID as the bytes that it is. */
static void put_build_id(struct pftrace *p, uint64_t iid, const char *hex)
{
	size_t at = pb_begin(&p->pb, INTERNED_BUILD_IDS), len = strlen(hex) / 2;
	uint8_t bytes[64];

	len = MIN(len, sizeof(bytes));
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
	pb_uint(&p->pb, 1, iid);
	pb_bytes(&p->pb, 2, bytes, len);
	pb_end(&p->pb, at);
}

/* iid of its mapping; 0: it has none. */
static uint64_t put_mapping(struct pftrace *p, const struct trace_frame *f)
{
	const struct trace_object_info *o;
	size_t at;

	if (f->where != TRACE_FRAME_OBJECT || f->object >= p->trace->nr_objects)
		return 0;
	o = &p->trace->objects[f->object];
	if (!o->path)
		return 0;
	if (!is_new(p, &p->objects, f->object))
		return f->object + UINT64_C(1);
	put_string(p, INTERNED_MAPPING_PATHS, f->object + UINT64_C(1), o->path);
	put_build_id(p, f->object + UINT64_C(1), o->build_id);
	at = pb_begin(&p->pb, INTERNED_MAPPINGS);
	pb_uint(&p->pb, 1, f->object + UINT64_C(1));
	pb_uint(&p->pb, 2, f->object + UINT64_C(1));
	pb_uint(&p->pb, 4, o->start);
	pb_uint(&p->pb, 5, o->end);
	pb_uint(&p->pb, 7, f->object + UINT64_C(1));
	pb_end(&p->pb, at);
	return f->object + UINT64_C(1);
}

static uint64_t put_function(struct pftrace *p, uint32_t string)
{
	if (is_new(p, &p->functions, string))
		put_string(p, INTERNED_FUNCTION_NAMES, FIRST_STRING + (uint64_t)string,
			   trace_string(p->trace, string));
	return FIRST_STRING + (uint64_t)string;
}

static uint64_t put_source(struct pftrace *p, uint32_t string)
{
	if (!string)
		return 0;
	if (is_new(p, &p->sources, string))
		put_string(p, INTERNED_SOURCE_PATHS, FIRST_STRING + (uint64_t)string,
			   trace_string(p->trace, string));
	return FIRST_STRING + (uint64_t)string;
}

/* Frame.Kind */
enum { KIND_NATIVE = 1, KIND_KERNEL = 2 };

static void put_frame(struct pftrace *p, uint64_t iid, uint64_t function, uint64_t source,
		      const struct trace_frame *f, uint32_t line)
{
	uint64_t mapping = put_mapping(p, f);
	size_t at = pb_begin(&p->pb, INTERNED_FRAMES);

	pb_uint(&p->pb, 1, iid);
	pb_uint(&p->pb, 2, function);
	if (mapping) {
		pb_uint(&p->pb, 3, mapping);
		pb_uint(&p->pb, 4, f->address);
	}
	if (source)
		pb_uint(&p->pb, 5, source);
	if (line)
		pb_uint(&p->pb, 6, line);
	pb_uint(&p->pb, 7, f->where == TRACE_FRAME_KERNEL ? KIND_KERNEL : KIND_NATIVE);
	pb_end(&p->pb, at);
}

/* A frame of several functions is several frames, numbered by their lines; one of none, by itself. */
static void put_frames(struct pftrace *p, uint32_t frame)
{
	const struct trace_frame *f = &p->trace->frames[frame];
	uint64_t first = UINT64_C(1) + f->first_line;
	char name[256];

	if (!is_new(p, &p->frames, frame))
		return;
	for (uint32_t i = 0; i < f->nr_lines; i++) {
		const struct trace_line *l = &p->trace->lines[f->first_line + i];
		uint64_t function = put_function(p, l->function);

		put_frame(p, first + i, function, put_source(p, l->file), f, l->line);
	}
	if (f->nr_lines)
		return;
	put_string(p, INTERNED_FUNCTION_NAMES, MADE_UP | frame,
		   trace_frame_name(p->trace, frame, name, sizeof(name)));
	put_frame(p, MADE_UP | frame, MADE_UP | frame, 0, f, 0);
}

static void put_callstack(struct pftrace *p, uint32_t stack, const uint32_t *frames, size_t n)
{
	size_t at;

	for (size_t i = 0; i < n; i++)
		if (frames[i] < p->trace->nr_frames)
			put_frames(p, frames[i]);
	at = pb_begin(&p->pb, INTERNED_CALLSTACKS);
	pb_uint(&p->pb, 1, stack);
	/* Outermost first; of inlined functions, too. */
	while (n--) {
		const struct trace_frame *f;

		if (frames[n] >= p->trace->nr_frames)
			continue;
		f = &p->trace->frames[frames[n]];
		for (uint32_t i = f->nr_lines; i--;)
			pb_uint(&p->pb, 2, UINT64_C(1) + f->first_line + i);
		if (!f->nr_lines)
			pb_uint(&p->pb, 2, MADE_UP | frames[n]);
	}
	pb_end(&p->pb, at);
}

uint64_t pftrace_stack(struct pftrace *p, uint32_t stack)
{
	uint32_t frames[TRACE_MAX_FRAMES];
	struct nested nested;
	size_t n;

	if (!stack || !trace_stack(p->trace, stack)->node)
		return 0;
	if (!is_new(p, &p->stacks, stack))
		return stack;
	n = trace_stack_frames(p->trace, stack, frames, ARRAY_SIZE(frames));
	nested = begin(p);
	put_callstack(p, stack, frames, n);
	end(p, nested);
	return stack;
}

void pftrace_intern_release(struct pftrace *p)
{
	struct seen *all[] = { &p->names,     &p->categories, &p->annotations,
			       &p->functions, &p->sources,    &p->frames,
			       &p->objects,   &p->stacks,     &p->syscalls };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		free(all[i]->bits);
}
