/* SPDX-License-Identifier: MIT */
#include "write_svg_data.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "sink.h"
#include "strbuf.h"
#include "svg_page.h"
#include "util.h"
#include "web_flame.h" /* made of tools/web */
#include "write.h"
#include "write_svg_paint.h"

#define CHUNK (64 * 1024)
/* Threads apart cost a tree each: up to this many nodes. */
#define MAX_BY_THREAD 200000

/* The second value of a node. */
enum second { SECOND_NONE, SECOND_SAMPLES, SECOND_BEFORE };

struct data {
	const struct svg_data *d;
	const struct flame_tree *t; /* by_thread, or the merged one */
	struct flame_tree by_thread;
	struct sink *out;
	struct strbuf text, json;
	enum second second;
	int64_t scale, scale2;
	int64_t period; /* what one sample is of the value; 0: they differ */
	/* Modules and files, each once. */
	const char **places;
	size_t nr_places, cap_places;
	struct dedup place_index;
};

static void put_base36(struct strbuf *b, uint64_t n)
{
	char digits[16];
	size_t at = sizeof(digits);

	do
		digits[--at] = "0123456789abcdefghijklmnopqrstuvwxyz"[n % 36];
	while (n /= 36);
	strbuf_add(b, digits + at, sizeof(digits) - at);
}

