/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUEST_ARGS_BPF_H
#define PERISCOPE_REQUEST_ARGS_BPF_H

/*
 * A hit of a probe that tells of a request, and its arguments: for all tools that attach by
 * tools/lib/request_probes.h. Size usdt_specs to REQUEST_MAX_PROBES before load, at need roles, too.
 */

#include "requests.h"
#include "target.bpf.h"
#include "usdt.bpf.h"

__u64 bad_arguments; /* hits whose operands could not be read */

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
	__u64 told; /* of ROLE_STATUS: by this hit */
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
		__sync_fetch_and_add(&bad_arguments, 1);
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
		__sync_fetch_and_add(&bad_arguments, 1);
		return -1;
	}
	h->key.id = id;
	return 0;
}

/* What the probe means, and which request it is about. Returns -1 if that cannot be told. */
static __always_inline int read_hit(struct hit *h)
{
	__u32 id;

	h->cookie = bpf_get_attach_cookie(h->ctx);
	id = PROBE_COOKIE_ID(h->cookie);
	h->p = bpf_map_lookup_elem(&roles, &id);
	return h->p ? read_key(h) : -1;
}

/* What the request is called, at most `size` bytes. Returns REQUEST_NAME_* flags. */
static __always_inline __u8 read_name_into(const struct hit *h, char *name, __u32 size)
{
	__u64 value;
	long n = -1;

	if (h->p->name == REQUEST_NO_ARG)
		return 0;
	value = arg(h, h->p->name);
	if (h->p->name_kind != NAME_NUMBER)
		n = bpf_probe_read_user_str(name, size, (void *)value);
	if (n > 0)
		return n == size ? REQUEST_NAME_CUT : 0;
	if (h->p->name_kind == NAME_TEXT)
		return REQUEST_NO_NAME;
	__builtin_memcpy(name, &value, sizeof(value));
	return REQUEST_NAME_NUMBER;
}

/* ---------------------------------------------------------------- what a thread tells ---- */

#define TEXT_CHUNK  32
#define TEXT_CHUNKS 8

/* Tells texts apart by as much of them as names keep, and more. The verifier goes through it once. */
__attribute__((noinline)) __u64 text_hash(__u64 text)
{
	__u64 words[TEXT_CHUNK / sizeof(__u64)], hash = 0;
	long n;

	for (__u32 i = 0; i < TEXT_CHUNKS; i++) {
		__builtin_memset(words, 0, sizeof(words));
		/* Each ends with a NUL of its own. */
		n = bpf_probe_read_user_str(words, sizeof(words),
					    (void *)(text + i * (TEXT_CHUNK - 1)));
		if (n < 0 && !i)
			return text; /* it is a number */
		for (__u32 j = 0; j < TEXT_CHUNK / sizeof(__u64); j++) {
			hash = (hash ^ words[j]) * 0x9e3779b97f4a7c15ULL;
			hash ^= hash >> 32;
		}
		if (n < TEXT_CHUNK)
			break;
	}
	return hash;
}

/* What the thread tells that it works on, 0: nothing. Of ROLE_STATUS. */
static __always_inline __u64 told_by(const struct hit *h)
{
	__u64 name = arg(h, h->p->name);

	if (!name)
		return 0;
	if (h->p->name_kind != NAME_NUMBER)
		name = text_hash(name);
	return name << 2 | 2 | h->p->pending;
}

/*
 * The thread tells that, and told `known` before. Does a request begin (ROLE_BEGIN), in place of the
 * one there is, does that only end (ROLE_END), or neither?
 */
static __always_inline enum request_role status_role(__u64 told, __u64 known)
{
	if (told == known)
		return ROLE_NONE;
	return told ? ROLE_BEGIN : ROLE_END;
}

#endif
