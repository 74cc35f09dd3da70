/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_MERGE_H
#define PERISCOPE_MERGE_H

/* Profiles brought together: added up, or laid side by side for a comparison. */

#include "profile.h"

/*
 * Add all samples of `from` to `to`. Returns 0, -EINVAL when their types differ, -ENOMEM or -E2BIG;
 * after a failure `to` holds a part.
 */
int merge_profile(struct profile *to, const struct profile *from);

/*
 * A new profile of two types, "before" and "after", in the unit of type `name` of both (NULL: each
 * profile's default). Thread numbers are left out: two runs have different ones. Returns 0, -EINVAL
 * when one lacks the type or their units differ, -ENOMEM or -E2BIG.
 */
int merge_difference(const struct profile *before, const struct profile *after, const char *name,
		     struct profile **ret);

#endif
