/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_PROFILE_H
#define PERISCOPE_PROFILE_H

/*
 * The profile model: what every capture of stacks ends in and what every writer and reader of
 * stacks works on. It is pprof's (github.com/google/pprof, proto/profile.proto): sample types,
 * mappings, functions, locations with inlined lines, samples with values and labels, comments.
 * Tables are deduplicated as they are filled. Indices are into the arrays below; index 0 of
 * strings is "", the other tables have no reserved entry.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROFILE_MAX_TYPES 8
#define PROFILE_NONE	  UINT32_MAX /* no mapping, no type */

/*
 * What pprof's format has no field for travels as labels of these keys: a sample's comm and
 * truncation.
 */
#define PROFILE_LABEL_THREAD	"thread"
#define PROFILE_LABEL_TRUNCATED "truncated"

/*
 * Frames that are not code (a mark, a thread's name in the midst of a stack) are locations in a
 * mapping of this name, so that they are known for it also when they come back from a file.
 */
#define PROFILE_NOTE_MAPPING "[note]"

struct profile_type {
	uint32_t name; /* string: "samples", "cpu" */
	uint32_t unit; /* string: "count", "nanoseconds" */
};

struct profile_mapping {
	uint64_t start, limit, offset; /* memory addresses, file offset */
	uint32_t file;		       /* string: path, "[kernel.kallsyms]", "[vdso]" */
	uint32_t build_id;	       /* string: hex, or 0 */
	bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
};

struct profile_function {
	uint32_t name;	      /* string: for people (demangled) */
	uint32_t system_name; /* string: linkage name */
	uint32_t file;	      /* string or 0 */
	uint32_t start_line;  /* 0 unknown */
	bool kernel;	      /* folded output marks it with _[k] */
	bool guessed;	      /* named after an address, not by a symbol */
};

struct profile_line {
	uint32_t function;
	uint32_t line; /* 0 unknown */
};

/* An address and the functions it stands for, innermost (inlined) first. */
struct profile_location {
	uint64_t address;	       /* in the memory of its mapping; 0 when it has none */
	uint32_t mapping;	       /* or PROFILE_NONE */
	uint32_t first_line, nr_lines; /* into lines */
};

struct profile_label {
	uint32_t key;
	uint32_t str; /* string value, or 0 when numeric */
	int64_t num;
	uint32_t unit; /* string or 0 */
};

struct profile_sample {
	uint32_t first_location, nr_locations; /* into stack_locations, leaf first */
	uint32_t first_label, nr_labels;       /* into labels */
	uint32_t comm;			       /* string: thread name, the root of folded output */
	uint32_t truncated; /* string: why the walk did not reach the root, or 0 */
	int64_t values[PROFILE_MAX_TYPES];
};

struct profile_tables; /* hash tables behind the deduplication; private */

struct profile {
	char **strings;
	size_t nr_strings, cap_strings;
	struct profile_type types[PROFILE_MAX_TYPES];
	size_t nr_types;
	size_t default_type;		  /* the value shown when none is asked for */
	struct profile_mapping *mappings; /* pprof takes the first for the main program */
	size_t nr_mappings, cap_mappings;
	struct profile_function *functions;
	size_t nr_functions, cap_functions;
	struct profile_line *lines;
	size_t nr_lines, cap_lines;
	struct profile_location *locations;
	size_t nr_locations, cap_locations;
	uint32_t *stack_locations;
	size_t nr_stack_locations, cap_stack_locations;
	struct profile_label *labels;
	size_t nr_labels, cap_labels;
	struct profile_sample *samples;
	size_t nr_samples, cap_samples;
	uint32_t *comments; /* strings */
	size_t nr_comments, cap_comments;
	struct profile_type period_type;
	int64_t period;	 /* in period_type's unit; 0 none */
	int64_t time_ns; /* wall clock at the start, since 1970; 0 unknown */
	int64_t duration_ns;
	struct profile_tables *tables;
};

/* Returns NULL and errno. */
struct profile *profile_new(void);
void profile_free(struct profile *p);

/*
 * Adders. Each returns 0 and an index through its out-parameter, or -ENOMEM, -EINVAL for an index
 * into another table that is not there, or -E2BIG for a ninth type or more than 2^32 - 2 entries;
 * after a failure the profile is as before. Strings are copied. What equals an earlier entry is
 * that entry.
 */
int profile_string(struct profile *p, const char *s, uint32_t *ret); /* NULL is "" */
/* Samples that are there already have 0 of a new type. */
int profile_type(struct profile *p, const char *name, const char *unit, uint32_t *ret);
/*
 * A mapping equal in start, file and build ID to an earlier one is that one. Its has_* flags start
 * false: set them in p->mappings once its addresses were named, or pprof will try itself.
 */
int profile_mapping(struct profile *p, uint64_t start, uint64_t limit, uint64_t offset,
		    const char *file, const char *build_id, uint32_t *ret);
int profile_function(struct profile *p, const struct profile_function *f, uint32_t *ret);
/*
 * A location equal in mapping and address, and in lines, to an earlier one is that one.
 * nr_lines 0 is allowed: an address nobody could name.
 */
int profile_location(struct profile *p, uint64_t address, uint32_t mapping,
		     const struct profile_line *lines, size_t nr_lines, uint32_t *ret);
int profile_comment(struct profile *p, const char *text);

/* What a sample is besides its values. Copied; locations leaf first, labels in any fixed order. */
struct profile_sample_key {
	const uint32_t *locations;
	size_t nr_locations;
	const struct profile_label *labels;
	size_t nr_labels;
	uint32_t comm, truncated;
};

/*
 * Add values (nr_types of them) to the sample with this stack, labels, comm and truncation,
 * creating it at need; sums saturate at INT64_MAX and INT64_MIN. Returns 0, -ENOMEM, -EINVAL or
 * -E2BIG as the adders.
 */
int profile_add(struct profile *p, const struct profile_sample_key *key, const int64_t *values);

/* The string at index i, "" when there is none; never NULL. */
const char *profile_str(const struct profile *p, uint32_t i);
/* Sum of one value over all samples, saturating. 0 when there is no such type. */
int64_t profile_total(const struct profile *p, size_t type);
/* a + b, held at the ends of the range. */
int64_t profile_sum(int64_t a, int64_t b);

#endif
