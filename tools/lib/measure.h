/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_MEASURE_H
#define PERISCOPE_MEASURE_H

/*
 * Values and shares in the notation of pprof (internal/measurement in github.com/google/pprof):
 * "1.23s", "40ms", "3.50MB", "17", "12.35%". A column of a table has one unit for all its values.
 */

#include <stddef.h>
#include <stdint.h>

#define MEASURE_LEN 40 /* room for any value, and for any percentage */

struct measure {
	const char *unit; /* printed after the number; "" for plain counts */
	double size;	  /* of one printed unit, in units of the value */
};

/* The unit in which value reads best; `unit` is that of the value ("nanoseconds", "bytes"). */
struct measure measure_for(int64_t value, const char *unit);
/* One unit for all from smallest to largest: the greatest that shows the smallest as 0.01 or more. */
struct measure measure_range(int64_t smallest, int64_t largest, const char *unit);

/* Both write to buf, MEASURE_LEN bytes long, and return it. A part of nothing is 0%. */
const char *measure_value(struct measure m, int64_t value, char *buf);
const char *measure_percent(double part, double whole, char *buf);

#endif
