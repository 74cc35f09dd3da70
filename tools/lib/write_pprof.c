/* SPDX-License-Identifier: MIT */
/*
 * The file is made in parts: each table entry is packed as a profile message with that one entry,
 * and the parts are compressed one after the other. Messages laid end to end are one message whose
 * repeated fields are joined (protobuf.dev/programming-guides/encoding, "Last One Wins"), so the
 * whole never has to be in memory.
 */
#include "write_pprof.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gzip_sink.h"
#include "profile.pb-c.h"
#include "sink.h"
#include "strbuf.h"

#define GZIP_LEVEL 6

#define pb_profile Perftools__Profiles__Profile

/* Strings of our own, after the profile's in the string table. */
enum { STRING_THREAD, STRING_TRUNCATED, NR_OWN_STRINGS };
static const char *const own_strings[NR_OWN_STRINGS] = {
	[STRING_THREAD] = PROFILE_LABEL_THREAD,
	[STRING_TRUNCATED] = PROFILE_LABEL_TRUNCATED,
};

struct pprof_file {
	const struct profile *p;
	struct gzip_sink out;
	unsigned char *packed; /* of one part */
	size_t cap_packed;
};

static int emit(struct pprof_file *w, const pb_profile *part)
{
	size_t len = perftools__profiles__profile__get_packed_size(part);

	if (len > UINT32_MAX)
		return -E2BIG;
	if (len > w->cap_packed) {
		size_t cap = len * 2;
		unsigned char *packed = realloc(w->packed, cap);

		if (!packed)
			return -ENOMEM;
		w->packed = packed;
		w->cap_packed = cap;
	}
	perftools__profiles__profile__pack(part, w->packed);
	return sink_write(&w->out.sink, w->packed, len);
}

static int emit_types(struct pprof_file *w)
{
	const struct profile *p = w->p;
	int err = 0;

	for (size_t i = 0; i < p->nr_types && !err; i++) {
		Perftools__Profiles__ValueType type = PERFTOOLS__PROFILES__VALUE_TYPE__INIT;
		Perftools__Profiles__ValueType *types[] = { &type };
		pb_profile part = PERFTOOLS__PROFILES__PROFILE__INIT;

		type.type = p->types[i].name;
		type.unit = p->types[i].unit;
		part.n_sample_type = 1;
		part.sample_type = types;
		err = emit(w, &part);
	}
	return err;
}

/* The labels of one sample; `pointers` and `labels` have room for nr_labels + NR_OWN_STRINGS. */
static size_t fill_labels(const struct profile *p, const struct profile_sample *s,
			  Perftools__Profiles__Label *labels, Perftools__Profiles__Label **pointers)
{
	const uint32_t own[NR_OWN_STRINGS] = {
		[STRING_THREAD] = s->comm,
		[STRING_TRUNCATED] = s->truncated,
	};
	size_t n = 0;

	for (size_t i = 0; i < NR_OWN_STRINGS; i++) {
		if (!own[i])
			continue;
		perftools__profiles__label__init(&labels[n]);
		labels[n].key = (int64_t)(p->nr_strings + i);
		labels[n++].str = own[i];
	}
	for (uint32_t i = 0; i < s->nr_labels; i++) {
		const struct profile_label *from = &p->labels[s->first_label + i];

		perftools__profiles__label__init(&labels[n]);
		labels[n].key = from->key;
		labels[n].str = from->str;
		labels[n].num = from->str ? 0 : from->num;
		labels[n++].num_unit = from->str ? 0 : from->unit;
	}
	for (size_t i = 0; i < n; i++)
		pointers[i] = &labels[i];
	return n;
}

static int emit_sample(struct pprof_file *w, const struct profile_sample *s)
{
	const struct profile *p = w->p;
	size_t nr_labels = (size_t)s->nr_labels + NR_OWN_STRINGS;
	Perftools__Profiles__Label *labels = calloc(nr_labels, sizeof(*labels));
	Perftools__Profiles__Label **pointers = calloc(nr_labels, sizeof(*pointers));
	uint64_t *ids = calloc((size_t)s->nr_locations + 1, sizeof(*ids));
	Perftools__Profiles__Sample sample = PERFTOOLS__PROFILES__SAMPLE__INIT;
	Perftools__Profiles__Sample *samples[] = { &sample };
	pb_profile part = PERFTOOLS__PROFILES__PROFILE__INIT;
	int err = -ENOMEM;

	if (!labels || !pointers || !ids)
		goto cleanup;
	for (uint32_t i = 0; i < s->nr_locations; i++)
		ids[i] = (uint64_t)p->stack_locations[s->first_location + i] + 1;
	sample.n_location_id = s->nr_locations;
	sample.location_id = ids;
	sample.n_value = p->nr_types;
	sample.value = (int64_t *)s->values;
	sample.n_label = fill_labels(p, s, labels, pointers);
	sample.label = pointers;
	part.n_sample = 1;
	part.sample = samples;
	err = emit(w, &part);
cleanup:
	free(ids);
	free(pointers);
	free(labels);
	return err;
}

static int emit_samples(struct pprof_file *w)
{
	int err = 0;

	for (size_t i = 0; i < w->p->nr_samples && !err; i++)
		err = emit_sample(w, &w->p->samples[i]);
	return err;
}

