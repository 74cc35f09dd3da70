/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_SVG_H
#define PERISCOPE_WRITE_SVG_H

/*
 * A flame graph in one SVG file without script: the whole tree, root at the top, each frame as wide
 * as its share of the value, with a tooltip. Frames too narrow to see are not drawn but counted.
 * Colours say where code comes from; they are the same in every run and tell apart for the
 * colour-blind. Well-formed XML 1.0 whatever the names are.
 */

#include "write.h"

struct sink;

int write_svg(const struct profile *p, const struct write_options *o, struct sink *out);

#endif
