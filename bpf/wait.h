/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WAIT_H
#define PERISCOPE_WAIT_H

/* What a thread that is not running waits for, as the system call that it is in tells. */

enum wait_class {
	WAIT_LOCK,    /* futex and its like: mutexes, conditions, joins; file locks, semaphores */
	WAIT_POLL,    /* epoll, poll, select, io_uring: whatever comes */
	WAIT_NETWORK, /* a socket */
	WAIT_DISK,    /* a block device, by what the kernel accounts as waiting for I/O; fsync */
	WAIT_SLEEP,   /* a time */
	WAIT_FAULT,   /* in no system call: a page that is not there */
	WAIT_OTHER,   /* pipes, children, signals, and what is not told apart */
	WAIT_NR,
};

#endif
