/* SPDX-License-Identifier: MIT */
/*
 * What every workload shares. A workload is a program whose stacks are known: it prints "ready" when
 * it is in its steady state and then spins in a named leaf until SIGTERM, or for argv[1] seconds if
 * that is not 0. So any sample taken after "ready" has a stack that its source file tells.
 *
 * Each workload tells the truth about itself in its head comment, read by tests/live/harness.py:
 *
 *	case NAME: ARGS          a way to run it; ARGS follow the seconds and may be missing
 *	stack: A;B{43};C?;leaf   a stack of this case, outermost first
 *	share: leaf 53           the leaf's share of the case's samples in per cent
 *
 * A frame is a regular expression for a whole function name, and may end in a count: leaf{3} is
 * leaf;leaf;leaf. A group may hold several frames, (;name)? or (;name){0,12}, where a dot never
 * matches a semicolon. %main stands for the frames down to main, %thread for those above a thread's
 * function, %signal for the frame that the kernel puts on the stack.
 * Functions marked FRAME stay frames: never inlined, cloned or called by a jump from another FRAME
 * that does STAY() after the call.
 */
#ifndef PERISCOPE_WORKLOAD_H
#define PERISCOPE_WORKLOAD_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAME __attribute__((noipa))

static volatile int running = 1;
static volatile unsigned long sink;

/* After a call: keeps it from becoming a jump. */
#define STAY() sink++

/* A macro and not a function: an inlined function would be a frame of its own. */
#define SPIN()          \
	do {            \
		sink++; \
	} while (running)

static inline void workload_stop(int sig)
{
	(void)sig;
	_exit(0);
}

/* Ends the program on SIGTERM and, where argv[1] is not 0, after so many seconds. */
static inline void workload_start(int argc, char **argv)
{
	signal(SIGTERM, workload_stop);
	signal(SIGALRM, workload_stop);
	if (argc > 1)
		alarm(strtoul(argv[1], NULL, 10));
}

/* The argument after the seconds, or what stands for it. */
static inline const char *workload_arg(int argc, char **argv, const char *otherwise)
{
	return argc > 2 ? argv[2] : otherwise;
}

/* Only write(2): called in signal handlers and in vfork's child too. */
static inline void workload_ready(void)
{
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		_exit(1);
}

/* The path of a file that lies beside this program. */
static inline void workload_sibling(char *path, size_t size, const char *name)
{
	char exe[4096] = "";
	char *slash;

	if (readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0)
		_exit(1);
	slash = strrchr(exe, '/');
	if (!slash || snprintf(path, size, "%.*s/%s", (int)(slash - exe), exe, name) >= (int)size)
		_exit(1);
}

#endif
