/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_REGISTERS_H
#define PERISCOPE_TIMELINE_REGISTERS_H

/* A thread's registers, from the record of a signal (bpf/registers.h) to arguments of its event. */

#include "bpf/timeline.h"
#include "trace_file_writer.h"

/* Returns how many of the EVENT_MAX_ARGS arguments it has filled: none where the record has none. */
unsigned int timeline_registers(struct trace_writer *w, const struct timeline_record *rec,
				struct event_arg *args);

#endif
