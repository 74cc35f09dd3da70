/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_LIVE_BPF_H
#define PERISCOPE_HEAP_LIVE_BPF_H

/*
 * The table of live blocks: open addressing in an array of buckets, without locks. Part of
 * heap.bpf.c. A BPF hash would do, but it takes three times as long (0.3 us for adding, finding and
 * deleting a block) and 20 % more memory, and user space could not look through a million blocks in
 * the time that it takes to read them.
 *
 * A slot is taken and given back by compare-exchange of its key. The block beside it belongs to who
 * took the slot: nobody else asks for this key before the allocation has returned to the program,
 * nor after the program has freed the block.
 *
 * A block goes into the first bucket from its own on that has room. A bucket that was passed over
 * for being full is marked, for good: a search ends at the first one that is not. User space makes
 * twice as many slots as blocks are promised room for, so that hardly a bucket is ever full.
 */

#include "heap.h"

const volatile __u32 nr_buckets = 1;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* nr_buckets */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct heap_bucket);
} live SEC(".maps");

/* Bucket i from the key's own on. */
static __always_inline struct heap_bucket *bucket_of(__u64 key, __u32 i)
{
	__u64 hash = key * 0x9e3779b97f4a7c15ULL >> 32;
	__u32 at = (hash * nr_buckets >> 32) + i;

	if (at >= nr_buckets)
		at -= nr_buckets;
	return bpf_map_lookup_elem(&live, &at);
}

/* Take a block out. Returns 0 with a copy of it, for one caller only; or -1: there is none. */
__attribute__((noinline)) int block_take(__u64 key, struct heap_block *ret)
{
	if (!ret)
		return -1;
	for (__u32 i = 0; i < HEAP_BUCKET_RUN; i++) {
		struct heap_bucket *b = bucket_of(key, i);

		if (!b)
			return -1;
		for (int j = 0; j < HEAP_BUCKET_SLOTS; j++) {
			if (b->keys[j] != key)
				continue;
			*ret = b->blocks[j];
			return __sync_val_compare_and_swap(&b->keys[j], key, 0) == key ? 0 : -1;
		}
		if (!b->passed_over)
			return -1;
	}
	return -1;
}

/* Put a block in that is not there. Returns 0, or -1: no room. */
__attribute__((noinline)) int block_put(__u64 key, const struct heap_block *block)
{
	if (!block)
		return -1;
	for (__u32 i = 0; i < HEAP_BUCKET_RUN; i++) {
		struct heap_bucket *b = bucket_of(key, i);

		if (!b)
			return -1;
		for (int j = 0; j < HEAP_BUCKET_SLOTS; j++) {
			if (b->keys[j] || __sync_val_compare_and_swap(&b->keys[j], 0, key))
				continue;
			b->blocks[j] = *block;
			return 0;
		}
		if (!b->passed_over)
			__sync_lock_test_and_set(&b->passed_over, 1);
	}
	return -1;
}

#endif
