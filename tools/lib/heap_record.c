/* SPDX-License-Identifier: MIT */
#include "heap_record.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "util.h"

/* A target that is faster than we are must not keep us from everything else. */
#define READ_NS 200000000ULL

static int on_event(void *arg, void *data, size_t size)
{
	struct heap_record *r = arg;

	r->err = timeline_record(&r->records, data, size);
	if (r->err)
		return r->err;
	/* This one is taken all the same. */
	return !(r->records.nr_events % 4096) && now_ns() > r->until_ns ? -EAGAIN : 0;
}

int heap_record_init(struct heap_record *r, struct trace_chunks *to, int ring_fd)
{
	const struct trace_writer_options o = { .start = now_ns() };
	int err = trace_writer_new(to, &o, &r->writer);

	if (!err)
		err = timeline_records_init(&r->records, r->writer, &r->no_probes);
	if (err)
		return err;
	r->ring = ring_buffer__new(ring_fd, on_event, r, NULL);
	return r->ring ? 0 : -errno;
}

void heap_record_release(struct heap_record *r)
{
	ring_buffer__free(r->ring);
	timeline_gauges_release(&r->gauges);
	timeline_records_release(&r->records);
	timeline_told_release(&r->told);
	trace_writer_free(r->writer);
	r->ring = NULL;
	r->writer = NULL;
}

/* Processes whose mappings are known by now: so they run what they are to run. */
static int tell_processes(struct heap_record *r, uint64_t now)
{
	int err = 0;

	while (r->nr_processes < r->told.nr && !err)
		err = timeline_process(&r->records, (pid_t)r->told.items[r->nr_processes++].pid,
				       now, true);
	return err;
}

void heap_record_thread(struct heap_record *r, uint32_t pid, uint32_t tid, const char *name)
{
	struct event e = { .time = now_ns(), .tid = tid, .cpu = EVENT_NO_CPU, .kind = EVT_THREAD };

	if (r->err)
		return;
	e.thread.pid = pid;
	e.thread.name = trace_writer_string(r->writer, name);
	r->err = timeline_event(&r->records, &e);
}

static void take(struct heap_record *r, uint64_t until_ns)
{
	r->until_ns = until_ns;
	if (!r->err)
		ring_buffer__consume(r->ring);
}

void heap_record_poll(struct heap_record *r, const struct watch *w, uint64_t now)
{
	take(r, now + READ_NS);
	if (!r->err)
		r->err = timeline_gauges_read(&r->gauges, &w->target, &r->records, now);
	/* Names wait until nothing else does: who reads what a kill has left finds them, too. */
	if (!r->err)
		r->err = timeline_tell_stacks(&r->told, w, r->writer);
	if (!r->err)
		r->err = tell_processes(r, now);
	if (!r->err)
		r->err = trace_writer_poll(r->writer, now);
}

void heap_record_finish(struct heap_record *r, const struct watch *w, int seqs_fd, uint64_t now)
{
	take(r, UINT64_MAX);
	if (!r->err)
		r->err = timeline_tell_losses(r->writer, seqs_fd, now);
	if (!r->err)
		r->err = timeline_tell(&r->told, w, r->writer, NULL, 0);
	if (!r->err)
		r->err = trace_writer_finish(r->writer, now);
}
