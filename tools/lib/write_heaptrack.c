/* SPDX-License-Identifier: MIT */
#include "write_heaptrack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/unwind.h"
#include "gzip_sink.h"
#include "id_map.h"
#include "stacks.h"
#include "strbuf.h"
#include "trace_file_reader.h"
#include "util.h"

#define VERSION	      0x10400 /* of heaptrack, 1.4 */
#define FORMAT	      0
#define PAGE	      4096
#define STAMP_MS      10 /* between two time stamps, as heaptrack has them */
#define GZIP_LEVEL    6
#define FLUSH_BYTES   ((size_t)64 * 1024)
#define CLEAN_COMMAND 4096 /* bytes of it that are shown */

/* A block that is in use. */
struct block {
	uint64_t time; /* when it was given out */
	uint64_t name; /* in the file */
};

struct rss {
	uint32_t pid;
	uint64_t bytes;
};

/* Numbers that things have in the file; 0: not there yet. */
struct heaptrack {
	const struct trace *t;
	const struct timeline_filter *filter;
	struct gzip_sink gzip;
	struct strbuf text;
	uint32_t *strings, *modules, *frames; /* of the trace's strings, objects, frames */
	uint32_t *stacks;
	uint32_t nr_strings, nr_frames, nr_nodes;
	uint32_t ends[UNWIND_NR_ENDS]; /* instructions that say why a stack ends too early */
	uint32_t no_stack;
	struct id_map nodes; /* instruction, caller's node: its number */
	struct id_map live;  /* block: struct block */
	/*
	 * Names of blocks that have ended: the last is given out next, so that all are short. There is
	 * room for all names that there are.
	 */
	uint64_t *unused;
	size_t nr_names, nr_unused, cap_unused;
	struct rss *rss;
	size_t nr_rss, cap_rss;
	uint64_t stamp_ms;
	uint64_t events, lost;
	bool lost_more; /* and nobody knows how many besides */
	char *command;
};

bool trace_is_heap(const struct trace *t)
{
	const char *what = trace_info(t, "recording");

	return what && !strcmp(what, "heap");
}

/* ---------------------------------------------------------------- lines ---- */

static void put_hex(struct strbuf *b, uint64_t n)
{
	char text[16];
	size_t at = sizeof(text);

	do {
		text[--at] = "0123456789abcdef"[n & 15];
		n >>= 4;
	} while (n);
	strbuf_add(b, text + at, sizeof(text) - at);
}

/* A letter and numbers, each after a space. */
static void put_line(struct heaptrack *h, char letter, const uint64_t *numbers, size_t n)
{
	strbuf_putc(&h->text, letter);
	for (size_t i = 0; i < n; i++) {
		strbuf_putc(&h->text, ' ');
		put_hex(&h->text, numbers[i]);
	}
	strbuf_putc(&h->text, '\n');
}

#define PUT_LINE(h, letter, ...)                               \
	put_line(h, letter, (const uint64_t[]){ __VA_ARGS__ }, \
		 ARRAY_SIZE(((const uint64_t[]){ __VA_ARGS__ })))

/* A text; what would end its line is replaced. Returns its number. */
static uint32_t put_text(struct heaptrack *h, const char *s)
{
	size_t len = strlen(s);

	strbuf_puts(&h->text, "s ");
	for (size_t i = 0; i < len; i++)
		strbuf_putc(&h->text, s[i] == '\n' ? ' ' : s[i]);
	strbuf_putc(&h->text, '\n');
	return ++h->nr_strings;
}

static uint32_t string_of(struct heaptrack *h, uint32_t string)
{
	const char *s = trace_string(h->t, string);

	if (!*s || string >= h->t->nr_strings)
		return 0;
	if (!h->strings[string])
		h->strings[string] = put_text(h, s);
	return h->strings[string];
}

/* ---------------------------------------------------------------- stacks ---- */

static uint32_t module_of(struct heaptrack *h, const struct trace_frame *f)
{
	if (f->where != TRACE_FRAME_OBJECT || f->object >= h->t->nr_objects)
		return 0;
	if (!h->modules[f->object])
		h->modules[f->object] = put_text(h, h->t->objects[f->object].path);
	return h->modules[f->object];
}

