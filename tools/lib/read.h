/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_READ_H
#define PERISCOPE_READ_H

/*
 * Profiles from files. Which format it is, is read from the file itself, not from its name; any of
 * them may be gzipped. Files are other people's: nothing in them is believed before it is checked.
 */

#include <stddef.h>

#include "profile.h"

#define READ_MAX (UINT64_C(4) << 30) /* bytes of a file, before and after decompression */

/* Why a file was refused, for people: "line 3: no count at its end". */
struct read_error {
	char text[160];
};

/*
 * Read a file ("-": standard input). Returns 0 and a profile that the caller frees, or a negative
 * errno and the reason: -EINVAL for what is no profile, or what the system said.
 */
int read_profile(const char *path, struct profile **ret, struct read_error *error);

/*
 * Each adds what a text holds to an empty profile. Returns 0, -ENOMEM, -E2BIG or, with a reason,
 * -EINVAL; then the profile holds a part and is to be freed.
 */

/* Folded stacks (write_folded.h): also those of other tools, with the suffixes _[k], _[i], _[j]. */
int read_folded(struct profile *p, const char *text, size_t len, struct read_error *error);
/* The output of `perf script`: a value for each event and, where told, its period. */
int read_perf_script(struct profile *p, const char *text, size_t len, struct read_error *error);
/* A message of pprof's profile.proto, decompressed. */
int read_pprof(struct profile *p, const void *data, size_t len, struct read_error *error);

/* Set the reason and return -EINVAL. */
int read_fail(struct read_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The one location of a function in a file ("" unknown), neither at an address. */
int read_location(struct profile *p, const char *name, const char *file, uint32_t *ret);

#endif
