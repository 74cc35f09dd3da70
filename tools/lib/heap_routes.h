/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_ROUTES_H
#define PERISCOPE_HEAP_ROUTES_H

/*
 * The routes that a heap capture charges allocations to (struct heap_site_key), their names and how
 * many requests there were. A route is known and named as in request_table.h: by the program's
 * number and method; shown as the path that those of its requests share whose names were sent,
 * the first 16 and then ever fewer. Without numbers all requests are one route.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/heap_fates.h"
#include "request_spec.h"

struct heap_routes {
	char *names[HEAP_MAX_ROUTES]; /* of the path; NULL: no request of it was seen */
	uint64_t methods[HEAP_MAX_ROUTES];
	char *full[HEAP_MAX_ROUTES];	     /* with the method */
	const struct request_points *points; /* borrowed; NULL: no requests are followed */
	const struct heap_route *counts;     /* mapped; NULL: likewise */
};

/* counts_fd: the map heap_routes. Returns 0 or a negative errno. */
int heap_routes_init(struct heap_routes *r, int counts_fd);
void heap_routes_release(struct heap_routes *r);

/* Take a HEAP_EVENT_ROUTE record. Returns 0 or -ENOMEM. */
int heap_routes_event(struct heap_routes *r, const struct heap_route_event *e, size_t size);

/* "GET /rooms", "(no request)"; NULL: there is no such route. Valid until the next event. */
const char *heap_routes_name(const struct heap_routes *r, uint32_t route);

/* Requests that began in the capture, and of these, those that ended. */
struct heap_route heap_routes_count(const struct heap_routes *r, uint32_t route);
struct heap_route heap_routes_total(const struct heap_routes *r);

#endif
