/* SPDX-License-Identifier: MIT */
#include "write_svg.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "flametree.h"
#include "measure.h"
#include "sink.h"
#include "strbuf.h"
#include "svg_page.h"
#include "util.h"
#include "write_svg_data.h"
#include "write_svg_paint.h"

#define CHUNK (64 * 1024)

/* In pixels of the picture. */
#define FRAME_HEIGHT 17
#define MIN_DRAWN    0.2
/*
 * What the script does not need is kept small: the least width doubles, up to a limit, until so few
 * frames are drawn.
 */
#define MAX_DRAWN   1000
#define LARGEST_MIN 6.4
/* A column of the 11px monospaced font, on the wide side: what is clipped is clipped by this. */
#define TEXT_COLUMN  6.7
#define TEXT_PADDING 3.0
#define MIN_COLUMNS  3

/* Neighbours too narrow to be drawn one by one. */
struct gap {
	double x, width;
	uint32_t depth;
	size_t frames;
	int64_t total;
};

struct svg {
	const struct profile *p;
	const struct write_options *o;
	struct sink *out;
	size_t type;
	const char *unit, *title;
	enum paint_kind kind;
	double before_scale; /* differential: what values before are multiplied by */
	double min_drawn;
	size_t nr_drawn;
	struct flame_tree tree;
	double *x, *width; /* of each node; width 0: not drawn */
	struct gap *gaps;
	size_t nr_gaps, cap_gaps;
	uint32_t max_depth; /* that is drawn */
	size_t hidden_frames;
	int64_t hidden_total;
	bool painted[NR_PAINTS];
	struct strbuf text; /* the file in the making */
};

static enum paint node_paint(const struct svg *g, uint32_t node)
{
	return paint_of(flame_symbol(&g->tree, node)->origin, g->tree.nodes[node].inlined);
}

static size_t subtree_size(const struct flame_tree *t, uint32_t top)
{
	uint32_t at = top;
	size_t n = 0;

	do {
		n++;
		at = flame_next(t, top, at, true);
	} while (at);
	return n;
}

static int end_gap(struct svg *g, struct gap *gap)
{
	struct gap done = *gap;

	*gap = (struct gap){ 0 };
	if (done.width < g->min_drawn)
		return 0;
	if (array_grow((void **)&g->gaps, g->nr_gaps, &g->cap_gaps, sizeof(*g->gaps)))
		return -ENOMEM;
	g->gaps[g->nr_gaps++] = done;
	g->max_depth = MAX(g->max_depth, done.depth);
	return 0;
}

static void widen_gap(struct svg *g, struct gap *gap, uint32_t node, double x, double width)
{
	size_t frames = subtree_size(&g->tree, node);

	if (!gap->frames) {
		gap->x = x;
		gap->depth = g->tree.nodes[node].depth;
	}
	gap->width += width;
	gap->frames += frames;
	gap->total = profile_sum(gap->total, g->tree.nodes[node].total);
	g->hidden_frames += frames;
	g->hidden_total = profile_sum(g->hidden_total, g->tree.nodes[node].total);
}

/* Children side by side from their parent's left edge; what it spent itself is on the right. */
static int lay_out_children(struct svg *g, uint32_t parent)
{
	const struct flame_node *nodes = g->tree.nodes;
	double scale = (SVG_WIDTH - 2 * SVG_MARGIN) / (double)nodes[FLAME_ROOT].total;
	double x = g->x[parent], end = x + g->width[parent];
	struct gap gap = { 0 };
	int err = 0;

	for (uint32_t i = nodes[parent].first_child; i && !err; i = nodes[i].next_sibling) {
		/* Sums that saturated, and rounding, must not leave the parent. */
		double width = MIN((double)nodes[i].total * scale, end - x);

		if (!nodes[i].total) /* it is gone since: the script has a strip for it */
			continue;
		if (width < g->min_drawn) {
			widen_gap(g, &gap, i, x, width);
		} else {
			err = end_gap(g, &gap);
			g->x[i] = x;
			g->width[i] = width;
			g->nr_drawn++;
			g->painted[node_paint(g, i)] = true;
			g->max_depth = MAX(g->max_depth, nodes[i].depth);
		}
		x += width;
	}
	return err ? err : end_gap(g, &gap);
}

