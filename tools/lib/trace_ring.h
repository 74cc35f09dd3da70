/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TRACE_RING_H
#define PERISCOPE_TRACE_RING_H

/*
 * A receiver of chunks (trace_file_writer.h) that keeps the last of them in memory: what a flight
 * recorder writes to. All dictionaries are kept, for there is no telling which of their entries the
 * events that stay will name; of the events the last bytes or the last seconds, whichever is less.
 *
 * A dump writes what is there to a file, in a thread of its own, from chunks that it shares with
 * the ring: the recording goes on meanwhile.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace_file_writer.h"

struct trace_ring;

/*
 * max_bytes: of chunks of events, packed; max_ns: of the log's time. 0: no limit. Returns NULL and
 * ENOMEM.
 */
struct trace_ring *trace_ring_new(size_t max_bytes, uint64_t max_ns);
/* Waits for dumps that are being written. NULL is fine. */
void trace_ring_free(struct trace_ring *r);

/* For trace_writer_new(). */
struct trace_chunks *trace_ring_chunks(struct trace_ring *r);

/* Other limits from now on; what is too much goes at once. */
void trace_ring_limit(struct trace_ring *r, size_t max_bytes, uint64_t max_ns);

/* It is `now`, on the log's clock: what is too old by that goes. */
void trace_ring_time(struct trace_ring *r, uint64_t now);

struct trace_ring_stats {
	size_t bytes;	   /* of events, held */
	size_t dictionary; /* bytes of the rest */
	uint64_t oldest;   /* time of the oldest event held; 0: none */
	uint64_t events;   /* held */
	uint64_t dropped;  /* events that were let go */
};

void trace_ring_stats(const struct trace_ring *r, struct trace_ring_stats *ret);

struct trace_dump {
	const char *path;  /* copied; a number is added if there is such a file */
	uint64_t from;	   /* it begins there; 0: with the oldest event that is kept */
	uint64_t end;	   /* of the log in the file */
	uint64_t realtime; /* ns since 1970 at `start` */
	uint64_t
		start; /* a time on the log's clock, for realtime; the file begins at its first event */
};

/*
 * Begin to write a dump. At most one at a time: -EBUSY. The file appears under its name when it is
 * whole. Returns 0 or a negative errno.
 */
int trace_ring_dump(struct trace_ring *r, const struct trace_dump *d);

struct trace_dumped {
	int err;
	char *path; /* the caller's to free; NULL after an error */
	uint64_t bytes;
};

/*
 * Has the dump that was begun ended? Returns 1 with *ret (then another may begin), 0 if it is still
 * being written (with `wait` never) or none was.
 */
int trace_ring_dumped(struct trace_ring *r, bool wait, struct trace_dumped *ret);

/* Bytes of a dump of all that is there now, at most. */
uint64_t trace_ring_dump_size(const struct trace_ring *r);

#endif
