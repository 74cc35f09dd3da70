/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUEST_OPEN_BPF_H
#define PERISCOPE_REQUEST_OPEN_BPF_H

/*
 * Where the open requests are, and the threads that work on them. Both are looked up at every hit,
 * and a request is made and dropped within microseconds: so they are in arrays, whose elements a
 * program finds by itself. A hash map's helpers cost ten times as much, most where the kernel's
 * returns are guarded (retbleed, SRSO). What finds no room there is in a hash map beside.
 *
 * Requests: a bucket of tags, four in a cache line, and for each tag its record. There are few of
 * them, so that those few requests that are open at once are always in the same, warm memory.
 * Threads: by the lower bits of their number.
 */

#include "alloc_count.bpf.h"
#include "requests.h"

#define REQUEST_THREAD_SLOTS 4096 /* a power of two */
#define MAX_STMT_DEPTH	     4

/* A tag's life: whoever finds it free claims it, and fills it before others may see it. */
/* TAG_USED + by_thread of its key */
enum { TAG_FREE, TAG_CLAIMED, TAG_USED = REQUEST_TAG_USED };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, REQUEST_BUCKETS);
	__type(key, __u32);
	__type(value, struct request_bucket);
} request_tags SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, REQUEST_BUCKETS *REQUEST_WAYS);
	__type(key, __u32);
	__type(value, struct request_record);
} requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REQUEST_MAX_MORE);
	__type(key, struct request_key);
	__type(value, struct request_record);
} more_requests SEC(".maps");

__u64 nr_more_requests, nr_more_threads;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REQUESTS_STATS);
	__type(key, __u32);
	__type(value, __u64);
} request_stats SEC(".maps");

static __always_inline void count(__u32 which)
{
	count_in(&request_stats, which);
}

#define READ(x) (*(volatile typeof(x) *)&(x))

/* ---------------------------------------------------------------- requests ---- */

/* What a new element is made from; never written. */
static struct request_record no_request;

static __always_inline __u32 bucket_of(const struct request_key *key)
{
	__u64 hash = (key->id ^ (__u64)key->tgid << 40) * 0x9e3779b97f4a7c15ULL;

	return hash >> (64 - REQUEST_BUCKET_BITS);
}

static __always_inline struct request_record *request_of(const struct request_key *key)
{
	__u32 number = bucket_of(key), slot;
	struct request_bucket *bucket = bpf_map_lookup_elem(&request_tags, &number);

	if (!bucket)
		return NULL;
#pragma unroll
	for (__u32 i = 0; i < REQUEST_WAYS; i++) {
		if (bucket->tags[i].id != key->id || bucket->tags[i].tgid != key->tgid ||
		    READ(bucket->tags[i].used) != TAG_USED + key->by_thread)
			continue;
		slot = number * REQUEST_WAYS + i;
		return bpf_map_lookup_elem(&requests, &slot);
	}
	return READ(nr_more_requests) ? bpf_map_lookup_elem(&more_requests, key) : NULL;
}

static __always_inline struct request_record *make_more(const struct request_key *key)
{
	if (bpf_map_update_elem(&more_requests, key, &no_request, BPF_ANY))
		return NULL;
	__sync_fetch_and_add(&nr_more_requests, 1);
	return bpf_map_lookup_elem(&more_requests, key);
}

/* A new request, which there is not, all zero; NULL: there are too many. request_ready() follows. */
static __always_inline struct request_record *request_make(const struct request_key *key)
{
	__u32 number = bucket_of(key), slot;
	struct request_bucket *bucket = bpf_map_lookup_elem(&request_tags, &number);
	struct request_record *r;

	if (!bucket)
		return NULL;
#pragma unroll
	for (__u32 i = 0; i < REQUEST_WAYS; i++) {
		if (READ(bucket->tags[i].used) ||
		    __sync_val_compare_and_swap(&bucket->tags[i].used, TAG_FREE, TAG_CLAIMED))
			continue;
		slot = number * REQUEST_WAYS + i;
		r = bpf_map_lookup_elem(&requests, &slot);
		if (!r)
			return NULL;
		/* Names and statements are written before they are read. */
		__builtin_memset(r, 0, offsetof(struct request_record, name));
		r->name[0] = 0;
		r->slot = slot + 1;
		bucket->tags[i].id = key->id;
		bucket->tags[i].tgid = key->tgid;
		return r;
	}
	return make_more(key);
}

