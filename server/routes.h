/* SPDX-License-Identifier: MIT */
/*
 * Which path and method leads to which handler: one constant table.
 */
#ifndef COWORKING_ROUTES_H
#define COWORKING_ROUTES_H

#include <stddef.h>

#include "compiler.h"
#include "http.h"

struct route_match {
	const struct route *route;
	const char *param; /* what stands for :id, inside the path; NULL if there is none */
	size_t param_len;
};

/*
 * Finds the route of a decoded path. HEAD finds what GET does. -ENOENT if no route has this path,
 * -EOPNOTSUPP if none has it with this method.
 */
int route_find(enum http_method method, const char *path, size_t len, struct route_match *ret);

/* The row of a route in the table, as the probes give it; -1 for NULL. */
int route_id(const struct route *route);

/* The methods of a path, as the Allow header wants them; empty if there is no such path. */
void route_allow(const char *path, size_t len, char *ret, size_t size);

/*
 * Authenticates the request where the route asks for it, and runs the handler. 0 if the request is
 * answered or will be; otherwise a negative errno that is yet to be answered.
 */
STEP int route_run(const struct route *route, struct request *r);

#endif