static int64_t common_divisor(int64_t a, int64_t b)
{
	while (b) {
		int64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* What values are multiples of, so that they take few digits; often one sample each. */
static void find_scales(struct data *x)
{
	const struct flame_tree *t = x->t;
	int64_t period = 0;
	bool samples = true;

	x->scale = x->scale2 = 0;
	for (size_t i = 0; i < t->nr_nodes; i++) {
		const struct flame_node *n = &t->nodes[i];

		x->scale = common_divisor(x->scale, n->self);
		x->scale2 = common_divisor(x->scale2, n->self_samples);
		if (n->self && !period && n->self_samples)
			period = n->self / n->self_samples;
		samples = samples && n->self == profile_sum(0, n->self_samples) * (__int128)period;
	}
	x->period = samples && !x->d->o->diff ? period : 0;
	if (x->d->o->diff)
		x->second = SECOND_BEFORE;
	else if (x->d->type && !x->period)
		x->second = SECOND_SAMPLES;
	x->scale = x->scale ? x->scale : 1;
	x->scale2 = x->scale2 ? x->scale2 : 1;
}

static void put_fields(struct data *x)
{
	const struct write_options *o = x->d->o;

	strbuf_puts(&x->json, ",\"fields\":[");
	for (size_t i = 0; i < o->nr_fields; i++) {
		strbuf_puts(&x->json, i ? ",[" : "[");
		json_put_string(&x->json, o->fields[i].key);
		strbuf_putc(&x->json, ',');
		json_put_string(&x->json, o->fields[i].value ? o->fields[i].value : "");
		strbuf_putc(&x->json, ']');
	}
	strbuf_putc(&x->json, ']');
}

static void put_legend(struct data *x)
{
	bool used[NR_PAINTS] = { false };
	const char *comma = "";

	for (uint32_t i = 0; i < x->t->nr_nodes; i++)
		used[paint_of(flame_symbol(x->t, i)->origin, x->t->nodes[i].inlined)] = true;
	strbuf_puts(&x->json, ",\"legend\":[");
	for (enum paint i = 0; i < NR_PAINTS; i++) {
		if (!used[i])
			continue;
		strbuf_printf(&x->json, "%s[\"%c\",\"%s\"]", comma, paint_class(i),
			      paint_legend(i));
		comma = ",";
	}
	strbuf_printf(&x->json, "],\"steps\":[%g", paint_steps[0]);
	for (size_t i = 1; i < PAINT_NR_STEPS; i++)
		strbuf_printf(&x->json, ",%g", paint_steps[i]);
	strbuf_putc(&x->json, ']');
}

static void put_head(struct data *x)
{
	static const char *const seconds[] = { "", "samples", "before" };
	static const char *const diffs[] = { "", "absolute", "normalized" };
	const struct flame_tree *t = x->t;

	strbuf_puts(&x->json, "{\"title\":");
	json_put_string(&x->json, x->d->title);
	strbuf_puts(&x->json, ",\"unit\":");
	json_put_string(&x->json, x->d->unit);
	strbuf_printf(&x->json,
		      ",\"nodes\":%zu,\"scale\":%" PRId64 ",\"scale2\":%" PRId64
		      ",\"second\":\"%s\",\"period\":%" PRId64 ",\"diff\":\"%s\"",
		      t->nr_nodes - 1, x->scale, x->scale2, seconds[x->second], x->period,
		      diffs[x->d->o->diff]);
	put_fields(x);
	put_legend(x);
	strbuf_puts(&x->json, ",\"threads\":[");
	for (uint32_t i = t->nodes[FLAME_ROOT].first_child; i; i = t->nodes[i].next_sibling)
		strbuf_printf(&x->json, "%s%u", i == t->nodes[FLAME_ROOT].first_child ? "" : ",",
			      t->nodes[i].thread);
	strbuf_puts(&x->json, "]}");
	if (strbuf_error(&x->json))
		x->text.failed = true;
	strbuf_puts(&x->text, "<metadata id=\"periscope-head\">");
	svg_put_escaped(&x->text, strbuf_str(&x->json));
	strbuf_puts(&x->text, "</metadata>\n");
}

struct place_key {
	const struct data *x;
	const char *place;
};

static bool place_equal(const void *ctx, uint32_t index)
{
	const struct place_key *key = ctx;

	return !strcmp(key->x->places[index], key->place);
}

static int get_place(struct data *x, const char *place, uint32_t *ret)
{
	struct place_key key = { .x = x, .place = place };
	uint64_t hash = hash_bytes(place, strlen(place));

	*ret = dedup_find(&x->place_index, hash, place_equal, &key);
	if (*ret != DEDUP_NONE)
		return 0;
	if (dedup_reserve(&x->place_index) ||
	    array_grow((void **)&x->places, x->nr_places, &x->cap_places, sizeof(*x->places)))
		return -ENOMEM;
	*ret = (uint32_t)x->nr_places;
	dedup_insert(&x->place_index, hash, *ret);
	x->places[x->nr_places++] = place;
	return 0;
}

static int put_name(struct data *x, const struct frame_symbol *s)
{
	uint32_t module, file;
	int err = get_place(x, s->module, &module);

	if (!err)
		err = get_place(x, profile_str(x->t->frames.profile, s->file), &file);
	if (err)
		return err;
	strbuf_printf(&x->text, "%c%c", paint_class(paint_of(s->origin, false)),
		      paint_shade(s->name));
	put_base36(&x->text, module);
	strbuf_putc(&x->text, ' ');
	put_base36(&x->text, file);
	if (s->min_line)
		strbuf_printf(&x->text, ":%u", s->min_line);
	if (s->max_line != s->min_line)
		strbuf_printf(&x->text, "-%u", s->max_line);
	strbuf_putc(&x->text, ' ');
	svg_put_escaped(&x->text, s->name);
	strbuf_putc(&x->text, '\n');
	return sink_flush(x->out, &x->text, CHUNK);
}

static int put_names(struct data *x)
{
	const struct flame_tree *t = x->t;
	size_t n = t->frames.nr_symbols;
	uint32_t *order = calloc(n + 1, sizeof(*order));
	int err = order ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < n && order; i++)
		order[t->ranks[i]] = i;
	strbuf_puts(&x->text, "<metadata id=\"periscope-names\">");
	for (size_t i = 0; i < n && !err; i++)
		err = put_name(x, &t->frames.symbols[order[i]]);
	free(order);
	strbuf_puts(&x->text, "</metadata>\n<metadata id=\"periscope-places\">");
	for (size_t i = 0; i < x->nr_places && !err; i++) {
		svg_put_escaped(&x->text, x->places[i]);
		strbuf_putc(&x->text, '\n');
		err = sink_flush(x->out, &x->text, CHUNK);
	}
	strbuf_puts(&x->text, "</metadata>\n");
	return err;
}

static void put_value(struct data *x, char sign, int64_t value, bool leaf)
{
	if (value == (leaf ? 1 : 0))
		return;
	strbuf_putc(&x->text, sign);
	put_base36(&x->text, (uint64_t)value);
}

static void put_node(struct data *x, uint32_t node)
{
	const struct flame_node *nodes = x->t->nodes, *n = &nodes[node];
	uint32_t up = node, levels = 0;

	put_base36(&x->text, x->t->ranks[n->symbol]);
	if (n->inlined)
		strbuf_putc(&x->text, '~');
	put_value(x, '=', n->self / x->scale, !n->first_child);
	if (x->second)
		put_value(x, '+', n->self_samples / x->scale2, !n->first_child);
	if (n->first_child) {
		strbuf_putc(&x->text, ' ');
		return;
	}
	for (; up && !nodes[up].next_sibling; up = nodes[up].parent)
		levels++;
	if (levels == 0) {
		strbuf_putc(&x->text, ',');
	} else if (levels == 1) {
		strbuf_putc(&x->text, ';');
	} else {
		strbuf_putc(&x->text, '.');
		put_base36(&x->text, levels);
		strbuf_putc(&x->text, ';');
	}
}

static int put_tree(struct data *x)
{
	uint32_t at = FLAME_ROOT;
	int err = 0;

	strbuf_puts(&x->text, "<metadata id=\"periscope-tree\">");
	while (!err && (at = flame_next(x->t, FLAME_ROOT, at, true))) {
		put_node(x, at);
		err = sink_flush(x->out, &x->text, CHUNK);
	}
	strbuf_puts(&x->text, "</metadata>\n");
	return err;
}

/* The script's text cannot end its CDATA section: the build refuses one with the end mark in it. */
static void put_script(struct data *x)
{
	strbuf_puts(&x->text, "<style><![CDATA[\n");
	strbuf_add(&x->text, web_flame_css, sizeof(web_flame_css));
	strbuf_puts(&x->text, "]]></style>\n<script><![CDATA[\n");
	strbuf_add(&x->text, web_flame_js, sizeof(web_flame_js));
	strbuf_puts(&x->text, "]]></script>\n");
}

static bool has_threads(const struct profile *p)
{
	for (size_t i = 0; i < p->nr_labels; i++)
		if (!p->labels[i].str && !strcmp(profile_str(p, p->labels[i].key), "tid"))
			return true;
	return false;
}

/* Threads apart, if samples know theirs and that does not make the file much larger. */
static int choose_tree(struct data *x)
{
	const struct profile *p = x->d->tree->frames.profile;
	int err;

	x->t = x->d->tree;
	if (!has_threads(p) || x->t->nr_nodes > MAX_BY_THREAD)
		return 0;
	err = flame_tree_init(&x->by_thread, p, x->d->type,
			      FLAME_BY_THREAD | (x->d->o->diff ? FLAME_BOTH : 0));
	if (!err && x->by_thread.nr_nodes <= MAX_BY_THREAD)
		x->t = &x->by_thread;
	return err;
}

int svg_data_write(const struct svg_data *d, struct sink *out)
{
	struct data x = { .d = d, .out = out };
	int err = choose_tree(&x);

	if (!err) {
		find_scales(&x);
		put_head(&x);
		err = put_names(&x);
	}
	if (!err)
		err = put_tree(&x);
	if (!err) {
		put_script(&x);
		err = sink_flush(out, &x.text, 0);
	}
	if (!err || x.by_thread.nodes)
		flame_tree_release(&x.by_thread);
	strbuf_release(&x.text);
	strbuf_release(&x.json);
	free(x.places);
	dedup_release(&x.place_index);
	return err;
}
