/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUEST_ALLOCS_H
#define PERISCOPE_REQUEST_ALLOCS_H

/*
 * Allocations of requests: the probes on the target's allocators, which are hit far more often than
 * all other probes of a capture of requests. So what they cost is found out first.
 */

#include "capture_requests.h"
#include "heap_probes.h"
#include "watch.h"

/*
 * The allocators of processes that are new, or have mapped something since. Returns 0 or a negative
 * errno after watch_fail().
 */
int request_allocs_update(struct heap_probes *p, struct watch *w);

/*
 * Place those that are away, unless it costs more than o->max_overhead; tells o->tell. Returns as
 * the above, -EBUSY for too much.
 */
int request_allocs_place(struct heap_probes *p, struct watch *w,
			 const struct capture_requests_options *o);

#endif
