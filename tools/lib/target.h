/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_LIB_TARGET_H
#define PERISCOPE_LIB_TARGET_H

/*
 * The processes that a capture watches, as the BPF programs know them: which processes, and for
 * each the executable mappings with the object behind each. Keeps the kernel's picture true while
 * processes map, fork, exec and exit.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/target.h"
#include "object.h"

/* Descriptors of the maps of bpf/target.bpf.h and bpf/unwind.bpf.h; borrowed. */
struct target_maps {
	int procs, mappings, tables;
	int only; /* -1: there may be more than one process */
	size_t max_mappings, max_tables;
};

/*
 * A run of elements of the `mappings` array, and what is in it. Processes with the same mappings, as
 * those of a server that forks its workers, share one: the walk remembers code by region, and what
 * it has learned of one process holds for all.
 */
struct target_region {
	uint32_t start, size;
	uint32_t generation; /* new with each content */
	unsigned int users;
	uint64_t freed_ns; /* when the last user left */
	struct unwind_mapping *maps;
	size_t nr_maps;
};

struct target_process {
	pid_t pid;
	bool dirty;		      /* its mappings may have changed */
	bool missed;		      /* an address was in no known mapping */
	int pidfd;		      /* readable once it has exited; -1 for children */
	struct target_region *region; /* what the kernel knows; NULL: nothing yet */
	uint64_t refreshed_ns;	      /* when the mappings were last read */
	uint64_t cpu_ns;	      /* CPU time it had used when it was added */
};

struct target {
	struct target_maps maps;
	struct objects objects;
	struct target_process **procs;
	size_t nr_procs, cap_procs;
	struct unwind_mapping *mapped; /* the mappings array, in our memory */
	struct target_only *only;      /* likewise; NULL without */
	uint32_t only_slot;	       /* written last */
	uint32_t generations;	       /* given out so far */
	uint32_t next_region;	       /* first element never used */
	struct target_region **freed;  /* regions without users, to be used again, oldest first */
	size_t nr_freed, cap_freed;
	size_t nr_seen;	    /* processes ever watched */
	size_t nr_unmapped; /* mappings that found no room: their frames end walks */
};

/* Returns 0 or a negative errno. */
int target_init(struct target *t, const struct target_maps *maps);
void target_release(struct target *t);

/*
 * Watch process pid from now on: its objects are read and handed to the kernel first. Returns 0,
 * -ESRCH, -EACCES, -ENOMEM, -E2BIG when `procs` is full.
 */
int target_add(struct target *t, pid_t pid);

/* Watch pid from its next exec on: what it maps now is not looked at. Returns as target_add. */
int target_add_before_exec(struct target *t, pid_t pid);

/*
 * What the kernel told: an event of struct event_header (fork, exec, exit, miss), or that pid has
 * mapped something. Work is deferred to target_update. Events of strangers are ignored.
 */
int target_event(struct target *t, const struct event_header *e);
void target_mapped(struct target *t, pid_t pid);

/*
 * Read again the mappings of the processes that need it. Returns 0 or a negative errno; a process
 * that is gone meanwhile is no error.
 */
int target_update(struct target *t);

/* CPU time in ns that the processes which are still there have used since they were added. */
uint64_t target_cpu_ns(const struct target *t);

/* Mark pid as exited. */
void target_exited(struct target *t, pid_t pid);

/* Does the kernel know mappings of pid? */
bool target_knows(const struct target *t, pid_t pid);

struct target_process *target_find(const struct target *t, pid_t pid);

#endif
