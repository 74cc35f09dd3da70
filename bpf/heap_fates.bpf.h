/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_FATES_BPF_H
#define PERISCOPE_HEAP_FATES_BPF_H

/*
 * How blocks end (bpf/heap_fates.h): the stack of each free is walked, its frames are compared with
 * where the block was allocated, and blocks that end alike are counted together. Part of
 * heap.bpf.c; all of it is dead code unless with_fates.
 */

#include "heap_fates.h"
#include "heap_requests.bpf.h"
#include "heap_sites.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* HEAP_MAX_FATES, with_fates */
	__type(key, struct heap_fate_key);
	__type(value, struct heap_fate);
} fates SEC(".maps");

/*
 * By site: since when each entry of the function that allocates there is seen, ns; 0: it is not.
 * Written by user space.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* HEAP_MAX_SITES, with_fates */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} watched_since SEC(".maps");

/* By the number of a watched function: how often it was entered. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HEAP_MAX_WATCHED);
	__type(key, __u32);
	__type(value, __u64);
} entries SEC(".maps");

/* What a walk looks for on its way out, and how many frames are inside of it. */
struct heap_marks {
	__u64 frame; /* a CFA */
	__u64 left;  /* frames up to this CFA are not those that they were */
	__u64 piece; /* frames up to this one have begun since the piece of work has */
	__u32 at; /* frames up to that with the CFA `frame`, itself not included; ~0: none has it */
	__u32 inside_left, inside_piece;
};

/*
 * walk_frames() with an eye on where the frames are. Returns enum unwind_end. The outermost frame
 * has no CFA, and is inside of nothing.
 */
__attribute__((noinline)) int walk_marked(struct walk *w, struct heap_marks *m)
{
	int end = UNWIND_TOO_DEEP;
	__u32 n;
	__u64 cfa;

	if (!w || !m)
		return UNWIND_NO_MAPPING;
	m->at = ~0U;
	m->inside_left = 0;
	m->inside_piece = 0;
	for (int i = 0; i <= STACK_MAX_FRAMES; i++) {
		end = unwind_frame(w);
		if (end != UNWIND_MORE)
			break;
		n = w->event.nr_frames;
		cfa = w->state.regs[UNWIND_RSP];
		if (cfa == m->frame)
			m->at = n - 1;
		if (cfa <= m->left)
			m->inside_left = n;
		if (cfa <= m->piece)
			m->inside_piece = n;
	}
	return end;
}

static __always_inline void fate_add(const struct heap_fate_key *key, __u64 size)
{
	struct heap_fate *f = bpf_map_lookup_elem(&fates, key), none = { 0 };

	if (!f) {
		bpf_map_update_elem(&fates, key, &none, BPF_NOEXIST);
		f = bpf_map_lookup_elem(&fates, key);
	}
	if (!f) {
		heap_count(HEAP_STAT_NO_FATE);
		return;
	}
	__sync_fetch_and_add(&f->blocks, 1);
	__sync_fetch_and_add(&f->bytes, size);
}

static __always_inline __u8 then_of(const struct heap_thread *t, const struct heap_block *b)
{
	if (!b->request)
		return HEAP_THEN_NONE;
	if (t && (b->request == t->request || b->request == t->ended))
		return HEAP_THEN_WITH;
	return bpf_map_lookup_elem(&open_serials, &b->request) ? HEAP_THEN_WITH : HEAP_THEN_AFTER;
}

static __always_inline __u8 whose(const struct heap_thread *t, const struct heap_block *b)
{
	struct heap_site *s = site_at(b->site);

	if (!s || !s->key.thread)
		return HEAP_FATE_ANY_THREAD;
	return s->key.thread == t->serial ? 0 : HEAP_FATE_OTHER_THREAD;
}

/* Block b was the old one of a realloc by thread t. */
static __always_inline void fate_resized(const struct heap_thread *t, const struct heap_block *b)
{
	struct heap_fate_key key = { .site = b->site, .how = HEAP_RESIZED };

	if (!with_fates)
		return;
	key.then = then_of(t, b);
	key.flags = whose(t, b);
	fate_add(&key, b->size);
}

/* Thread t frees block b, by a function with that CFA. */
static __always_inline void fate_freed(struct pt_regs *ctx, struct heap_thread *t,
				       const struct heap_block *b, __u64 cfa)
{
	struct target_proc *proc = bpf_map_lookup_elem(&procs, &t->tgid);
	struct heap_fate_key key = { .site = b->site, .how = HEAP_FREED };
	struct heap_marks m = { .frame = b->frame };
	struct walk *w = proc ? walk_claim() : NULL;
	__u64 *since, pc;
	__u32 nr;

	key.flags = whose(t, b);
	/* Another thread's stack says nothing of the frame. */
	m.left = key.flags ? 0 : height_since(t->owner, b->time);
	if (!w || m.left == ~0ULL || bpf_probe_read_user(&pc, sizeof(pc), (void *)(cfa - 8))) {
		heap_count(HEAP_STAT_NO_FATE);
		if (w)
			walk_release(w);
		return;
	}
	key.then = then_of(t, b);
	if (m.left >= b->frame)
		key.flags |= HEAP_FATE_LEFT;
	if (t->request && t->request == b->request) {
		if (t->piece_time < b->time)
			key.flags |= HEAP_FATE_IN_PIECE;
		else if (t->piece_cfa > m.left)
			m.left = t->piece_cfa;
		m.piece = t->piece_cfa;
	}
	stack_begin(w, (struct target_ids){ t->tgid, t->tid });
	WALK_FROM_CALL(w, ctx, pc, cfa);
	walk_begin(w, proc);
	w->event.end = walk_marked(w, &m);
	nr = w->event.nr_frames;
	key.stack = stack_intern(w);
	if (m.at != ~0U)
		key.at = nr - m.at;
	key.kept = nr - m.inside_left;
	key.outside = m.piece ? nr - m.inside_piece : nr;
	walk_release(w);
	since = bpf_map_lookup_elem(&watched_since, &key.site);
	if (since && *since && *since < b->time)
		key.flags |= HEAP_FATE_PROVED;
	fate_add(&key, b->size);
}

#endif
