/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUEST_WATERFALL_H
#define PERISCOPE_REQUEST_WATERFALL_H

/* Single requests in time: phases, below them states, at each wait its stack. */

#include "capture_requests.h"
#include "report.h"
#include "stack_text.h"

/*
 * What a request did, when, with `stacks` at its waits, NULL: none has any. From the first change on that
 * had no room, nothing is known: one span says that. Returns 0 or a negative errno.
 */
int request_spans(struct report_trace *t, const struct request_slow *slow, bool phases,
		  struct stack_text *stacks);

/* Add those whose details were kept, if any, as a section. Returns 0 or a negative errno. */
int request_waterfalls(struct report *r, struct capture_requests *c);

#endif
