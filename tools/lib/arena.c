/* SPDX-License-Identifier: MIT */
#include "arena.h"

#include <stdlib.h>

#include "util.h"

#define ARENA_BLOCK ((size_t)64 << 10)

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	max_align_t data[];
};

void *arena_take(struct arena *a, size_t size)
{
	struct arena_block *b = a->blocks;
	size_t want = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
	void *p;

	if (!b || want > b->size - b->used) {
		size_t space = MAX(want, ARENA_BLOCK);

		b = malloc(sizeof(*b) + space);
		if (!b)
			return NULL;
		*b = (struct arena_block){ .next = a->blocks, .size = space };
		a->blocks = b;
	}
	p = (char *)b->data + b->used;
	b->used += want;
	a->used += want;
	return p;
}

void arena_reset(struct arena *a)
{
	while (a->blocks && a->blocks->next) {
		struct arena_block *next = a->blocks->next;

		free(a->blocks);
		a->blocks = next;
	}
	if (a->blocks)
		a->blocks->used = 0;
	a->used = 0;
}

void arena_release(struct arena *a)
{
	arena_reset(a);
	free(a->blocks);
	*a = (struct arena){ 0 };
}
