/* SPDX-License-Identifier: MIT */
#include "heap_routes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "request_names.h"

#define COUNTS_SIZE (HEAP_MAX_ROUTES * sizeof(struct heap_route))

int heap_routes_init(struct heap_routes *r, int counts_fd)
{
	void *counts = mmap(NULL, COUNTS_SIZE, PROT_READ, MAP_SHARED, counts_fd, 0);

	*r = (struct heap_routes){ 0 };
	if (counts == MAP_FAILED)
		return -errno;
	r->counts = counts;
	return 0;
}

void heap_routes_release(struct heap_routes *r)
{
	for (size_t i = 0; i < HEAP_MAX_ROUTES; i++) {
		free(r->names[i]);
		free(r->full[i]);
	}
	if (r->counts)
		munmap((void *)r->counts, COUNTS_SIZE);
	*r = (struct heap_routes){ 0 };
}

/* The name that these requests share. */
static char *merged_name(const struct heap_routes *r, size_t route,
			 const struct heap_route_event *e)
{
	char text[HEAP_ROUTE_NAME];

	if (!r->points || !r->points->has_routes)
		return strdup("(requests)");
	if (e->key.route < 0)
		return strdup("(no route)");
	if (e->flags & REQUEST_NO_NAME)
		return r->names[route] ? strdup(r->names[route]) : strdup("(unreadable name)");
	memcpy(text, e->name, sizeof(text));
	text[sizeof(text) - 1] = '\0';
	if (!r->names[route] || r->names[route][0] != '/')
		return strdup(text);
	if (request_path_fits(r->names[route], text))
		return strdup(r->names[route]);
	return request_merge_paths(r->names[route], text);
}

static char *with_method(const struct heap_routes *r, size_t route, const char *name)
{
	uint64_t method = r->methods[route];
	char *text;

	if (!r->points || !r->points->methods)
		return strdup(name);
	if (asprintf(&text, "%s %s",
		     method < r->points->nr_methods ? r->points->methods[method] : "?", name) < 0)
		return NULL;
	return text;
}

int heap_routes_event(struct heap_routes *r, const struct heap_route_event *e, size_t size)
{
	size_t route = e->header.arg;
	char *name, *full;

	if (size < sizeof(*e) || route >= HEAP_MAX_ROUTES)
		return 0;
	r->methods[route] = e->key.method;
	name = merged_name(r, route, e);
	full = name ? with_method(r, route, name) : NULL;
	if (!full) {
		free(name);
		return -ENOMEM;
	}
	free(r->names[route]);
	free(r->full[route]);
	r->names[route] = name;
	r->full[route] = full;
	return 0;
}

const char *heap_routes_name(const struct heap_routes *r, uint32_t route)
{
	switch (route) {
	case HEAP_ROUTE_NONE:
		return "(no request)";
	case HEAP_ROUTE_BEFORE:
		return "(requests from before)";
	case HEAP_ROUTE_OTHER:
		return "(other routes)";
	default:
		break;
	}
	if (route >= HEAP_MAX_ROUTES)
		return NULL;
	/* Its notice may have been lost, which is counted. */
	return r->full[route] || !heap_routes_count(r, route).begun ? r->full[route]
								    : "(unnamed route)";
}

struct heap_route heap_routes_count(const struct heap_routes *r, uint32_t route)
{
	if (!r->counts || route >= HEAP_MAX_ROUTES)
		return (struct heap_route){ 0 };
	return r->counts[route];
}

struct heap_route heap_routes_total(const struct heap_routes *r)
{
	struct heap_route sum = { 0 };

	for (uint32_t i = 0; i < HEAP_MAX_ROUTES; i++) {
		struct heap_route n = heap_routes_count(r, i);

		sum.begun += n.begun;
		/* Of those from before nobody saw the beginning. */
		sum.done += i == HEAP_ROUTE_BEFORE ? 0 : n.done;
	}
	return sum;
}
