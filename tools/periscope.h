/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_H
#define PERISCOPE_H

/* The commands, each in its file, and what the dispatcher knows of them. */

struct command {
	const char *name;
	const char *summary;		    /* a line for the list of commands */
	int (*main)(int argc, char **argv); /* argv[0] is the command; returns the exit status */
};

extern const struct command cmd_cpu;
extern const struct command cmd_heap;
extern const struct command cmd_requests;
extern const struct command cmd_funcs;
extern const struct command cmd_offcpu;
extern const struct command cmd_flame;
extern const struct command cmd_diff;
extern const struct command cmd_timeline;
extern const struct command cmd_probes;
extern const struct command cmd_convert;

#endif
