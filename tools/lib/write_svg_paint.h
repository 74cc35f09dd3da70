/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_SVG_PAINT_H
#define PERISCOPE_WRITE_SVG_PAINT_H

/*
 * The colours of flame graphs. A frame's class is a letter, which says where its code comes from,
 * and a digit, its shade by name; in a differential graph the class says how much it grew. Each
 * kind of measurement has a palette of its own, so that pictures are not mistaken for each other;
 * all are told apart by the colour-blind, too.
 */

#include <stdbool.h>
#include <stddef.h>

#include "frames.h"

struct strbuf;

enum paint_kind { PAINT_CPU, PAINT_OFFCPU, PAINT_BYTES, PAINT_OBJECTS };

enum paint { PAINT_PROGRAM, PAINT_LIBRARY, PAINT_LIBC, PAINT_KERNEL, PAINT_NOTE, PAINT_INLINED };
#define NR_PAINTS 6

/* What a type of values measures, by its name and unit ("alloc_space", "bytes"). */
enum paint_kind paint_kind(const char *type, const char *unit);
/* "CPU time by stack" */
const char *paint_title(enum paint_kind kind, const char *type);

enum paint paint_of(enum frame_origin origin, bool inlined);
char paint_class(enum paint paint);
const char *paint_legend(enum paint paint);
/* '0' and up: neighbours rarely share a shade, the same name always does. */
char paint_shade(const char *name);

/*
 * Differential: the class of a value that was `before` and is `after`. The steps are bounds of
 * (after - before) / the greater of both; less has the classes d3 to d0, more d5 to d8.
 */
#define PAINT_NR_STEPS 4
extern const double paint_steps[PAINT_NR_STEPS];
const char *paint_delta(double before, double after);

/* Style sheet rules for all classes, on light and on dark. */
void paint_put_style(struct strbuf *b, enum paint_kind kind, bool diff);

#endif
