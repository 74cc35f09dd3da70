/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profile.pb-c.h"
#include "read.h"
#include "util.h"

#define pb_profile Perftools__Profiles__Profile

/* A table's entries by their ids, which are any numbers but 0. */
struct id {
	uint64_t id;
	uint32_t index; /* of ours */
};

struct pprof_reader {
	struct profile *p;
	const pb_profile *from;
	struct read_error *error;
	struct id *mappings, *functions, *locations;
};

static const char *text_at(const struct pprof_reader *r, int64_t i)
{
	if (i <= 0 || (uint64_t)i >= r->from->n_string_table || !r->from->string_table[i])
		return "";
	return r->from->string_table[i];
}

static int string_at(const struct pprof_reader *r, int64_t i, uint32_t *ret)
{
	return profile_string(r->p, text_at(r, i), ret);
}

static int by_id(const void *a, const void *b)
{
	const struct id *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static const struct id *find_id(const struct id *ids, size_t n, uint64_t id)
{
	struct id key = { .id = id };

	return n ? bsearch(&key, ids, n, sizeof(*ids), by_id) : NULL;
}

static void sort_ids(struct id *ids, size_t n)
{
	if (n)
		qsort(ids, n, sizeof(*ids), by_id);
}

static int take_types(struct pprof_reader *r)
{
	const pb_profile *from = r->from;
	int err = 0;

	if (!from->n_sample_type)
		return read_fail(r->error, "it has no sample types: no pprof profile");
	for (size_t i = 0; i < MIN(from->n_sample_type, PROFILE_MAX_TYPES) && !err; i++) {
		const Perftools__Profiles__ValueType *t = from->sample_type[i];
		const char *name = text_at(r, t->type);
		uint32_t at;

		err = profile_type(r->p, name, text_at(r, t->unit), &at);
		if (!err && at != i)
			return read_fail(r->error, "it has two sample types '%.40s'", name);
		/* Without a default it is the last (profile.proto). */
		if (!*text_at(r, from->default_sample_type) ||
		    !strcmp(name, text_at(r, from->default_sample_type)))
			r->p->default_type = i;
	}
	return err;
}

static int take_mappings(struct pprof_reader *r)
{
	const pb_profile *from = r->from;
	int err = 0;

	for (size_t i = 0; i < from->n_mapping && !err; i++) {
		const Perftools__Profiles__Mapping *m = from->mapping[i];
		struct profile_mapping *to;

		r->mappings[i].id = m->id;
		err = profile_mapping(r->p, m->memory_start, m->memory_limit, m->file_offset,
				      text_at(r, m->filename), text_at(r, m->build_id),
				      &r->mappings[i].index);
		if (err)
			break;
		to = &r->p->mappings[r->mappings[i].index];
		to->has_functions = m->has_functions;
		to->has_filenames = m->has_filenames;
		to->has_line_numbers = m->has_line_numbers;
		to->has_inline_frames = m->has_inline_frames;
	}
	sort_ids(r->mappings, from->n_mapping);
	return err;
}

static uint32_t line_number(int64_t line)
{
	return line > 0 && line < UINT32_MAX ? (uint32_t)line : 0;
}

static int take_functions(struct pprof_reader *r)
{
	const pb_profile *from = r->from;
	int err = 0;

	for (size_t i = 0; i < from->n_function && !err; i++) {
		const Perftools__Profiles__Function *f = from->function[i];
		struct profile_function to = { .start_line = line_number(f->start_line) };
		int64_t name = *text_at(r, f->name) ? f->name : f->system_name;

		r->functions[i].id = f->id;
		err = string_at(r, name, &to.name);
		if (!err)
			err = string_at(r, f->system_name, &to.system_name);
		if (!err)
			err = string_at(r, f->filename, &to.file);
		if (!err)
			err = profile_function(r->p, &to, &r->functions[i].index);
	}
	sort_ids(r->functions, from->n_function);
	return err;
}

static int take_location(struct pprof_reader *r, const Perftools__Profiles__Location *l,
			 uint32_t *ret)
{
	struct profile_line *lines = calloc(l->n_line + 1, sizeof(*lines));
	const struct id *mapping = find_id(r->mappings, r->from->n_mapping, l->mapping_id);
	int err = lines ? 0 : -ENOMEM;

	for (size_t i = 0; i < l->n_line && !err; i++) {
		const struct id *f =
			find_id(r->functions, r->from->n_function, l->line[i]->function_id);

		lines[i].line = line_number(l->line[i]->line);
		if (f)
			lines[i].function = f->index;
		else
			err = read_fail(r->error, "a location names a function that is not there");
	}
	if (!err)
		err = profile_location(r->p, l->address, mapping ? mapping->index : PROFILE_NONE,
				       lines, l->n_line, ret);
	free(lines);
	return err;
}

static int take_locations(struct pprof_reader *r)
{
	const pb_profile *from = r->from;
	int err = 0;

	for (size_t i = 0; i < from->n_location && !err; i++) {
		r->locations[i].id = from->location[i]->id;
		err = take_location(r, from->location[i], &r->locations[i].index);
	}
	sort_ids(r->locations, from->n_location);
	return err;
}

/* Two labels of ours are a sample's own fields. */
static int take_labels(struct pprof_reader *r, const Perftools__Profiles__Sample *s,
		       struct profile_label *labels, struct profile_sample_key *key)
{
	int err = 0;

	for (size_t i = 0; i < s->n_label && !err; i++) {
		const Perftools__Profiles__Label *l = s->label[i];
		struct profile_label *to = &labels[key->nr_labels];

		if (!strcmp(text_at(r, l->key), PROFILE_LABEL_THREAD) && *text_at(r, l->str)) {
			err = string_at(r, l->str, &key->comm);
			continue;
		}
		if (!strcmp(text_at(r, l->key), PROFILE_LABEL_TRUNCATED)) {
			err = string_at(r, l->str, &key->truncated);
			continue;
		}
		*to = (struct profile_label){ .num = l->num };
		err = string_at(r, l->key, &to->key);
		if (!err)
			err = string_at(r, l->str, &to->str);
		if (!err)
			err = string_at(r, l->num_unit, &to->unit);
		key->nr_labels++;
	}
	key->labels = labels;
	return err;
}

static int take_sample(struct pprof_reader *r, const Perftools__Profiles__Sample *s)
{
	uint32_t *locations = calloc(s->n_location_id + 1, sizeof(*locations));
	struct profile_label *labels = calloc(s->n_label + 1, sizeof(*labels));
	struct profile_sample_key key = { .locations = locations,
					  .nr_locations = s->n_location_id };
	int err = locations && labels ? 0 : -ENOMEM;

	for (size_t i = 0; i < s->n_location_id && !err; i++) {
		const struct id *l = find_id(r->locations, r->from->n_location, s->location_id[i]);

		if (l)
			locations[i] = l->index;
		else
			err = read_fail(r->error, "a sample names a location that is not there");
	}
	if (!err && s->n_value != r->from->n_sample_type)
		err = read_fail(r->error, "a sample has %zu values, and there are %zu types",
				s->n_value, r->from->n_sample_type);
	if (!err)
		err = take_labels(r, s, labels, &key);
	if (!err)
		err = profile_add(r->p, &key, s->value);
	free(locations);
	free(labels);
	return err;
}

static int take_rest(struct pprof_reader *r)
{
	const pb_profile *from = r->from;
	struct profile *p = r->p;
	int err = 0;

	for (size_t i = 0; i < from->n_sample && !err; i++)
		err = take_sample(r, from->sample[i]);
	for (size_t i = 0; i < from->n_comment && !err; i++)
		err = profile_comment(p, text_at(r, from->comment[i]));
	if (!err && from->period_type) {
		err = string_at(r, from->period_type->type, &p->period_type.name);
		if (!err)
			err = string_at(r, from->period_type->unit, &p->period_type.unit);
	}
	p->period = from->period;
	p->time_ns = from->time_nanos;
	p->duration_ns = from->duration_nanos;
	return err;
}

int read_pprof(struct profile *p, const void *data, size_t len, struct read_error *error)
{
	pb_profile *from = perftools__profiles__profile__unpack(NULL, len, data);
	int (*const steps[])(struct pprof_reader *) = {
		take_types, take_mappings, take_functions, take_locations, take_rest,
	};
	struct pprof_reader r = { .p = p, .from = from, .error = error };
	int err = 0;

	if (!from)
		return read_fail(error, "neither a pprof profile nor a text of stacks");
	r.mappings = calloc(from->n_mapping + 1, sizeof(*r.mappings));
	r.functions = calloc(from->n_function + 1, sizeof(*r.functions));
	r.locations = calloc(from->n_location + 1, sizeof(*r.locations));
	if (!r.mappings || !r.functions || !r.locations)
		err = -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(steps) && !err; i++)
		err = steps[i](&r);
	free(r.mappings);
	free(r.functions);
	free(r.locations);
	perftools__profiles__profile__free_unpacked(from, NULL);
	return err;
}
