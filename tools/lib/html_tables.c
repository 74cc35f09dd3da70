/* SPDX-License-Identifier: MIT */
/* What a page's events refer to: names, functions and stacks, each once and only if it is used. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "html_impl.h"
#include "util.h"

#define MAX_FRAMES 1024

/* Stacks as a tree: (parent, function) to its number, open addressing. */
struct html_nodes {
	struct {
		uint64_t key; /* 0: free */
		uint32_t number;
	} * slots;
	size_t size, used;
};

static int numbers_init(struct html_numbers *n, size_t size)
{
	n->size = size;
	n->by = calloc(MAX(size, 1), sizeof(*n->by));
	return n->by ? 0 : -ENOMEM;
}

int html_tables_init(struct html *h)
{
	const struct trace *t = h->trace;

	h->nodes = calloc(1, sizeof(*h->nodes));
	if (!h->nodes || numbers_init(&h->names, t->nr_strings) ||
	    numbers_init(&h->stacks, t->nr_stacks) || numbers_init(&h->frames, t->nr_frames) ||
	    numbers_init(&h->syscalls, 1024))
		return -ENOMEM;
	return 0;
}

void html_tables_release(struct html *h)
{
	free(h->names.by);
	free(h->stacks.by);
	free(h->frames.by);
	free(h->syscalls.by);
	if (h->nodes)
		free(h->nodes->slots);
	free(h->nodes);
}

uint32_t html_name(struct html *h, uint32_t string)
{
	const char *s = trace_string(h->trace, string);

	if (!*s || string >= h->names.size)
		return 0;
	if (!h->names.by[string]) {
		html_put_text(&h->columns[HTML_NAMES], s);
		h->names.by[string] = ++h->names.nr;
	}
	return h->names.by[string];
}

/* A name that is not in the trace. */
static uint32_t own_name(struct html *h, const char *s)
{
	html_put_text(&h->columns[HTML_NAMES], s);
	return ++h->names.nr;
}

void html_syscall(struct html *h, uint64_t number)
{
	const char *name;

	if (number >= h->syscalls.size || h->syscalls.by[number])
		return;
	h->syscalls.by[number] = 1;
	name = trace_syscall(h->trace, number);
	if (!name)
		return;
	html_put(&h->columns[HTML_SYSCALLS], number);
	html_put_text(&h->columns[HTML_SYSCALLS], name);
}

/* The letters that the flame graph's style sheet has (write_svg_paint.c). */
static char origin_of(const struct html *h, const struct trace_frame *f, const char **ret_module)
{
	const char *path, *name;

	*ret_module = "";
	if (f->where == TRACE_FRAME_KERNEL)
		return 'k';
	if (f->where != TRACE_FRAME_OBJECT || f->object >= h->trace->nr_objects)
		return 'n';
	*ret_module = path = h->trace->objects[f->object].path;
	name = strrchr(path, '/');
	name = name ? name + 1 : path;
	if (!strncmp(name, "libc.so", 7) || !strncmp(name, "libc-", 5) || !strncmp(name, "ld-", 3))
		return 'c';
	return strstr(name, ".so") ? 'l' : 'p';
}

/* The functions of a frame lie one after the other, innermost first; returns the first's number. */
static uint32_t put_functions(struct html *h, uint32_t frame)
{
	const struct trace_frame *f = &h->trace->frames[frame];
	struct strbuf *b = &h->columns[HTML_FUNCTIONS];
	uint32_t first = h->frames.nr + 1, module = 0, n = f->nr_lines ? f->nr_lines : 1;
	const char *path;
	char name[256], origin = origin_of(h, f, &path);

	if (*path)
		module = own_name(h, path);
	for (uint32_t i = 0; i < n; i++) {
		const struct trace_line *l = f->nr_lines ? &h->trace->lines[f->first_line + i]
							 : NULL;

		html_put_text(b, l ? trace_string(h->trace, l->function)
				   : trace_frame_name(h->trace, frame, name, sizeof(name)));
		html_put(b, l ? html_name(h, l->file) : 0);
		html_put(b, module);
		html_put(b, l ? l->line : 0);
		strbuf_putc(b, origin);
	}
	h->frames.nr += n;
	return first;
}

static int nodes_grow(struct html_nodes *n)
{
	size_t size = n->size ? 2 * n->size : 1024;
	struct html_nodes old = *n;

	n->slots = calloc(size, sizeof(*n->slots));
	if (!n->slots) {
		n->slots = old.slots;
		return -ENOMEM;
	}
	n->size = size;
	for (size_t i = 0; i < old.size; i++) {
		size_t at;

		if (!old.slots[i].key)
			continue;
		at = hash_bytes(&old.slots[i].key, sizeof(uint64_t)) & (size - 1);
		while (n->slots[at].key)
			at = (at + 1) & (size - 1);
		n->slots[at] = old.slots[i];
	}
	free(old.slots);
	return 0;
}

/* The number of the stack that is `function` called from stack `parent`. */
static uint32_t node_for(struct html *h, uint32_t parent, uint32_t function, bool inlined)
{
	uint64_t key = (uint64_t)parent << 32 | (uint64_t)function << 1 | inlined;
	struct html_nodes *n = h->nodes;
	struct strbuf *b = &h->columns[HTML_STACKS];
	size_t at;

	if (2 * n->used >= n->size && nodes_grow(n)) {
		h->err = -ENOMEM;
		return 0;
	}
	at = hash_bytes(&key, sizeof(key)) & (n->size - 1);
	while (n->slots[at].key && n->slots[at].key != key)
		at = (at + 1) & (n->size - 1);
	if (n->slots[at].key)
		return n->slots[at].number;
	n->slots[at].key = key;
	n->slots[at].number = (uint32_t)++n->used;
	html_put(b, parent);
	html_put(b, function);
	html_put(b, inlined);
	return (uint32_t)n->used;
}

uint32_t html_stack(struct html *h, uint64_t stack)
{
	uint32_t frames[MAX_FRAMES], node = 0;
	size_t n;

	if (!stack || stack >= h->stacks.size)
		return 0;
	if (h->stacks.by[stack])
		return h->stacks.by[stack];
	n = trace_stack_frames(h->trace, stack, frames, MAX_FRAMES);
	while (n--) {
		uint32_t frame = frames[n], count;

		if (frame >= h->frames.size)
			continue;
		count = MAX(h->trace->frames[frame].nr_lines, 1);
		if (!h->frames.by[frame])
			h->frames.by[frame] = put_functions(h, frame);
		while (count--) {
			const struct trace_frame *f = &h->trace->frames[frame];
			bool inlined = f->nr_lines && h->trace->lines[f->first_line + count].flags &
							      TRACE_SYMBOL_INLINED;

			node = node_for(h, node, h->frames.by[frame] + count, inlined);
		}
	}
	h->stacks.by[stack] = node;
	return node;
}

void html_args(struct html *h, struct strbuf *b, const struct event *e)
{
	for (unsigned int i = 0; e && i < e->nr_args; i++) {
		const struct event_arg *a = &e->args[i];

		if (b->len)
			strbuf_putc(b, 0x1f);
		strbuf_puts(b, trace_string(h->trace, a->name));
		strbuf_putc(b, '=');
		switch (a->type) {
		case EVENT_ARG_INT:
			strbuf_printf(b, "%" PRId64, a->i);
			break;
		case EVENT_ARG_UINT:
			strbuf_printf(b, "%" PRIu64, a->u);
			break;
		case EVENT_ARG_HEX:
			strbuf_printf(b, "0x%" PRIx64, a->u);
			break;
		default:
			strbuf_puts(b, a->text);
		}
	}
}
