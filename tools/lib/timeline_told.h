/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_TOLD_H
#define PERISCOPE_TIMELINE_TOLD_H

/*
 * What a trace has been told so far of what its events refer to, and the telling of the rest: files,
 * mappings, stacks and names.
 */

#include <stddef.h>
#include <stdint.h>

#include "trace_file_writer.h"
#include "watch.h"

struct ksyms;

/* Starts as { 0 }. */
struct timeline_told {
	size_t nr_stacks, nr_objects;
	uint32_t next_symbol;
	struct {
		uint32_t pid, generation; /* of its mappings */
	} * items;
	size_t nr, cap;
};

/*
 * Tell the writer what is new. At most max_symbols frames are named; 0: all. Returns 0 or a negative
 * errno.
 */
int timeline_tell(struct timeline_told *told, const struct watch *watch,
		  struct trace_writer *writer, const struct ksyms *ksyms, uint32_t max_symbols);
/* The same without any names. */
int timeline_tell_stacks(struct timeline_told *told, const struct watch *watch,
			 struct trace_writer *writer);
/*
 * Tell of what is missing until the end of a recording at `ended`: each CPU's last number is in the
 * map `seqs` (bpf/timeline_log.bpf.h). Returns 0 or a negative errno.
 */
int timeline_tell_losses(struct trace_writer *writer, int seqs_fd, uint64_t ended);
void timeline_told_release(struct timeline_told *told);

#endif
