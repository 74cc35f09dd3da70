/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUEST_STATE_BPF_H
#define PERISCOPE_REQUEST_STATE_BPF_H

/*
 * The states and phases of a request (bpf/requests.h), whoever changes them.
 *
 * Programs on other CPUs may be at work on the same request: its thread is switched out here while
 * a probe on another thread says that the request goes on there. Locks are not to be had in tracing
 * programs, so: `owner` is the thread that works on it, the last one that said so, and `where` what
 * it is in while nobody does; both are exchanged before the word is. Who changes the word in the
 * name of a thread looks at the owner between reading and compare-exchanging it, who leaves the
 * request to `where` looks at both; so a change that comes late fails and is looked at again.
 */

#include "request_open.bpf.h"
#include "sched_notes.bpf.h"
#include "stack_ids.bpf.h"
#include "wait.bpf.h"

#define STATE_TRIES 4 /* that a change finds the word changed; each time somebody else got on */

/* Details are kept: what matches these at its end is sent with all its segments. */
const volatile bool with_details;
const volatile __u64 filter_slow_ns;
const volatile __s64 filter_status_min, filter_status_max; /* max 0: any */
/*
 * Set with the probes, when the program is known: the state of a request between its pieces, while
 * it is in no queue; and whether there are probes that tell when a thread begins and stops to work
 * on a request.
 */
__u32 after_piece = STATE_LOOP;
/* Phases may lie within each other: changes are noted when they come, not afterwards. */
bool nested_phases;
bool has_pieces;
/* When the last piece of a request ended is told at the end of the request. */
bool by_account;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* REQUEST_MAX_DETAILS, with details */
	__type(key, struct request_key);
	__type(value, struct request_detail);
} details SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, REQUEST_RECORDS_SIZE);
} records SEC(".maps");

/* What a new element is made from; never written. */
static struct request_detail no_detail;

static __always_inline void account(__u64 *times, __u32 nr, __u64 old, __u64 t)
{
	__u32 what = REQUEST_WORD_WHAT(old);

	/* May be negative by what two CPUs' clocks and programs differ; the sum is right. */
	if (what < nr)
		__sync_fetch_and_add(&times[what], t - REQUEST_WORD_TIME(old));
}

/* It was in the state `old` until t. */
static __always_inline void account_state(struct request_record *r, __u64 old, __u64 t)
{
	struct request_past *past;

	account(r->states, STATE_NR, old, t);
	if (!by_account)
		return;
	past = &r->past[__sync_fetch_and_add(&r->nr_past, 1) & (REQUEST_PAST - 1)];
	past->word = old;
	past->till = t;
}

/* Note for the waterfall what begins now. */
static __always_inline void note_segment(const struct request_key *key, struct request_record *r,
					 __u64 t, __u32 tid, __u64 stack)
{
	struct request_detail *d;
	__u64 n;

	if (!with_details)
		return;
	d = bpf_map_lookup_elem(&details, key);
	if (!d)
		return;
	n = __sync_fetch_and_add(&d->nr, 1);
	if (n >= REQUEST_SEGMENTS)
		return;
	d->segments[n].at = t;
	d->segments[n].stack = stack;
	d->segments[n].tid = tid;
	d->segments[n].state = REQUEST_WORD_WHAT(READ(r->word));
	d->segments[n].phase = REQUEST_WORD_WHAT(READ(r->phase_word));
}

static __always_inline void enter_phase(const struct request_key *key, struct request_record *r,
					__u32 phase, __u64 t, __u32 tid)
{
	__u64 old;

	if (REQUEST_WORD_WHAT(READ(r->phase_word)) == phase)
		return;
	old = __sync_lock_test_and_set(&r->phase_word, REQUEST_WORD(t, phase));
	account(r->phases, PHASE_NR, old, t);
	note_segment(key, r, t, tid, 0);
}

/* The phase of a request, or of a piece of work that ends the state, where no probe tells it. */
static __always_inline __u32 phase_of_state(__u32 state)
{
	switch (state) {
	case STATE_QUEUE_WRITER:
	case STATE_COMMIT:
		return PHASE_SQL;
	case STATE_QUEUE_HASH:
		return PHASE_HASH;
	case STATE_SEND:
		return PHASE_SEND;
	default:
		return PHASE_OTHER;
	}
}

