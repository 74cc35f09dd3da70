/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CMD_TIMELINE_H
#define PERISCOPE_CMD_TIMELINE_H

/* The options of periscope timeline, and its second half, the flight recorder. */

#include "lib/capture_timeline.h"
#include "lib/cli_options.h"
#include "lib/cli_request.h"
#include "lib/timeline_triggers.h"

struct timeline_options {
	struct cli_common common;
	struct cli_strings outputs; /* -o */
	const char *trace;	    /* that of them that is a .periscope */
	uint64_t hz;
	struct cli_strings events, functions, usdt;
	struct cli_request request;
	bool no_stacks, allocs, force_returns, force;
	double max_overhead; /* per cent */
	uint64_t max_functions;
	struct cli_strings only_texts;
	struct only_condition *only_items;
	struct only *only; /* NULL: everything is kept */
	/* The flight recorder. */
	const char *flight; /* SIZE,TIME */
	size_t flight_bytes;
	uint64_t flight_ns;
	struct cli_strings trigger_texts;
	struct trigger *triggers;
	struct timeline_wish *wishes; /* of triggers on probes, in their order */
	size_t nr_triggers, nr_wishes;
	uint64_t before_ns, after_ns, cooldown_ns, keep, disk;
	bool dump;
	const char *limits;
};

/* What of the engine's options follows from the command line. */
void timeline_engine_options(struct timeline_options *o, struct capture_timeline_options *ret);

/* The facts of a recording, for its head. */
void timeline_infos(struct capture_timeline *c, const struct timeline_options *o);

/* Put the figures of a recording into the summary. */
struct cli_result;
void timeline_summary(struct cli_result *res, struct capture_timeline *c,
		      const struct timeline_options *o);

/* "64MB,30s" into bytes and time. Returns 0 or an exit status after the message. */
int timeline_parse_flight(const char *option, const char *text, size_t *ret_bytes,
			  uint64_t *ret_ns);

/* After the options: triggers. Returns 0 or an exit status after the message. */
int timeline_parse_triggers(struct timeline_options *o);

/* --flight: record until a signal or the target's end. Returns an exit status. */
int timeline_fly(struct timeline_options *o);

/* --dump and --limits: speak to recorders of these targets, or to all. Returns an exit status. */
int timeline_speak(const struct timeline_options *o);

#endif
