/* SPDX-License-Identifier: MIT */
/* Chunks of memory that are only ever freed together, and the index of the strings in them. */
#include "sym_pool.h"

#include "demangle.h"
#include "util.h"

#include <errno.h>
#include <stdalign.h>
#include <string.h>

#define CHUNK_SIZE 65536
#define MAX_STRING 8192

struct sym_chunk {
	struct sym_chunk *next;
	size_t used, size;
	alignas(max_align_t) char data[];
};

struct name_key {
	const struct sym_pool *pool;
	const char *s;
	size_t len;
};

void sym_pool_init(struct sym_pool *p)
{
	memset(p, 0, sizeof(*p));
	dedup_init(&p->index);
}

void sym_pool_release(struct sym_pool *p)
{
	struct sym_chunk *c;

	while ((c = p->chunks)) {
		p->chunks = c->next;
		free(c);
	}
	free(p->names);
	dedup_release(&p->index);
}

/* `align` is a power of two: strings need none, which matters as there are many short ones. */
static void *pool_alloc(struct sym_pool *p, size_t size, size_t align)
{
	struct sym_chunk *c = p->chunks;
	size_t at = c ? (c->used + align - 1) & ~(align - 1) : 0;
	size_t want;

	if (!c || at > c->size || size > c->size - at) {
		want = MAX(size, (size_t)CHUNK_SIZE - sizeof(*c));
		c = malloc(sizeof(*c) + want);
		if (!c)
			return NULL;
		*c = (struct sym_chunk){ .next = p->chunks, .size = want };
		p->chunks = c;
		at = 0;
	}
	c->used = at + size;
	return c->data + at;
}

void *sym_pool_alloc(struct sym_pool *p, size_t size)
{
	return pool_alloc(p, size, alignof(max_align_t));
}

static bool name_equal(const void *ctx, uint32_t index)
{
	const struct name_key *key = ctx;
	const char *s = key->pool->names[index].linkage;

	return !strncmp(s, key->s, key->len) && !s[key->len];
}

static const char *copy_string(struct sym_pool *p, const char *s, size_t len)
{
	char *copy = pool_alloc(p, len + 1, 1);

	if (copy) {
		memcpy(copy, s, len);
		copy[len] = '\0';
	}
	return copy;
}

static struct sym_name *find_or_add(struct sym_pool *p, const char *s)
{
	struct name_key key = { p, s, strnlen(s, MAX_STRING) };
	uint64_t hash = hash_bytes(s, key.len);
	uint32_t at = dedup_find(&p->index, hash, name_equal, &key);
	const char *copy;

	if (at != DEDUP_NONE)
		return &p->names[at];
	if (dedup_reserve(&p->index) ||
	    array_grow((void **)&p->names, p->nr_names, &p->cap_names, sizeof(*p->names)))
		return NULL;
	copy = copy_string(p, s, key.len);
	if (!copy)
		return NULL;
	dedup_insert(&p->index, hash, p->nr_names);
	p->names[p->nr_names] = (struct sym_name){ .linkage = copy };
	return &p->names[p->nr_names++];
}

const char *sym_pool_string(struct sym_pool *p, const char *s)
{
	struct sym_name *n = find_or_add(p, s);

	return n ? n->linkage : NULL;
}

int sym_pool_name(struct sym_pool *p, const char *linkage, struct sym_name *ret)
{
	struct sym_name *n = find_or_add(p, linkage);
	char *readable;

	if (!n)
		return -ENOMEM;
	if (!n->function) {
		readable = demangle(n->linkage);
		n->function = n->linkage;
		if (readable)
			n->function = copy_string(p, readable, strnlen(readable, MAX_STRING));
		free(readable);
		if (!n->function)
			return -ENOMEM;
	}
	*ret = *n;
	return 0;
}
