/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUEST_REPORT_H
#define PERISCOPE_REQUEST_REPORT_H

/*
 * What a capture of requests says, as tables, histogram and waterfalls; and as a profile, whose
 * stacks are a route and a state.
 */

#include "bpf/requests.h"
#include "capture_requests.h"
#include "profile.h"
#include "report.h"

/* A report and the columns that it borrows: what there is most of comes first. */
struct request_report {
	struct report *report;
	struct report_column routes[16], use[16], states[STATE_NR + 4], phases[PHASE_NR + 4];
};

/* All of a capture after its stop. Returns 0 or a negative errno. */
int request_report_init(struct request_report *r, struct capture_requests *c, uint64_t ran_ns);

/* Only routes and their times, of some of a capture's requests; `title` of the first table. */
int request_report_init_table(struct request_report *r, const struct request_table *t,
			      const struct request_points *points, uint64_t ran_ns,
			      const char *title);
void request_report_release(struct request_report *r);

/*
 * A profile of microseconds by route and state (folded: `comm;route;state`), and requests. Returns
 * 0 or a negative errno. `comm` is the root's name.
 */
int request_profile(struct profile *p, const struct request_table *t, const char *comm);

#endif
