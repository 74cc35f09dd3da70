/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_SPEEDSCOPE_H
#define PERISCOPE_WRITE_SPEEDSCOPE_H

/*
 * speedscope's own format (github.com/jlfwong/speedscope, wiki "Importing from custom sources"):
 * a sampled profile of all threads and, when there are several, one of each, the heaviest first.
 * Inlined functions are frames of their own, which speedscope's import of pprof leaves out.
 */

#include "write.h"

struct sink;

int write_speedscope(const struct profile *p, const struct write_options *o, struct sink *out);

#endif
