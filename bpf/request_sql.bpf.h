/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUEST_SQL_BPF_H
#define PERISCOPE_REQUEST_SQL_BPF_H

/*
 * SQL statements, of requests and of the server itself.
 */

#include "request_hit.bpf.h"

/* Statements whose text was sent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct request_stmt_key);
	__type(value, __u8);
} texts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct request_stmt_key);
	__type(value, struct request_own_stmt);
} own_stmts SEC(".maps");

/* Returns whether user space has it, or will. */
static __always_inline bool send_text(__u32 tgid, __u32 stmt, const void *text)
{
	struct request_stmt_key key = { .tgid = tgid, .stmt = stmt };
	struct request_text *e;
	__u8 one = 1;

	if (bpf_map_lookup_elem(&texts, &key) ||
	    bpf_map_update_elem(&texts, &key, &one, BPF_NOEXIST))
		return true;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		bpf_map_delete_elem(&texts, &key);
		return false;
	}
	e->header.type = EVENT_REQUEST_TEXT;
	e->header.tgid = key.tgid;
	e->header.arg = stmt;
	if (bpf_probe_read_user_str(e->text, sizeof(e->text), text) < 0)
		e->text[0] = 0;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return true;
}

/* Is the statement's text known to user space, as far as the thread knows? */
static __always_inline bool has_text(const struct request_thread *th, __u32 stmt)
{
	return stmt < 64 && th->texts & 1ULL << stmt;
}

/*
 * The thread meets a statement, whose text is at this address. A function that the verifier goes
 * through once.
 */
__attribute__((noinline)) int note_text(__u32 tgid, struct request_thread *th, __u32 stmt,
					__u64 text)
{
	if (!th || has_text(th, stmt))
		return 0;
	if (send_text(tgid, stmt, (void *)text) && stmt < 64)
		th->texts |= 1ULL << stmt;
	return 0;
}

static __always_inline void on_stmt_begin(struct hit *h)
{
	struct request_thread *th = thread_get(h->ids.tid);
	__u32 stmt = arg(h, h->p->value), n;
	struct request_record *r;

	if (!th)
		return;
	if (h->p->text != REQUEST_NO_ARG)
		note_text(h->ids.tgid, th, stmt, arg(h, h->p->text));
	n = th->nr_stmts;
	if (n < MAX_STMT_DEPTH) {
		th->stmts[n].began = h->t;
		th->stmts[n].stmt = stmt;
	}
	th->nr_stmts = n + 1;
	/* Where phases do not nest, all else is told at its end. */
	if (!nested_phases || !h->key.id)
		return;
	r = request_of(&h->key);
	if (r)
		push_phase(&h->key, r, h->ids.tid, PHASE_SQL, h->t);
}

static __always_inline void add_u32(__u32 *sum, __u64 n)
{
	__u64 s = *sum + n;

	*sum = s > 0xffffffff ? 0xffffffff : s;
}

static __always_inline void add_stmt(struct request_record *r, __u32 stmt, __u64 ns, __u64 rows,
				     __u64 steps)
{
	struct request_stmt *s;

	for (__u32 i = 0; i < REQUEST_STMTS; i++) {
		s = &r->stmts[i];
		if (i < r->nr_stmts && s->stmt != stmt)
			continue;
		if (i >= r->nr_stmts) {
			r->nr_stmts = i + 1;
			*s = (struct request_stmt){ .stmt = stmt };
		}
		s->count++;
		s->ns += ns;
		if (ns > s->max_ns)
			s->max_ns = ns;
		add_u32(&s->rows, rows);
		add_u32(&s->steps, steps);
		return;
	}
	r->lost_stmts++;
}

static __always_inline void add_own_stmt(const struct hit *h, __u32 stmt, __u64 ns, __u64 rows,
					 __u64 steps)
{
	struct request_stmt_key key = { .tgid = h->ids.tgid, .stmt = stmt };
	struct request_own_stmt none = { 0 }, *s;

	s = bpf_map_lookup_elem(&own_stmts, &key);
	if (!s) {
		bpf_map_update_elem(&own_stmts, &key, &none, BPF_NOEXIST);
		s = bpf_map_lookup_elem(&own_stmts, &key);
	}
	if (!s) {
		count(REQUESTS_LOST_OWN);
		return;
	}
	__sync_fetch_and_add(&s->count, 1);
	__sync_fetch_and_add(&s->ns, ns);
	__sync_fetch_and_add(&s->rows, rows);
	__sync_fetch_and_add(&s->steps, steps);
	if (ns > s->max_ns)
		s->max_ns = ns;
}

/* A statement of no request, told at its end alone. */
static __always_inline void on_stmt_own(struct hit *h)
{
	struct request_thread *th = thread_get(h->ids.tid);
	__u32 stmt = arg(h, h->p->value);

	if (th && h->p->text != REQUEST_NO_ARG)
		note_text(h->ids.tgid, th, stmt, arg(h, h->p->text));
	add_own_stmt(h, stmt, arg(h, h->p->time), arg(h, h->p->rows), arg(h, h->p->steps));
}

static __always_inline void on_stmt_end(struct hit *h)
{
	struct request_thread *th = thread_of(h->ids.tid);
	__u32 stmt = arg(h, h->p->value), n;
	struct request_record *r;
	__u64 ns;

	if (!th || !th->nr_stmts)
		return;
	n = th->nr_stmts - 1;
	th->nr_stmts = n;
	if (n >= MAX_STMT_DEPTH || th->stmts[n].stmt != stmt)
		return;
	ns = h->t - th->stmts[n].began;
	if (!h->key.id) {
		add_own_stmt(h, stmt, ns, arg(h, h->p->rows), arg(h, h->p->steps));
		return;
	}
	r = request_of(&h->key);
	if (!r)
		return;
	r->hits += 2;
	add_stmt(r, stmt, ns, arg(h, h->p->rows), arg(h, h->p->steps));
	if (nested_phases)
		pop_phase(&h->key, r, h->ids.tid, PHASE_SQL, h->t);
	else if (!n)
		past_phase(r, h->ids.tid, PHASE_SQL, h->t - ns, h->t);
}

#endif