static int lay_out_once(struct svg *g)
{
	uint32_t at = FLAME_ROOT;
	int err = 0;

	g->nr_gaps = g->hidden_frames = g->nr_drawn = 0;
	g->hidden_total = 0;
	g->max_depth = 0;
	memset(g->width, 0, g->tree.nr_nodes * sizeof(*g->width));
	g->x[FLAME_ROOT] = SVG_MARGIN;
	g->width[FLAME_ROOT] = SVG_WIDTH - 2 * SVG_MARGIN;
	g->painted[PAINT_NOTE] = true;
	do {
		bool drawn = g->width[at] > 0;

		if (drawn)
			err = lay_out_children(g, at);
		at = flame_next(&g->tree, FLAME_ROOT, at, drawn);
	} while (at && !err);
	return err;
}

static int lay_out(struct svg *g)
{
	size_t n = g->tree.nr_nodes;
	int err;

	g->x = calloc(n, sizeof(*g->x));
	g->width = calloc(n, sizeof(*g->width));
	if (!g->x || !g->width)
		return -ENOMEM;
	g->min_drawn = MIN_DRAWN;
	if (!g->tree.nodes[FLAME_ROOT].total)
		return 0;
	err = lay_out_once(g);
	while (!err && g->nr_drawn > MAX_DRAWN && g->min_drawn < LARGEST_MIN) {
		g->min_drawn *= 2;
		err = lay_out_once(g);
	}
	return err;
}

static double put_legend_entry(struct svg *g, const char *class, const char *text, double x, int y)
{
	strbuf_printf(&g->text,
		      "<rect class=\"%s\" x=\"%g\" y=\"%d\" width=\"12\" height=\"12\" "
		      "rx=\"2\"/><text class=\"s\" x=\"%g\" y=\"%d\">%s</text>\n",
		      class, x, y - 10, x + 17, y, text);
	return x + 17 + 7.0 * (double)strlen(text) + 14;
}

static int put_legend(struct svg *g, int y)
{
	static const enum paint order[] = { PAINT_PROGRAM, PAINT_INLINED, PAINT_LIBRARY,
					    PAINT_LIBC,	   PAINT_KERNEL,  PAINT_NOTE };
	static const char *const deltas[][2] = {
		{ "d0", "far less" },	      { "d2", "less" },
		{ "d4", "as before" },	      { "d6", "more" },
		{ "d8", "far more, or new" },
	};
	double x = SVG_MARGIN;

	y += SVG_LINE_HEIGHT + 4;
	for (size_t i = 0; g->o->diff && i < ARRAY_SIZE(deltas); i++)
		x = put_legend_entry(g, deltas[i][0], deltas[i][1], x, y);
	for (size_t i = 0; !g->o->diff && i < ARRAY_SIZE(order); i++) {
		char class[] = { paint_class(order[i]), '0', '\0' };

		if (g->painted[order[i]])
			x = put_legend_entry(g, class, paint_legend(order[i]), x, y);
	}
	return y;
}

/* "1.23s, 12.30%" */
static void put_share_of(struct svg *g, int64_t value, int64_t whole)
{
	char number[MEASURE_LEN], percent[MEASURE_LEN];

	measure_value(measure_for(value, g->unit), value, number);
	svg_put_escaped(&g->text, number);
	strbuf_puts(&g->text, ", ");
	svg_put_escaped(&g->text, measure_percent((double)value, (double)whole, percent));
}

static void put_share(struct svg *g, int64_t value)
{
	put_share_of(g, value, g->tree.nodes[FLAME_ROOT].total);
}

