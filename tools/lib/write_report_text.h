/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_REPORT_TEXT_H
#define PERISCOPE_WRITE_REPORT_TEXT_H

/* The parts of a text report that are drawn; see write_report.h for the whole. */

#include "report.h"
#include "text_page.h"

/* A line; none for NULL. */
void text_subheading(struct text_page *p, const char *title);

void text_histogram(struct text_page *p, const struct report_histogram *h);
void text_series(struct text_page *p, const struct report_series *s);
/* Returns 0 or -ENOMEM. */
int text_waterfall(struct text_page *p, const struct report_waterfall *w);

#endif
