/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_PROBES_H
#define PERISCOPE_HEAP_PROBES_H

/*
 * The probes of a heap capture: which allocators the target's processes have, and the two programs
 * attached to them.
 *
 * A process that is watched alone has probes of its own. Where children are followed, or there are
 * more processes than HEAP_PROBES_OWN, the probes are in all processes of the machine that map the
 * allocator's object, because nothing else sees a child from its first instruction on.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "allocator.h"
#include "attach.h"
#include "target.h"

#define HEAP_PROBES_OWN 8

/* An object that is probed, in one process or in all. */
struct heap_probed {
	struct object *object;		     /* borrowed */
	pid_t pid;			     /* -1: all */
	struct heap_site_class *classes;     /* of the calls' sites */
	struct attach_site *calls, *returns; /* places, for the two programs */
	size_t nr_calls, nr_returns;
	struct attach attach; /* empty while the probes are taken away */
	/* The functions, those that free among them: virtual addresses. */
	struct heap_range {
		uint64_t start, end;
	} * ranges;
	size_t nr_ranges;
};

/* What a hit of a call's site is like, for who asks what it costs. */
struct heap_site_class {
	bool stepped; /* single-stepped */
	bool returns; /* and its return is probed */
	bool frees;
};

struct heap_probes {
	int call_prog, return_prog; /* descriptors; borrowed */
	bool everywhere;
	bool alloc_only;
	bool fates; /* the program looks at where blocks are freed: what that costs matters */
	bool away;  /* only remember what is to be probed; heap_probes_place_all() does it */
	struct heap_probed *probed;
	size_t nr_probed, cap_probed;
	size_t nr_sites, nr_stepped; /* different ones; of these, single-stepped */
	size_t seen;		     /* of heap_probes_update(): processes and objects */
	/* Of heap_probes_lead(): */
	uint32_t generation; /* of the mappings that were looked at */
	bool complete;	     /* no name is missing */
	/* Processes that run another program: of heap_probes_execed(). */
	struct heap_execed {
		pid_t pid;
		uint32_t generation; /* of its mappings, when last looked at */
		uint64_t until;
	} * execed;
	size_t nr_execed, cap_execed;
	char error[640]; /* a sentence without a full stop */
};

/*
 * Probe process pid as far as it is not. Returns 0; -ENOENT when it has no allocator (yet);
 * other negative errnos, all with a reason in p->error.
 */
int heap_probes_add(struct heap_probes *p, const struct target *t, pid_t pid);

/*
 * Probe all processes of the target as far as they are not, if any is new or has mapped something
 * since the last time. One without an allocator is left out. Returns 0 or a negative errno with a
 * reason in p->error.
 */
int heap_probes_update(struct heap_probes *p, const struct target *t);

/*
 * A process that we started and that stands still in its dynamic linker, at pc: probe what can be
 * probed by now. Returns 1 when nothing more will come, so that it may run; 0 to let it go on to
 * the next system call; or as heap_probes_add.
 */
int heap_probes_lead(struct heap_probes *p, const struct target *t, pid_t pid, uint64_t pc);

/*
 * The probes of process pid are bound to a task that is gone: another thread than the main one runs
 * another program. heap_probes_add() places new ones.
 */
void heap_probes_forget(struct heap_probes *p, pid_t pid);

/*
 * Process pid runs another program: heap_probes_reprobe() probes it, as far as it is not, once its
 * allocator is mapped, and gives it up after 5 s. Returns 0 or -ENOMEM; whether any process has been
 * probed or given up, and how many were given up.
 */
int heap_probes_execed(struct heap_probes *p, pid_t pid);
bool heap_probes_reprobe(struct heap_probes *p, const struct target *t, size_t *ret_given_up);

/*
 * Place all that are away, or take all away, to be placed again: a few ms, and tens of ms. Return 0
 * or a negative errno with a reason in p->error.
 */
int heap_probes_place_all(struct heap_probes *p);
void heap_probes_take_away(struct heap_probes *p);

/* Take them away for good. Tens of ms; with perf uprobes 0.1 s each. */
void heap_probes_release(struct heap_probes *p);

#endif
