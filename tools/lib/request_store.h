/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUEST_STORE_H
#define PERISCOPE_REQUEST_STORE_H

/* What a capture of requests keeps one by one: the slowest with their details, and texts of SQL. */

#include <stddef.h>

#include "capture_requests.h"

/*
 * The slowest `max` requests of those whose details came. A detail comes before its request's
 * record; until that it waits.
 */
struct request_store {
	struct request_slow *slow; /* in no order until sorted */
	size_t nr_slow, max;
	struct request_detail *waiting;
	size_t nr_waiting, next_waiting;
	uint64_t matched;
	struct request_sql *sql;
	size_t nr_sql, cap_sql;
};

/* Returns 0 or -ENOMEM. */
int request_store_init(struct request_store *s, size_t max);
void request_store_release(struct request_store *s);

/* A detail's record of `size` bytes; damaged ones are ignored. */
void request_store_detail(struct request_store *s, const struct request_detail *d, size_t size);
/* A request's record: does a detail wait for it? */
void request_store_request(struct request_store *s, const struct request_record *r, size_t size);
/* Slowest first. */
void request_store_sort(struct request_store *s);

/* The statement, made at need. Returns NULL for lack of memory. */
struct request_sql *request_store_sql(struct request_store *s, uint32_t tgid, uint32_t stmt);
/* Take a statement's text. Returns 0 or -ENOMEM. */
int request_store_text(struct request_store *s, const struct request_text *t, size_t size);

#endif
