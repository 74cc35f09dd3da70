/* SPDX-License-Identifier: MIT */
#include "timeline_heaps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf/heap.h"
#include "bpf/timeline.h"
#include "util.h"

#define SWEEP_NS  1000000000ULL

#define MOST_MASK ((UINT64_C(1) << TIMELINE_HEAP_SHIFT) - 1)

size_t timeline_heaps_buckets(void)
{
	return TIMELINE_MAX_BLOCKS / HEAP_BUCKET_FILL;
}

static size_t table_size(const struct timeline_heaps *h)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return (h->nr_buckets * sizeof(*h->live) + page - 1) / page * page;
}

int timeline_heaps_init(struct timeline_heaps *h, int heaps_fd, int live_fd, uint32_t *epoch,
			uint32_t *spaces)
{
	void *p;

	*h = (struct timeline_heaps){
		.heaps_fd = heaps_fd,
		.nr_buckets = timeline_heaps_buckets(),
		.epoch = epoch,
		.spaces = spaces,
	};
	p = mmap(NULL, table_size(h), PROT_READ | PROT_WRITE, MAP_SHARED, live_fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	h->live = p;
	return 0;
}

void timeline_heaps_release(struct timeline_heaps *h)
{
	if (h->live)
		munmap(h->live, table_size(h));
	*h = (struct timeline_heaps){ 0 };
}

/* ---------------------------------------------------------------- sweeping ---- */

static bool has_bit(const uint8_t *bits, uint32_t i)
{
	return bits[i / 8] >> i % 8 & 1;
}

static void sweep_bucket(struct heap_bucket *b, const uint8_t *used, uint32_t until)
{
	for (int j = 0; j < HEAP_BUCKET_SLOTS; j++) {
		uint64_t key = __atomic_load_n(&b->keys[j], __ATOMIC_RELAXED);
		uint32_t space = HEAP_KEY_SPACE(key);

		if (key && space <= until && !has_bit(used, space))
			__atomic_compare_exchange_n(&b->keys[j], &key, 0, false, __ATOMIC_SEQ_CST,
						    __ATOMIC_SEQ_CST);
	}
}

/*
 * Spaces are numbered as they come: what was numbered before the last time, and is nobody's now, is
 * gone. One that is just being given is in neither.
 */
static void sweep(struct timeline_heaps *h, const uint8_t *used, uint64_t now)
{
	uint32_t until = MIN(h->spaces_before, HEAP_MAX_SPACES - 1), gone = 0;

	for (uint32_t i = 1; i <= until; i++)
		gone += !has_bit(used, i);
	if (gone == h->swept || now - h->swept_at < SWEEP_NS)
		return;
	for (size_t i = 0; i < h->nr_buckets; i++)
		sweep_bucket(&h->live[i], used, until);
	h->swept = gone;
	h->swept_at = now;
}

/* ---------------------------------------------------------------- telling ---- */

/* The highest of the stretch `epoch`, which is over. */
static uint64_t most_of(const struct timeline_heap *heap, uint32_t epoch)
{
	uint64_t most = heap->most[epoch & 1];
	bool changed = most >> TIMELINE_HEAP_SHIFT == (uint16_t)epoch;

	return changed ? MAX(most & MOST_MASK, heap->held) : heap->held;
}

static int tell_all(struct timeline_heaps *h, struct timeline_gauges *g, struct timeline_records *r,
		    uint32_t epoch, uint64_t now, uint8_t *used)
{
	__u32 pid, next, *last = NULL;
	int err = 0, more = bpf_map_get_next_key(h->heaps_fd, last, &next);

	while (!err && !more) {
		struct timeline_heap heap;

		pid = next;
		more = bpf_map_get_next_key(h->heaps_fd, &pid, &next);
		if (bpf_map_lookup_elem(h->heaps_fd, &pid, &heap))
			continue;
		err = timeline_gauges_heap(g, r, (pid_t)pid, heap.held, most_of(&heap, epoch), now);
		if (heap.space && heap.space < HEAP_MAX_SPACES)
			used[heap.space / 8] |= 1 << heap.space % 8;
		else if (heap.most[0] | heap.most[1]) /* and not just made */
			bpf_map_delete_elem(h->heaps_fd, &pid);
	}
	return err;
}

int timeline_heaps_tell(struct timeline_heaps *h, struct timeline_gauges *g,
			struct timeline_records *r, uint64_t now)
{
	uint32_t epoch = __atomic_fetch_add(h->epoch, 1, __ATOMIC_SEQ_CST);
	uint32_t spaces = __atomic_load_n(h->spaces, __ATOMIC_SEQ_CST);
	uint8_t *used = calloc(HEAP_MAX_SPACES / 8, 1);
	int err = used ? tell_all(h, g, r, epoch, now, used) : -ENOMEM;

	if (!err)
		sweep(h, used, now);
	h->spaces_before = spaces;
	free(used);
	return err;
}
