/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CLI_TRACE_H
#define PERISCOPE_CLI_TRACE_H

/* From a trace file to the outputs of a command line; errors go to stderr. */

#include "cli.h"
#include "timeline_profile.h"

struct cli_trace {
	const char *path;		    /* of the trace, for messages */
	struct timeline_view view;	    /* view.trace NULL: not open */
	enum timeline_profile_kind profile; /* what formats of profiles show */
	unsigned int top; /* rows of tables, requests shown; 0: as the writer thinks */
};

/*
 * Open t->path, name what was not named while it was recorded, and say what is wrong with it. Returns
 * 0 or an exit status after the message.
 */
int cli_trace_open(struct cli_trace *t);
void cli_trace_close(struct cli_trace *t);

/*
 * Write and commit all outputs (whose formats are timeline_formats). Returns 0 or an exit status after
 * one message for each that failed.
 */
int cli_trace_write(struct cli_trace *t, struct cli_outputs *o);
/* Write to standard output, in the format of that name. Likewise. */
int cli_trace_stdout(struct cli_trace *t, const char *format);

#endif
