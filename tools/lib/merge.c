/* SPDX-License-Identifier: MIT */
#include "merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* Indices of one profile in another: each + 1, and 0 for not yet copied. */
struct copier {
	struct profile *to;
	const struct profile *from;
	uint32_t *strings, *mappings, *functions, *locations;
	uint32_t *stack; /* of one sample */
	size_t cap_stack;
	bool no_tids;
};

static int copy_string(struct copier *c, uint32_t *index)
{
	uint32_t *memo = &c->strings[*index], made;
	int err = 0;

	if (!*memo) {
		err = profile_string(c->to, c->from->strings[*index], &made);
		if (err)
			return err;
		*memo = made + 1;
	}
	*index = *memo - 1;
	return 0;
}

static int copy_mapping(struct copier *c, uint32_t *index)
{
	const struct profile_mapping *m = &c->from->mappings[*index];
	uint32_t *memo = &c->mappings[*index], made;
	struct profile_mapping *to;
	int err;

	if (!*memo) {
		err = profile_mapping(c->to, m->start, m->limit, m->offset,
				      profile_str(c->from, m->file),
				      profile_str(c->from, m->build_id), &made);
		if (err)
			return err;
		to = &c->to->mappings[made];
		to->has_functions |= m->has_functions;
		to->has_filenames |= m->has_filenames;
		to->has_line_numbers |= m->has_line_numbers;
		to->has_inline_frames |= m->has_inline_frames;
		*memo = made + 1;
	}
	*index = *memo - 1;
	return 0;
}

static int copy_function(struct copier *c, uint32_t *index)
{
	struct profile_function fn = c->from->functions[*index];
	uint32_t *memo = &c->functions[*index], made;
	int err = 0;

	if (!*memo) {
		err = copy_string(c, &fn.name);
		if (!err)
			err = copy_string(c, &fn.system_name);
		if (!err)
			err = copy_string(c, &fn.file);
		if (!err)
			err = profile_function(c->to, &fn, &made);
		if (err)
			return err;
		*memo = made + 1;
	}
	*index = *memo - 1;
	return 0;
}

static int make_location(struct copier *c, const struct profile_location *l, uint32_t *ret)
{
	struct profile_line *lines = calloc((size_t)l->nr_lines + 1, sizeof(*lines));
	uint32_t mapping = l->mapping;
	int err = lines ? 0 : -ENOMEM;

	if (!err && mapping != PROFILE_NONE)
		err = copy_mapping(c, &mapping);
	for (uint32_t i = 0; i < l->nr_lines && !err; i++) {
		lines[i] = c->from->lines[l->first_line + i];
		err = copy_function(c, &lines[i].function);
	}
	if (!err)
		err = profile_location(c->to, l->address, mapping, lines, l->nr_lines, ret);
	free(lines);
	return err;
}

static int copy_location(struct copier *c, uint32_t *index)
{
	uint32_t *memo = &c->locations[*index], made;
	int err = 0;

	if (!*memo) {
		err = make_location(c, &c->from->locations[*index], &made);
		if (err)
			return err;
		*memo = made + 1;
	}
	*index = *memo - 1;
	return 0;
}

static int copy_labels(struct copier *c, const struct profile_sample *s,
		       struct profile_sample_key *key, struct profile_label *labels)
{
	int err = 0;

	for (uint32_t i = 0; i < s->nr_labels && !err; i++) {
		struct profile_label l = c->from->labels[s->first_label + i];
		const char *name = profile_str(c->from, l.key);

		if (c->no_tids && (!strcmp(name, "tid") || !strcmp(name, "pid")))
			continue;
		err = copy_string(c, &l.key);
		if (!err)
			err = copy_string(c, &l.str);
		if (!err)
			err = copy_string(c, &l.unit);
		labels[key->nr_labels++] = l;
	}
	key->labels = labels;
	return err;
}