static int emit_mappings(struct pprof_file *w)
{
	int err = 0;

	for (size_t i = 0; i < w->p->nr_mappings && !err; i++) {
		const struct profile_mapping *m = &w->p->mappings[i];
		Perftools__Profiles__Mapping mapping = PERFTOOLS__PROFILES__MAPPING__INIT;
		Perftools__Profiles__Mapping *mappings[] = { &mapping };
		pb_profile part = PERFTOOLS__PROFILES__PROFILE__INIT;

		mapping.id = i + 1;
		mapping.memory_start = m->start;
		mapping.memory_limit = m->limit;
		mapping.file_offset = m->offset;
		mapping.filename = m->file;
		mapping.build_id = m->build_id;
		mapping.has_functions = m->has_functions;
		mapping.has_filenames = m->has_filenames;
		mapping.has_line_numbers = m->has_line_numbers;
		mapping.has_inline_frames = m->has_inline_frames;
		part.n_mapping = 1;
		part.mapping = mappings;
		err = emit(w, &part);
	}
	return err;
}

static int emit_location(struct pprof_file *w, size_t index)
{
	const struct profile_location *l = &w->p->locations[index];
	Perftools__Profiles__Line *lines = calloc((size_t)l->nr_lines + 1, sizeof(*lines));
	Perftools__Profiles__Line **pointers = calloc((size_t)l->nr_lines + 1, sizeof(*pointers));
	Perftools__Profiles__Location location = PERFTOOLS__PROFILES__LOCATION__INIT;
	Perftools__Profiles__Location *locations[] = { &location };
	pb_profile part = PERFTOOLS__PROFILES__PROFILE__INIT;
	int err = -ENOMEM;

	if (!lines || !pointers)
		goto cleanup;
	for (uint32_t i = 0; i < l->nr_lines; i++) {
		const struct profile_line *from = &w->p->lines[l->first_line + i];

		perftools__profiles__line__init(&lines[i]);
		lines[i].function_id = (uint64_t)from->function + 1;
		lines[i].line = from->line;
		pointers[i] = &lines[i];
	}
	location.id = index + 1;
	location.mapping_id = l->mapping == PROFILE_NONE ? 0 : (uint64_t)l->mapping + 1;
	location.address = l->address;
	location.n_line = l->nr_lines;
	location.line = pointers;
	part.n_location = 1;
	part.location = locations;
	err = emit(w, &part);
cleanup:
	free(pointers);
	free(lines);
	return err;
}

static int emit_locations(struct pprof_file *w)
{
	int err = 0;

	for (size_t i = 0; i < w->p->nr_locations && !err; i++)
		err = emit_location(w, i);
	return err;
}

static int emit_functions(struct pprof_file *w)
{
	int err = 0;

	for (size_t i = 0; i < w->p->nr_functions && !err; i++) {
		const struct profile_function *f = &w->p->functions[i];
		Perftools__Profiles__Function function = PERFTOOLS__PROFILES__FUNCTION__INIT;
		Perftools__Profiles__Function *functions[] = { &function };
		pb_profile part = PERFTOOLS__PROFILES__PROFILE__INIT;

		function.id = i + 1;
		function.name = f->name;
		function.system_name = f->system_name ? f->system_name : f->name;
		function.filename = f->file;
		function.start_line = f->start_line;
		part.n_function = 1;
		part.function = functions;
		err = emit(w, &part);
	}
	return err;
}

static int emit_strings(struct pprof_file *w)
{
	size_t n = w->p->nr_strings;
	struct strbuf clean = { 0 };
	int err = 0;

	for (size_t i = 0; i < n + NR_OWN_STRINGS && !err; i++) {
		const char *s = i < n ? w->p->strings[i] : own_strings[i - n];
		pb_profile part = PERFTOOLS__PROFILES__PROFILE__INIT;
		char *text;

		strbuf_reset(&clean);
		strbuf_puts_utf8(&clean, s);
		err = strbuf_error(&clean);
		if (err)
			break;
		text = (char *)strbuf_str(&clean);
		part.n_string_table = 1;
		part.string_table = &text;
		err = emit(w, &part);
	}
	strbuf_release(&clean);
	return err;
}

/* Everything there is one of, and the comments. */
static int emit_header(struct pprof_file *w, size_t default_type)
{
	const struct profile *p = w->p;
	Perftools__Profiles__ValueType period_type = PERFTOOLS__PROFILES__VALUE_TYPE__INIT;
	pb_profile part = PERFTOOLS__PROFILES__PROFILE__INIT;
	int64_t *comments = calloc(p->nr_comments + 1, sizeof(*comments));
	int err;

	if (!comments)
		return -ENOMEM;
	for (size_t i = 0; i < p->nr_comments; i++)
		comments[i] = p->comments[i];
	period_type.type = p->period_type.name;
	period_type.unit = p->period_type.unit;
	part.period_type = p->period_type.name ? &period_type : NULL;
	part.period = p->period;
	part.time_nanos = p->time_ns;
	part.duration_nanos = p->duration_ns;
	part.n_comment = p->nr_comments;
	part.comment = comments;
	if (default_type < p->nr_types)
		part.default_sample_type = p->types[default_type].name;
	err = emit(w, &part);
	free(comments);
	return err;
}

int write_pprof(const struct profile *p, const struct write_options *o, struct sink *out)
{
	size_t default_type = o->type == PROFILE_NONE ? p->default_type : o->type;
	struct pprof_file w = { .p = p };
	int (*const steps[])(struct pprof_file *) = {
		emit_types,	emit_samples,	emit_mappings,
		emit_locations, emit_functions, emit_strings,
	};
	int err;

	if (default_type && default_type >= p->nr_types)
		return -EINVAL;
	err = gzip_sink_init(&w.out, out, GZIP_LEVEL);
	if (err)
		return err;
	err = emit_header(&w, default_type);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && !err; i++)
		err = steps[i](&w);
	if (!err)
		err = gzip_sink_finish(&w.out);
	gzip_sink_release(&w.out);
	free(w.packed);
	return err;
}
