/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_RECORD_BPF_H
#define PERISCOPE_HEAP_RECORD_BPF_H

/*
 * With --record: every block that is given out and given back as an event, in the order of the
 * addresses' lives: a block's end has its time before the allocator can give the address to
 * somebody else, its begin after the allocator has. Part of heap.bpf.c.
 */

#include "heap_sites.bpf.h"
#include "timeline_log.bpf.h"

const volatile bool record;

/*
 * A block is given out by thread t: `old`, if not 0, is the one that a realloc has taken for it,
 * which was entered at `called`. Here as in record_free() it need not be a block that we know.
 */
static __noinline int record_alloc(struct heap_thread *t, __u64 key, const struct heap_block *b,
				   __u64 old, __u64 called)
{
	struct timeline_record *r;
	struct heap_site *s;
	__u64 stack;

	if (!t || !b)
		return 0;
	s = site_at(b->site);
	stack = s ? s->key.stack : 0;
	r = old ? RESERVE(EVT_ALLOC, t->tid, 5) : RESERVE(EVT_ALLOC, t->tid, 3);
	if (!r)
		return 0;
	r->v[0] = key;
	r->v[1] = b->size;
	r->v[2] = stack;
	if (old) {
		r->v[3] = old;
		r->v[4] = called;
	}
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	return 0;
}

/* A block ends; in a call that was entered at `called`, if not 0, and has given it back since. */
static __noinline int record_free(struct heap_thread *t, __u64 key, __u64 called)
{
	struct timeline_record *r;

	if (!t)
		return 0;
	r = RESERVE(EVT_FREE, t->tid, 2);
	if (!r)
		return 0;
	r->v[0] = key;
	r->v[1] = called;
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	return 0;
}

#endif
