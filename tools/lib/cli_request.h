/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CLI_REQUEST_H
#define PERISCOPE_CLI_REQUEST_H

/*
 * The options by which a user says what a request is: `--request BEGIN END`, `--run PROBE`,
 * `--pause PROBE`, `--execute PROBE` (request_spec.h). In a command:
 *
 *	const struct cli_option rows[] = { ..., CLI_REQUEST_OPTIONS(&o.request) };
 *	args = cli_request_split(argc, argv, &argc);
 *	status = cli_main(&spec, argc, args);	// check() calls cli_request_check()
 *	cli_request_release(&o.request);
 *	free(args);
 */

#include <stdbool.h>

#include "cli_options.h"
#include "request_spec.h"

struct cli_request {
	struct request_points points;
	const char *begin; /* of --request */
	bool ended;	   /* likewise */
};

int cli_request_begin(void *object, const char *option, const char *value);
int cli_request_end(void *object, const char *option, const char *value);
int cli_request_run(void *object, const char *option, const char *value);
int cli_request_pause(void *object, const char *option, const char *value);
int cli_request_execute(void *object, const char *option, const char *value);

#define CLI_REQUEST_OPTIONS(request)                                                          \
	{ 0, "request", CLI_CALL, .object = (request), .call = cli_request_begin },           \
		{ 0, "request-end", CLI_CALL, .object = (request), .call = cli_request_end }, \
		{ 0, "run", CLI_CALL, .object = (request), .call = cli_request_run },         \
		{ 0, "pause", CLI_CALL, .object = (request), .call = cli_request_pause },     \
	{                                                                                     \
		0, "execute", CLI_CALL, .object = (request), .call = cli_request_execute      \
	}

/*
 * --request has two values, options have one: the second becomes that of --request-end. Returns a
 * list to be freed, or NULL.
 */
char **cli_request_split(int argc, char **argv, int *ret_argc);

/* Do they go together? Returns 0 or an exit status after the message. */
int cli_request_check(struct cli_request *r);
void cli_request_release(struct cli_request *r);

#endif
