/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_RATES_H
#define PERISCOPE_TIMELINE_RATES_H

/* Counters that only grow, as what they grow by in a second: which is what is worth drawing. */

#include <stdbool.h>
#include <stdint.h>

#include "eventlog.h"
#include "id_map.h"

struct timeline_rates {
	struct id_map last; /* by counter and process */
};

/* All zeroes is an empty one. */
void timeline_rates_release(struct timeline_rates *r);

/*
 * What to draw for a COUNTER event: its value from its time on; or, of one that only grows, its rate,
 * which holds from the time when it was told before. Returns 1; 0 if there is nothing to draw yet; or
 * -ENOMEM.
 */
int timeline_rate(struct timeline_rates *r, const struct event *e, uint64_t *ret_from,
		  int64_t *ret_value);

#endif
