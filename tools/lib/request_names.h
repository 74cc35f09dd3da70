/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUEST_NAMES_H
#define PERISCOPE_REQUEST_NAMES_H

/* What requests and their parts are called. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/requests.h"

struct request_table;

/* "on CPU", "lock"; "SQL". */
const char *requests_state_name(unsigned int state);
const char *requests_phase_name(unsigned int phase);

/* The number's name, "?" for one unknown, "" where requests have no methods. */
const char *request_method(const struct request_table *t, uint64_t method);

/* A record's name as it came; in `buf` when it is a number. Never NULL. */
const char *request_raw_name(const struct request_table *t, const struct request_record *r,
			     char buf[32]);

/* What stands before the name: of one that was told and not executed (REQUEST_PENDING). */
const char *request_mark(const struct request_record *r);

/* Mark, method and name, "GET /rooms/17", to be freed; NULL for lack of memory. */
char *request_name(const struct request_table *t, const struct request_record *r);

/*
 * Make one path of two that belong to one route: parts that differ become `*`; where one ends
 * before the other, what they begin with, and "...". Returns a string to be freed, or NULL.
 */
char *request_merge_paths(const char *a, const char *b);
/* Would the merged path be the pattern itself? */
bool request_path_fits(const char *pattern, const char *path);

/*
 * Write a text without its values: numbers and what is in single quotes become `?`, white space one
 * blank. `size` is out's; what does not fit is cut. Returns the length.
 */
size_t request_put_without_values(char *out, size_t size, const char *text);

#endif
