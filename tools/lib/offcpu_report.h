/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_OFFCPU_REPORT_H
#define PERISCOPE_OFFCPU_REPORT_H

/* What an off-CPU capture has seen, as tables: waits by reason, threads. */

#include "capture_offcpu.h"

struct report;

/* Adds the sections. Lack of memory is in report_error(). */
void offcpu_report(struct report *r, const struct capture_offcpu *c);

#endif
