/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_FUNCTION_SUMS_H
#define PERISCOPE_FUNCTION_SUMS_H

/* What the stacks of a profile sum up to by function: its own part, and that with all it called. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frames.h"

struct function_sum {
	uint32_t symbol;      /* into the frames' symbols */
	int64_t flat, cum;    /* saturated; of recursion cum counts each sample once */
	uint32_t last_sample; /* counted into cum last, plus 1 */
	bool inlined, called; /* seen as either */
};

/*
 * Sums of the samples that are positive in the type, for all symbols of f in their order (frames
 * that are no code, as a thread's name, have sums of 0); to be freed. f is of the profile p; the first
 * call adds to its symbols what is in no location. Returns 0 or -ENOMEM.
 */
int function_sums(struct frames *f, const struct profile *p, size_t type,
		  struct function_sum **ret);

#endif
