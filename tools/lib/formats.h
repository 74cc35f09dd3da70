/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_FORMATS_H
#define PERISCOPE_FORMATS_H

/* The formats that results can be written in, by name and by file name ending. */

#include "write.h"

struct report;
struct sink;
struct timeline_view;

/* What a command has to write; any may be NULL. */
struct write_model {
	const struct profile *profile;
	const struct report *report;
	const struct timeline_view *timeline;
};

struct format {
	const char *name;   /* for --format */
	const char *ending; /* ".pb.gz" */
	const char *what;   /* a few words for help and errors */
	/* After the model that it is a format of; of profile and report both, the report first. */
	int (*write)(const struct profile *p, const struct write_options *o, struct sink *out);
	int (*write_report)(const struct report *r, const struct write_options *o,
			    struct sink *out);
	int (*write_timeline)(const struct timeline_view *v, const struct write_options *o,
			      struct sink *out);
};

/*
 * Those of profiles. Ends with an entry whose name is NULL. A command with other formats has a table
 * of its own, of the same writers.
 */
extern const struct format profile_formats[];
/* And those of reports. */
extern const struct format report_formats[];
/* And those of traces, with those of the profiles and the report that are made of one. */
extern const struct format timeline_formats[];

/* Returns what the writer returns, or -EINVAL when the model has not what it is a format of. */
int format_write(const struct format *f, struct write_model m, const struct write_options *o,
		 struct sink *out);

/*
 * Choose from a table like the above: by name, or when name is NULL by the ending of path; an
 * ending alone (".svg") or a path without one has no format. Returns 0, or -EINVAL for none.
 */
int format_find(const struct format *formats, const char *path, const char *name,
		const struct format **ret);

#endif
