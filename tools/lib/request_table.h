/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUEST_TABLE_H
#define PERISCOPE_REQUEST_TABLE_H

/*
 * What the records of requests add up to: for each route, how many, how they ended, their latencies,
 * where their time went by state and by phase, what they used, and their SQL statements.
 *
 * What a route is: a number that the program gives it, with its method, where it gives one. It is
 * shown as the path that all its requests share, with `*` for parts in which they differ.
 * Otherwise a route is the request's name, in which numbers and quoted strings become `?`, so that
 * queries with values in their text fall together.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/requests.h"
#include "dedup.h"
#include "hist.h"

/* Routes told apart; requests beyond count as one more, "(other routes)". */
#define REQUEST_MAX_ROUTES 1000

struct request_statement {
	uint32_t tgid, stmt;
	uint64_t count, requests; /* executions, and requests that had some */
	uint64_t ns, max_ns, rows, steps;
};

struct request_route_stats {
	char *name;
	int64_t route;	 /* the program's number; -1 none */
	uint64_t method; /* its number */
	bool numbered;	 /* known by route and method, not by name */
	uint64_t count;
	uint64_t by_class[6]; /* of status: 1 to 5 for 1xx to 5xx, 0 for all others */
	uint64_t aborted;     /* the client left */
	uint64_t split;	      /* left their thread without a word: states are unknown */
	struct hist latency;
	uint64_t states[STATE_NR], phases[PHASE_NR]; /* ns, of requests that were not split */
	uint64_t split_ns;			     /* latency of those that were */
	uint64_t faults, device_faults, syscalls, waits, pieces, moves, hits;
	uint64_t allocs, alloc_bytes;
	uint64_t committed, shared; /* requests that were in a commit; sum of how many shared it */
	uint64_t lost_stmts;
	struct request_statement *stmts;
	size_t nr_stmts, cap_stmts;
};

/* How requests come by their names: what the program's probes say, and how. */
struct request_naming {
	const char *const *methods; /* names by number; NULL: none */
	size_t nr_methods;
	bool has_routes; /* route numbers, to be named by their paths */
	bool by_number;	 /* a name that is a number is one (`:int`), and not a value in a text */
	const char *unnamed; /* the name of a request without one */
};

struct request_table {
	struct request_route_stats *routes;
	size_t nr_routes, cap_routes;
	struct dedup index; /* routes by what they are known by */
	/* Requests that are in no route: nobody saw their end. */
	uint64_t reused, thread_gone;
	uint64_t helpers;      /* told by threads that exited and never executed them */
	uint64_t not_executed; /* in routes of their own (REQUEST_PENDING) */
	uint64_t inconsistent; /* records whose states do not add up to their latency */
	uint64_t damaged;      /* records that are shorter than they say */
	uint64_t other;	       /* in "(other routes)" */
	uint64_t lost_cut;     /* names that were longer than a record's room */
	struct request_naming naming;
};

void request_table_init(struct request_table *t);
void request_table_release(struct request_table *t);

/* Take a record of `size` bytes. Returns 0 or -ENOMEM; damaged ones are counted. */
int request_table_add(struct request_table *t, const struct request_record *r, size_t size);

/* Add all of `more`; routes meet by what they are known by. Returns 0 or -ENOMEM. */
int request_table_merge(struct request_table *t, const struct request_table *more);

/* Forget all requests and keep the settings. */
void request_table_reset(struct request_table *t);

uint64_t request_table_count(const struct request_table *t);

/* A record's names come from the target: they end where their room does. */
void request_end_names(struct request_record *r);

/* The latency that a record tells, in ns. */
uint64_t request_latency(const struct request_record *r);

#endif
