/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_H
#define PERISCOPE_WRITE_H

/*
 * What all writers of a profile have in common. Each is `int write_X(profile, options, sink)`:
 * returns 0, -ENOMEM, -EINVAL for a type that the profile does not have, or what the sink returned.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profile.h"

/* A fact about the capture: { "samples", "9871" }. */
struct write_field {
	const char *key, *value;
};

/*
 * A profile of differences has two types: 0 is what was before, 1 what is now. Normalized: what was
 * before counts as if both had the same sum.
 */
enum write_diff { WRITE_NO_DIFF, WRITE_DIFF_ABSOLUTE, WRITE_DIFF_NORMALIZED };

struct write_options {
	/*
	 * The value shown: an index of a type or PROFILE_NONE, which is the profile's default for
	 * pictures and reports, and type 0 (the number of events) for folded output. pprof files
	 * hold all types and take this one, if given, as their default.
	 */
	uint32_t type;
	enum write_diff diff;		  /* pictures show how the types differ */
	int64_t folded_unit;		  /* of the value that folded output counts in; 0: 1 */
	const char *title;		  /* NULL: by what the type measures */
	const struct write_field *fields; /* shown in this order above pictures and reports */
	size_t nr_fields;
	unsigned int top;   /* rows of a report's tables; 0: 20 */
	unsigned int width; /* columns of a report; 0: 80 */
	bool short_tables;  /* what a report's width has no room for is named, not put below */
	bool color;	    /* escape sequences in a report */
	bool unicode;	    /* block elements in a report's bars; else ASCII */
};

/* The options of a caller that has none: every default. */
#define WRITE_OPTIONS_DEFAULT        \
	(struct write_options)       \
	{                            \
		.type = PROFILE_NONE \
	}

#endif
