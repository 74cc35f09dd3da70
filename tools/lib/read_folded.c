/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dedup.h"
#include "read.h"
#include "util.h"

/* A frame's text and the location it became. The text is the file's. */
struct known {
	const char *text;
	size_t len;
	uint32_t location;
};

struct folded_reader {
	struct profile *p;
	struct read_error *error;
	struct known *known;
	size_t nr_known, cap_known;
	struct dedup index;
	uint32_t *locations; /* of one line, outermost first */
	size_t nr_locations, cap_locations;
	size_t line;
};

struct frame_key {
	const struct folded_reader *r;
	const char *text;
	size_t len;
};

static bool known_equal(const void *ctx, uint32_t index)
{
	const struct frame_key *key = ctx;
	const struct known *k = &key->r->known[index];

	return k->len == key->len && !memcmp(k->text, key->text, key->len);
}

static bool ends_with(const char *text, size_t len, const char *suffix)
{
	size_t n = strlen(suffix);

	return len > n && !memcmp(text + len - n, suffix, n);
}

/* "libx.so.1+0x1234" was named after its file. */
static size_t module_length(const char *name)
{
	const char *plus = strstr(name, "+0x"), *so = strstr(name, ".so");

	return plus && so && so < plus ? (size_t)(plus - name) : 0;
}

static int make_location(struct folded_reader *r, const char *text, size_t len, uint32_t *ret)
{
	bool kernel = ends_with(text, len, "_[k]");
	char *name, *module;
	int err;

	if (kernel || ends_with(text, len, "_[i]") || ends_with(text, len, "_[j]"))
		len -= 4;
	name = strndup(text, len);
	if (!name)
		return -ENOMEM;
	module = strndup(name, module_length(name));
	err = module ? read_location(r->p, name, kernel ? "[kernel.kallsyms]" : module, ret)
		     : -ENOMEM;
	free(module);
	free(name);
	return err;
}

static int get_location(struct folded_reader *r, const char *text, size_t len, uint32_t *ret)
{
	struct frame_key key = { .r = r, .text = text, .len = len };
	uint64_t hash = hash_bytes(text, len);
	uint32_t found = dedup_find(&r->index, hash, known_equal, &key);
	int err;

	if (found != DEDUP_NONE) {
		*ret = r->known[found].location;
		return 0;
	}
	if (dedup_reserve(&r->index) ||
	    array_grow((void **)&r->known, r->nr_known, &r->cap_known, sizeof(*r->known)))
		return -ENOMEM;
	err = make_location(r, text, len, ret);
	if (err)
		return err;
	dedup_insert(&r->index, hash, (uint32_t)r->nr_known);
	r->known[r->nr_known++] = (struct known){ text, len, *ret };
	return 0;
}

/* An inlined function shares the location of what it was inlined into: its lines come first. */
static int inline_into(struct folded_reader *r, uint32_t outer, uint32_t inner, uint32_t *ret)
{
	struct profile *p = r->p;
	const struct profile_location *o = &p->locations[outer], *i = &p->locations[inner];
	struct profile_line lines[64];
	size_t n = 0;

	lines[n++] = p->lines[i->first_line];
	for (uint32_t j = 0; j < o->nr_lines && n < ARRAY_SIZE(lines); j++)
		lines[n++] = p->lines[o->first_line + j];
	return profile_location(p, 0, o->mapping, lines, n, ret);
}

static int add_frame(struct folded_reader *r, const char *text, size_t len)
{
	uint32_t location;
	int err = get_location(r, text, len, &location);

	if (!err && r->nr_locations && ends_with(text, len, "_[i]"))
		return inline_into(r, r->locations[r->nr_locations - 1], location,
				   &r->locations[r->nr_locations - 1]);
	if (!err)
		err = array_grow((void **)&r->locations, r->nr_locations, &r->cap_locations,
				 sizeof(*r->locations));
	if (!err)
		r->locations[r->nr_locations++] = location;
	return err;
}

static int take_string(struct profile *p, const char *text, size_t len, uint32_t *ret)
{
	char *copy = strndup(text, len);
	int err = copy ? profile_string(p, copy, ret) : -ENOMEM;

	free(copy);
	return err;
}

/* The stack's first part is its thread; after it may stand why the rest is not whole. */
static int take_stack(struct folded_reader *r, const char *stack, size_t len,
		      struct profile_sample_key *key)
{
	static const char mark[] = "[truncated: ";
	const char *end = stack + len;
	int err = 0;

	r->nr_locations = 0;
	for (size_t i = 0; stack <= end && !err; i++) {
		const char *next = memchr(stack, ';', (size_t)(end - stack));
		size_t n = (size_t)((next ? next : end) - stack);

		if (!i)
			err = take_string(r->p, stack, n, &key->comm);
		else if (i == 1 && n > sizeof(mark) && !memcmp(stack, mark, sizeof(mark) - 1) &&
			 stack[n - 1] == ']')
			err = take_string(r->p, stack + sizeof(mark) - 1, n - sizeof(mark),
					  &key->truncated);
		else
			err = add_frame(r, stack, n);
		stack += n + 1;
	}
	for (size_t i = 0; i < r->nr_locations / 2; i++) {
		uint32_t *a = &r->locations[i], *b = &r->locations[r->nr_locations - 1 - i], t = *a;

		*a = *b;
		*b = t;
	}
	key->locations = r->locations;
	key->nr_locations = r->nr_locations;
	return err;
}

static int take_line(struct folded_reader *r, const char *line, size_t len)
{
	struct profile_sample_key key = { 0 };
	const char *space;
	char digits[24];
	uint64_t count;
	int64_t value;
	size_t n;
	int err;

	while (len && strchr("\r\t ", line[len - 1]))
		len--;
	if (!len || line[0] == '#')
		return 0;
	space = memrchr(line, ' ', len);
	n = space ? (size_t)(line + len - space - 1) : 0;
	if (!n || n >= sizeof(digits))
		return read_fail(r->error, "line %zu: no count at its end", r->line);
	memcpy(digits, space + 1, n);
	digits[n] = '\0';
	err = parse_u64(digits, 0, INT64_MAX, &count);
	if (err)
		return read_fail(r->error, "line %zu: '%s' is no count (a whole number)", r->line,
				 digits);
	err = take_stack(r, line, (size_t)(space - line), &key);
	value = (int64_t)count;
	return err ? err : profile_add(r->p, &key, &value);
}

int read_folded(struct profile *p, const char *text, size_t len, struct read_error *error)
{
	struct folded_reader r = { .p = p, .error = error };
	const char *end = text + len;
	uint32_t type;
	int err = profile_type(p, "samples", "count", &type);

	while (text < end && !err) {
		const char *next = memchr(text, '\n', (size_t)(end - text));

		r.line++;
		err = take_line(&r, text, (size_t)((next ? next : end) - text));
		text = next ? next + 1 : end;
	}
	free(r.known);
	free(r.locations);
	dedup_release(&r.index);
	return err;
}
