/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_LAUNCH_H
#define PERISCOPE_LAUNCH_H

/*
 * A command started by us (`-- CMD ARGS`), held before its exec until the capture stands, and
 * once more at its exec's end, before its first instruction, until the new program is known.
 */

#include <stdint.h>
#include <sys/types.h>

struct launch {
	pid_t pid;
	int go_fd;    /* its writing lets the child go on */
	int error_fd; /* brings the errno of a failed exec */
	int status;   /* as waitpid gives it, once it was reaped */
	int reaped;
};

/* Fork; the child waits. Signals are unblocked in it. Returns 0 or a negative errno. */
int launch_init(struct launch *l, char *const argv[]);

/*
 * Let the child exec. Returns 0 when it stands at the new program's first instruction, traced by
 * us (launch_run lets it go); or the negative errno of its exec.
 */
int launch_exec(struct launch *l);
int launch_run(struct launch *l);

/*
 * Before launch_run: let it go on to where it enters or leaves a system call, next. Returns 0 and
 * in *ret_pc where that is; -ETIMEDOUT when it has made none for so long, and stands still
 * somewhere; -ECHILD when it has ended; others from ptrace. Signals reach it.
 */
int launch_step(struct launch *l, uint64_t timeout_ns, uint64_t *ret_pc);

/* Reap the child if it has ended (wait: until it does). Returns 1 if reaped, 0 if not yet. */
int launch_reap(struct launch *l, int wait);

/*
 * End the command if it still runs, since nobody else knows of it: SIGTERM, and after a second
 * SIGKILL. One that never ran its exec goes without a trace.
 */
void launch_release(struct launch *l);

#endif