/* It is filled: others may see it. */
static __always_inline void request_ready(const struct request_key *key,
					  const struct request_record *r)
{
	__u32 slot = r->slot - 1, number = slot / REQUEST_WAYS;
	struct request_bucket *bucket;

	if (!r->slot)
		return;
	bucket = bpf_map_lookup_elem(&request_tags, &number);
	if (bucket)
		__sync_lock_test_and_set(&bucket->tags[slot % REQUEST_WAYS].used,
					 TAG_USED + key->by_thread);
}

static __always_inline void request_drop(const struct request_key *key,
					 const struct request_record *r)
{
	__u32 slot = r->slot - 1, number = slot / REQUEST_WAYS;
	struct request_bucket *bucket;

	if (!r->slot) {
		bpf_map_delete_elem(&more_requests, key);
		__sync_fetch_and_add(&nr_more_requests, -1);
		return;
	}
	bucket = bpf_map_lookup_elem(&request_tags, &number);
	if (bucket)
		__sync_lock_test_and_set(&bucket->tags[slot % REQUEST_WAYS].used, TAG_FREE);
}

/* ---------------------------------------------------------------- threads ---- */

/* A thread of the target that has ever worked on a request. */
struct request_thread {
	__u32 owner;   /* its number; 0: the element is free */
	__u32 working; /* on this request, or on none */
	struct request_key key;
	__u32 syscalls;		     /* since it began to */
	__u32 items;		     /* requests in its last commit */
	__u64 faults, device_faults; /* of the task, when it began to */
	__u64 committed;	     /* when its last commit was done */
	struct alloc_use alloc;	     /* since it began to work on the request */
	__u64 arrived;		     /* on its CPU; 0: not known */
	__u64 texts;		     /* statements of numbers below 64 whose text was sent */
	__u32 nr_stmts;
	__u32 reserved;
	struct {
		__u64 began;
		__u32 stmt;
		__u32 reserved;
	} stmts[MAX_STMT_DEPTH];
};

static struct request_thread no_thread;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, REQUEST_THREAD_SLOTS);
	__type(key, __u32);
	__type(value, struct request_thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REQUEST_MAX_MORE);
	__type(key, __u32);
	__type(value, struct request_thread);
} more_threads SEC(".maps");

static __always_inline struct request_thread *thread_of(__u32 tid)
{
	__u32 slot = tid % REQUEST_THREAD_SLOTS;
	struct request_thread *th = bpf_map_lookup_elem(&threads, &slot);

	if (th && READ(th->owner) == tid)
		return th;
	return READ(nr_more_threads) ? bpf_map_lookup_elem(&more_threads, &tid) : NULL;
}

static __always_inline struct request_thread *thread_make(__u32 tid)
{
	__u32 slot = tid % REQUEST_THREAD_SLOTS;
	struct request_thread *th = bpf_map_lookup_elem(&threads, &slot);

	if (th && !__sync_val_compare_and_swap(&th->owner, 0, tid))
		return th;
	if (!bpf_map_update_elem(&more_threads, &tid, &no_thread, BPF_NOEXIST))
		__sync_fetch_and_add(&nr_more_threads, 1);
	th = bpf_map_lookup_elem(&more_threads, &tid);
	if (!th)
		count(REQUESTS_LOST_THREADS);
	else
		th->owner = tid;
	return th;
}

static __always_inline struct request_thread *thread_get(__u32 tid)
{
	struct request_thread *th = thread_of(tid);

	return th ? th : thread_make(tid);
}

/* The thread exits. */
static __always_inline void thread_drop(struct request_thread *th, __u32 tid)
{
	__u32 slot = tid % REQUEST_THREAD_SLOTS;

	if (bpf_map_lookup_elem(&threads, &slot) != th) {
		bpf_map_delete_elem(&more_threads, &tid);
		__sync_fetch_and_add(&nr_more_threads, -1);
		return;
	}
	__builtin_memset((void *)th + sizeof(th->owner), 0, sizeof(*th) - sizeof(th->owner));
	__sync_lock_test_and_set(&th->owner, 0);
}

#endif
