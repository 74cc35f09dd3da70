/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CLI_CAPTURE_H
#define PERISCOPE_CLI_CAPTURE_H

/*
 * How a command lives through a capture, whichever engine makes it: add the targets (or start the
 * command), start, poll until the duration is over, a signal comes or the target has exited, stop.
 * Errors go to stderr, progress too when it is a terminal.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "capture.h"
#include "cli.h"

struct cli_capture {
	/* In. */
	const struct capture_ops *ops;
	void *capture;
	const struct cli_target *target;
	uint64_t duration_ns; /* 0: no limit */
	bool verbose;	      /* say when the capture has begun */
	/*
	 * Called while capturing, each interval_ns since the start (one that comes late is not made
	 * up for), in place of the progress line. past_ns have gone by since the last call, at first
	 * since the capture began, which is not when it was asked for. Returns 0, or an exit status
	 * that ends the capture. NULL: none.
	 */
	int (*on_interval)(void *arg, uint64_t past_ns);
	void *interval_arg;
	uint64_t interval_ns;
	/* Out. */
	struct timespec started; /* wall clock */
	uint64_t ran_ns;
	pid_t command_pid;  /* of a command that was started */
	bool target_exited; /* before the time was over */
	bool broken;	    /* by an error that was told: there is what was seen until then */
};

/*
 * Returns 0 or an exit status after the message. 0 also when the engine fails in the middle of it:
 * what was seen until then can be shown. A command that was started does not outlive the call.
 */
int cli_capture_run(struct cli_capture *c);

#endif