static void put_tooltip(struct svg *g, uint32_t node)
{
	const struct frame_symbol *s = flame_symbol(&g->tree, node);
	const struct flame_node *n = &g->tree.nodes[node];

	strbuf_puts(&g->text, "<title>");
	svg_put_escaped(&g->text, s->name);
	if (n->inlined)
		strbuf_puts(&g->text, " (inlined)");
	if (*s->module) {
		strbuf_puts(&g->text, "\n");
		svg_put_escaped(&g->text, s->module);
	}
	strbuf_puts(&g->text, "\n");
	put_share(g, n->total);
	if (g->o->diff) {
		strbuf_puts(&g->text, "\nbefore: ");
		put_share_of(g, n->samples, g->tree.nodes[FLAME_ROOT].samples);
	} else if (g->type)
		strbuf_printf(&g->text, ", %" PRId64 " samples", n->samples);
	if (n->self && n->self != n->total) {
		strbuf_puts(&g->text, "\nitself: ");
		put_share(g, n->self);
	}
	strbuf_puts(&g->text, "</title>");
}

static void put_rect(struct svg *g, const char *class, double x, double width, int y)
{
	/* A hair's breadth between neighbours, as far as they can spare it. */
	double seen = width > 2 ? width - 0.5 : width * 0.9;

	strbuf_printf(&g->text,
		      "<rect class=\"%s\" x=\"%.1f\" y=\"%d\" width=\"%.2f\" height=\"%d\"%s/>",
		      class, x, y, seen, FRAME_HEIGHT - 1, width > 4 ? " rx=\"1.5\"" : "");
}

static void put_node(struct svg *g, uint32_t node, int top)
{
	const char *name = flame_symbol(&g->tree, node)->name;
	int y = top + (int)g->tree.nodes[node].depth * FRAME_HEIGHT;
	double columns = (g->width[node] - 2 * TEXT_PADDING) / TEXT_COLUMN;
	char origin[] = { paint_class(node_paint(g, node)), paint_shade(name), '\0' };
	const struct flame_node *n = &g->tree.nodes[node];
	const char *class = origin;

	if (g->o->diff)
		class = paint_delta((double)n->samples * g->before_scale, (double)n->total);

	strbuf_puts(&g->text, "<g>");
	put_tooltip(g, node);
	put_rect(g, class, g->x[node], g->width[node], y);
	if (columns >= MIN_COLUMNS) {
		strbuf_printf(&g->text, "<text x=\"%.1f\" y=\"%d\">", g->x[node] + TEXT_PADDING,
			      y + 12);
		svg_put_clipped(&g->text, name, (size_t)columns);
		strbuf_puts(&g->text, "</text>");
	}
	strbuf_puts(&g->text, "</g>\n");
}

static void put_gap(struct svg *g, const struct gap *gap, int top)
{
	strbuf_printf(&g->text, "<g><title>%zu frames too narrow to draw\n", gap->frames);
	put_share(g, gap->total);
	strbuf_puts(&g->text, "</title>");
	put_rect(g, "m", gap->x, gap->width, top + (int)gap->depth * FRAME_HEIGHT);
	strbuf_puts(&g->text, "</g>\n");
}

static int put_frames(struct svg *g, int top)
{
	uint32_t at = FLAME_ROOT;
	int err = 0;

	if (g->width[FLAME_ROOT] <= 0)
		return 0;
	do {
		bool drawn = g->width[at] > 0;

		if (drawn) {
			put_node(g, at, top);
			err = sink_flush(g->out, &g->text, CHUNK);
		}
		at = flame_next(&g->tree, FLAME_ROOT, at, drawn);
	} while (at && !err);
	for (size_t i = 0; i < g->nr_gaps && !err; i++) {
		put_gap(g, &g->gaps[i], top);
		err = sink_flush(g->out, &g->text, CHUNK);
	}
	return err;
}

