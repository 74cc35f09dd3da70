/* SPDX-License-Identifier: MIT */
#include "write_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flametree.h"
#include "function_sums.h"
#include "measure.h"
#include "sink.h"
#include "text_page.h"
#include "util.h"

#define NAME_COLUMNS   10 /* names and modules are not cut below these */
#define MODULE_COLUMNS 8
#define TOP_STACKS     5
/* Of a deep stack the leaves are shown and the frames nearest the root. */
#define LEAF_FRAMES 16
#define ROOT_FRAMES 4

struct text {
	const struct profile *p;
	size_t type;
	const char *unit;
	int64_t total;
	struct flame_tree tree;
	struct function_sum *rows;
	size_t nr_rows;
	struct text_page page;
};

static const char *type_name(const struct text *t)
{
	return t->type < t->p->nr_types ? profile_str(t->p, t->p->types[t->type].name) : "samples";
}

/* "offcpu time", "alloc_space". */
static const char *type_suffix(const struct text *t)
{
	return strcmp(t->unit, "nanoseconds") != 0 ? "" : " time";
}

/* Keep the rows of functions that were met: threads and marks have none. */
static void keep_functions(struct text *t)
{
	const struct frames *f = &t->tree.frames;

	for (uint32_t i = 0; i < f->nr_symbols; i++)
		if (t->rows[i].cum)
			t->rows[t->nr_rows++] = t->rows[i];
}

static int compare_names(const struct text *t, const struct function_sum *x,
			 const struct function_sum *y)
{
	const struct frame_symbol *s = &t->tree.frames.symbols[x->symbol];
	const struct frame_symbol *u = &t->tree.frames.symbols[y->symbol];
	int order = strcmp(s->name, u->name);

	return order ? order : strcmp(s->module, u->module);
}

static int descending(int64_t x, int64_t y)
{
	return x > y ? -1 : x < y;
}

static int by_flat(const void *a, const void *b, void *ctx)
{
	const struct function_sum *x = a, *y = b;
	int order = descending(x->flat, y->flat);

	if (!order)
		order = descending(x->cum, y->cum);
	return order ? order : compare_names(ctx, x, y);
}

static int by_cum(const void *a, const void *b, void *ctx)
{
	const struct function_sum *x = a, *y = b;
	int order = descending(x->cum, y->cum);

	if (!order)
		order = descending(x->flat, y->flat);
	return order ? order : compare_names(ctx, x, y);
}

/* "name [module]" in what is left of the line; the module gives way to the name. */
static void put_name(struct text *t, const struct function_sum *row, size_t columns)
{
	const struct frame_symbol *s = &t->tree.frames.symbols[row->symbol];
	const char *mark = row->inlined && !row->called ? " (inline)" : "";
	size_t module = *s->module ? MIN(strlen(s->module), (size_t)MODULE_COLUMNS) + 3 : 0;

	if (columns < NAME_COLUMNS + strlen(mark) + module)
		module = 0;
	if (columns < NAME_COLUMNS + strlen(mark))
		mark = "";
	columns -= strlen(mark);
	columns -= strbuf_puts_clipped(&t->page.out, s->name, columns - module);
	strbuf_puts(&t->page.out, mark);
	if (!module)
		return;
	text_style(&t->page, TEXT_DIM);
	strbuf_puts(&t->page.out, " [");
	strbuf_puts_clipped(&t->page.out, s->module, columns - 3);
	strbuf_puts(&t->page.out, "]");
	text_style(&t->page, TEXT_PLAIN);
}

static void put_share(struct text *t, int64_t part)
{
	char percent[MEASURE_LEN];

	if (t->total && (double)part >= 0.1 * (double)t->total)
		text_style(&t->page, TEXT_RED TEXT_BOLD);
	strbuf_printf(&t->page.out, " %6s",
		      measure_percent((double)part, (double)t->total, percent));
	text_style(&t->page, TEXT_PLAIN);
}

