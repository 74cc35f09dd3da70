/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_HEAPTRACK_H
#define PERISCOPE_WRITE_HEAPTRACK_H

/*
 * What heaptrack_gui and heaptrack_print open, of a recording by periscope heap --record: text,
 * compressed by gzip. Each line begins with a letter; numbers are hexadecimal; things are numbered from
 * 1 as they come (heaptrack 1.4, src/analyze/accumulatedtracedata.cpp, AccumulatedTraceData::read()):
 *
 *	v VERSION FORMAT		s TEXT
 *	X COMMAND			i ADDRESS MODULE FUNCTION FILE LINE [FUNCTION FILE LINE]...
 *	I PAGESIZE PAGES		t INSTRUCTION PARENT (its caller's t)
 *	c MILLISECONDS			+ SIZE T BLOCK: is given out
 *	R RESIDENT-PAGES		- BLOCK: is given back
 *
 * This is format 0, in which blocks have names, which may be used again. In the later ones there are
 * but kinds of blocks (a size, a stack), so that a block that is freed right after another of its kind
 * was allocated counts as temporary; format 0 is exact.
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
