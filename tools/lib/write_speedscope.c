/* SPDX-License-Identifier: MIT */
#include "write_speedscope.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "json.h"
#include "sink.h"
#include "strbuf.h"
#include "util.h"

#define CHUNK (64 * 1024)

/* Samples of one thread, or all. */
struct group {
	uint32_t comm, tid;
	int64_t total;
	bool all;
};

struct scope {
	const struct profile *p;
	struct sink *out;
	struct frames frames;
	struct frame_stack stack;
	size_t type;
	uint32_t key_tid; /* the string "tid", PROFILE_NONE: no such label */
	struct group *groups;
	size_t nr_groups, cap_groups;
	uint32_t *group_of; /* each sample */
	struct strbuf text;
};

static uint32_t tid_of(const struct scope *s, const struct profile_sample *sample)
{
	for (uint32_t i = 0; i < sample->nr_labels; i++) {
		const struct profile_label *l = &s->p->labels[sample->first_label + i];

		if (!l->str && l->key == s->key_tid)
			return (uint32_t)l->num;
	}
	return 0;
}

struct group_key {
	const struct scope *s;
	uint32_t comm, tid;
};

static bool group_equal(const void *ctx, uint32_t index)
{
	const struct group_key *key = ctx;
	const struct group *g = &key->s->groups[index];

	return g->comm == key->comm && g->tid == key->tid;
}

static int add_to_group(struct scope *s, struct dedup *index, size_t sample)
{
	const struct profile_sample *from = &s->p->samples[sample];
	struct group_key key = { .s = s, .comm = from->comm, .tid = tid_of(s, from) };
	uint64_t hash = hash_bytes((uint32_t[]){ key.comm, key.tid }, 2 * sizeof(uint32_t));
	uint32_t at = dedup_find(index, hash, group_equal, &key);

	if (at == DEDUP_NONE) {
		if (dedup_reserve(index) || array_grow((void **)&s->groups, s->nr_groups,
						       &s->cap_groups, sizeof(*s->groups)))
			return -ENOMEM;
		at = (uint32_t)s->nr_groups;
		dedup_insert(index, hash, at);
		s->groups[s->nr_groups++] = (struct group){ .comm = key.comm, .tid = key.tid };
	}
	s->group_of[sample] = at;
	s->groups[at].total = profile_sum(s->groups[at].total, from->values[s->type]);
	return 0;
}

static bool counts(const struct scope *s, size_t sample)
{
	return s->type < s->p->nr_types && s->p->samples[sample].values[s->type] > 0;
}

static int find_groups(struct scope *s)
{
	struct dedup index = { 0 };
	int err = 0;

	s->key_tid = PROFILE_NONE;
	for (uint32_t i = 0; i < s->p->nr_strings; i++)
		if (!strcmp(s->p->strings[i], "tid"))
			s->key_tid = i;
	s->group_of = calloc(s->p->nr_samples + 1, sizeof(*s->group_of));
	if (!s->group_of)
		return -ENOMEM;
	for (size_t i = 0; i < s->p->nr_samples && !err; i++)
		if (counts(s, i))
			err = add_to_group(s, &index, i);
	dedup_release(&index);
	return err;
}

static int put_frames(struct scope *s)
{
	int err = 0;

	strbuf_puts(&s->text, ",\"shared\":{\"frames\":[");
	for (size_t i = 0; i < s->frames.nr_symbols && !err; i++) {
		const struct frame_symbol *f = &s->frames.symbols[i];
		const char *file = profile_str(s->p, f->file);

		strbuf_puts(&s->text, i ? ",\n{\"name\":" : "\n{\"name\":");
		json_put_string(&s->text, f->name);
		if (*file || *f->module) {
			strbuf_puts(&s->text, ",\"file\":");
			json_put_string(&s->text, *file ? file : f->module);
		}
		strbuf_putc(&s->text, '}');
		err = sink_flush(s->out, &s->text, CHUNK);
	}
	strbuf_puts(&s->text, "]}");
	return err;
}

