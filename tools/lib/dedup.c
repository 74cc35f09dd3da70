/* SPDX-License-Identifier: MIT */
#include "dedup.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAP 64

void dedup_init(struct dedup *d)
{
	*d = (struct dedup){ 0 };
}

void dedup_release(struct dedup *d)
{
	free(d->slots);
	dedup_init(d);
}

/* A slot keeps the upper half of the hash only, so the place comes from that half alone. */
static size_t first_slot(const struct dedup *d, uint32_t hash)
{
	return (hash * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (d->cap - 1);
}

uint32_t dedup_find(const struct dedup *d, uint64_t hash, dedup_equal_fn equal, const void *ctx)
{
	uint32_t half = (uint32_t)(hash >> 32);

	if (!d->cap)
		return DEDUP_NONE;
	for (size_t i = first_slot(d, half);; i = (i + 1) & (d->cap - 1)) {
		const struct dedup_slot *slot = &d->slots[i];

		if (slot->index == DEDUP_NONE)
			return DEDUP_NONE;
		if (slot->hash == half && equal(ctx, slot->index))
			return slot->index;
	}
}

static void place(struct dedup *d, uint32_t half, uint32_t index)
{
	size_t i = first_slot(d, half);

	while (d->slots[i].index != DEDUP_NONE)
		i = (i + 1) & (d->cap - 1);
	d->slots[i] = (struct dedup_slot){ .index = index, .hash = half };
}

int dedup_reserve(struct dedup *d)
{
	struct dedup bigger = { .cap = d->cap ? d->cap * 2 : FIRST_CAP };

	if (d->n + 1 <= d->cap / 4 * 3)
		return 0;
	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < bigger.cap; i++)
		bigger.slots[i].index = DEDUP_NONE;
	for (size_t i = 0; i < d->cap; i++)
		if (d->slots[i].index != DEDUP_NONE)
			place(&bigger, d->slots[i].hash, d->slots[i].index);
	bigger.n = d->n;
	free(d->slots);
	*d = bigger;
	return 0;
}

void dedup_insert(struct dedup *d, uint64_t hash, uint32_t index)
{
	place(d, (uint32_t)(hash >> 32), index);
	d->n++;
}
