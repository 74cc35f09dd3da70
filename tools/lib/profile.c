/* SPDX-License-Identifier: MIT */
#include "profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dedup.h"
#include "util.h"

struct profile_tables {
	struct dedup strings, mappings, functions, locations, samples;
};

struct profile *profile_new(void)
{
	struct profile *p = calloc(1, sizeof(*p));
	uint32_t empty;

	if (!p)
		return NULL;
	p->tables = calloc(1, sizeof(*p->tables));
	if (!p->tables || profile_string(p, "", &empty)) {
		profile_free(p);
		errno = ENOMEM;
		return NULL;
	}
	return p;
}

void profile_free(struct profile *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->nr_strings; i++)
		free(p->strings[i]);
	free(p->strings);
	free(p->mappings);
	free(p->functions);
	free(p->lines);
	free(p->locations);
	free(p->stack_locations);
	free(p->labels);
	free(p->samples);
	free(p->comments);
	if (p->tables) {
		dedup_release(&p->tables->strings);
		dedup_release(&p->tables->mappings);
		dedup_release(&p->tables->functions);
		dedup_release(&p->tables->locations);
		dedup_release(&p->tables->samples);
	}
	free(p->tables);
	free(p);
}

/* Indices are 32 bits wide and the last is DEDUP_NONE and PROFILE_NONE. */
static int check_room(size_t n, size_t more)
{
	return more < PROFILE_NONE && n < PROFILE_NONE - more ? 0 : -E2BIG;
}

/* Make room for one more element of an array and for its entry in the index over it. */
static int reserve(struct dedup *index, void **items, size_t n, size_t *cap, size_t size)
{
	int err = check_room(n, 1);

	if (!err)
		err = dedup_reserve(index);
	if (!err)
		err = array_grow(items, n, cap, size);
	return err;
}

/* Append `more` elements that have no index of their own. */
static int append(void **items, size_t *n, size_t *cap, size_t size, const void *from, size_t more)
{
	size_t want = *cap ? *cap : 64;
	void *grown;

	if (check_room(*n, more))
		return -E2BIG;
	if (!more)
		return 0;
	while (want < *n + more)
		want *= 2;
	if (want != *cap) {
		grown = reallocarray(*items, want, size);
		if (!grown)
			return -ENOMEM;
		*items = grown;
		*cap = want;
	}
	memcpy((char *)*items + *n * size, from, more * size);
	*n += more;
	return 0;
}

struct string_key {
	const struct profile *p;
	const char *s;
};

static bool string_equal(const void *ctx, uint32_t index)
{
	const struct string_key *key = ctx;

	return !strcmp(key->p->strings[index], key->s);
}

int profile_string(struct profile *p, const char *s, uint32_t *ret)
{
	struct string_key key = { .p = p, .s = s ? s : "" };
	uint64_t hash = hash_bytes(key.s, strlen(key.s));
	uint32_t found = dedup_find(&p->tables->strings, hash, string_equal, &key);
	char *copy;
	int err;

	if (found != DEDUP_NONE) {
		*ret = found;
		return 0;
	}
	err = reserve(&p->tables->strings, (void **)&p->strings, p->nr_strings, &p->cap_strings,
		      sizeof(*p->strings));
	if (err)
		return err;
	copy = strdup(key.s);
	if (!copy)
		return -ENOMEM;
	dedup_insert(&p->tables->strings, hash, (uint32_t)p->nr_strings);
	*ret = (uint32_t)p->nr_strings;
	p->strings[p->nr_strings++] = copy;
	return 0;
}

int profile_type(struct profile *p, const char *name, const char *unit, uint32_t *ret)
{
	struct profile_type type;
	int err;

	err = profile_string(p, name, &type.name);
	if (!err)
		err = profile_string(p, unit, &type.unit);
	if (err)
		return err;
	for (size_t i = 0; i < p->nr_types; i++) {
		if (p->types[i].name == type.name && p->types[i].unit == type.unit) {
			*ret = (uint32_t)i;
			return 0;
		}
	}
	if (p->nr_types == PROFILE_MAX_TYPES)
		return -E2BIG;
	*ret = (uint32_t)p->nr_types;
	p->types[p->nr_types++] = type;
	return 0;
}

struct mapping_key {
	const struct profile *p;
	uint64_t start;
	uint32_t file, build_id;
};

static bool mapping_equal(const void *ctx, uint32_t index)
{
	const struct mapping_key *key = ctx;
	const struct profile_mapping *m = &key->p->mappings[index];

	return m->start == key->start && m->file == key->file && m->build_id == key->build_id;
}