/* Thread tid, if it is the one that works on the request, goes to a state. */
static __always_inline void thread_state(const struct request_key *key, struct request_record *r,
					 __u32 tid, __u32 state, __u64 t, __u64 stack)
{
	__u64 old;

	for (int i = 0; i < STATE_TRIES; i++) {
		old = READ(r->word);
		if (READ(r->owner) != tid || REQUEST_WORD_WHAT(old) == state)
			return;
		if (__sync_val_compare_and_swap(&r->word, old, REQUEST_WORD(t, state)) != old)
			continue;
		account_state(r, old, t);
		note_segment(key, r, t, tid, stack);
		return;
	}
}

/* Thread tid, the current one, is on a CPU, whether or not that it came there was reported. */
static __always_inline void be_on_cpu(const struct request_key *key, struct request_record *r,
				      __u32 tid, __u64 t)
{
	__u64 old = READ(r->word);

	if (READ(r->owner) != tid || REQUEST_WORD_WHAT(old) == STATE_ON_CPU)
		return;
	count(REQUESTS_UNREPORTED);
	thread_state(key, r, tid, STATE_ON_CPU,
		     noted_arrival(bpf_get_current_task_btf(), REQUEST_WORD_TIME(old), t), 0);
}

/* Thread tid comes to a CPU: it was woken, whether or not that was reported. */
static __always_inline void be_woken(const struct request_key *key, struct request_record *r,
				     __u32 tid, const struct task_struct *task, __u64 t)
{
	__u64 old = READ(r->word);
	__u32 what = REQUEST_WORD_WHAT(old);

	if (READ(r->owner) != tid || what < STATE_BLOCKED || what >= STATE_BLOCKED + WAIT_NR)
		return;
	count(REQUESTS_UNREPORTED);
	if (!bpf_core_field_exists(task->sched_info) || !task->sched_info.last_queued)
		return;
	thread_state(key, r, tid, STATE_RUNNABLE,
		     noted_time(task->sched_info.last_queued, REQUEST_WORD_TIME(old), t), 0);
}

/* While nobody works on the request, it is where `where` says. */
static __always_inline void settle(const struct request_key *key, struct request_record *r, __u64 t)
{
	__u32 where;
	__u64 old;

	for (int i = 0; i < STATE_TRIES; i++) {
		old = READ(r->word);
		where = READ(r->where);
		if (READ(r->owner) || REQUEST_WORD_WHAT(old) == where)
			break;
		if (__sync_val_compare_and_swap(&r->word, old, REQUEST_WORD(t, where)) != old)
			continue;
		account_state(r, old, t);
		note_segment(key, r, t, 0, 0);
		/* Once more: it may have moved on meanwhile. */
	}
	if (!READ(r->owner))
		enter_phase(key, r, phase_of_state(READ(r->where)), t, 0);
}

/* Thread tid begins to work on it. */
static __always_inline void take(const struct request_key *key, struct request_record *r, __u32 tid,
				 __u64 t)
{
	__u32 where = READ(r->where), next = where;
	__u64 old;

	__sync_lock_test_and_set(&r->owner, tid);
	if (where == STATE_QUEUE_HASH)
		next = STATE_REPLY;
	else if (where != STATE_COMMIT)
		next = after_piece;
	if (next != where)
		__sync_val_compare_and_swap(&r->where, where, next);
	old = __sync_lock_test_and_set(&r->word, REQUEST_WORD(t, STATE_ON_CPU));
	account_state(r, old, t);
	r->pieces++;
	if (r->last_tid != tid)
		r->moves++;
	r->last_tid = tid;
	r->nest = 0;
	/* Sending was what came last time: this is another piece. */
	r->piece_phase = where == STATE_SEND ? PHASE_OTHER : phase_of_state(where);
	note_segment(key, r, t, tid, 0);
	enter_phase(key, r, r->piece_phase, t, tid);
}

