/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_LOG_BPF_H
#define PERISCOPE_TIMELINE_LOG_BPF_H

/*
 * Numbered records of events (bpf/timeline.h) into a ring: whoever records what happens, one event
 * after the other. Needs vmlinux.h, bpf_helpers.h and target.bpf.h before it.
 */

#include "timeline.h"
#include "tools/lib/eventlog_kinds.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, TIMELINE_LOG_SIZE);
} timeline SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} seqs SEC(".maps");

/* The next number of this CPU. An interrupt's program may come in between: hence atomically. */
static __always_inline __u64 next_seq(void)
{
	__u32 zero = 0;
	__u64 *seq = bpf_map_lookup_elem(&seqs, &zero);

	return seq ? __sync_fetch_and_add(seq, 1) + 1 : 0;
}

/* `size` must be a constant. NULL: no room; the number is taken all the same. */
static __always_inline struct timeline_record *reserve(__u32 kind, __u32 tid, __u32 size)
{
	__u64 seq = next_seq();
	struct timeline_record *r = bpf_ringbuf_reserve(&timeline, size, 0);

	if (!r) {
		count_stat(STAT_LOST_RING);
		return NULL;
	}
	r->time = bpf_ktime_get_ns();
	r->seq = seq;
	r->tid = tid;
	r->cpu = bpf_get_smp_processor_id();
	r->site = 0;
	r->kind = kind;
	r->words = (size - TIMELINE_HEAD) / 8;
	r->bytes = 0;
	return r;
}

static __always_inline void submit(struct timeline_record *r)
{
	__u64 wake = BPF_RB_NO_WAKEUP;

	/* User space looks every now and then; it is woken only when the ring fills faster. */
	if (bpf_ringbuf_query(&timeline, BPF_RB_AVAIL_DATA) > TIMELINE_LOG_SIZE / 4)
		wake = BPF_RB_FORCE_WAKEUP;
	bpf_ringbuf_submit(r, wake);
}

#define RESERVE(kind, tid, words) reserve(kind, tid, TIMELINE_HEAD + (words)*8)

#endif
