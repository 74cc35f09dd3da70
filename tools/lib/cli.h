/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CLI_H
#define PERISCOPE_CLI_H

/*
 * What the commands' command lines have in common: targets, duration, outputs, how errors look.
 * Prints errors to stderr, one line each; never exits.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "formats.h"
#include "output.h"

#define PERISCOPE_VERSION "0.1.0"

/* Exit statuses of all commands. */
enum {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
};

/* Set once by the dispatcher: "periscope cpu". */
void cli_set_name(const char *name);

/* `NAME: text` on stderr. Both return their exit status, for `return cli_fail(...)`. */
int cli_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A growing list of PIDs or TIDs. */
struct cli_ids {
	pid_t *items;
	size_t nr, cap;
};

void cli_ids_release(struct cli_ids *ids);

/* Add the numbers of a comma-separated list. Returns 0, or an exit status after the message. */
int cli_ids_parse(struct cli_ids *ids, const char *option, const char *text);

/* Which processes: -p, -n, --tid, -- CMD. */
struct cli_target {
	struct cli_ids pids, tids;
	const char *name;
	char **command; /* NULL: none */
	bool children;
};

void cli_target_release(struct cli_target *t);

/*
 * After the options: take -n's processes and the owners of --tid's threads, and check that there
 * is exactly one way of naming a target and that each can be watched. Returns 0 or an exit status
 * after the message.
 */
int cli_target_resolve(struct cli_target *t);

/*
 * The arguments after the options: at most a duration. A bare number without a target is answered
 * with what was probably meant. Returns 0 or an exit status; *ret_ns 0 for none.
 */
int cli_duration(const struct cli_target *t, int argc, char **argv, uint64_t *ret_ns);

/* Outputs named by -o, opened before the capture. */
struct cli_output {
	const char *path;
	const struct format *format;
	struct output *output;
};

struct cli_outputs {
	struct cli_output *items;
	size_t nr, cap;
	const struct format *formats; /* to choose from; NULL: profile_formats */
};

int cli_outputs_add(struct cli_outputs *o, const char *path);

/* Choose formats; `format` NULL: by ending. Returns 0 or an exit status after the message. */
int cli_outputs_choose(struct cli_outputs *o, const char *format);

/* Open all. Returns 0 or an exit status after the message; then nothing was created. */
int cli_outputs_open(struct cli_outputs *o);

/*
 * Write and commit all, each format the model that it is of. Returns 0 or an exit status after one
 * message for each that failed.
 */
int cli_outputs_write(struct cli_outputs *o, struct write_model m, const struct write_options *w);

/*
 * Write to standard output, in the format of that name among those to choose from. Returns 0 or an
 * exit status after the message.
 */
int cli_stdout(const struct cli_outputs *o, const char *format, struct write_model m,
	       const struct write_options *w);

void cli_outputs_release(struct cli_outputs *o);

/* The words of a command, joined by blanks, to be freed; NULL for lack of memory. */
char *cli_join(char *const *words);

/* Columns of the terminal that fd is, else of $COLUMNS, else 80. */
unsigned int cli_width(int fd);
/* Escape sequences on fd? Only on a terminal, and not with $NO_COLOR or TERM=dumb. */
bool cli_color(int fd);
/* Block elements? Only where the locale's encoding is UTF-8. */
bool cli_unicode(void);

#endif