/* Thread tid stops working on it; another may have begun already. */
static __always_inline void leave(const struct request_key *key, struct request_record *r,
				  __u32 tid, __u64 t)
{
	if (__sync_val_compare_and_swap(&r->owner, tid, 0) != tid)
		return;
	r->nest = 0;
	settle(key, r, t);
}

static __always_inline void push_phase(const struct request_key *key, struct request_record *r,
				       __u32 tid, __u32 phase, __u64 t)
{
	if (READ(r->owner) != tid)
		return;
	r->nest = r->nest << 4 | phase;
	enter_phase(key, r, phase, t, tid);
}

static __always_inline void pop_phase(const struct request_key *key, struct request_record *r,
				      __u32 tid, __u32 phase, __u64 t)
{
	if (READ(r->owner) != tid || (r->nest & 15) != phase)
		return;
	r->nest >>= 4;
	enter_phase(key, r, r->nest ? r->nest & 15 : r->piece_phase, t, tid);
}

/* The phase that began at `began` and ends now, told at its end. */
static __always_inline void past_phase(struct request_record *r, __u32 tid, __u32 phase,
				       __u64 began, __u64 t)
{
	__u64 old = READ(r->phase_word), since = REQUEST_WORD_TIME(old);
	__u32 what = REQUEST_WORD_WHAT(old);

	if (READ(r->owner) != tid || since > began || what >= PHASE_NR || phase >= PHASE_NR ||
	    __sync_val_compare_and_swap(&r->phase_word, old, REQUEST_WORD(t, what)) != old)
		return;
	r->phases[what] += began - since;
	r->phases[phase] += t - began;
}

/* ---------------------------------------------------------------- the end ---- */

/* User space looks every now and then; it is woken only when the ring fills faster. */
static __always_inline __u64 wake_flags(void)
{
	if (bpf_ringbuf_query(&records, BPF_RB_AVAIL_DATA) > REQUEST_RECORDS_SIZE / 4)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

static __always_inline bool matches(const struct request_record *r, __u64 t)
{
	if (t - r->start < filter_slow_ns)
		return false;
	return !filter_status_max ||
	       (r->status >= filter_status_min && r->status <= filter_status_max);
}

static __always_inline void send_detail(const struct request_key *key,
					const struct request_record *r, __u64 t)
{
	struct request_detail *d = bpf_map_lookup_elem(&details, key);
	__u64 size;
	__u32 nr;

	if (!d) /* counted when it was not made */
		return;
	if (r->end == END_DONE && matches(r, t)) {
		nr = d->nr;
		if (nr > REQUEST_SEGMENTS) {
			d->lost = nr - REQUEST_SEGMENTS;
			d->nr = nr = REQUEST_SEGMENTS;
		}
		size = offsetof(struct request_detail, segments) +
		       (__u64)nr * sizeof(d->segments[0]);
		if (bpf_ringbuf_output(&records, d, size, wake_flags()))
			count(REQUESTS_LOST_DETAILS);
	}
	bpf_map_delete_elem(&details, key);
}

/* The request is over: send its record, forget it. */
static __always_inline void finish(const struct request_key *key, struct request_record *r,
				   enum request_end end, __u64 t)
{
	__u64 old = READ(r->word), size;
	__u32 nr;

	account(r->states, STATE_NR, old, t);
	r->word = REQUEST_WORD(t, REQUEST_WORD_WHAT(old));
	old = READ(r->phase_word);
	account(r->phases, PHASE_NR, old, t);
	r->phase_word = REQUEST_WORD(t, REQUEST_WORD_WHAT(old));
	r->end = end;
	if (with_details)
		send_detail(key, r, t);
	nr = r->nr_stmts;
	if (nr > REQUEST_STMTS)
		nr = REQUEST_STMTS;
	size = offsetof(struct request_record, stmts) + (__u64)nr * sizeof(r->stmts[0]);
	if (r->flags & REQUEST_NAME_LONG)
		size = offsetof(struct request_record, past);
	if (bpf_ringbuf_output(&records, r, size, wake_flags()))
		count(REQUESTS_LOST_RING);
	request_drop(key, r);
}

#endif