/* The instruction of a frame, with the functions that it is in, innermost first. */
static uint32_t frame_of(struct heaptrack *h, uint32_t frame)
{
	const struct trace_frame *f = &h->t->frames[frame];
	uint64_t numbers[2 + 3 * TRACE_MAX_FRAMES];
	size_t n = 0, nr_lines = MIN(f->nr_lines, (uint32_t)TRACE_MAX_FRAMES);
	char name[512];

	if (h->frames[frame])
		return h->frames[frame];
	numbers[n++] = f->where == TRACE_FRAME_OBJECT && f->object < h->t->nr_objects
			       ? f->address + h->t->objects[f->object].bias
			       : f->address;
	numbers[n++] = module_of(h, f);
	for (size_t i = 0; i < nr_lines; i++) {
		const struct trace_line *l = &h->t->lines[f->first_line + i];

		numbers[n++] = string_of(h, l->function);
		numbers[n++] = string_of(h, l->file);
		numbers[n++] = l->line;
	}
	if (!nr_lines) {
		numbers[n++] = put_text(h, trace_frame_name(h->t, frame, name, sizeof(name)));
		numbers[n++] = 0;
		numbers[n++] = 0;
	}
	put_line(h, 'i', numbers, n);
	return h->frames[frame] = ++h->nr_frames;
}

/* An instruction that is none, for what there is to say about a stack. */
static uint32_t note_of(struct heaptrack *h, const char *note)
{
	uint64_t text = put_text(h, note);

	PUT_LINE(h, 'i', 0, 0, text, 0, 0);
	return ++h->nr_frames;
}

/* The number of what is named by two; 0 if it is new, and then there is room for it. */
static int look_up(struct id_map *m, uint64_t a, uint64_t b, uintptr_t *ret)
{
	*ret = (uintptr_t)id_map_find(m, a, b);
	return *ret ? 0 : id_map_reserve(m);
}

static int node_of(struct heaptrack *h, uint32_t instruction, uint32_t caller, uint32_t *ret)
{
	uintptr_t node;
	int err = look_up(&h->nodes, instruction, caller, &node);

	if (!err && !node) {
		PUT_LINE(h, 't', instruction, caller);
		node = ++h->nr_nodes;
		id_map_add(&h->nodes, instruction, caller, (void *)node);
	}
	*ret = (uint32_t)node;
	return err;
}

/* Where a walk that did not reach the outermost frame ended, as its outermost frame. */
static int put_end(struct heaptrack *h, unsigned int end, uint32_t *node)
{
	char text[128];

	if (end == UNWIND_COMPLETE || end >= UNWIND_NR_ENDS)
		return 0;
	if (!h->ends[end]) {
		snprintf(text, sizeof(text), "[truncated: %s]", unwind_end_text(end));
		h->ends[end] = note_of(h, text);
	}
	return node_of(h, h->ends[end], 0, node);
}

static int put_stack(struct heaptrack *h, uint64_t stack, uint32_t *ret)
{
	const struct trace_stack_info *info = trace_stack(h->t, stack);
	uint32_t frames[TRACE_MAX_FRAMES], node = 0;
	size_t n = trace_stack_frames(h->t, stack, frames, ARRAY_SIZE(frames));
	int err;

	if (!n) {
		if (!h->no_stack)
			h->no_stack = note_of(h, "[stack not recorded]");
		return node_of(h, h->no_stack, 0, ret);
	}
	err = put_end(h, info->end, &node);
	while (n-- && !err)
		err = node_of(h, frame_of(h, frames[n]), node, &node);
	*ret = node;
	return err;
}

static int stack_of(struct heaptrack *h, uint64_t stack, uint32_t *ret)
{
	int err;

	if (stack >= h->t->nr_stacks)
		return put_stack(h, 0, ret);
	if (h->stacks[stack]) {
		*ret = h->stacks[stack];
		return 0;
	}
	err = put_stack(h, stack, ret);
	h->stacks[stack] = err ? 0 : *ret;
	return err;
}

/* ---------------------------------------------------------------- blocks ---- */

static int name_of_new(struct heaptrack *h, uint64_t *ret)
{
	if (h->nr_unused) {
		*ret = h->unused[--h->nr_unused];
		return 0;
	}
	if (array_grow((void **)&h->unused, h->nr_names, &h->cap_unused, sizeof(*h->unused)))
		return -ENOMEM;
	*ret = ++h->nr_names;
	return 0;
}

