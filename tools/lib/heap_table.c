/* SPDX-License-Identifier: MIT */
#include "heap_table.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util.h"

#define MAX_CPUS 1024

/* Counters that programs add to meanwhile. */
#define READ(counter)	__atomic_load_n(&(counter), __ATOMIC_RELAXED)
#define ADD(counter, n) __atomic_fetch_add(&(counter), n, __ATOMIC_RELAXED)

void heap_snapshot_release(struct heap_snapshot *s)
{
	free(s->items);
	*s = (struct heap_snapshot){ 0 };
}

void heap_counts_add(struct heap_counts *to, const struct heap_counts *n)
{
	to->allocs += n->allocs;
	to->alloc_bytes += n->alloc_bytes;
	to->frees += n->frees;
	to->free_bytes += n->free_bytes;
	to->temps += n->temps;
	to->temp_bytes += n->temp_bytes;
	to->untracked += n->untracked;
	to->untracked_bytes += n->untracked_bytes;
	to->exited += n->exited;
	to->exited_bytes += n->exited_bytes;
	to->execed += n->execed;
	to->execed_bytes += n->execed_bytes;
	to->live += n->live;
	to->live_bytes += n->live_bytes;
	to->peak += n->peak;
	to->peak_bytes += n->peak_bytes;
}

int heap_snapshot_copy(struct heap_snapshot *to, const struct heap_snapshot *from)
{
	struct heap_site_view *items = calloc(from->nr + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	memcpy(items, from->items, from->nr * sizeof(*items));
	*to = *from;
	to->items = items;
	return 0;
}

static void subtract_counts(struct heap_counts *from, const struct heap_counts *n)
{
	from->allocs -= n->allocs;
	from->alloc_bytes -= n->alloc_bytes;
	from->frees -= n->frees;
	from->free_bytes -= n->free_bytes;
	from->temps -= n->temps;
	from->temp_bytes -= n->temp_bytes;
	from->untracked -= n->untracked;
	from->untracked_bytes -= n->untracked_bytes;
	from->exited -= n->exited;
	from->exited_bytes -= n->exited_bytes;
	from->execed -= n->execed;
	from->execed_bytes -= n->execed_bytes;
	from->live -= n->live;
	from->live_bytes -= n->live_bytes;
}

void heap_snapshot_since(struct heap_snapshot *s, const struct heap_snapshot *before)
{
	size_t j = 0;

	/* Both are sorted by index, and sites never go. */
	for (size_t i = 0; i < s->nr; i++) {
		while (j < before->nr && before->items[j].index < s->items[i].index)
			j++;
		if (j < before->nr && before->items[j].index == s->items[i].index)
			subtract_counts(&s->items[i].n, &before->items[j].n);
	}
	subtract_counts(&s->sum, &before->sum);
}

void heap_snapshot_scale(struct heap_snapshot *s, double factor)
{
	s->sum = (struct heap_counts){ 0 };
	for (size_t i = 0; i < s->nr; i++) {
		struct heap_counts *n = &s->items[i].n;

		*n = (struct heap_counts){
			.allocs = (uint64_t)((double)n->allocs * factor + 0.5),
			.alloc_bytes = (uint64_t)((double)n->alloc_bytes * factor + 0.5),
		};
		/* Whole blocks, where all are of one size. */
		if (!s->items[i].mixed)
			n->alloc_bytes = n->allocs * s->items[i].size;
		heap_counts_add(&s->sum, n);
	}
}

void heap_snapshot_keep_exited(struct heap_snapshot *s)
{
	for (size_t i = 0; i < s->nr; i++) {
		struct heap_counts *n = &s->items[i].n;

		n->live += (int64_t)n->exited;
		n->live_bytes += (int64_t)n->exited_bytes;
	}
	s->sum.live += (int64_t)s->sum.exited;
	s->sum.live_bytes += (int64_t)s->sum.exited_bytes;
}

void heap_sizes_release(struct heap_sizes *s)
{
	free(s->items);
	*s = (struct heap_sizes){ 0 };
}

/* ---------------------------------------------------------------- mapping ---- */

static size_t map_size(size_t entries, size_t value)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return (entries * value + page - 1) / page * page;
}

