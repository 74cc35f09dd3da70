/* SPDX-License-Identifier: MIT */
#include "routes.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "auth.h"
#include "handlers.h"
#include "probes.h"

enum {
	ROUTE_AUTH = 1, /* only with a valid token */
};

struct route {
	enum http_method method;
	const char *pattern; /* :id or :name stands for one segment, at most one a pattern */
	unsigned int flags;
	int (*handler)(struct request *r);
	const char *name; /* of the handler */
};

#define HANDLER(function) function, #function

static const struct route routes[] = {
	{ HTTP_GET, "/healthz", 0, HANDLER(handle_healthz) },
	{ HTTP_GET, "/trace", ROUTE_AUTH, HANDLER(handle_trace) },
	{ HTTP_POST, "/auth/signup", 0, HANDLER(handle_auth_signup) },
	{ HTTP_POST, "/auth/login", 0, HANDLER(handle_auth_login) },
	{ HTTP_GET, "/rooms", 0, HANDLER(handle_rooms_list) },
	{ HTTP_GET, "/rooms/:id", 0, HANDLER(handle_rooms_get) },
	{ HTTP_GET, "/rooms/:id/photos", 0, HANDLER(handle_rooms_photos) },
	{ HTTP_GET, "/imgs/:name", 0, HANDLER(handle_imgs_get) },
	{ HTTP_GET, "/bookings", ROUTE_AUTH, HANDLER(handle_bookings_list) },
	{ HTTP_GET, "/bookings/:id", ROUTE_AUTH, HANDLER(handle_bookings_get) },
	{ HTTP_POST, "/bookings", ROUTE_AUTH, HANDLER(handle_bookings_add) },
	{ HTTP_DELETE, "/bookings/:id", ROUTE_AUTH, HANDLER(handle_bookings_delete) },
};

static bool matches(const char *pattern, const char *path, size_t len, struct route_match *ret)
{
	const char *end = path + len;

	ret->param = NULL;
	ret->param_len = 0;
	while (*pattern != '\0') {
		if (*pattern != ':') {
			if (path == end || *path++ != *pattern++)
				return false;
			continue;
		}
		ret->param = path;
		while (path < end && *path != '/')
			path++;
		ret->param_len = (size_t)(path - ret->param);
		if (ret->param_len == 0)
			return false;
		pattern += strcspn(pattern, "/");
	}
	return path == end;
}

int route_find(enum http_method method, const char *path, size_t len, struct route_match *ret)
{
	int err = -ENOENT;

	if (method == HTTP_HEAD)
		method = HTTP_GET;
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (!matches(routes[i].pattern, path, len, ret))
			continue;
		ret->route = &routes[i];
		if (routes[i].method == method)
			return 0;
		err = -EOPNOTSUPP;
	}
	return err;
}

int route_id(const struct route *route)
{
	return route != NULL ? (int)(route - routes) : -1;
}

void route_allow(const char *path, size_t len, char *ret, size_t size)
{
	static const char *const names[] = {
		[HTTP_GET] = "GET, HEAD",
		[HTTP_POST] = "POST",
		[HTTP_DELETE] = "DELETE",
	};
	struct route_match match;

	ret[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (!matches(routes[i].pattern, path, len, &match))
			continue;
		if (ret[0] != '\0')
			strncat(ret, ", ", size - strlen(ret) - 1);
		strncat(ret, names[routes[i].method], size - strlen(ret) - 1);
	}
	if (ret[0] != '\0')
		strncat(ret, ", OPTIONS", size - strlen(ret) - 1);
}

int route_run(const struct route *route, struct request *r)
{
	int err = 0;

	if ((route->flags & ROUTE_AUTH) != 0)
		err = auth_request(r);
	if (err == 0) {
		PROBE(handler__entry, r->id, route_id(route), route->name);
		err = route->handler(r);
		PROBE(handler__return, r->id, route_id(route), err);
	}
	step_end();
	return err;
}
