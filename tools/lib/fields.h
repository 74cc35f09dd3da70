/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_FIELDS_H
#define PERISCOPE_FIELDS_H

/* A growing list of facts about a capture, as writers show them above what they write. */

#include <stddef.h>

#include "write.h"

struct profile;

struct fields {
	struct write_field *items;
	size_t nr, cap;
};

/* Both copy their texts and return 0 or -ENOMEM. Start from { 0 }; release also after a failure. */
int fields_add(struct fields *f, const char *key, const char *value);
int fields_addf(struct fields *f, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Add a profile's own facts: its comments of the form "key: value", and its duration. Returns 0 or
 * -ENOMEM.
 */
int fields_add_profile(struct fields *f, const struct profile *p);

void fields_release(struct fields *f);

#endif