static void put_footer(struct svg *g, int y)
{
	if (!g->tree.nodes[FLAME_ROOT].total) {
		strbuf_printf(&g->text, "<text class=\"s\" x=\"%g\" y=\"%d\">No samples.</text>\n",
			      SVG_MARGIN, y);
	} else if (g->hidden_frames) {
		strbuf_printf(&g->text,
			      "<text class=\"s q\" x=\"%g\" y=\"%d\">%zu frames narrower than "
			      "%g px are not drawn one by one (",
			      SVG_MARGIN, y, g->hidden_frames, g->min_drawn);
		put_share(g, g->hidden_total);
		strbuf_puts(&g->text, ").</text>\n");
	}
}

static void put_head(struct svg *g, int height)
{
	svg_put_head(&g->text, g->title, height);
	strbuf_puts(&g->text, "<style>\n");
	svg_put_style(&g->text);
	paint_put_style(&g->text, g->kind, g->o->diff);
	strbuf_puts(&g->text, "</style>\n<g id=\"periscope-static\">\n");
	svg_put_title(&g->text, g->title);
}

static int put_picture(struct svg *g)
{
	struct strbuf facts = { 0 };
	int y, top, bottom, err;

	/* The head tells the height, which is known when the facts are laid out. */
	y = put_legend(g, svg_put_facts(&g->text, g->o));
	facts = g->text;
	strbuf_init(&g->text);
	top = y + 12;
	bottom = top + (int)(g->max_depth + 1) * FRAME_HEIGHT + SVG_LINE_HEIGHT;
	put_head(g, bottom + 12);
	put_footer(g, bottom);
	err = sink_flush(g->out, &g->text, 0);
	if (!err)
		err = sink_flush(g->out, &facts, 0);
	strbuf_release(&facts);
	return err ? err : put_frames(g, top);
}

/* What is shown and by what name. Returns 0, or -EINVAL for a type that the profile does not have. */
static int choose(struct svg *g)
{
	const struct profile *p = g->p;
	const char *type;

	g->type = g->o->type == PROFILE_NONE ? p->default_type : g->o->type;
	if (g->o->diff)
		g->type = 1;
	if (g->type && g->type >= p->nr_types)
		return -EINVAL;
	g->unit = p->nr_types ? profile_str(p, p->types[g->type].unit) : "count";
	type = p->nr_types ? profile_str(p, p->types[g->type].name) : "";
	g->kind = paint_kind(type, g->unit);
	g->title = g->o->title ? g->o->title : paint_title(g->kind, type);
	return 0;
}

static void compare_sums(struct svg *g)
{
	const struct flame_node *root = &g->tree.nodes[FLAME_ROOT];

	g->before_scale = 1;
	if (g->o->diff == WRITE_DIFF_NORMALIZED && root->samples)
		g->before_scale = (double)root->total / (double)root->samples;
}

static int put_data(struct svg *g)
{
	struct svg_data data = {
		.tree = &g->tree, .o = g->o, .title = g->title, .unit = g->unit, .type = g->type
	};
	int err;

	strbuf_puts(&g->text, "</g>\n");
	err = sink_flush(g->out, &g->text, 0);
	if (!err)
		err = svg_data_write(&data, g->out);
	strbuf_puts(&g->text, "</svg>\n");
	return err ? err : sink_flush(g->out, &g->text, 0);
}

int write_svg(const struct profile *p, const struct write_options *o, struct sink *out)
{
	struct svg g = { .p = p, .o = o, .out = out };
	int err = choose(&g);

	if (err)
		return err;
	err = flame_tree_init(&g.tree, p, g.type, o->diff ? FLAME_BOTH : 0);
	if (err)
		return err;
	compare_sums(&g);
	err = lay_out(&g);
	if (!err)
		err = put_picture(&g);
	if (!err)
		err = put_data(&g);
	strbuf_release(&g.text);
	free(g.gaps);
	free(g.x);
	free(g.width);
	flame_tree_release(&g.tree);
	return err;
}
