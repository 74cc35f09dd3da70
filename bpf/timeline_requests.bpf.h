/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_REQUESTS_BPF_H
#define PERISCOPE_TIMELINE_REQUESTS_BPF_H

/*
 * Requests of programs whose probes were named on the command line, or are known (request_spec.h in
 * tools/lib). After the records of timeline.bpf.c.
 */

#include "request_args.bpf.h"

/* Of requests that are calls of a function: the CFA of the outermost, by thread. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* TIMELINE_MAX_THREADS */
	__type(key, __u32);
	__type(value, __u64);
} outermost SEC(".maps");

/* What each thread has told that it works on, as in struct request_record. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* TIMELINE_MAX_THREADS */
	__type(key, __u32);
	__type(value, __u64);
} told SEC(".maps");

/* Is this call inside of one that is a request already, or this return that of one inside? */
static __always_inline bool is_inner_call(struct pt_regs *ctx, __u32 role, __u64 cookie, __u32 tid)
{
	__u64 *known = bpf_map_lookup_elem(&outermost, &tid), cfa;

	if (role == ROLE_END) {
		if (!known || probe_return_cfa(ctx) < *known)
			return true;
		bpf_map_delete_elem(&outermost, &tid);
		return false;
	}
	cfa = probe_cfa(ctx, cookie);
	if (known && cfa < *known)
		return true;
	bpf_map_update_elem(&outermost, &tid, &cfa, BPF_ANY);
	return false;
}

static __always_inline __u32 kind_of_role(__u32 role)
{
	switch (role) {
	case ROLE_BEGIN:
		return EVT_REQUEST_BEGIN;
	case ROLE_RUN:
		return EVT_REQUEST_RUN;
	case ROLE_PAUSE:
		return EVT_REQUEST_PAUSE;
	case ROLE_END:
	case ROLE_STATUS: /* or a beginning, or both */
		return EVT_REQUEST_END;
	default:
		return EVT_NONE;
	}
}

/* Words: id, a number that is its name, enum timeline_name. */
static __always_inline void put_begin(const struct hit *h, __u64 id)
{
	__u64 v[ARGS] = { id };

	v[1] = arg(h, h->p->name);
	v[2] = h->p->name == REQUEST_NO_ARG	? TIMELINE_NAME_NONE
	       : h->p->name_kind == NAME_NUMBER ? TIMELINE_NAME_NUMBER
	       : h->p->name_kind == NAME_TEXT	? TIMELINE_NAME_TEXT
						: TIMELINE_NAME_TEXT_OR_NUMBER;
	if (v[2] == TIMELINE_NAME_TEXT || v[2] == TIMELINE_NAME_TEXT_OR_NUMBER)
		put_text(EVT_REQUEST_BEGIN, h->ids.tid, 0, v, v[1]);
	else
		put4(EVT_REQUEST_BEGIN, h->ids.tid, v[0], v[1], v[2], 0);
}

/* The thread tells what it works on. Does what it told before end now, does a request begin? */
static __always_inline void on_status(struct hit *h, bool *ret_ends, bool *ret_begins)
{
	__u32 tid = h->ids.tid;
	__u64 *known = bpf_map_lookup_elem(&told, &tid);
	enum request_role role;

	h->told = told_by(h);
	role = status_role(h->told, known ? *known : 0);
	*ret_ends = known && role != ROLE_NONE;
	*ret_begins = role == ROLE_BEGIN;
	if (role == ROLE_END)
		bpf_map_delete_elem(&told, &tid);
	else if (role == ROLE_BEGIN)
		bpf_map_update_elem(&told, &tid, &h->told, BPF_ANY);
}

static __always_inline void request_forget(__u32 tid)
{
	bpf_map_delete_elem(&told, &tid);
}

static __always_inline void note_execute(__u32 tid)
{
	__u64 *known = bpf_map_lookup_elem(&told, &tid);

	if (known)
		*known &= ~(__u64)REQUEST_PENDING;
}

SEC("uprobe")
int timeline_request(struct pt_regs *ctx)
{
	struct hit h = { .ctx = ctx, .cookie = bpf_get_attach_cookie(ctx) };
	__u32 id = PROBE_COOKIE_ID(h.cookie) - TIMELINE_MAX_SITES, kind;
	bool begins, tells;
	__u64 request;

	if (!current_is_ours(&h.ids))
		return 0;
	h.p = bpf_map_lookup_elem(&roles, &id);
	if (!h.p)
		return 0;
	if (h.p->role == ROLE_EXECUTE) {
		note_execute(h.ids.tid);
		return 0;
	}
	kind = kind_of_role(h.p->role);
	if (kind == EVT_NONE)
		return 0;
	if (h.p->nests && is_inner_call(ctx, h.p->role, h.cookie, h.ids.tid))
		return 0;
	if (read_key(&h))
		return 0;
	/* In a timeline 0 is no request. */
	request = h.key.id ? h.key.id : ~0ULL;
	begins = kind == EVT_REQUEST_BEGIN;
	tells = !begins;
	if (h.p->role == ROLE_STATUS)
		on_status(&h, &tells, &begins);
	alloc_tell(h.ids.tid);
	if (tells)
		put2(kind, h.ids.tid, request, arg(&h, h.p->status));
	if (begins)
		put_begin(&h, request);
	return 0;
}

#endif
