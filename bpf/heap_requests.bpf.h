/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_REQUESTS_BPF_H
#define PERISCOPE_HEAP_REQUESTS_BPF_H

/*
 * Which request each thread works on, as the program's probes tell (tools/lib/request_probes.h),
 * and its route: what an allocation is charged to. Part of heap.bpf.c.
 *
 * A request has a serial number of ours, since a program's ids may be used again.
 */

#include "heap_fates.h"
#include "heap_threads.bpf.h"
#include "request_args.bpf.h"
#include "stacks.bpf.h"

/* A request that has not ended. */
struct heap_request {
	__u64 serial;
	union {
		__u64 cfa;  /* of the function that it is a call of, by_thread */
		__u64 told; /* by the thread: as in struct request_record */
	};
	__u32 route;
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HEAP_MAX_REQUESTS);
	__type(key, struct request_key);
	__type(value, struct heap_request);
} open_requests SEC(".maps");

/* Their serial numbers, for whom they matter (with_fates). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* HEAP_MAX_REQUESTS */
	__type(key, __u64);
	__type(value, __u8);
} open_serials SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HEAP_MAX_ROUTES);
	__type(key, struct heap_route_key);
	__type(value, __u32);
} route_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HEAP_MAX_ROUTES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct heap_route);
} heap_routes SEC(".maps");

__u64 next_request = 1;
__u32 nr_routes = HEAP_ROUTE_FIRST;

static __always_inline __u32 route_find(const struct heap_route_key *key)
{
	__u32 *known = bpf_map_lookup_elem(&route_ids, key), index;

	if (known)
		return *known;
	if (nr_routes >= HEAP_MAX_ROUTES)
		return HEAP_ROUTE_OTHER;
	index = __sync_fetch_and_add(&nr_routes, 1);
	if (index >= HEAP_MAX_ROUTES)
		return HEAP_ROUTE_OTHER;
	if (bpf_map_update_elem(&route_ids, key, &index, BPF_NOEXIST)) {
		/* Another CPU was first. */
		known = bpf_map_lookup_elem(&route_ids, key);
		return known ? *known : HEAP_ROUTE_OTHER;
	}
	return index;
}

