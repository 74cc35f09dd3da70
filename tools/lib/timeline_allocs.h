/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_ALLOCS_H
#define PERISCOPE_TIMELINE_ALLOCS_H

/*
 * The allocator in a timeline: the probes at its calls and frees, which functions it consists of (by
 * which readers see from samples how much time it takes), and what is left to tell at the end.
 */

#include <stddef.h>
#include <stdint.h>

#include "heap_probes.h"
#include "target.h"
#include "timeline_gauges.h"
#include "timeline_records.h"
#include "trace_file_writer.h"

/*
 * Facts about a recording whose keys begin so tell of an allocator's functions: behind it is the
 * path of the object that has them; the value is "START-END", hexadecimal virtual addresses in its
 * file, for each, with spaces between.
 */
#define TIMELINE_ALLOCATOR "allocator:"

struct timeline_allocs {
	struct heap_probes probes;
	size_t told; /* of probes.probed */
	int map_fd;
};

void timeline_allocs_init(struct timeline_allocs *a, int call_prog, int return_prog, int map_fd);

/*
 * Probe what is new. Returns 0 or a negative errno with a reason in a->probes.error; a process
 * without an allocator is none.
 */
int timeline_allocs_update(struct timeline_allocs *a, const struct target *t,
			   struct trace_writer *w);

/* Place those that are away, which they are not any more. As above. */
int timeline_allocs_place(struct timeline_allocs *a, struct trace_writer *w);

/*
 * Describe them anew while they are away: for following blocks to their frees, or for calls alone. As
 * above.
 */
int timeline_allocs_follow(struct timeline_allocs *a, const struct target *t, bool follow);

/*
 * Those of process pid are bound to a task that is gone: another thread than the first runs another
 * program. The next updates place them anew, once its allocator is there. Returns 0 or -ENOMEM.
 */
int timeline_allocs_forget(struct timeline_allocs *a, pid_t pid);

/* A command that stands still in its dynamic linker: as heap_probes_lead(). */
int timeline_allocs_lead(struct timeline_allocs *a, const struct target *t, pid_t pid, uint64_t pc,
			 struct trace_writer *w);

/* No program runs any more: tell what they have not. Returns 0 or a negative errno. */
int timeline_allocs_finish(const struct timeline_allocs *a, struct timeline_gauges *g,
			   struct timeline_records *r, uint64_t time);

/* Take the probes away, which takes its time; then forget the rest. */
void timeline_allocs_detach(struct timeline_allocs *a);
void timeline_allocs_release(struct timeline_allocs *a);

#endif
