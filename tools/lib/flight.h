/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_FLIGHT_H
#define PERISCOPE_FLIGHT_H

/*
 * The flight recorder: the last of a timeline in memory (trace_ring), and the dumps of it. A dump is
 * asked for by a trigger, a signal, or another process over the recorder's socket (flight_control.h);
 * it is written after a while, so that what followed is in it, too, and the recording goes on.
 *
 * Dumps are named after the process, the time and what caused them. The last `keep` of them stay, and
 * no more than fit into `max_disk`; older ones of this recorder are removed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "timeline_triggers.h"
#include "trace_ring.h"

struct flight_options {
	size_t max_bytes;     /* of events, packed */
	uint64_t max_ns;      /* of time */
	uint64_t before_ns;   /* of a trigger, in its dump; 0: all that there is */
	uint64_t after_ns;    /* of a trigger */
	uint64_t cooldown_ns; /* from a trigger's dump to the next trigger that counts */
	unsigned int keep;    /* dumps; 0: all */
	uint64_t max_disk;    /* bytes of all dumps, that which is being written, too; 0: any */
	const char *dir;
	pid_t pid; /* of the target, for names */
};

struct flight_stats {
	uint64_t dumps, failed;
	uint64_t suppressed; /* triggers that did not count */
	uint64_t removed;    /* old dumps */
	uint64_t bytes;	     /* of all dumps */
};

/* What a dump came to. */
struct flight_dump {
	char *path;	 /* borrowed until the next call */
	const char *why; /* the trigger's text */
	int err;
	uint64_t bytes;
	uint64_t asked; /* the number that flight_ask() gave, 0: a trigger */
};

struct flight;

/* Returns NULL and ENOMEM. dir is borrowed. */
struct flight *flight_new(const struct flight_options *o);
/* Waits for a dump that is being written. */
void flight_free(struct flight *f);

/* For the engine to write to. */
struct trace_ring *flight_ring(struct flight *f);

/*
 * A trigger fired. Returns true if it counts: then it is to be marked in the trace; false when
 * another is at work or has just been. A fatal signal, an exit and a kill for lack of memory count
 * always, once.
 */
bool flight_hit(struct flight *f, const struct trigger_hit *hit);

/*
 * Somebody asks for a dump, now, whatever the cool-down; if one is wanted already he gets that.
 * Returns a number, by which it is known when it is done.
 */
uint64_t flight_ask(struct flight *f, const char *why, uint64_t now);

/*
 * Is it time to write? Then the engine writes out what it holds, and flight_write() begins the dump.
 * `last`: the recording is over, nothing will follow.
 */
bool flight_due(const struct flight *f, uint64_t now, bool last);
/* realtime: ns since 1970 at `now`. Returns 0 or a negative errno (-EDQUOT: max_disk). */
int flight_write(struct flight *f, uint64_t now, uint64_t realtime);
/* Returns 1 with *ret when a dump has ended (or could not be begun), else 0. */
int flight_done(struct flight *f, bool wait, struct flight_dump *ret);

void flight_stats(const struct flight *f, struct flight_stats *ret);

#endif