static int map(void *to, int fd, size_t entries, size_t value)
{
	void *p = mmap(NULL, map_size(entries, value), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*(void **)to = p;
	return 0;
}

static void unmap(void *p, size_t entries, size_t value)
{
	if (p)
		munmap(p, map_size(entries, value));
}

int heap_table_init(struct heap_table *t, const struct heap_table_maps *maps)
{
	int err;

	*t = (struct heap_table){ .maps = *maps };
	t->gone = calloc(HEAP_MAX_SPACES, sizeof(*t->gone));
	if (!t->gone)
		return -ENOMEM;
	err = map(&t->sites, maps->sites, HEAP_MAX_SITES, sizeof(*t->sites));
	if (!err)
		err = map(&t->lifetimes, maps->lifetimes, HEAP_MAX_SITES, sizeof(*t->lifetimes));
	if (!err)
		err = map(&t->live, maps->live, maps->nr_buckets, sizeof(*t->live));
	if (!err)
		err = map(&t->spaces, maps->spaces, HEAP_MAX_SPACES, sizeof(*t->spaces));
	return err;
}

void heap_table_release(struct heap_table *t)
{
	unmap(t->sites, HEAP_MAX_SITES, sizeof(*t->sites));
	unmap(t->lifetimes, HEAP_MAX_SITES, sizeof(*t->lifetimes));
	unmap(t->live, t->maps.nr_buckets, sizeof(*t->live));
	unmap(t->spaces, HEAP_MAX_SPACES, sizeof(*t->spaces));
	free(t->gone);
	*t = (struct heap_table){ 0 };
}

/* ---------------------------------------------------------------- live blocks ---- */

int heap_table_blocks(const struct heap_table *t,
		      int (*fn)(void *arg, uint64_t key, const struct heap_block *block), void *arg)
{
	int err = 0;

	for (size_t i = 0; i < t->maps.nr_buckets && !err; i++) {
		const struct heap_bucket *b = &t->live[i];

		for (int j = 0; j < HEAP_BUCKET_SLOTS && !err; j++) {
			uint64_t key = READ(b->keys[j]);

			if (key)
				err = fn(arg, key, &b->blocks[j]);
		}
	}
	return err;
}

void heap_table_gone(struct heap_table *t, uint32_t space, enum heap_gone why)
{
	if (space >= HEAP_MAX_SPACES || t->gone[space])
		return;
	t->gone[space] = why + 1;
	t->nr_gone++;
}

/* As before_change() of the programs: a site's holding at the peak, before it changes. */
static void note_peak(struct heap_table *t, struct heap_site *s)
{
	__u64 epoch = READ(*t->maps.peak_epoch), seen = READ(s->peak_epoch);

	if (!READ(*t->maps.peak_time) || seen == epoch ||
	    !__atomic_compare_exchange_n(&s->peak_epoch, &seen, epoch, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return;
	s->peak_blocks = HEAP_HELD(s);
	s->peak_bytes = HEAP_HELD_BYTES(s);
}

static void drop(struct heap_table *t, const struct heap_block *b, enum heap_gone why)
{
	struct heap_site *s;

	if (b->site >= HEAP_MAX_SITES)
		return;
	s = &t->sites[b->site];
	note_peak(t, s);
	if (why != HEAP_GONE_EXIT) {
		ADD(s->execed, 1);
		ADD(s->execed_bytes, b->size);
	} else {
		ADD(s->exited, 1);
		ADD(s->exited_bytes, b->size);
	}
	ADD(*t->maps.in_use, -(int64_t)b->size);
}

/* Which gone spaces are swept: HEAP_GONE_* + 1 of `gone`. */
static bool is_due(const struct heap_table *t, uint32_t space, bool exited)
{
	return t->gone[space] > HEAP_GONE_EXIT + 1 || (exited && t->gone[space]);
}

static void sweep_slot(struct heap_table *t, struct heap_bucket *b, int slot, bool exited)
{
	__u64 key = READ(b->keys[slot]);
	struct heap_block copy = b->blocks[slot];
	enum heap_gone why;

	if (!key || !is_due(t, HEAP_KEY_SPACE(key), exited))
		return;
	why = t->gone[HEAP_KEY_SPACE(key)] - 1;
	if (__atomic_compare_exchange_n(&b->keys[slot], &key, 0, false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST))
		drop(t, &copy, why);
}

void heap_table_sweep(struct heap_table *t, bool exited)
{
	bool due = false;

	for (uint32_t i = 0; t->nr_gone && i < HEAP_MAX_SPACES && !due; i++)
		due = is_due(t, i, exited);
	if (!due)
		return;
	for (size_t i = 0; i < t->maps.nr_buckets; i++)
		for (int j = 0; j < HEAP_BUCKET_SLOTS; j++)
			sweep_slot(t, &t->live[i], j, exited);
	/* Now they may be given out again. */
	for (uint32_t i = 0; i < HEAP_MAX_SPACES; i++) {
		if (!is_due(t, i, exited))
			continue;
		t->gone[i] = 0;
		t->nr_gone--;
		__atomic_store_n(&t->spaces[i], 0, __ATOMIC_SEQ_CST);
	}
}

/* ---------------------------------------------------------------- sites ---- */

static size_t nr_sites(const struct heap_table *t)
{
	return MIN(READ(*t->maps.nr_sites), (uint32_t)HEAP_MAX_SITES);
}

/* What a site did; what has left it is read first, so that never more has left than came. */
static void read_counts(const struct heap_table *t, size_t i, struct heap_counts *ret)
{
	const struct heap_site *s = &t->sites[i];

	*ret = (struct heap_counts){
		.temps = READ(s->temps),
		.temp_bytes = READ(s->temp_bytes),
		.frees = READ(s->frees),
		.free_bytes = READ(s->free_bytes),
		.untracked = READ(s->untracked),
		.untracked_bytes = READ(s->untracked_bytes),
		.exited = READ(s->exited),
		.exited_bytes = READ(s->exited_bytes),
		.execed = READ(s->execed),
		.execed_bytes = READ(s->execed_bytes),
	};
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	ret->allocs = READ(s->allocs);
	ret->alloc_bytes = READ(s->alloc_bytes);
	ret->live = (int64_t)HEAP_HELD(ret);
	ret->live_bytes = (int64_t)HEAP_HELD_BYTES(ret);
}

/* A site that has not changed since the peak holds what it held then. */
static void read_peak(const struct heap_table *t, size_t i, struct heap_counts *n)
{
	const struct heap_site *s = &t->sites[i];
	bool changed = READ(s->peak_epoch) == READ(*t->maps.peak_epoch);

	n->peak = changed ? (int64_t)READ(s->peak_blocks) : n->live;
	n->peak_bytes = changed ? (int64_t)READ(s->peak_bytes) : n->live_bytes;
}

void heap_table_sum(const struct heap_table *t, struct heap_counts *ret)
{
	struct heap_counts n;

	*ret = (struct heap_counts){ 0 };
	for (size_t i = 0; i < nr_sites(t); i++) {
		read_counts(t, i, &n);
		heap_counts_add(ret, &n);
	}
}

int heap_table_snapshot(const struct heap_table *t, struct heap_snapshot *ret)
{
	size_t n = nr_sites(t);
	struct heap_snapshot s = {
		.items = calloc(n, sizeof(*s.items)),
		.time_ns = now_ns(),
		.peak_time_ns = READ(*t->maps.peak_time),
	};

	if (!s.items)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct heap_site_view *v = &s.items[s.nr];

		read_counts(t, i, &v->n);
		if (!v->n.allocs)
			continue;
		if (s.peak_time_ns)
			read_peak(t, i, &v->n);
		v->index = i;
		v->key = t->sites[i].key;
		v->mixed = READ(t->sites[i].mixed);
		v->size = v->mixed ? heap_class_max(v->key.class) : READ(t->sites[i].size);
		heap_counts_add(&s.sum, &v->n);
		s.nr++;
	}
	*ret = s;
	return 0;
}

const struct heap_lifetimes *heap_table_lifetimes(const struct heap_table *t, uint32_t site)
{
	return &t->lifetimes[site];
}

/* ---------------------------------------------------------------- sizes ---- */

static int compare_sizes(const void *x, const void *y)
{
	const struct heap_size *a = x, *b = y;

	return (a->size > b->size) - (a->size < b->size);
}

static int add_size(struct heap_sizes *s, size_t *cap, uint64_t size, uint64_t count)
{
	int err;

	if (!count)
		return 0;
	err = array_grow((void **)&s->items, s->nr, cap, sizeof(*s->items));
	if (err)
		return err;
	s->items[s->nr++] = (struct heap_size){ size, count };
	s->count += count;
	return 0;
}

static int small_sizes(const struct heap_table *t, struct heap_sizes *s, size_t *cap)
{
	int cpus = libbpf_num_possible_cpus(), err = 0;
	uint64_t values[MAX_CPUS], sum;

	if (cpus <= 0 || cpus > MAX_CPUS)
		return -E2BIG;
	for (__u32 i = 0; i < HEAP_EXACT_SIZES && !err; i++) {
		if (bpf_map_lookup_elem(t->maps.sizes, &i, values))
			return -errno;
		sum = 0;
		for (int cpu = 0; cpu < cpus; cpu++)
			sum += values[cpu];
		err = add_size(s, cap, i, sum);
	}
	return err;
}

static int large_sizes(const struct heap_table *t, struct heap_sizes *s, size_t *cap)
{
	__u64 key, value, *from = NULL;
	int err = 0;

	/* Nothing is ever deleted, so that the next key is always found. */
	while (!err && !bpf_map_get_next_key(t->maps.large_sizes, from, &key)) {
		if (!bpf_map_lookup_elem(t->maps.large_sizes, &key, &value))
			err = add_size(s, cap, key, value);
		from = &key;
	}
	return err;
}

int heap_table_sizes(const struct heap_table *t, struct heap_sizes *ret)
{
	struct heap_sizes s = { 0 };
	size_t cap = 0;
	int err = small_sizes(t, &s, &cap);

	if (!err)
		err = large_sizes(t, &s, &cap);
	for (__u32 i = 0; i < ARRAY_SIZE(s.others) && !err; i++) {
		if (bpf_map_lookup_elem(t->maps.other_sizes, &i, &s.others[i]))
			err = -errno;
		s.count += s.others[i];
	}
	if (err) {
		heap_sizes_release(&s);
		return err;
	}
	if (s.nr)
		qsort(s.items, s.nr, sizeof(*s.items), compare_sizes);
	*ret = s;
	return 0;
}
