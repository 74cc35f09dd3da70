/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUEST_ACCOUNT_BPF_H
#define PERISCOPE_REQUEST_ACCOUNT_BPF_H

/*
 * What a program tells at a request's end (struct request_account), in place of hits meanwhile.
 *
 * When the last piece ended is known only then. Until the end, or until the thread begins another
 * request or waits for events, it has counted as working on this one; so the request keeps its last
 * states, and what they hold of the time since is moved to where it belongs.
 *
 * Functions of their own are gone through once by the verifier.
 */

#include "request_sql.bpf.h"

/* Since `since` it was being sent, whatever it was taken for; it ends now, at t. */
__attribute__((noinline)) int correct_sending(struct request_record *r, __u64 since, __u64 t)
{
	__u64 old, from, moved = 0;
	__u32 what;

	if (!r)
		return 0;
	old = __sync_lock_test_and_set(&r->word, REQUEST_WORD(t, STATE_SEND));
	account_state(r, old, t);
	if (r->nr_past > REQUEST_PAST &&
	    REQUEST_WORD_TIME(r->past[r->nr_past & (REQUEST_PAST - 1)].word) > since)
		count(REQUESTS_UNSETTLED);
#pragma unroll
	for (__u32 i = 0; i < REQUEST_PAST; i++) {
		what = REQUEST_WORD_WHAT(r->past[i].word);
		from = REQUEST_WORD_TIME(r->past[i].word);
		if (from < since)
			from = since;
		if (i >= r->nr_past || r->past[i].till <= from || what >= STATE_NR ||
		    what == STATE_SEND)
			continue;
		r->states[what] -= r->past[i].till - from;
		moved += r->past[i].till - from;
	}
	r->states[STATE_SEND] += moved;
	/* The phase as well: what it has so far, and what finish() will count. */
	old = __sync_lock_test_and_set(&r->phase_word, REQUEST_WORD(t, PHASE_SEND));
	account(r->phases, PHASE_NR, old, t);
	if (moved > r->phases[PHASE_OTHER])
		moved = r->phases[PHASE_OTHER];
	r->phases[PHASE_OTHER] -= moved;
	r->phases[PHASE_SEND] += moved;
	return 0;
}

/* n statements of the account at this address of process tgid. */
__attribute__((noinline)) int copy_stmts(__u32 tgid, struct request_thread *th,
					 struct request_record *r, __u64 address, __u32 n)
{
	const struct request_account *account = (void *)address;
	__u64 text;

	if (!th || !r)
		return 0;
	if (n > REQUEST_STMTS)
		n = REQUEST_STMTS;
	if (!n || bpf_probe_read_user(r->stmts, n * sizeof(r->stmts[0]), account->stmts))
		return 0;
	r->nr_stmts = n;
	for (__u32 i = 0; i < REQUEST_STMTS; i++) {
		if (i >= n)
			break;
		if (!has_text(th, r->stmts[i].stmt) &&
		    !bpf_probe_read_user(&text, sizeof(text), &account->sql[i]))
			note_text(tgid, th, r->stmts[i].stmt, text);
	}
	return 0;
}

/* At the end of a request, by a thread that may be known. */
static __always_inline void use_account(struct hit *h, struct request_thread *th,
					struct request_record *r)
{
	const struct request_account *account = (void *)arg(h, h->p->account);
	struct request_account_head head; /* the rest has no room on the stack */
	__u64 sql;

	if (!th || bpf_probe_read_user(&head, sizeof(head), account) ||
	    head.size < sizeof(*account)) {
		__sync_fetch_and_add(&bad_arguments, 1);
		return;
	}
	correct_sending(r, h->t - head.sending_ns, h->t);
	copy_stmts(h->ids.tgid, th, r, (__u64)account, head.nr_stmts);
	r->lost_stmts += head.lost_stmts;
	sql = head.loop_sql_ns;
	if (sql > r->phases[PHASE_OTHER])
		sql = r->phases[PHASE_OTHER];
	r->phases[PHASE_OTHER] -= sql;
	r->phases[PHASE_SQL] += sql;
}

#endif
