/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CLI_RESULT_H
#define PERISCOPE_CLI_RESULT_H

/*
 * What every capturing command does around its engine: run the capture, keep what the target was
 * (it may be gone by the time it is printed), say in headers, in comments and in the last line of
 * stderr what the figures rest on, and write to all outputs. In a command:
 *
 *	struct cli_result res = { 0 };
 *	struct profile *p = NULL;
 *
 *	status = cli_result_capture(&res, &o->common, &capture_x_ops, capture);
 *	if (!status) {
 *		summary_u64(&res.summary, "events", st.events);	 // and whatever was lost
 *		fields_addf(&res.fields, "events", "%" PRIu64, st.events);
 *		p = ...						 // from the engine
 *		status = cli_result_comments(&res, p);
 *		if (!status)
 *			status = cli_result_write(&res, (struct write_model){ .profile = p }, &w);
 *		status = cli_result_end(&res, status);
 *	}
 *	profile_free(p);
 *	cli_result_release(&res);
 */

#include "cli_capture.h"
#include "cli_options.h"
#include "fields.h"
#include "summary.h"

struct profile;
struct stacks;
struct target;

struct cli_result {
	struct cli_common *common; /* borrowed */
	struct cli_capture run;	   /* when it started, how long it ran, how it ended */
	struct summary summary;	   /* the last line of stderr, --stats, pprof's comments */
	struct fields fields;	   /* the facts above reports and pictures */
	char *command;		   /* of the (first) process; NULL: it was gone already */
	char pids[64];
	char host[65];
};

/*
 * Capture for as long as the command line says; r->run's on_interval, set before, is called at the
 * interval of -i. Then fields holds command, pid, host and duration.
 * Returns 0 or an exit status after the message; release also after a failure.
 */
int cli_result_capture(struct cli_result *r, struct cli_common *common,
		       const struct capture_ops *ops, void *capture);

/* Command, host and the summary as comments of a profile. Returns 0 or an exit status. */
int cli_result_comments(const struct cli_result *r, struct profile *p);

/* Wall clock at the start and the duration, where pprof has them. */
void cli_result_times(const struct cli_result *r, struct profile *p);

/*
 * Write all outputs; and to standard output folded stacks (-f), or without -o the text. Sets w's
 * fields, top, width, color and unicode. Returns 0 or an exit status after the messages.
 */
int cli_result_write(struct cli_result *r, struct write_model m, struct write_options *w);

/* The same without standard output. */
int cli_result_write_files(struct cli_result *r, struct write_model m, struct write_options *w);

/* The name of the target's first process, or of its command: what a profile calls it. */
void cli_result_comm(const struct cli_target *t, char ret[16]);

/* --stats, the note that the target has exited, the summary. Returns the exit status. */
int cli_result_end(struct cli_result *r, int status);

/* For -v, on stderr: what was read of the target's files, and where walks failed. */
void cli_result_print_objects(const struct target *t, const struct stacks *s);

void cli_result_release(struct cli_result *r);

#endif
