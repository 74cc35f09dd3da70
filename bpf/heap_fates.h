/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HEAP_FATES_H
#define PERISCOPE_HEAP_FATES_H

/*
 * What heap's two sides say to each other of requests, and of how blocks end: by whom they are
 * freed, how far up the stack, and what has become of their request by then.
 */

#include "heap.h"
#include "requests.h"

/* ---------------------------------------------------------------- routes ---- */

/* Routes of sites (struct heap_site_key): a request's, by the program's number and method. */
#define HEAP_MAX_REQUESTS 16384 /* open at a time */
#define HEAP_MAX_ROUTES	  1024
#define HEAP_ROUTE_NAME	  192 /* bytes; longer ones are cut */
enum {
	HEAP_ROUTE_NONE,   /* the thread worked on no request */
	HEAP_ROUTE_BEFORE, /* on one that began before the capture */
	HEAP_ROUTE_OTHER,  /* on one of a route that there was no room for */
	HEAP_ROUTE_FIRST,
};

struct heap_route_key {
	__s64 route;  /* less than 0: none of the program's */
	__u64 method; /* its number */
};

/* An element of `heap_routes`. */
struct heap_route {
	__u64 begun, done; /* requests */
};

/* A route's name, as one of its requests has it: of the first few, and then ever more rarely. */
#define HEAP_EVENT_ROUTE (EVENT_ENGINE + 8)
struct heap_route_event {
	struct event_header header; /* arg: the route */
	struct heap_route_key key;
	__u64 flags; /* REQUEST_NAME_CUT and its like */
	char name[HEAP_ROUTE_NAME];
};

/* ---------------------------------------------------------------- fates ---- */

enum heap_how {
	HEAP_FREED,
	HEAP_RESIZED, /* the old block of a realloc */
};

/* What the block's request was when it was freed. */
enum heap_then {
	HEAP_THEN_NONE,	 /* it had none */
	HEAP_THEN_WITH,	 /* open, or this thread has just ended it and not begun another */
	HEAP_THEN_AFTER, /* over */
};

enum {
	HEAP_FATE_OTHER_THREAD = 1,
	HEAP_FATE_ANY_THREAD = 2, /* not known, for the site is that of many threads */
	HEAP_FATE_PROVED = 4,	  /* the entries of the function that allocated it were watched */
	HEAP_FATE_IN_PIECE = 8,	  /* in the piece of work in which it was allocated */
	HEAP_FATE_LEFT = 16,	  /* the frame that allocated it has been left since */
};

/*
 * Blocks that ended alike. Of the stack of the free, outermost frames are counted: such whose place in the
 * stack has been left since the allocation are not those that they were then.
 */
struct heap_fate_key {
	__u64 stack; /* of the free; 0: unknown */
	__u32 site;
	__u8 how, then, flags, reserved;
	__u16 at;      /* so many, the innermost at the allocating function's place; 0: none is */
	__u16 kept;    /* that have been there since the allocation, as far as was seen */
	__u16 outside; /* that were there when the thread's piece of work began */
	__u16 reserved2;
};

struct heap_fate {
	__u64 blocks, bytes;
};

#define HEAP_MAX_FATES	 65536
#define HEAP_MAX_WATCHED 64 /* functions whose entries are watched */

_Static_assert(sizeof(struct heap_fate_key) == 24, "shared with BPF");

#endif