static int copy_sample(struct copier *c, const struct profile_sample *s, const int64_t *values)
{
	struct profile_label *labels = calloc((size_t)s->nr_labels + 1, sizeof(*labels));
	struct profile_sample_key key = { .comm = s->comm, .truncated = s->truncated };
	int err = labels ? copy_labels(c, s, &key, labels) : -ENOMEM;

	if (!err)
		err = copy_string(c, &key.comm);
	if (!err)
		err = copy_string(c, &key.truncated);
	for (uint32_t i = 0; i < s->nr_locations && !err; i++) {
		err = array_grow((void **)&c->stack, i, &c->cap_stack, sizeof(*c->stack));
		if (err)
			break;
		c->stack[i] = c->from->stack_locations[s->first_location + i];
		err = copy_location(c, &c->stack[i]);
	}
	key.locations = c->stack;
	key.nr_locations = s->nr_locations;
	if (!err)
		err = profile_add(c->to, &key, values);
	free(labels);
	return err;
}

static int copier_init(struct copier *c, struct profile *to, const struct profile *from)
{
	*c = (struct copier){ .to = to, .from = from };
	c->strings = calloc(from->nr_strings + 1, sizeof(*c->strings));
	c->mappings = calloc(from->nr_mappings + 1, sizeof(*c->mappings));
	c->functions = calloc(from->nr_functions + 1, sizeof(*c->functions));
	c->locations = calloc(from->nr_locations + 1, sizeof(*c->locations));
	return c->strings && c->mappings && c->functions && c->locations ? 0 : -ENOMEM;
}

static void copier_release(struct copier *c)
{
	free(c->strings);
	free(c->mappings);
	free(c->functions);
	free(c->locations);
	free(c->stack);
}

static bool same_types(const struct profile *a, const struct profile *b)
{
	if (a->nr_types != b->nr_types)
		return false;
	for (size_t i = 0; i < a->nr_types; i++)
		if (strcmp(profile_str(a, a->types[i].name), profile_str(b, b->types[i].name)) ||
		    strcmp(profile_str(a, a->types[i].unit), profile_str(b, b->types[i].unit)))
			return false;
	return true;
}

int merge_profile(struct profile *to, const struct profile *from)
{
	struct copier c;
	int err;

	if (!same_types(to, from))
		return -EINVAL;
	err = copier_init(&c, to, from);
	for (size_t i = 0; i < from->nr_samples && !err; i++)
		err = copy_sample(&c, &from->samples[i], from->samples[i].values);
	to->duration_ns = profile_sum(to->duration_ns, from->duration_ns);
	copier_release(&c);
	return err;
}

static size_t find_type(const struct profile *p, const char *name)
{
	if (!name)
		return p->default_type;
	for (size_t i = 0; i < p->nr_types; i++)
		if (!strcmp(profile_str(p, p->types[i].name), name))
			return i;
	return p->nr_types;
}

static int add_side(struct profile *to, const struct profile *from, size_t type, size_t side)
{
	struct copier c;
	int err = copier_init(&c, to, from);

	c.no_tids = true;
	for (size_t i = 0; i < from->nr_samples && !err; i++) {
		int64_t values[2] = { 0, 0 };

		values[side] = from->samples[i].values[type];
		err = copy_sample(&c, &from->samples[i], values);
	}
	copier_release(&c);
	return err;
}

int merge_difference(const struct profile *before, const struct profile *after, const char *name,
		     struct profile **ret)
{
	size_t a = find_type(before, name), b = find_type(after, name);
	struct profile *p;
	const char *unit;
	uint32_t type;
	int err;

	if (a >= before->nr_types || b >= after->nr_types)
		return -EINVAL;
	unit = profile_str(after, after->types[b].unit);
	if (strcmp(profile_str(before, before->types[a].unit), unit) != 0)
		return -EINVAL;
	p = profile_new();
	if (!p)
		return -errno;
	err = profile_type(p, "before", unit, &type);
	if (!err)
		err = profile_type(p, "after", unit, &type);
	if (!err)
		err = add_side(p, before, a, 0);
	if (!err)
		err = add_side(p, after, b, 1);
	if (err) {
		profile_free(p);
		return err;
	}
	p->default_type = type;
	*ret = p;
	return 0;
}