static void put_rows(struct text *t, size_t n)
{
	char cell[MEASURE_LEN];
	int64_t smallest = 0, sum = 0;
	struct measure m;
	size_t fixed, columns;
	int widest = 6;

	for (size_t i = 0; i < n; i++) {
		int64_t least = t->rows[i].flat ? t->rows[i].flat : t->rows[i].cum;

		if (!smallest || least < smallest)
			smallest = least;
	}
	m = measure_range(smallest, t->total, t->unit);
	for (size_t i = 0; i < n; i++)
		widest = MAX(widest, (int)strlen(measure_value(m, t->rows[i].cum, cell)));
	/* 3 percentages of 7 columns, 2 values, the spaces between and after them. */
	fixed = 3 * 7 + 2 * (size_t)widest + 1 + 2;
	columns = MAX(t->page.width, fixed + NAME_COLUMNS) - fixed;
	text_style(&t->page, TEXT_DIM);
	strbuf_printf(&t->page.out, "%*s %6s %6s %*s %6s\n", widest, "flat", "flat%", "sum%",
		      widest, "cum", "cum%");
	text_style(&t->page, TEXT_PLAIN);
	for (size_t i = 0; i < n; i++) {
		const struct function_sum *row = &t->rows[i];

		sum = profile_sum(sum, row->flat);
		strbuf_printf(&t->page.out, "%*s", widest, measure_value(m, row->flat, cell));
		put_share(t, row->flat);
		strbuf_printf(&t->page.out, " %6s",
			      measure_percent((double)sum, (double)t->total, cell));
		strbuf_printf(&t->page.out, " %*s", widest, measure_value(m, row->cum, cell));
		put_share(t, row->cum);
		strbuf_puts(&t->page.out, "  ");
		put_name(t, row, columns);
		strbuf_putc(&t->page.out, '\n');
	}
}

static void put_tables(struct text *t)
{
	size_t n = MIN(t->nr_rows, (size_t)(t->page.o->top ? t->page.o->top : TEXT_DEFAULT_TOP));
	char total[MEASURE_LEN];

	measure_value(measure_for(t->total, t->unit), t->total, total);
	qsort_r(t->rows, t->nr_rows, sizeof(*t->rows), by_flat, t);
	text_heading(&t->page, "Functions by their own %s%s: top %zu of %zu, %s in all",
		     type_name(t), type_suffix(t), n, t->nr_rows, total);
	put_rows(t, n);

	qsort_r(t->rows, t->nr_rows, sizeof(*t->rows), by_cum, t);
	text_heading(&t->page, "Functions by %s%s with all they called: top %zu of %zu",
		     type_name(t), type_suffix(t), n, t->nr_rows);
	put_rows(t, n);
}

/* "name (inline)  file.c:12", or the module where no line is known. */
static void put_frame(struct text *t, const struct frame *frame)
{
	const struct frame_symbol *s = &t->tree.frames.symbols[frame->symbol];
	const char *file = profile_str(t->p, frame->file), *slash = strrchr(file, '/');
	struct strbuf place = { 0 };
	size_t columns = t->page.width - 8, used;

	if (slash)
		file = slash + 1;
	if (frame->inlined)
		strbuf_puts(&place, " (inline)");
	if (*file && frame->line)
		strbuf_printf(&place, "  %s:%" PRIu32, file, frame->line);
	else if (*s->module)
		strbuf_printf(&place, "  [%s]", s->module);
	strbuf_puts(&t->page.out, "        ");
	used = strbuf_puts_clipped(&t->page.out, s->name, columns - MIN(place.len, columns / 2));
	text_style(&t->page, TEXT_DIM);
	strbuf_puts_clipped(&t->page.out, strbuf_str(&place), columns - used);
	text_style(&t->page, TEXT_PLAIN);
	strbuf_putc(&t->page.out, '\n');
	if (strbuf_error(&place))
		t->page.out.failed = true;
	strbuf_release(&place);
}

