/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUEST_HIT_BPF_H
#define PERISCOPE_REQUEST_HIT_BPF_H

/*
 * A hit of a probe, its arguments, and the pieces of work of the thread that hit it.
 */

#include "request_state.bpf.h"
#include "usdt.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, REQUEST_MAX_PROBES);
	__type(key, __u32);
	__type(value, struct request_probe);
} roles SEC(".maps");

/* A hit, as its handlers need it. */
struct hit {
	struct pt_regs *ctx;
	const struct request_probe *p;
	__u64 cookie;
	__u64 t;
	struct target_ids ids;
	struct request_key key;
};

/* ---------------------------------------------------------------- arguments ---- */

static __always_inline int read_arg(struct pt_regs *ctx, __u64 cookie, __u32 n, __u64 *ret)
{
	const struct usdt_spec *spec = usdt_spec(cookie);

	return spec ? usdt_arg(ctx, spec, n, ret) : -2;
}

/* Argument n, 0 when the probe has none or it cannot be read. */
static __always_inline __u64 arg(const struct hit *h, __u32 n)
{
	__u64 value = 0;
	int err;

	if (n == REQUEST_NO_ARG)
		return 0;
	if (h->p->is_function)
		err = probe_arg(h->ctx, h->cookie, n, &value);
	else
		err = read_arg(h->ctx, h->cookie, n, &value);
	if (err)
		count(REQUESTS_BAD_ARG);
	return value;
}

/* What the request is known by. Returns -1 if that cannot be told. */
static __always_inline int read_key(struct hit *h)
{
	__u64 id;

	h->key.tgid = h->ids.tgid;
	h->key.by_thread = h->p->key == REQUEST_NO_ARG;
	if (h->key.by_thread) {
		h->key.id = h->ids.tid;
		return 0;
	}
	if (h->p->is_function ? probe_arg(h->ctx, h->cookie, h->p->key, &id)
			      : read_arg(h->ctx, h->cookie, h->p->key, &id)) {
		count(REQUESTS_BAD_ARG);
		return -1;
	}
	h->key.id = id;
	return 0;
}

static __always_inline void read_long_name(struct request_record *r, const void *text)
{
	long n = bpf_probe_read_user_str(r->long_name, sizeof(r->long_name), text);

	/* Its beginning is in name, if the rest cannot be read. */
	if (n > 0)
		r->flags |= REQUEST_NAME_LONG;
	if (n <= 0 || n == sizeof(r->long_name))
		r->flags |= REQUEST_NAME_CUT;
}

static __always_inline void read_name(const struct hit *h, struct request_record *r)
{
	__u64 value;
	long n = -1;

	if (h->p->name == REQUEST_NO_ARG)
		return;
	value = arg(h, h->p->name);
	if (h->p->name_kind != NAME_NUMBER)
		n = bpf_probe_read_user_str(r->name, sizeof(r->name), (void *)value);
	if (n == sizeof(r->name))
		read_long_name(r, (void *)value);
	if (n > 0)
		return;
	if (h->p->name_kind == NAME_TEXT) {
		r->flags |= REQUEST_NO_NAME;
		return;
	}
	r->flags |= REQUEST_NAME_NUMBER;
	__builtin_memcpy(r->name, &value, sizeof(value));
}

/* ---------------------------------------------------------------- threads ---- */

/* What the thread has used while it worked on the request. */
static __always_inline void add_use(struct request_thread *th, struct request_record *r)
{
	struct task_struct *task = bpf_get_current_task_btf();

	r->faults += task->min_flt - th->faults;
	r->device_faults += task->maj_flt - th->device_faults;
	r->syscalls += th->syscalls;
	r->allocs += th->alloc.count;
	r->alloc_bytes += th->alloc.bytes;
}

/* Is it a thread of the target? Probes in the only process there is are hit by no other. */
static __always_inline bool is_ours(struct target_ids ids)
{
	return targ_tgid ? ids.tgid == targ_tgid : target_lookup(ids) != NULL;
}

static __always_inline void end_piece(struct request_thread *th, __u32 tid, __u64 t)
{
	struct request_key key = th->key;
	struct request_record *r;

	th->working = 0;
	r = request_of(&key);
	if (!r)
		return;
	r->hits++;
	add_use(th, r);
	leave(&key, r, tid, t);
}

static __always_inline void begin_piece(struct request_thread *th, const struct hit *h)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct request_record *other;

	if (th->working && (th->key.id != h->key.id || th->key.by_thread != h->key.by_thread)) {
		/* Nobody told that it left that one: what it did since is anybody's. */
		other = has_pieces ? NULL : request_of(&th->key);
		if (other)
			other->flags |= REQUEST_SPLIT;
		end_piece(th, h->ids.tid, h->t);
	}
	th->key = h->key;
	th->syscalls = 0;
	th->alloc.count = 0;
	th->alloc.bytes = 0;
	th->faults = task->min_flt;
	th->device_faults = task->maj_flt;
	th->nr_stmts = 0;
	/* Last: from now on the scheduler's programs look at the rest. */
	th->working = 1;
}

#endif
