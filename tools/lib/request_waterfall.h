/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUEST_WATERFALL_H
#define PERISCOPE_REQUEST_WATERFALL_H

/* Single requests in time: phases, below them states, at each wait its stack. */

#include "capture_requests.h"
#include "report.h"

/* Add those whose details were kept, if any, as a section. Returns 0 or a negative errno. */
int request_waterfalls(struct report *r, struct capture_requests *c);

#endif