/* n frames, leaf first, each `step` from the one before; the middle of a deep stack is left out. */
static void put_frames(struct text *t, const struct frame *leaf, ptrdiff_t step, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		/* One frame left out would take the line that says so. */
		if (i == LEAF_FRAMES && n > LEAF_FRAMES + ROOT_FRAMES + 1) {
			strbuf_printf(&t->page.out, "        ... %zu more ...\n",
				      n - LEAF_FRAMES - ROOT_FRAMES);
			i = n - ROOT_FRAMES;
		}
		put_frame(t, leaf + (ptrdiff_t)i * step);
	}
}

/* Where the separator is beyond which the stack of who woke the thread follows, turned around. */
static size_t find_chain(const struct text *t, const struct frame_stack *stack)
{
	for (size_t i = 0; i < stack->n; i++) {
		const struct frame_symbol *s = &t->tree.frames.symbols[stack->items[i].symbol];

		if (s->origin == FRAME_NOTE && !strcmp(s->name, "--"))
			return i;
	}
	return stack->n;
}

/* What sets the sample apart: ", reason futex, state S". */
static void put_labels(struct text *t, const struct profile_sample *s, size_t columns)
{
	struct strbuf b = { 0 };

	for (uint32_t i = 0; i < s->nr_labels; i++) {
		const struct profile_label *l = &t->p->labels[s->first_label + i];

		if (l->str)
			strbuf_printf(&b, ", %s %s", profile_str(t->p, l->key),
				      profile_str(t->p, l->str));
	}
	strbuf_puts_clipped(&t->page.out, strbuf_str(&b), columns);
	if (strbuf_error(&b))
		t->page.out.failed = true;
	strbuf_release(&b);
}

static int put_stack(struct text *t, size_t rank, const struct flame_node *leaf)
{
	const struct profile_sample *s = &t->p->samples[leaf->heaviest];
	char value[MEASURE_LEN], percent[MEASURE_LEN];
	struct frame_stack stack = { 0 };
	int err = frames_stack(&t->tree.frames, s, &stack);
	size_t end;

	if (err)
		goto cleanup;
	end = find_chain(t, &stack);
	measure_percent((double)leaf->self, (double)t->total, percent);
	measure_value(measure_for(leaf->self, t->unit), leaf->self, value);
	strbuf_printf(&t->page.out, "%4zu. ", rank);
	text_style(&t->page, TEXT_BOLD);
	strbuf_printf(&t->page.out, "%s  %s", percent, value);
	text_style(&t->page, TEXT_PLAIN);
	if (s->comm) {
		strbuf_puts(&t->page.out, "  thread ");
		strbuf_puts_clipped(&t->page.out, profile_str(t->p, s->comm), t->page.width / 3);
	}
	put_labels(t, s, t->page.width / 3);
	strbuf_putc(&t->page.out, '\n');
	put_frames(t, stack.items + end - 1, -1, end - (s->comm ? 1 : 0));
	if (end + 1 < stack.n) {
		const uint32_t name = stack.items[stack.n - 1].symbol;

		strbuf_puts(&t->page.out, "      woken by ");
		strbuf_puts_clipped(&t->page.out, t->tree.frames.symbols[name].name,
				    t->page.width - 15);
		strbuf_putc(&t->page.out, '\n');
		put_frames(t, stack.items + end + 1, 1, stack.n - end - 2);
	}
cleanup:
	frame_stack_release(&stack);
	return err;
}

