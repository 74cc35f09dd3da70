/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SLEEPERS_H
#define PERISCOPE_SLEEPERS_H

/*
 * The stacks of threads that wait already when a capture begins, and of those that began to wait
 * before it was known here what they had mapped. The program offcpu_scan hands out their registers
 * and kernel stacks; their user stacks are read from memory while they sleep and walked here. Nothing
 * is stopped: what was read counts only if the thread has not run meanwhile, which its element of
 * `threads` tells.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dedup.h"
#include "watch.h"

struct bpf_program;

struct sleepers {
	struct watch *watch;  /* borrowed; gets the stacks */
	int threads_fd;	      /* the map `threads`; borrowed */
	bool user, kernel;    /* which stacks */
	uint64_t sleeping[2]; /* text of the functions that the kernel calls to sleep */
	struct sleeper {
		uint32_t tid;
		uint64_t scan;	/* OFFCPU_SCANNED() */
		uint64_t stack; /* its name, for stacks_find */
	} * items;
	size_t nr, cap;
	size_t nr_unmapped; /* that the last scan saw end in what is not known to be mapped */
	struct dedup index; /* by both */
};

void sleepers_release(struct sleepers *s);

/* Run the program (iter/task) over all threads. Returns 0 or a negative errno. */
int sleepers_scan(struct sleepers *s, const struct bpf_program *program);

/*
 * At the end: of a sleeping thread the kernel does not hand out the frames of what it calls to sleep
 * (schedule, mutex_lock; in_sched_functions()). Where another stack was seen that differs in nothing
 * else, give the thread that one. Returns 0 or -ENOMEM.
 */
int sleepers_complete(struct sleepers *s);

/* The name of the stack that the thread waited with when that scan found it; 0: not known. */
uint64_t sleepers_find(const struct sleepers *s, uint32_t tid, uint64_t scan);

#endif
