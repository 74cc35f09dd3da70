/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_HEAPTRACK_H
#define PERISCOPE_WRITE_HEAPTRACK_H

/*
 * What heaptrack_gui and heaptrack_print open, of a recording by periscope heap --record: the lines
 * that heaptrack's interpreter writes, in version 3 of its format (heaptrack 1.3 and up), compressed
 * by gzip. Each line begins with a letter; numbers are hexadecimal; things are numbered from 1 as
 * they come, allocations' infos from 0:
 *
 *	v VERSION FORMAT		s LENGTH TEXT
 *	X COMMAND			i ADDRESS MODULE FUNCTION FILE LINE [FUNCTION FILE LINE]...
 *	I PAGESIZE PAGES		t INSTRUCTION PARENT (its caller's t)
 *	c MILLISECONDS			a SIZE T
 *	R RESIDENT-PAGES		+ A, - A: a block is given out, given back
 *
 * What a process still held when it exited, or ran another program, counts as leaked. A realloc is
 * the end of one block and the begin of another. "Temporary" is what is freed next after it was
 * allocated, in the whole process.
 *
 * What was lost is in comments at its place, and summed up in the command's line, which is shown with
 * all figures: a block whose end was lost looks leaked.
 */

#include "timeline_view.h"
#include "write.h"

struct sink;

struct trace;

/* Is it a recording of periscope heap, as far as it says so itself? */
bool trace_is_heap(const struct trace *t);

/*
 * The filter's times and threads (who allocates) are heeded. Returns 0, -ENOMEM, -ENODATA for a
 * trace without allocations, what the sink or trace_next() returned.
 */
int write_heaptrack(const struct timeline_view *v, const struct write_options *o, struct sink *out);

#endif
