/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_STACK_PROFILE_H
#define PERISCOPE_STACK_PROFILE_H

/* From stacks of addresses to a profile of functions: symbolizes and fills the model. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "object.h"
#include "profile.h"
#include "stacks.h"

struct stack_profile_options {
	/* What a count of one adds to each of the profile's types, e.g. { 1, period }. */
	int64_t weights[PROFILE_MAX_TYPES];
	bool per_thread; /* the root of folded output is comm/tid, not comm */
	bool label_pid;	 /* more than one process: say which */
	bool kernel;	 /* kernel frames may occur: read kallsyms */
	bool no_user;	 /* user stacks were not walked: nothing is truncated */
};

/*
 * Add all counted stacks to p, whose types are set. Returns 0 or -ENOMEM. Kernel symbols that may
 * not be read leave addresses as names.
 */
int stack_profile_fill(struct profile *p, const struct stacks *s, const struct objects *objects,
		       const struct stack_profile_options *o);

/*
 * For -v: where walks failed, by reason and address, the most frequent first, to `out`.
 */
void stack_failures_print(const struct stacks *s, const struct objects *objects, FILE *out);

#endif
