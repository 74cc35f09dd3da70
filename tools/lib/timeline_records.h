/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_RECORDS_H
#define PERISCOPE_TIMELINE_RECORDS_H

/*
 * From the records of the BPF programs (bpf/timeline.h) to the events of a trace: gives probes
 * their meaning, threads that only wake or follow ours their names, and sequence numbers their
 * upper halves.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/timeline.h"
#include "timeline_probes.h"
#include "trace_file_writer.h"

#define TIMELINE_MAX_CPUS 4096

/* Names that are learned from one probe and needed at another, by number. */
struct timeline_learned {
	struct {
		uint64_t number;
		uint32_t name;
	} * items;
	size_t nr, cap;
};

struct timeline_records {
	struct trace_writer *writer;	      /* borrowed */
	const struct timeline_probes *probes; /* borrowed */
	uint64_t *seqs;			      /* the last number of each CPU */
	uint32_t *known; /* tids that have had a THREAD: open addressing, 0 empty */
	size_t known_slots, nr_known;
	struct timeline_learned handlers, statements;
	uint32_t sql, function, handler, send;
	struct event_arg args[EVENT_MAX_ARGS]; /* of the event that is being made */
	uint64_t nr_events;
	uint64_t nr_bad;     /* records that make no sense */
	uint64_t told_kinds; /* bit n: on_event is told of events of kind n */
	/* Told of these, and of every probe; may be NULL. Return 0 or a negative errno. */
	int (*on_event)(void *arg, const struct event *e);
	int (*on_probe)(void *arg, const struct timeline_probe *p,
			const struct timeline_record *rec);
	void *arg;
};

/* Returns 0 or -ENOMEM. */
int timeline_records_init(struct timeline_records *r, struct trace_writer *w,
			  const struct timeline_probes *p);
void timeline_records_release(struct timeline_records *r);

/* Take a record of `size` bytes. Returns 0 or the writer's error; bad records are counted. */
int timeline_record(struct timeline_records *r, const struct timeline_record *rec, size_t size);

/* Tell of a process of the target and its threads as they are now, at `time`. */
int timeline_process(struct timeline_records *r, pid_t pid, uint64_t time, bool before);

/* Add an event of user space's own. Returns 0 or the writer's error. */
int timeline_event(struct timeline_records *r, struct event *e);

/* The last number of a CPU, as user space knows it from `low`, its low half. */
uint64_t timeline_seq(struct timeline_records *r, unsigned int cpu, uint32_t low);

#endif
