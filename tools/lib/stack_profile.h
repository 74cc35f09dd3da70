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
	/*
	 * Innermost frames of functions whose linkage name begins with one of these are left out, as
	 * long as one is left. Ends with NULL; NULL: none.
	 */
	const char *const *hide_leaves;
};

struct stack_profile;

/*
 * Begin to fill p, whose types are set. All arguments are borrowed until free. Returns NULL and
 * ENOMEM. Kernel symbols that may not be read leave addresses as names.
 */
struct stack_profile *stack_profile_new(struct profile *p, const struct stacks *s,
					const struct objects *objects,
					const struct stack_profile_options *o);
void stack_profile_free(struct stack_profile *sp);

/* What a thread did with a stack. */
struct stack_sample {
	size_t stack;	  /* into stacks.items; STACK_SAMPLE_NONE: frames there are none of */
	const char *note; /* a frame that is not code, innermost; or NULL */
	/*
	 * Another thread's stack that led to this one's end, drawn in the field's way for wakers:
	 * beyond a frame `--`, turned around, so that its root and the name come last. NULL: none.
	 */
	const char *chained_comm;
	size_t chained; /* into stacks.items */
	uint32_t tgid, tid;
	const char *comm;
	const struct profile_label *labels; /* besides the thread's and process's numbers */
	size_t nr_labels;		    /* at most STACK_SAMPLE_LABELS */
	const int64_t *values;		    /* for each of the profile's types */
};

#define STACK_SAMPLE_LABELS 6
#define STACK_SAMPLE_NONE   SIZE_MAX

/* Returns 0, -ENOMEM, or -E2BIG for too many labels. */
int stack_profile_add(struct stack_profile *sp, const struct stack_sample *sample);

/*
 * The location of p that a frame of process tgid became: for engines that show single addresses.
 * Returns 0 or -ENOMEM.
 */
int stack_profile_location(struct stack_profile *sp, uint32_t tgid, uint64_t frame, uint32_t *ret);

/*
 * Likewise the innermost location of a stack that is not hidden by the options. The stack has
 * frames.
 */
int stack_profile_caller(struct stack_profile *sp, uint32_t tgid, size_t stack, uint32_t *ret);

/* Add all counted stacks, each weighed by the options. Returns 0 or -ENOMEM. */
int stack_profile_fill(struct profile *p, const struct stacks *s, const struct objects *objects,
		       const struct stack_profile_options *o);

/*
 * For -v: where walks failed, by reason and address, the most frequent first, to `out`.
 */
void stack_failures_print(const struct stacks *s, const struct objects *objects, FILE *out);

#endif
