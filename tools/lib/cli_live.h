/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CLI_LIVE_H
#define PERISCOPE_CLI_LIVE_H

/*
 * A report that is shown again and again while a capture runs (-i). On a terminal each one takes the
 * place of the one before, within the height and width that the window has at the moment, and
 * nothing above it is touched; elsewhere each is appended after an empty line, without any control
 * sequence. In a command:
 *
 *	cli_live_init(&live, STDOUT_FILENO);
 *	res.run.on_interval = show;		// builds a report, calls cli_live_show()
 *	status = cli_result_capture(...);
 *	cli_live_clear(&live);			// the final report comes in its place
 */

#include <stdbool.h>

struct report;
struct write_options;

struct cli_live {
	int fd;
	bool terminal;
	unsigned int shown;	    /* reports so far */
	unsigned int rows;	    /* that the last one takes, above the cursor */
	unsigned int width, height; /* of the window then */
};

void cli_live_init(struct cli_live *l, int fd);

/*
 * Show a report as text; sets w's width, color and unicode. Returns 0 or an exit status after the
 * message.
 */
int cli_live_show(struct cli_live *l, const struct report *r, struct write_options *w);

/* Take the last one away from the terminal; elsewhere it stays, and an empty line follows it. */
void cli_live_clear(struct cli_live *l);

#endif
