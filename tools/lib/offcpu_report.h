/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_OFFCPU_REPORT_H
#define PERISCOPE_OFFCPU_REPORT_H

/* What an off-CPU capture has seen, as tables (waits by reason, threads) and in a summary. */

#include "capture_offcpu.h"

struct report;
struct summary;

/* Adds the sections. Lack of memory is in report_error(). */
void offcpu_report(struct report *r, const struct capture_offcpu *c);

/* What the figures rest on: complete, lost, and why not all are complete or there. user: walked. */
void offcpu_summarize(struct summary *s, const struct capture_offcpu_stats *st, bool user);

#endif
