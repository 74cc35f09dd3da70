/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_SITES_BPF_H
#define PERISCOPE_HEAP_SITES_BPF_H

/*
 * The heap programs' books: sites, sizes, lifetimes, the peak. Part of heap.bpf.c.
 *
 * All counters are added to atomically: a site's blocks are freed by any thread, and where the
 * kernel preempts, a per-CPU counter has several writers.
 */

#include "heap.h"
#include "heap_live.bpf.h"
#include "heap_threads.bpf.h"
#include "stack_ids.bpf.h"

const volatile __u32 temporary_others; /* a block freed with so many others since is temporary */
const volatile bool track_peak;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HEAP_MAX_SITES);
	__type(key, struct heap_site_key);
	__type(value, __u32);
} site_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HEAP_MAX_SITES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct heap_site);
} sites SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HEAP_MAX_SITES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct heap_lifetimes);
} lifetimes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HEAP_EXACT_SIZES);
	__type(key, __u32);
	__type(value, __u64);
} sizes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HEAP_LARGE_SIZES);
	__type(key, __u64);
	__type(value, __u64);
} large_sizes SEC(".maps");

/* Of sizes that found no room in large_sizes: how many, by the position of their highest bit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} other_sizes SEC(".maps");

__u32 nr_sites = 1; /* element 0 is for what has no room */

/* With track_peak. Signed: blocks may be freed before they are added. */
__s64 in_use;
__s64 peak_bytes;
__u64 peak_epoch = 1;
__u64 peak_time;

static __always_inline struct heap_site *site_at(__u32 index)
{
	return bpf_map_lookup_elem(&sites, &index);
}

static __always_inline bool site_has_stack(__u32 index)
{
	struct heap_site *s = site_at(index);

	return s && s->key.stack;
}

/* A new site's index; 0 when there is no room. */
static __noinline __u32 site_new(const struct heap_site_key *key)
{
	struct heap_site *site;
	__u32 index, *other;

	if (!key || nr_sites >= HEAP_MAX_SITES)
		return 0;
	index = __sync_fetch_and_add(&nr_sites, 1);
	site = site_at(index);
	if (!site)
		return 0;
	site->key = *key;
	if (!bpf_map_update_elem(&site_ids, key, &index, BPF_NOEXIST))
		return index;
	/* Of any thread, and another CPU was first: this element stays empty. Or no memory. */
	other = bpf_map_lookup_elem(&site_ids, key);
	return other ? *other : 0;
}

/* Find a site by its whole key. Its stack's frames are sent when it is new, and then no more. */
static __noinline __u32 site_find(struct walk *w, const struct heap_thread *t, __u64 stack,
				  __u32 class)
{
	struct heap_site_key key = { .stack = stack, .class = class };
	__u32 *index;

	if (!t)
		return 0;
	key.thread = t->serial;
	key.route = t->route;
	index = bpf_map_lookup_elem(&site_ids, &key);
	if (index)
		return *index;
	if (stack && w)
		key.stack = stack_intern(w);
	/* Threads that come and go must not fill the table: from here on they share sites. */
	if (nr_sites > HEAP_MAX_SITES / 2)
		key.thread = 0;
	index = bpf_map_lookup_elem(&site_ids, &key);
	return index ? *index : site_new(&key);
}

/* The site of an allocation by thread t with the stack in w (NULL: it could not be walked). */
static __always_inline __u32 site_of(struct walk *w, struct heap_thread *t, __u64 size)
{
	__u32 class = heap_class(size), index;
	__u64 stack = w ? stack_hash(w) : 0;
	struct heap_known_site *known = &t->known[(stack >> 32 ^ class) & (HEAP_KNOWN_SITES - 1)];

	if (stack && known->stack == stack && known->class == class && known->route == t->route)
		return known->index;
	index = site_find(w, t, stack, class);
	/* Of what is counted without its stack, the stack may be kept next time. */
	if (stack && index && site_has_stack(index)) {
		known->stack = stack;
		known->class = class;
		known->route = t->route;
		known->index = index;
	} else {
		heap_count(HEAP_STAT_NO_STACK);
	}
	return index;
}