static void end_block(struct heaptrack *h, uint64_t key)
{
	struct block *b = id_map_remove(&h->live, key, 0);

	if (!b)
		return;
	PUT_LINE(h, '-', b->name);
	h->unused[h->nr_unused++] = b->name;
	free(b);
}

/* By a call that began at `called`: one that was given out since is another block. */
static void end_before(struct heaptrack *h, uint64_t key, uint64_t called)
{
	const struct block *b = id_map_find(&h->live, key, 0);

	if (b && (!called || b->time <= called))
		end_block(h, key);
}

static bool is_shown(const struct timeline_filter *f, uint32_t tid)
{
	for (size_t i = 0; i < f->nr_tids; i++)
		if (f->tids[i] == tid)
			return true;
	return !f->nr_tids;
}

static int begin_block(struct heaptrack *h, const struct event *e, uint32_t node)
{
	int err = id_map_reserve(&h->live);
	struct block *b = err ? NULL : malloc(sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->time = e->time;
	err = name_of_new(h, &b->name);
	if (err) {
		free(b);
		return err;
	}
	id_map_add(&h->live, e->alloc.block, 0, b);
	PUT_LINE(h, '+', e->alloc.size, node, b->name);
	return 0;
}

static int put_alloc(struct heaptrack *h, const struct event *e)
{
	uint32_t node;
	int err;

	end_before(h, e->alloc.old, e->alloc.called);
	/* That it has ended was not seen, or is yet to come, in the record of a realloc. */
	end_block(h, e->alloc.block);
	if (!is_shown(h->filter, e->tid))
		return 0;
	err = stack_of(h, e->alloc.stack, &node);
	return err ? err : begin_block(h, e, node);
}

/* ---------------------------------------------------------------- the rest ---- */

/* Resident memory of all processes together. */
static int put_rss(struct heaptrack *h, const struct event *e)
{
	uint64_t bytes = 0;
	size_t i = 0;

	if (e->counter.counter != COUNTER_RSS)
		return 0;
	while (i < h->nr_rss && h->rss[i].pid != e->tid)
		i++;
	if (i == h->nr_rss) {
		if (array_grow((void **)&h->rss, h->nr_rss, &h->cap_rss, sizeof(*h->rss)))
			return -ENOMEM;
		h->rss[h->nr_rss++].pid = e->tid;
	}
	h->rss[i].bytes = e->counter.value;
	for (i = 0; i < h->nr_rss; i++)
		bytes += h->rss[i].bytes;
	PUT_LINE(h, 'R', bytes / PAGE);
	return 0;
}

static void put_lost(struct heaptrack *h, const struct event *e)
{
	h->lost += e->lost.count;
	h->lost_more |= !e->lost.count;
	if (e->lost.count)
		strbuf_printf(&h->text, "# lost: %" PRIu64 " events\n", e->lost.count);
	else
		strbuf_puts(&h->text, "# lost: nobody knows how many events\n");
}

/* The command of the first process. */
static int learn_command(struct heaptrack *h, const struct event *e)
{
	for (unsigned int i = 0; i < e->nr_args && !h->command; i++) {
		const struct event_arg *a = &e->args[i];

		if (a->type != EVENT_ARG_TEXT ||
		    strcmp(trace_string(h->t, a->name), "command") != 0)
			continue;
		h->command = strndup(a->text, CLEAN_COMMAND);
		if (!h->command)
			return -ENOMEM;
	}
	return 0;
}

static void put_stamp(struct heaptrack *h, uint64_t time, uint64_t apart_ms)
{
	uint64_t ms = (time - MIN(time, h->t->start)) / 1000000;

	if (ms < h->stamp_ms + apart_ms)
		return;
	h->stamp_ms = ms;
	PUT_LINE(h, 'c', ms);
}

static int put_event(struct heaptrack *h, const struct event *e)
{
	put_stamp(h, e->time, STAMP_MS);
	switch (e->kind) {
	case EVT_ALLOC:
		h->events++;
		return put_alloc(h, e);
	case EVT_FREE:
		h->events++;
		end_before(h, e->free.block, e->free.called);
		return 0;
	case EVT_COUNTER:
		return put_rss(h, e);
	case EVT_LOST:
		put_lost(h, e);
		return 0;
	default:
		return 0;
	}
}

static int put_events(struct heaptrack *h, struct trace_cursor *c)
{
	const struct timeline_filter *f = h->filter;
	const struct event *e;
	int err;

	for (;;) {
		uint64_t at;

		err = trace_next(c, &e);
		if (err || !e)
			return err;
		if (e->kind == EVT_PROCESS) {
			err = learn_command(h, e);
			if (err)
				return err;
		}
		at = e->time - MIN(e->time, h->t->start);
		if (f->to && at >= f->to)
			return 0;
		if (at < f->from)
			continue;
		err = put_event(h, e);
		if (!err)
			err = sink_flush(&h->gzip.sink, &h->text, FLUSH_BYTES);
		if (err)
			return err;
	}
}

static void put_head(struct heaptrack *h)
{
	const char *memory = trace_info(h->t, "memory");
	uint64_t bytes = memory ? strtoull(memory, NULL, 10) : 0;

	PUT_LINE(h, 'v', VERSION, FORMAT);
	PUT_LINE(h, 'I', PAGE, bytes / PAGE);
}

/* Last, for only now it is known what is to be said with it. */
static void put_command(struct heaptrack *h)
{
	const struct trace_damage *d = &h->t->damage;
	uint64_t end = h->t->end;

	if (h->filter->to && h->t->start + h->filter->to < end)
		end = h->t->start + h->filter->to;
	put_stamp(h, end, 0);
	strbuf_puts(&h->text, "X ");
	for (const char *s = h->command ? h->command : "?"; *s; s++)
		strbuf_putc(&h->text, *s == '\n' ? ' ' : *s);
	if (h->lost)
		strbuf_printf(&h->text,
			      " [%s%" PRIu64 " events lost: what looks leaked may be free]",
			      h->lost_more ? "more than " : "", h->lost);
	else if (h->lost_more || d->chunks || d->missing)
		strbuf_puts(&h->text, " [events lost: what looks leaked may be free]");
	if (!h->t->complete)
		strbuf_puts(&h->text, " [not recorded to its end]");
	strbuf_putc(&h->text, '\n');
}

static void release(struct heaptrack *h)
{
	struct block *b;
	size_t at = 0;

	while ((b = id_map_each(&h->live, &at)))
		free(b);
	id_map_release(&h->live);
	id_map_release(&h->nodes);
	strbuf_release(&h->text);
	free(h->strings);
	free(h->modules);
	free(h->frames);
	free(h->stacks);
	free(h->unused);
	free(h->rss);
	free(h->command);
}

static int init(struct heaptrack *h)
{
	const struct trace *t = h->t;

	h->strings = calloc(t->nr_strings + 1, sizeof(*h->strings));
	h->modules = calloc(t->nr_objects + 1, sizeof(*h->modules));
	h->frames = calloc(t->nr_frames + 1, sizeof(*h->frames));
	h->stacks = calloc(t->nr_stacks + 1, sizeof(*h->stacks));
	return h->strings && h->modules && h->frames && h->stacks ? 0 : -ENOMEM;
}

static int put_all(struct heaptrack *h, struct trace *t)
{
	struct trace_cursor *c = NULL;
	int err = trace_cursor_new(t, 0, 0, &c);

	if (!err) {
		put_head(h);
		err = put_events(h, c);
	}
	if (!err && !h->events && !trace_is_heap(t))
		err = -ENODATA;
	if (!err) {
		put_command(h);
		err = sink_flush(&h->gzip.sink, &h->text, 0);
	}
	trace_cursor_free(c);
	return err ? err : gzip_sink_finish(&h->gzip);
}

int write_heaptrack(const struct timeline_view *v, const struct write_options *o, struct sink *out)
{
	struct heaptrack h = { .t = v->trace, .filter = &v->filter };
	int err = gzip_sink_init(&h.gzip, out, GZIP_LEVEL);

	(void)o;
	if (err)
		return err;
	err = init(&h);
	if (!err)
		err = put_all(&h, v->trace);
	release(&h);
	gzip_sink_release(&h.gzip);
	return err;
}
