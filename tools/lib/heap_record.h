/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_RECORD_H
#define PERISCOPE_HEAP_RECORD_H

/*
 * periscope heap --record: every allocation, realloc and free of a capture in a trace file
 * (trace_file.h, EVT_ALLOC and EVT_FREE), with stacks, names, threads and resident memory. Memory
 * does not grow with the number of events, but with that of different stacks. What did not fit in
 * the kernel's ring is counted by the gaps in the events' numbers, and drawn in where it happened.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "timeline_gauges.h"
#include "timeline_records.h"
#include "timeline_told.h"
#include "trace_file_writer.h"
#include "watch.h"

struct heap_record {
	struct trace_writer *writer;
	struct timeline_probes no_probes;
	struct timeline_records records;
	struct timeline_gauges gauges;
	struct timeline_told told;
	size_t nr_processes; /* of told.items, that the trace knows by name */
	struct ring_buffer *ring;
	uint64_t until_ns; /* reading pauses */
	int err;	   /* the first one */
};

/* In memory of all zeroes; `to` is borrowed. Returns 0 or a negative errno; release in any case. */
int heap_record_init(struct heap_record *r, struct trace_chunks *to, int ring_fd);
void heap_record_release(struct heap_record *r);

/*
 * The first error is kept in r->err, and everything after it does nothing.
 */

/* A thread that allocates. */
void heap_record_thread(struct heap_record *r, uint32_t pid, uint32_t tid, const char *name);

/* Take what the ring holds, and what is new of the target. */
void heap_record_poll(struct heap_record *r, const struct watch *w, uint64_t now);

/* The probes are gone: take the rest; the map of `seqs_fd` tells what was lost at the end. */
void heap_record_finish(struct heap_record *r, const struct watch *w, int seqs_fd, uint64_t now);

#endif
