/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_ONLY_H
#define PERISCOPE_TIMELINE_ONLY_H

/*
 * A timeline that keeps all events only while a request that matters is open, and of all others what
 * they came to. Which matters is known when it ends: the events wait until then, in user space, where
 * the writer of the trace sorts them anyway; the same analysis that readers use works out the sums.
 *
 *	latency>20ms		it took as long
 *	status>=500		it ended so
 *	1/N			every Nth, whatever it does
 *
 * Several are alternatives. One that a trigger marks matters, too. While one is open everything is
 * kept that any thread did, for who held it up may work on another.
 *
 * What waits is bounded. A request that is open for longer than HOLD (a second, or twice the latency
 * that is asked for) is decided by its latency so far; one that would have mattered for its end is
 * counted as `late`. One that matters and does not end is followed for ten times as long; then the
 * rest of it is left out.
 */

#include <stddef.h>
#include <stdint.h>

#include "trace_file_writer.h"

struct only_condition {
	enum { ONLY_LATENCY, ONLY_STATUS, ONLY_SAMPLE } kind;
	uint8_t op;    /* enum timeline_op */
	int64_t value; /* ns, a status, or N */
};

/* Returns 0, or -EINVAL with *ret_why, a few words that follow "'TEXT'" in a message. */
int only_parse(const char *text, struct only_condition *ret, const char **ret_why);

struct only_stats {
	uint64_t requests; /* that ended */
	uint64_t whole;	   /* of them, kept with all events */
	uint64_t late;	   /* that were given up before their end said that they matter */
	uint64_t cut;	   /* that mattered, and did not end in time */
};

struct only;

/* Conditions are borrowed. Returns NULL and ENOMEM. */
struct only *only_new(const struct only_condition *items, size_t nr);
void only_free(struct only *o);

/* For trace_writer_options; then the writer is told, for strings. */
struct trace_sieve *only_sieve(struct only *o);
void only_set_writer(struct only *o, struct trace_writer *w);

void only_stats(const struct only *o, struct only_stats *ret);

#endif
