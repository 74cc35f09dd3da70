/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_ROLES_H
#define PERISCOPE_TIMELINE_ROLES_H

/*
 * What a probe of the target means in a timeline: the probes of coworkingd one by one
 * (server/probes.h), pairs of other providers by their names, functions as spans.
 */

#include <stdbool.h>
#include <stdint.h>

/* What a probe tells; not bpf/requests.h's roles, which engines may need beside them. */
enum timeline_role {
	TELLS_INSTANT, /* something happened: its arguments are shown */
	TELLS_BEGIN,   /* a span of the thread begins, */
	TELLS_END,     /* and ends */
	TELLS_CALL,    /* a function: its return, if it is probed, ends the span */
	TELLS_REQUEST_START,
	TELLS_REQUEST_RUN,
	TELLS_REQUEST_PAUSE,
	TELLS_REQUEST_DONE,
	TELLS_RESPONSE_START,
	TELLS_HANDLER_ENTRY,
	TELLS_HANDLER_RETURN,
	TELLS_PHASE_BEGIN,
	TELLS_PHASE_END,
	TELLS_STMT_START,
	TELLS_STMT_DONE,
	TELLS_TXN_BEGIN,
	TELLS_TXN_COMMIT,
	TELLS_ENQUEUE,
	TELLS_DEQUEUE,
	TELLS_REPLY,
};

struct timeline_role_info {
	enum timeline_role role;
	const char *name; /* of the span, phase or instant; not ended by NUL but by name_len */
	uint32_t name_len;
	uint8_t text; /* the argument that is a string, plus one; 0: none */
};

/*
 * The role of probe provider:name. Names that end in __start, __begin, __entry or __open begin a
 * span of what is before that, those in __done, __end, __return, __commit, __abort, __close end it;
 * anything else is an instant.
 */
void timeline_role_of(const char *provider, const char *name, struct timeline_role_info *ret);

/* Does a thread turn to a request there, or away from it? */
bool timeline_role_of_request(enum timeline_role role);

/* The provider whose probes tell of requests without being told how. */
#define TIMELINE_PROVIDER "coworking"

/*
 * A path without what differs from request to request, for the name of a route: parts in which
 * there is a digit become ":id". Writes at most size bytes, NUL included.
 */
void timeline_route(const char *method, const char *path, char *buf, uint32_t size);

/* Names of the methods and queues of coworkingd by their numbers. */
const char *timeline_method(uint64_t method);
const char *timeline_queue(uint64_t queue);

#endif
