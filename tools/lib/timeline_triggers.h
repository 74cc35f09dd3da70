/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_TRIGGERS_H
#define PERISCOPE_TIMELINE_TRIGGERS_H

/*
 * What a flight recorder waits for: conditions on the events of a timeline as they come. The
 * recording holds the seconds before, so that looking at the events a moment after they happened
 * loses nothing.
 *
 *	latency>50ms		a request took as long
 *	status>=500		a request ended so
 *	blocked>100ms		a thread waited so long: one that works on a request, where the target
 *				tells of requests, else any, but not for events (epoll and its like)
 *	runqueue>20ms		a thread that could run waited so long for a CPU
 *	rss>512MB		a process has grown to it; fires when it crosses the line
 *	signal			a signal was delivered that ends the process: its default is that, and
 *				the program does nothing of its own about it. A SIGKILL is seen as the exit
 *	exit			a process of the target ended
 *	oom			the kernel ended it for lack of memory
 *	provider:probe(arg2>=500), function(arg1==0)	an argument of a probe, from arg1 on. In the
 *				kernel: where it does not hold nothing is recorded, if only the
 *				trigger wants the probe
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/timeline.h"
#include "eventlog.h"

enum trigger_kind {
	TRIGGER_LATENCY,
	TRIGGER_STATUS,
	TRIGGER_BLOCKED,
	TRIGGER_RUNQUEUE,
	TRIGGER_RSS,
	TRIGGER_SIGNAL,
	TRIGGER_EXIT,
	TRIGGER_OOM,
	TRIGGER_PROBE,
};

#define TRIGGERS_MAX 64

struct trigger {
	enum trigger_kind kind;
	struct timeline_condition when; /* ns, bytes or a plain number; of a probe's argument */
	const char *text;		/* as given; borrowed */
	char *probe;	/* PROBE: what to attach to, a USDT pattern or functions; owned */
	bool usdt;	/* PROBE: it is a USDT probe */
	uint64_t fired; /* times */
};

/*
 * Parse a condition. Returns 0, -ENOMEM, or -EINVAL with *ret_why, a few words that follow "'TEXT'"
 * in a message.
 */
int trigger_parse(const char *text, struct trigger *ret, const char **ret_why);
void trigger_release(struct trigger *t);

#define TRIGGER_WHAT 128

/* What fired, and who did it. */
struct trigger_hit {
	const struct trigger *trigger;
	uint64_t time;	  /* of the event */
	uint64_t begin;	  /* of what lasted too long, or time */
	uint64_t request; /* 0: none */
	uint32_t tid;
	char what[TRIGGER_WHAT]; /* method and path of the request; "": not known */
};

struct triggers;

/* At most TRIGGERS_MAX of them, borrowed. Returns NULL and ENOMEM. */
struct triggers *triggers_new(struct trigger *items, size_t nr);
void triggers_free(struct triggers *t);

/* Bit n: events of kind n matter to them. triggers_event() need not be told of others. */
uint64_t triggers_kinds(const struct triggers *t);

/*
 * Take notice of an event, in the order of a CPU's time. Returns 1 with *ret for the first trigger
 * whose condition holds, 0, or -ENOMEM.
 */
int triggers_event(struct triggers *t, const struct event *e, struct trigger_hit *ret);

/*
 * A probe was hit. Bit n of `which`: the nth trigger of those on probes wants it. Arguments beyond nr are 0.
 * Returns as triggers_event.
 */
int triggers_probe(struct triggers *t, uint64_t which, const uint64_t *args, unsigned int nr,
		   uint64_t time, uint32_t tid, struct trigger_hit *ret);

#endif