static int put_stacks(struct scope *s, const struct group *g, size_t group)
{
	const char *comma = "";
	int err = 0;

	strbuf_puts(&s->text, ",\n\"samples\":[");
	for (size_t i = 0; i < s->p->nr_samples && !err; i++) {
		if (!counts(s, i) || (!g->all && s->group_of[i] != group))
			continue;
		err = frames_stack(&s->frames, &s->p->samples[i], &s->stack);
		strbuf_printf(&s->text, "%s[", comma);
		for (size_t j = 0; j < s->stack.n && !err; j++)
			strbuf_printf(&s->text, "%s%" PRIu32, j ? "," : "",
				      s->stack.items[j].symbol);
		strbuf_putc(&s->text, ']');
		comma = ",";
		if (!err)
			err = sink_flush(s->out, &s->text, CHUNK);
	}
	comma = "";
	strbuf_puts(&s->text, "],\n\"weights\":[");
	for (size_t i = 0; i < s->p->nr_samples && !err; i++) {
		if (!counts(s, i) || (!g->all && s->group_of[i] != group))
			continue;
		strbuf_printf(&s->text, "%s%" PRId64, comma, s->p->samples[i].values[s->type]);
		comma = ",";
		err = sink_flush(s->out, &s->text, CHUNK);
	}
	strbuf_puts(&s->text, "]}");
	return err;
}

/* Of pprof's units the ones that the format knows; the rest are plain numbers. */
static const char *unit_of(const struct scope *s)
{
	static const char *const known[] = { "nanoseconds", "microseconds", "milliseconds",
					     "seconds", "bytes" };
	const char *unit = s->p->nr_types ? profile_str(s->p, s->p->types[s->type].unit) : "";

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(known[i], unit))
			return unit;
	return "none";
}

static int put_group(struct scope *s, const struct group *g, size_t group)
{
	char tid[16] = "";
	struct strbuf name = { 0 };
	int err;

	if (g->tid)
		snprintf(tid, sizeof(tid), " %" PRIu32, g->tid);
	if (g->all)
		strbuf_puts(&name, "all threads");
	else
		strbuf_printf(&name, "%s%s", profile_str(s->p, g->comm), tid);
	strbuf_puts(&s->text, "\n{\"type\":\"sampled\",\"name\":");
	json_put_string(&s->text, strbuf_str(&name));
	err = strbuf_error(&name);
	strbuf_release(&name);
	strbuf_printf(&s->text, ",\"unit\":\"%s\",\"startValue\":0,\"endValue\":%" PRId64,
		      unit_of(s), g->total);
	return err ? err : put_stacks(s, g, group);
}

static int by_total(const void *a, const void *b, void *ctx)
{
	const struct group *groups = ctx;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;

	if (groups[i].total != groups[j].total)
		return groups[i].total > groups[j].total ? -1 : 1;
	return i < j ? -1 : i > j;
}

static int put_profiles(struct scope *s)
{
	struct group all = { .all = true, .total = profile_total(s->p, s->type) };
	uint32_t *order = calloc(s->nr_groups + 1, sizeof(*order));
	int err;

	if (!order)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->nr_groups; i++)
		order[i] = i;
	qsort_r(order, s->nr_groups, sizeof(*order), by_total, s->groups);
	all.total = 0;
	for (size_t i = 0; i < s->nr_groups; i++)
		all.total = profile_sum(all.total, s->groups[i].total);
	strbuf_puts(&s->text, ",\n\"profiles\":[");
	err = put_group(s, &all, 0);
	for (size_t i = 0; s->nr_groups > 1 && i < s->nr_groups && !err; i++) {
		strbuf_putc(&s->text, ',');
		err = put_group(s, &s->groups[order[i]], order[i]);
	}
	free(order);
	return err;
}

int write_speedscope(const struct profile *p, const struct write_options *o, struct sink *out)
{
	struct scope s = { .p = p, .out = out };
	int err;

	s.type = o->type == PROFILE_NONE ? p->default_type : o->type;
	if (s.type && s.type >= p->nr_types)
		return -EINVAL;
	strbuf_puts(&s.text,
		    "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\n"
		    "\"exporter\":\"periscope\",\"activeProfileIndex\":0,\"name\":");
	json_put_string(&s.text, o->title ? o->title : "periscope");
	err = frames_init(&s.frames, p);
	/* Stacks may add symbols, for threads and marks: all must be known before they are listed. */
	for (size_t i = 0; i < p->nr_samples && !err; i++)
		if (counts(&s, i))
			err = frames_stack(&s.frames, &p->samples[i], &s.stack);
	if (!err)
		err = find_groups(&s);
	if (!err)
		err = put_frames(&s);
	if (!err)
		err = put_profiles(&s);
	strbuf_puts(&s.text, "]}\n");
	if (!err)
		err = sink_flush(out, &s.text, 0);
	frame_stack_release(&s.stack);
	frames_release(&s.frames);
	strbuf_release(&s.text);
	free(s.groups);
	free(s.group_of);
	return err;
}
