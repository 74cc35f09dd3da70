/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_SVG_DATA_H
#define PERISCOPE_WRITE_SVG_DATA_H

/*
 * The part of a flame graph that its script works on: the whole tree, nothing left out, in three
 * <metadata> elements, and the script (tools/web) with its style sheet.
 *
 * periscope-head   JSON: title, unit, facts, numbers of nodes and threads, see put_head()
 * periscope-names  a line for each function in the order of names: class and shade of its colour,
 *                  its module's and its file's lines in periscope-places (base 36; a colon and the
 *                  lines of code follow the file), and after a second space its name
 * periscope-places a line for each module and each source file
 * periscope-tree   the nodes below the root, parents before children, children by name. A node is
 *                  its name's line (base 36), `~` when inlined, `=` and what it spent itself when
 *                  that is not 1 for a node without and 0 for one with children, `+` and the second
 *                  value likewise; then ` ` when its first child follows, `,` its next sibling, `;`
 *                  its parent's, and `.` the number of levels up `;` its ancestor's. Values are in
 *                  units of the head's "scale" and "scale2".
 */

#include "flametree.h"

struct sink;
struct write_options;

struct svg_data {
	const struct flame_tree *tree; /* merged: all threads of a name are one node */
	const struct write_options *o;
	const char *title, *unit;
	size_t type;
};

/* Returns 0 or a negative errno. */
int svg_data_write(const struct svg_data *d, struct sink *out);

#endif
