/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REPORT_IMPL_H
#define PERISCOPE_REPORT_IMPL_H

/* What the files of the report model have in common. */

#include "report.h"

/* Remembers the first failure. */
void report_fail(struct report *r, int err);
/* Room for one more element of the array *items; false after a failure. */
bool report_grow(struct report *r, void *items, size_t n, size_t *cap, size_t size);
/* NULL stays NULL. */
char *report_copy(struct report *r, const char *text);
/* Zeroed memory for a part of `size` bytes and its place in the section, or NULL. */
void *report_add_part(struct report_section *s, enum report_kind kind, size_t size);

#endif
