/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CAPTURE_H
#define PERISCOPE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CAPTURE_PC_LOADED UINT64_MAX

/*
 * What all capture engines can do, so that a command can drive any of them. Life: add targets,
 * start, poll until done, stop, use the results. `capture` is the engine's own object. Functions
 * that return int: 0 or a negative errno, and error() then says why, in a sentence without a full
 * stop that is valid until the next call.
 */
struct capture_ops {
	/* Watch a process; before_exec: from its next exec on. Before or after the start. */
	int (*add)(void *capture, pid_t pid, bool before_exec);
	int (*start)(void *capture);
	/*
	 * Put probes into a command that stands still in its dynamic linker, in a system call at
	 * address pc; its mappings are known. Called again at the next system call while it returns
	 * 0; 1: it may run on. pc CAPTURE_PC_LOADED: it has left its dynamic linker for certain. May
	 * be NULL.
	 */
	int (*place)(void *capture, pid_t pid, uint64_t pc);
	/* A command that was added before its exec begins to run now. May be NULL. */
	int (*begin)(void *capture);
	/* Take what has come. To be called when fd() is readable, and every 100 ms. */
	int (*poll)(void *capture);
	/* End the capture and collect the rest. */
	int (*stop)(void *capture);
	int (*fd)(const void *capture);
	/* Processes of the target that are alive; 0: nothing more will come. */
	size_t (*alive)(const void *capture);
	/* Are the mappings known of a process that was added before its exec? */
	bool (*knows)(const void *capture, pid_t pid);
	uint64_t (*count)(void *capture); /* of `unit`, for progress */
	const char *(*error)(const void *capture);
	const char *unit; /* "samples" */
};

#endif
