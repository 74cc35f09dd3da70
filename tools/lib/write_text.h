/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_TEXT_H
#define PERISCOPE_WRITE_TEXT_H

/*
 * The report for a terminal: what ran, the functions that cost most by themselves and with what
 * they called, the hottest stacks, and why stacks were cut short if some were. Columns and
 * notation are those of pprof's -top, so that the two can be laid side by side.
 */

#include "write.h"

struct sink;

int write_text(const struct profile *p, const struct write_options *o, struct sink *out);

#endif