int profile_mapping(struct profile *p, uint64_t start, uint64_t limit, uint64_t offset,
		    const char *file, const char *build_id, uint32_t *ret)
{
	struct mapping_key key = { .p = p, .start = start };
	uint64_t hash;
	uint32_t found;
	int err;

	err = profile_string(p, file, &key.file);
	if (!err)
		err = profile_string(p, build_id, &key.build_id);
	if (err)
		return err;
	hash = hash_bytes((uint64_t[]){ start, key.file, key.build_id }, 3 * sizeof(uint64_t));
	found = dedup_find(&p->tables->mappings, hash, mapping_equal, &key);
	if (found != DEDUP_NONE) {
		*ret = found;
		return 0;
	}
	err = reserve(&p->tables->mappings, (void **)&p->mappings, p->nr_mappings, &p->cap_mappings,
		      sizeof(*p->mappings));
	if (err)
		return err;
	dedup_insert(&p->tables->mappings, hash, (uint32_t)p->nr_mappings);
	*ret = (uint32_t)p->nr_mappings;
	p->mappings[p->nr_mappings++] = (struct profile_mapping){
		.start = start,
		.limit = limit,
		.offset = offset,
		.file = key.file,
		.build_id = key.build_id,
	};
	return 0;
}

struct function_key {
	const struct profile *p;
	const struct profile_function *f;
};

static bool function_equal(const void *ctx, uint32_t index)
{
	const struct function_key *key = ctx;
	const struct profile_function *a = &key->p->functions[index], *b = key->f;

	return a->name == b->name && a->system_name == b->system_name && a->file == b->file &&
	       a->start_line == b->start_line && a->kernel == b->kernel && a->guessed == b->guessed;
}

int profile_function(struct profile *p, const struct profile_function *f, uint32_t *ret)
{
	struct function_key key = { .p = p, .f = f };
	uint32_t words[] = {
		f->name, f->system_name, f->file, f->start_line, f->kernel, f->guessed
	};
	uint64_t hash = hash_bytes(words, sizeof(words));
	uint32_t found = dedup_find(&p->tables->functions, hash, function_equal, &key);
	int err;

	if (found != DEDUP_NONE) {
		*ret = found;
		return 0;
	}
	if (f->name >= p->nr_strings || f->system_name >= p->nr_strings || f->file >= p->nr_strings)
		return -EINVAL;
	err = reserve(&p->tables->functions, (void **)&p->functions, p->nr_functions,
		      &p->cap_functions, sizeof(*p->functions));
	if (err)
		return err;
	dedup_insert(&p->tables->functions, hash, (uint32_t)p->nr_functions);
	*ret = (uint32_t)p->nr_functions;
	p->functions[p->nr_functions++] = *f;
	return 0;
}

struct location_key {
	const struct profile *p;
	uint64_t address;
	uint32_t mapping;
	const struct profile_line *lines;
	size_t nr_lines;
};

static bool location_equal(const void *ctx, uint32_t index)
{
	const struct location_key *key = ctx;
	const struct profile_location *l = &key->p->locations[index];
	const struct profile_line *lines = key->p->lines;

	if (l->address != key->address || l->mapping != key->mapping ||
	    l->nr_lines != key->nr_lines)
		return false;
	for (size_t i = 0; i < key->nr_lines; i++)
		if (lines[l->first_line + i].function != key->lines[i].function ||
		    lines[l->first_line + i].line != key->lines[i].line)
			return false;
	return true;
}

static int check_location(const struct location_key *key)
{
	if (key->mapping != PROFILE_NONE && key->mapping >= key->p->nr_mappings)
		return -EINVAL;
	for (size_t i = 0; i < key->nr_lines; i++)
		if (key->lines[i].function >= key->p->nr_functions)
			return -EINVAL;
	return 0;
}

int profile_location(struct profile *p, uint64_t address, uint32_t mapping,
		     const struct profile_line *lines, size_t nr_lines, uint32_t *ret)
{
	struct location_key key = {
		.p = p, .address = address, .mapping = mapping, .lines = lines, .nr_lines = nr_lines
	};
	struct profile_location location = { .address = address, .mapping = mapping };
	uint64_t words[] = { address, mapping,
			     nr_lines ? hash_bytes(lines, nr_lines * sizeof(*lines)) : 0 };
	uint64_t hash = hash_bytes(words, sizeof(words));
	uint32_t found = dedup_find(&p->tables->locations, hash, location_equal, &key);
	int err;

	_Static_assert(sizeof(*lines) == 2 * sizeof(uint32_t), "hashed as bytes: no padding");
	if (found != DEDUP_NONE) {
		*ret = found;
		return 0;
	}
	err = check_location(&key);
	if (!err)
		err = reserve(&p->tables->locations, (void **)&p->locations, p->nr_locations,
			      &p->cap_locations, sizeof(*p->locations));
	if (err)
		return err;
	location.first_line = (uint32_t)p->nr_lines;
	location.nr_lines = (uint32_t)nr_lines;
	err = append((void **)&p->lines, &p->nr_lines, &p->cap_lines, sizeof(*lines), lines,
		     nr_lines);
	if (err)
		return err;
	dedup_insert(&p->tables->locations, hash, (uint32_t)p->nr_locations);
	*ret = (uint32_t)p->nr_locations;
	p->locations[p->nr_locations++] = location;
	return 0;
}

