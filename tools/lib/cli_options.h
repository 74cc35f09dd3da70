/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CLI_OPTIONS_H
#define PERISCOPE_CLI_OPTIONS_H

/*
 * A command's options as a table: what is its own, a row each, beside groups that are the same in
 * every command. Reads the command line strictly, says in one line what is wrong with it, and leads
 * a command through its life: parse, check, open outputs, run, release.
 *
 * A whole command:
 *
 *	struct options {
 *		struct cli_common common;
 *		uint64_t min_us;
 *		unsigned int state;
 *		bool idle;
 *	};
 *
 *	static int check(void *arg);   // what options must not stand together: returns cli_usage(...)
 *	static int run(void *arg);     // the work; arg is spec.arg
 *
 *	static int offcpu_main(int argc, char **argv)
 *	{
 *		static const struct cli_choice states[] = { { "sleeping", 1 }, { "disk", 2 }, { 0 } };
 *		struct options o = { .idle = true };
 *		const struct cli_option rows[] = {
 *			{ 'm', NULL, CLI_NUMBER, .number = &o.min_us, .max = 1000000000,
 *			  .wants = "a number of microseconds" },
 *			{ 0, "state", CLI_CHOICE, .choice = &o.state, .choices = states },
 *			{ 0, "no-idle", CLI_CLEAR, .flag = &o.idle },
 *		};
 *		const struct cli_spec spec = {
 *			.usage = usage_text,
 *			.groups = CLI_CAPTURE,
 *			.options = rows,
 *			.nr_options = ARRAY_SIZE(rows),
 *			.common = &o.common,
 *			.check = check,
 *			.run = run,
 *			.arg = &o,
 *		};
 *
 *		return cli_main(&spec, argc, argv);
 *	}
 *
 * usage_text is the whole help; the groups' parts of it are the macros CLI_HELP_* below.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli.h"

/* Which member of struct cli_option is the destination, and what a value looks like. */
enum cli_kind {
	CLI_FLAG,    /* flag becomes true; takes no value */
	CLI_CLEAR,   /* flag becomes false */
	CLI_NUMBER,  /* number: decimal, min to max */
	CLI_SIZE,    /* number, in bytes: 4096, 64K, 1M, 2G (of 1024); min to max */
	CLI_TIME,    /* number, in nanoseconds: 10, 10s, 500ms, 2m (parse_duration); min to max */
	CLI_PERCENT, /* percent: 5, 5%, 0.5%; min to max */
	CLI_STRING,  /* string, borrowed from argv */
	CLI_STRINGS, /* strings: each time one more */
	CLI_CHOICE,  /* choice becomes the value of the word that is given */
	CLI_CALL,    /* call(object, ...) */
};

struct cli_choice {
	const char *word; /* NULL ends the list */
	unsigned int value;
};

/* Start from { 0 }; free items. The strings are borrowed. */
struct cli_strings {
	const char **items;
	size_t nr, cap;
};

struct cli_option {
	char letter;	  /* 'F' for -F; 0: long only */
	const char *name; /* "event" for --event; NULL: short only */
	enum cli_kind kind;
	union {
		bool *flag;
		uint64_t *number;
		double *percent;
		const char **string;
		struct cli_strings *strings;
		unsigned int *choice; /* of an enum */
		void *object;
	};
	uint64_t min, max; /* of numbers; max 0: no limit */
	/* "-F wants <a frequency in Hz from 1 to 1000000>, not 'abc'". NULL: by kind and limits. */
	const char *wants;
	const struct cli_choice *choices;
	/* `option` is what was written ("-F"). Returns 0, or an exit status after the message. */
	int (*call)(void *object, const char *option, const char *value);
};

/* Groups of options that are the same everywhere; their values are in struct cli_common. */
enum {
	CLI_TARGET = 1 << 0,	 /* -p -n --tid --children: exactly one way, resolved and checked */
	CLI_MAY_TARGET = 1 << 1, /* with CLI_TARGET: or no target at all */
	CLI_COMMAND = 1 << 2,	 /* with CLI_TARGET: -- CMD ARGS */
	CLI_DURATION = 1 << 3,	 /* at most one argument, the duration */
	CLI_STACKS = 1 << 4,	 /* -U -K */
	CLI_OUTPUT = 1 << 5,	 /* -o --format */
	CLI_FOLDED = 1 << 6,	 /* -f */
	CLI_TOP = 1 << 7,	 /* --top */
	CLI_STATS = 1 << 8,	 /* --stats */
	CLI_VERBOSE = 1 << 9,	 /* -v, for libbpf too */
	CLI_INTERVAL = 1 << 10,	 /* -i; not part of CLI_CAPTURE */
	/* What a live capture takes. -V and -h are always there. */
	CLI_CAPTURE = CLI_TARGET | CLI_COMMAND | CLI_DURATION | CLI_STACKS | CLI_OUTPUT |
		      CLI_FOLDED | CLI_TOP | CLI_STATS | CLI_VERBOSE,
};

#define CLI_HELP_TARGET                                                                          \
	"  -p PID,...        processes by PID\n"                                                 \
	"  -n NAME           all processes of that name\n"                                       \
	"  -- CMD ARGS...    start a command and watch it from its first instruction; it ends\n" \
	"                    with the capture\n"                                                 \
	"  --tid TID,...     only these threads\n"                                               \
	"  --children        its child processes, too, those of now and those to come\n"
#define CLI_HELP_STACKS	 "  -U, -K            only user stacks, only kernel stacks\n"
#define CLI_HELP_TOP	 "  --top N           rows of the report's tables (default 20)\n"
#define CLI_HELP_STATS	 "  --stats FILE      the summary as JSON\n"
#define CLI_HELP_VERSION "  -V, -h            version, this help\n"

struct cli_common {
	struct cli_target target;
	uint64_t duration_ns; /* 0: none was given */
	uint64_t interval_ns; /* likewise */
	bool user_only, kernel_only;
	struct cli_outputs outputs;
	const char *format;
	bool folded;
	uint64_t top;	   /* rows; 0: as the writer thinks */
	const char *stats; /* file */
	bool verbose;
	/* The arguments that are left after the options; CLI_DURATION takes its own. */
	int nr_args;
	char **args;
};

struct cli_spec {
	const char *usage;
	unsigned int groups;
	const struct cli_option *options; /* the command's own; they win over the groups' */
	size_t nr_options;
	const struct format *formats; /* that -o can choose from; NULL: profile_formats */
	struct cli_common *common;    /* zeroed by the caller, or with defaults */
	/* After parsing, before anything is looked up. Returns 0 or an exit status. May be NULL. */
	int (*check)(void *arg);
	/* The command itself, outputs open. Returns the exit status. */
	int (*run)(void *arg);
	void *arg;
};

/* Parse, check, run, release what `common` holds. Returns the exit status. */
int cli_main(const struct cli_spec *s, int argc, char **argv);

#endif
