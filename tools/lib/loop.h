/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_LOOP_H
#define PERISCOPE_LOOP_H

/*
 * What a command waits in: descriptors with callbacks, a deadline, and SIGINT and SIGTERM, which
 * end the waiting in an orderly way and are not lost between two waits.
 */

#include <stdbool.h>
#include <stdint.h>
#include <signal.h>

typedef int (*loop_fn)(void *arg);

#define LOOP_MAX_FDS 16

struct loop {
	int epoll_fd, signal_fd;
	struct {
		int fd;
		loop_fn fn;
		void *arg;
	} fds[LOOP_MAX_FDS];
	int nr_fds;
	sigset_t old_mask;
	int signal; /* that ended the waiting; 0: none */
};

/* Blocks the two signals until loop_release. Returns 0 or a negative errno. */
int loop_init(struct loop *l);
void loop_release(struct loop *l);

/* Call fn(arg) whenever fd is readable; its negative result ends loop_run. */
int loop_add(struct loop *l, int fd, loop_fn fn, void *arg);

/*
 * Wait once, until a descriptor is readable, a signal arrived or until_ns (CLOCK_MONOTONIC) is
 * reached, and call back. Returns 0 (look at l->signal and the clock), or a callback's error.
 */
int loop_once(struct loop *l, uint64_t until_ns);

#endif
