/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REPORT_VALUE_H
#define PERISCOPE_REPORT_VALUE_H

/* A report's values in words, for those who write them for people. */

#include "measure.h"
#include "report.h"

/* How the integers of a column are written: in one unit, or (size 0) each in its own. */
struct report_format {
	struct measure measure;
	int decimals;
};

/* For integers from least (above 0) to most. */
struct report_format report_format_for(enum report_unit unit, int64_t least, int64_t most);

/* An integer in the unit that suits it best, to three digits. `buf` is MEASURE_LEN bytes. */
const char *report_number(enum report_unit unit, int64_t value, char *buf);
/* The same of what is unsigned in the model. */
const char *report_unsigned(enum report_unit unit, uint64_t value, char *buf);

/* Any value but a text. Writes to buf, MEASURE_LEN bytes, and returns it. */
const char *report_value(enum report_unit unit, const struct report_value *v,
			 const struct report_format *f, char *buf);

/*
 * The two bounds of a bucket as they stand in "[LOW, HIGH)", HIGH being the first value beyond; an
 * empty `high` for a bucket of one value, "..." when there is no bound. Each MEASURE_LEN bytes.
 */
void report_bounds(enum report_unit unit, const struct report_bucket *b, char *low, char *high);

/* Percentage of counts. */
double report_share(uint64_t part, uint64_t whole);

/* Indices of a trace's spans by start, outer before inner; freed by the caller. NULL: no memory. */
size_t *report_span_order(const struct report_trace *t);

#endif
