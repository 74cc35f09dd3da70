/* SPDX-License-Identifier: MIT */
/* Open addressing; what is removed leaves no mark: its successors move up. */
#include "id_map.h"

#include <errno.h>
#include <stdlib.h>

static size_t home(const struct id_map *m, uint64_t a, uint64_t b)
{
	uint64_t h = (a ^ (b << 32 | b >> 32)) * UINT64_C(0x9e3779b97f4a7c15);

	return (h ^ h >> 32) & (m->cap - 1);
}

static size_t find(const struct id_map *m, uint64_t a, uint64_t b)
{
	size_t at = home(m, a, b);

	while (m->slots[at].value && (m->slots[at].a != a || m->slots[at].b != b))
		at = (at + 1) & (m->cap - 1);
	return at;
}

void *id_map_find(const struct id_map *m, uint64_t a, uint64_t b)
{
	return m->cap ? m->slots[find(m, a, b)].value : NULL;
}

int id_map_reserve(struct id_map *m)
{
	struct id_map bigger = { .cap = m->cap ? m->cap * 2 : 64, .nr = m->nr };

	if ((m->nr + 1) * 2 <= m->cap)
		return 0;
	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i].value)
			bigger.slots[find(&bigger, m->slots[i].a, m->slots[i].b)] = m->slots[i];
	free(m->slots);
	*m = bigger;
	return 0;
}

void id_map_add(struct id_map *m, uint64_t a, uint64_t b, void *value)
{
	m->slots[find(m, a, b)] = (struct id_map_slot){ a, b, value };
	m->nr++;
}

void *id_map_remove(struct id_map *m, uint64_t a, uint64_t b)
{
	size_t hole = m->cap ? find(m, a, b) : 0, at = hole;
	void *value = m->cap ? m->slots[hole].value : NULL;

	if (!value)
		return NULL;
	for (;;) {
		size_t want;

		at = (at + 1) & (m->cap - 1);
		if (!m->slots[at].value)
			break;
		/* Would a search that begins at its home come by the hole? */
		want = home(m, m->slots[at].a, m->slots[at].b);
		if (((at - want) & (m->cap - 1)) < ((at - hole) & (m->cap - 1)))
			continue;
		m->slots[hole] = m->slots[at];
		hole = at;
	}
	m->slots[hole].value = NULL;
	m->nr--;
	return value;
}

void *id_map_each(const struct id_map *m, size_t *at)
{
	while (*at < m->cap)
		if (m->slots[(*at)++].value)
			return m->slots[*at - 1].value;
	return NULL;
}

void id_map_release(struct id_map *m)
{
	free(m->slots);
	*m = (struct id_map){ 0 };
}
