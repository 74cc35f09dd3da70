/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_FORMATS_H
#define PERISCOPE_FORMATS_H

/* The formats a profile can be written in, by name and by file name ending. */

#include "write.h"

struct sink;

struct format {
	const char *name;   /* for --format */
	const char *ending; /* ".pb.gz" */
	const char *what;   /* a few words for help and errors */
	int (*write)(const struct profile *p, const struct write_options *o, struct sink *out);
};

/* Ends with an entry whose name is NULL. */
extern const struct format profile_formats[];

/*
 * Choose from a table like the above: by name, or when name is NULL by the ending of path; an
 * ending alone (".svg") or a path without one has no format. Returns 0, or -EINVAL for none.
 */
int format_find(const struct format *formats, const char *path, const char *name,
		const struct format **ret);

#endif