/* What a route is called shows in how its requests' names differ. */
static __noinline int send_name(const struct hit *h, __u32 route, const struct heap_route_key *key)
{
	struct heap_route_event *e;

	if (!h || !key)
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count_stat(STAT_LOST_EVENTS);
		return 0;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->header.type = HEAP_EVENT_ROUTE;
	e->header.tgid = h->ids.tgid;
	e->header.arg = route;
	e->key = *key;
	e->flags = read_name_into(h, e->name, sizeof(e->name));
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline void count_begun(const struct hit *h, __u32 route,
					const struct heap_route_key *key)
{
	struct heap_route *r = bpf_map_lookup_elem(&heap_routes, &route);
	__u64 n;

	if (!r)
		return;
	n = __sync_fetch_and_add(&r->begun, 1);
	if (n < 16 || !(n & (n - 1)))
		send_name(h, route, key);
}

static __always_inline struct heap_request *request_of(const struct request_key *key)
{
	return bpf_map_lookup_elem(&open_requests, key);
}

static __always_inline void request_close(const struct request_key *key,
					  const struct heap_request *r)
{
	__u64 serial = r->serial;

	if (with_fates)
		bpf_map_delete_elem(&open_serials, &serial);
	bpf_map_delete_elem(&open_requests, key);
}

/* Returns NULL when there is no room. */
static __always_inline struct heap_request *request_open(const struct request_key *key, __u32 route,
							 __u64 cfa)
{
	struct heap_request new = { .cfa = cfa, .route = route };
	__u8 one = 1;

	new.serial = __sync_fetch_and_add(&next_request, 1);
	if (bpf_map_update_elem(&open_requests, key, &new, BPF_ANY)) {
		heap_count(HEAP_STAT_NO_REQUEST);
		return NULL;
	}
	if (with_fates)
		bpf_map_update_elem(&open_serials, &new.serial, &one, BPF_ANY);
	return request_of(key);
}

/*
 * Where in the stack the piece of work begins: the CFA of the frame that the probe is in. What is
 * called from here on is below.
 */
static __always_inline __u64 piece_place(const struct hit *h)
{
	struct target_proc *proc;
	struct walk *w;
	__u64 cfa = 0;

	if (h->p->is_function)
		return probe_cfa(h->ctx, h->cookie);
	proc = bpf_map_lookup_elem(&procs, &h->ids.tgid);
	w = proc ? walk_claim() : NULL;
	if (!w)
		return probe_reg(h->ctx, PROBE_SP);
	stack_begin(w, h->ids);
	WALK_FROM_REGS(w, h->ctx);
	walk_begin(w, proc);
	if (unwind_frame(w) == UNWIND_MORE)
		cfa = w->state.regs[UNWIND_RSP];
	walk_release(w);
	return cfa ? cfa : probe_reg(h->ctx, PROBE_SP);
}

static __always_inline void piece_begin(struct heap_thread *t, const struct heap_request *r,
					const struct hit *h)
{
	t->request = r->serial;
	t->route = r->route;
	t->ended = 0;
	if (!with_fates)
		return;
	t->piece_time = h->t;
	t->piece_cfa = piece_place(h);
}

static __always_inline void piece_end(struct heap_thread *t)
{
	t->request = 0;
	t->route = HEAP_ROUTE_NONE;
}

static __always_inline void on_begin(struct heap_thread *t, struct hit *h)
{
	__u64 cfa = h->p->nests ? probe_cfa(h->ctx, h->cookie) : h->told;
	struct heap_route_key key = { .route = -1 };
	struct heap_request *r = request_of(&h->key);
	__u32 route;

	/* A call inside of the one that the request is. */
	if (r && h->p->nests && cfa < r->cfa)
		return;
	if (r)
		request_close(&h->key, r); /* nobody saw its end */
	if (h->p->route != REQUEST_NO_ARG)
		key.route = arg(h, h->p->route);
	if (h->p->method != REQUEST_NO_ARG)
		key.method = arg(h, h->p->method);
	route = route_find(&key);
	count_begun(h, route, &key);
	r = request_open(&h->key, route, cfa);
	if (r)
		piece_begin(t, r, h);
	else
		piece_end(t);
}

static __always_inline void on_run(struct heap_thread *t, struct hit *h)
{
	struct heap_request *r = request_of(&h->key);

	if (!r)
		r = request_open(&h->key, HEAP_ROUTE_BEFORE, 0);
	if (r)
		piece_begin(t, r, h);
}

static __always_inline void on_pause(struct heap_thread *t, const struct hit *h)
{
	struct heap_request *r = request_of(&h->key);

	/* By its id, if the probe has that: a pause of another request is none of this piece's. */
	if (!r || r->serial == t->request)
		piece_end(t);
}

static __always_inline void end_request(struct heap_thread *t, const struct hit *h,
					struct heap_request *r)
{
	struct heap_route *route;
	__u32 index = r->route;

	route = bpf_map_lookup_elem(&heap_routes, &index);
	if (route)
		__sync_fetch_and_add(&route->done, 1);
	t->ended = r->serial;
	if (t->request == r->serial)
		piece_end(t);
	request_close(&h->key, r);
}

static __always_inline void on_end(struct heap_thread *t, const struct hit *h)
{
	struct heap_request *r = request_of(&h->key);

	/* Of a call inside, whose return may be missing: its frame is below the first one's. */
	if (r && !(h->p->nests && probe_return_cfa(h->ctx) < r->cfa))
		end_request(t, h, r);
}

/* Returns whether a request begins now. */
static __always_inline bool on_status(struct heap_thread *t, struct hit *h)
{
	struct heap_request *r = request_of(&h->key);
	enum request_role role;

	h->told = told_by(h);
	role = status_role(h->told, r ? r->told : 0);
	if (r && role != ROLE_NONE)
		end_request(t, h, r);
	return role == ROLE_BEGIN;
}

static __always_inline void on_execute(const struct hit *h)
{
	struct heap_request *r = request_of(&h->key);

	if (r)
		r->told &= ~(__u64)REQUEST_PENDING;
}

#endif