static int put_stacks(struct text *t)
{
	const struct flame_node *hottest[TOP_STACKS];
	size_t n = 0;
	int err = 0;

	for (size_t i = 0; i < t->tree.nr_nodes; i++) {
		const struct flame_node *node = &t->tree.nodes[i];
		size_t place = n;

		if (!node->self)
			continue;
		while (place && hottest[place - 1]->self < node->self)
			place--;
		if (place == TOP_STACKS)
			continue;
		n = MIN(n + 1, (size_t)TOP_STACKS);
		memmove(&hottest[place + 1], &hottest[place], (n - place - 1) * sizeof(*hottest));
		hottest[place] = node;
	}
	text_heading(&t->page, "Hottest stacks, innermost function first");
	for (size_t i = 0; i < n && !err; i++)
		err = put_stack(t, i + 1, hottest[i]);
	return err;
}

struct cut {
	uint32_t reason;
	int64_t count;
};

static int by_count(const void *a, const void *b)
{
	return descending(((const struct cut *)a)->count, ((const struct cut *)b)->count);
}

static int collect_cuts(const struct profile *p, struct cut **cuts, size_t *n)
{
	size_t cap = 0, j;

	for (size_t i = 0; i < p->nr_samples; i++) {
		const struct profile_sample *s = &p->samples[i];

		if (!s->truncated)
			continue;
		for (j = 0; j < *n && (*cuts)[j].reason != s->truncated; j++)
			;
		if (j == *n) {
			if (array_grow((void **)cuts, *n, &cap, sizeof(**cuts)))
				return -ENOMEM;
			(*cuts)[(*n)++] = (struct cut){ .reason = s->truncated };
		}
		(*cuts)[j].count = profile_sum((*cuts)[j].count, s->values[0]);
	}
	return 0;
}

/* Why stacks are not complete, by type 0: the number of events. */
static int put_cuts(struct text *t)
{
	struct cut *cuts = NULL;
	int64_t all = profile_total(t->p, 0), cut = 0;
	char percent[MEASURE_LEN], count[MEASURE_LEN];
	size_t n = 0;
	int err = collect_cuts(t->p, &cuts, &n);

	if (err || !n)
		goto cleanup;
	qsort(cuts, n, sizeof(*cuts), by_count);
	for (size_t i = 0; i < n; i++)
		cut = profile_sum(cut, cuts[i].count);
	text_heading(&t->page, "Stacks that do not reach their thread's first function");
	strbuf_printf(&t->page.out, "%" PRId64 " of %" PRId64 " samples, %s\n", cut, all,
		      measure_percent((double)cut, (double)all, percent));
	for (size_t i = 0; i < n; i++) {
		int len = snprintf(count, sizeof(count), "%8" PRId64, cuts[i].count);

		strbuf_printf(&t->page.out, "%s  ", count);
		strbuf_puts_clipped(&t->page.out, profile_str(t->p, cuts[i].reason),
				    t->page.width - (size_t)len - 2);
		strbuf_putc(&t->page.out, '\n');
	}
cleanup:
	free(cuts);
	return err;
}

int write_text(const struct profile *p, const struct write_options *o, struct sink *out)
{
	struct text t = {
		.p = p,
		.type = o->type == PROFILE_NONE ? p->default_type : o->type,
	};
	int err;

	if (t.type && t.type >= p->nr_types)
		return -EINVAL;
	t.unit = p->nr_types ? profile_str(p, p->types[t.type].unit) : "count";
	err = flame_tree_init(&t.tree, p, t.type, 0);
	if (err)
		return err;
	t.total = t.tree.nodes[FLAME_ROOT].total;
	text_page_init(&t.page, o);
	text_fields(&t.page);
	err = function_sums(&t.tree.frames, p, t.type, &t.rows);
	if (!err && t.total) {
		keep_functions(&t);
		put_tables(&t);
		err = put_stacks(&t);
	} else if (!err) {
		strbuf_puts(&t.page.out, "\nNo samples.\n");
	}
	if (!err)
		err = put_cuts(&t);
	if (!err)
		err = sink_flush(out, &t.page.out, 0);
	strbuf_release(&t.page.out);
	free(t.rows);
	flame_tree_release(&t.tree);
	return err;
}
