/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_PFTRACE_H
#define PERISCOPE_WRITE_PFTRACE_H

/*
 * Perfetto's format (github.com/google/perfetto, protos/perfetto/trace/trace.proto; fields by their
 * numbers in v58): CPUs and threads with their states, spans, system calls, page faults and waits
 * with their stacks, wakeups as flows, requests with their phases and what they waited for, block
 * I/O, counters, samples, losses in their places. Slices of a request have its number as their
 * correlation_id. Times are ns since the trace's begin, which is 0 on the clock BOOTTIME; the wall
 * clock is beside it. Memory does not grow with the number of events.
 *
 * A CPU's slices are the target's threads and, between them, one that stands for everything else,
 * since nothing else is recorded; so its own utilization is what is true of the picture.
 */

#include "timeline_view.h"
#include "write.h"

struct sink;

int write_pftrace(const struct timeline_view *v, const struct write_options *o, struct sink *out);

#endif
