/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_PROCESS_H
#define PERISCOPE_PROCESS_H

/* Facts about a process, from /proc. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
	pid_t pid;    /* the thread group leader's, also when asked by a thread's */
	pid_t ns_pid; /* in its own PID namespace */
	char comm[16];
	char *command; /* arguments joined by blanks, or [comm] */
	char *exe;     /* path of the executable, with " (deleted)" cut off; NULL unknown */
	bool kernel_thread;
};

/*
 * Look a process up. Returns 0; -ESRCH when there is none (or it is a zombie), others from the
 * system. process_release frees what is inside.
 */
int process_init(struct process *p, pid_t pid);
void process_release(struct process *p);

/*
 * Is the machine code of process pid one that we can walk: the class and machine of its
 * executable? Returns 0; -ENOTSUP for a 32-bit or foreign one; -EACCES without the right to
 * look; -ENOEXEC for what is not ELF.
 */
int process_check_machine(pid_t pid);

/*
 * All processes whose comm or executable's base name is `name`, except ourselves. Returns 0 with
 * an array to free (possibly empty) or a negative errno.
 */
int process_find(const char *name, pid_t **ret, size_t *ret_n);

/*
 * All descendants of `pid` that there are now, in no particular order. Returns 0 with an array to
 * free (possibly empty) or a negative errno.
 */
int process_descendants(pid_t pid, pid_t **ret, size_t *ret_n);

/* Is `tid` a thread of process `pid`? */
bool process_has_thread(pid_t pid, pid_t tid);

/* CPU time of the process so far, all threads, in ns; 0 when it is gone. */
uint64_t process_cpu_ns(pid_t pid);

/* Names of the capabilities (of those periscope needs) that we lack, joined; NULL: none lacks. */
const char *process_missing_capabilities(char *buf, size_t size);

#endif