int profile_comment(struct profile *p, const char *text)
{
	uint32_t comment;
	int err = profile_string(p, text, &comment);

	if (err)
		return err;
	return append((void **)&p->comments, &p->nr_comments, &p->cap_comments,
		      sizeof(*p->comments), &comment, 1);
}

struct sample_key {
	const struct profile *p;
	const struct profile_sample_key *k;
};

static bool labels_equal(const struct profile_label *a, const struct profile_label *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i].key != b[i].key || a[i].str != b[i].str || a[i].num != b[i].num ||
		    a[i].unit != b[i].unit)
			return false;
	return true;
}

static bool sample_equal(const void *ctx, uint32_t index)
{
	const struct sample_key *key = ctx;
	const struct profile_sample_key *k = key->k;
	const struct profile_sample *s = &key->p->samples[index];

	if (s->comm != k->comm || s->truncated != k->truncated ||
	    s->nr_locations != k->nr_locations || s->nr_labels != k->nr_labels)
		return false;
	if (k->nr_locations && memcmp(key->p->stack_locations + s->first_location, k->locations,
				      k->nr_locations * sizeof(*k->locations)))
		return false;
	return labels_equal(key->p->labels + s->first_label, k->labels, k->nr_labels);
}

static uint64_t sample_hash(const struct profile_sample_key *k)
{
	uint64_t hash = hash_bytes((uint32_t[]){ k->comm, k->truncated }, 2 * sizeof(uint32_t));
	uint64_t stack = 0;

	if (k->nr_locations)
		stack = hash_bytes(k->locations, k->nr_locations * sizeof(*k->locations));
	hash = hash_bytes((uint64_t[]){ hash, stack }, 2 * sizeof(uint64_t));
	for (size_t i = 0; i < k->nr_labels; i++) {
		const struct profile_label *l = &k->labels[i];
		uint64_t words[] = { hash, l->key, l->str, (uint64_t)l->num, l->unit };

		hash = hash_bytes(words, sizeof(words));
	}
	return hash;
}

static int check_sample(const struct profile *p, const struct profile_sample_key *k)
{
	if (k->comm >= p->nr_strings || k->truncated >= p->nr_strings)
		return -EINVAL;
	for (size_t i = 0; i < k->nr_locations; i++)
		if (k->locations[i] >= p->nr_locations)
			return -EINVAL;
	for (size_t i = 0; i < k->nr_labels; i++)
		if (k->labels[i].key >= p->nr_strings || k->labels[i].str >= p->nr_strings ||
		    k->labels[i].unit >= p->nr_strings)
			return -EINVAL;
	return 0;
}

static int sample_new(struct profile *p, const struct profile_sample_key *k, uint64_t hash)
{
	struct profile_sample s = { .comm = k->comm, .truncated = k->truncated };
	int err = check_sample(p, k);

	if (!err)
		err = reserve(&p->tables->samples, (void **)&p->samples, p->nr_samples,
			      &p->cap_samples, sizeof(*p->samples));
	if (err)
		return err;
	s.first_location = (uint32_t)p->nr_stack_locations;
	s.nr_locations = (uint32_t)k->nr_locations;
	s.first_label = (uint32_t)p->nr_labels;
	s.nr_labels = (uint32_t)k->nr_labels;
	err = append((void **)&p->stack_locations, &p->nr_stack_locations, &p->cap_stack_locations,
		     sizeof(*k->locations), k->locations, k->nr_locations);
	if (err)
		return err;
	err = append((void **)&p->labels, &p->nr_labels, &p->cap_labels, sizeof(*k->labels),
		     k->labels, k->nr_labels);
	if (err) {
		p->nr_stack_locations = s.first_location;
		return err;
	}
	dedup_insert(&p->tables->samples, hash, (uint32_t)p->nr_samples);
	p->samples[p->nr_samples++] = s;
	return 0;
}

int profile_add(struct profile *p, const struct profile_sample_key *key, const int64_t *values)
{
	struct sample_key wanted = { .p = p, .k = key };
	uint64_t hash = sample_hash(key);
	uint32_t found = dedup_find(&p->tables->samples, hash, sample_equal, &wanted);
	struct profile_sample *s;
	int err;

	if (found == DEDUP_NONE) {
		found = (uint32_t)p->nr_samples;
		err = sample_new(p, key, hash);
		if (err)
			return err;
	}
	s = &p->samples[found];
	for (size_t i = 0; i < p->nr_types; i++)
		s->values[i] = profile_sum(s->values[i], values[i]);
	return 0;
}

const char *profile_str(const struct profile *p, uint32_t i)
{
	return i < p->nr_strings ? p->strings[i] : "";
}

int64_t profile_sum(int64_t a, int64_t b)
{
	int64_t sum;

	if (!__builtin_add_overflow(a, b, &sum))
		return sum;
	return a < 0 ? INT64_MIN : INT64_MAX;
}

int64_t profile_total(const struct profile *p, size_t type)
{
	int64_t total = 0;

	if (type >= p->nr_types)
		return 0;
	for (size_t i = 0; i < p->nr_samples; i++)
		total = profile_sum(total, p->samples[i].values[type]);
	return total;
}