/*
 * The global peak, exactly and in constant time: each new peak makes a new epoch, and a site that
 * changes for the first time in an epoch notes what it held until then. What several CPUs do at
 * the same moment may be seen in either order.
 */
static __always_inline void before_change(struct heap_site *s)
{
	__u64 epoch = peak_epoch, seen = s->peak_epoch;

	if (!track_peak || seen == epoch ||
	    __sync_val_compare_and_swap(&s->peak_epoch, seen, epoch) != seen)
		return;
	s->peak_blocks = HEAP_HELD(s);
	s->peak_bytes = HEAP_HELD_BYTES(s);
}

static __always_inline void after_change(__s64 bytes, __u64 now)
{
	__s64 total;

	if (!track_peak)
		return;
	total = __sync_fetch_and_add(&in_use, bytes) + bytes;
	if (total <= peak_bytes)
		return;
	peak_bytes = total;
	peak_time = now;
	__sync_fetch_and_add(&peak_epoch, 1);
}

static __noinline void count_large(__u64 size)
{
	__u64 *n = bpf_map_lookup_elem(&large_sizes, &size), one = 1;
	__u32 log2;

	if (!n && !bpf_map_update_elem(&large_sizes, &size, &one, BPF_NOEXIST))
		return;
	n = bpf_map_lookup_elem(&large_sizes, &size);
	if (!n) {
		log2 = hist_log2(size);
		n = bpf_map_lookup_elem(&other_sizes, &log2);
	}
	if (n)
		__sync_fetch_and_add(n, 1);
}

static __always_inline void count_size(__u64 size)
{
	__u32 key = size;
	__u64 *n;

	if (size >= HEAP_EXACT_SIZES) {
		count_large(size);
		return;
	}
	n = bpf_map_lookup_elem(&sizes, &key);
	if (n)
		__sync_fetch_and_add(n, 1);
}

static __always_inline void count_alloc(struct heap_site *s, __u64 size)
{
	if (!__sync_fetch_and_add(&s->allocs, 1))
		s->size = size;
	else if (s->size != size)
		s->mixed = 1;
	__sync_fetch_and_add(&s->alloc_bytes, size);
	count_size(size);
}

static __always_inline void count_lifetime(__u32 site, __u64 ns)
{
	struct heap_lifetimes *l = bpf_map_lookup_elem(&lifetimes, &site);
	__u64 us = ns / 1000;
	__u32 bucket = us ? hist_log2(us) + 1 : 0;

	if (bucket >= HEAP_LIFETIMES)
		bucket = HEAP_LIFETIMES - 1;
	if (l)
		__sync_fetch_and_add(&l->n[bucket], 1);
}

/* A known block was freed, by thread t (NULL: nobody knows by whom). */
static __always_inline void count_free(const struct heap_block *b, const struct heap_thread *t)
{
	struct heap_site *s = site_at(b->site);
	__u64 now = bpf_ktime_get_ns();

	if (!s)
		return;
	before_change(s);
	__sync_fetch_and_add(&s->frees, 1);
	__sync_fetch_and_add(&s->free_bytes, b->size);
	if (t && s->key.thread == t->serial && t->seq - b->seq <= temporary_others) {
		__sync_fetch_and_add(&s->temps, 1);
		__sync_fetch_and_add(&s->temp_bytes, b->size);
	}
	count_lifetime(b->site, now - b->time);
	after_change(-(__s64)b->size, now);
}

static __always_inline void count_untracked(struct heap_site *s, __u64 size)
{
	__sync_fetch_and_add(&s->untracked, 1);
	__sync_fetch_and_add(&s->untracked_bytes, size);
}

/* Put a block in among the live ones; its site's allocation is counted. */
static __always_inline void block_add(__u64 key, const struct heap_block *b)
{
	struct heap_block old;
	struct heap_site *s;

	/* Given out again though we never saw it freed: it was, by a way that has no probe. */
	if (!block_take(key, &old)) {
		heap_count(HEAP_STAT_REUSED);
		count_free(&old, NULL);
	}
	if (!block_put(key, b))
		return;
	s = site_at(b->site);
	if (s)
		count_untracked(s, b->size);
}

#endif
