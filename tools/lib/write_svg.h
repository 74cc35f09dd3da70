/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_SVG_H
#define PERISCOPE_WRITE_SVG_H

/*
 * A flame graph in one SVG file that needs nothing else: a picture that any viewer draws, root at
 * the top, each frame as wide as its share of the value, with a tooltip, in which frames too narrow
 * to see are counted instead of drawn; and the whole tree with a script (write_svg_data.h), which in
 * a browser takes the picture's place and lets people search, zoom and turn it around. Colours say
 * where code comes from, or how much it grew (write_svg_paint.h); they are the same in every run.
 * Well-formed XML 1.0 whatever the names are.
 */

#include "write.h"

struct sink;

int write_svg(const struct profile *p, const struct write_options *o, struct sink *out);

#endif
