/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_CHROME_H
#define PERISCOPE_WRITE_CHROME_H

/*
 * Chrome's trace events in JSON ("Trace Event Format", docs.google.com/document/d/
 * 1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU), for viewers that do not read Perfetto's: a row for
 * each thread with its spans, system calls, page faults and waits in one another; rows of CPUs under
 * a process "CPUs" (PID 0), of what was lost beside them; requests with their phases and waits as
 * nested asynchronous events; wakeups as flows; counters. Slices of a row never overlap but in one
 * another. Times are microseconds since the trace's begin, with three decimals. Samples are left
 * out, since the format has no place for them that viewers know.
 */

#include "timeline_view.h"
#include "write.h"

struct sink;

int write_chrome(const struct timeline_view *v, const struct write_options *o, struct sink *out);

#endif
