/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUEST_HIT_BPF_H
#define PERISCOPE_REQUEST_HIT_BPF_H

/*
 * The pieces of work of the thread that hit a probe.
 */

#include "request_args.bpf.h"
#include "request_state.bpf.h"

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
	__u8 flags = read_name_into(h, r->name, sizeof(r->name));

	r->flags |= flags & ~REQUEST_NAME_CUT;
	if (flags & REQUEST_NAME_CUT)
		read_long_name(r, (void *)arg(h, h->p->name));
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

/* Returns the request, NULL if it is not followed. */
static __always_inline struct request_record *end_piece(struct request_thread *th, __u32 tid,
							__u64 t)
{
	struct request_key key = th->key;
	struct request_record *r;

	th->working = 0;
	r = request_of(&key);
	if (!r)
		return NULL;
	add_use(th, r);
	be_on_cpu(&key, r, tid, t);
	leave(&key, r, tid, t);
	return r;
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
	th->arrived = 0; /* of an earlier run, perhaps */
	/* Last: from now on the scheduler's programs look at the rest. */
	th->working = 1;
}

#endif
