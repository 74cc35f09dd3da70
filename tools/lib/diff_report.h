/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_DIFF_REPORT_H
#define PERISCOPE_DIFF_REPORT_H

/* What changed between two profiles, as tables: which functions grew, which shrank. */

#include <stdbool.h>

struct profile;
struct report;

/*
 * `p` is of merge_difference(). absolute: the values as they are; else each side's shares of its own
 * sum, and the change in percentage points. Functions that did not change are left out. Returns 0
 * or -ENOMEM; whether the report is whole is in report_error().
 */
int diff_report(struct report *r, const struct profile *p, bool absolute);

#endif
