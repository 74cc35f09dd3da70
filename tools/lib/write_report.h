/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_WRITE_REPORT_H
#define PERISCOPE_WRITE_REPORT_H

/*
 * The writers of reports. Each takes the title and the facts of `o` for the whole report, and
 * returns 0, report_error(), -ENOMEM or what the sink returned.
 */

#include "report.h"
#include "write.h"

struct sink;

/*
 * For a terminal, o->width columns wide: tables with names cut in the middle, and columns that do not
 * fit below the others, with the names again (o->short_tables: named only); histograms and
 * waterfalls as bars.
 */
int write_report_text(const struct report *r, const struct write_options *o, struct sink *out);

/*
 * For programs: one object, every row, every value as the integer or real that it is:
 *
 *	{"periscope_report": 1, "title": ..., "facts": {"pid": "12", ...},
 *	 "sections": {KEY: {"title": ..., "notes": [...], "facts": {"requests": 12, ...},
 *	  "tables": [{"key", "title", "columns": [{"key", "heading", "unit"}], "rows": [{...}]}],
 *	  "histograms": [{"key", "title", "unit", "counts", "buckets": [{"low_ns", "high_ns",
 *			  "count"}], "marks": {"p99_ns": ...}}],
 *	  "series": [{"key", "title", "unit", "lines": [...], "points": [{"time_ns", ...}]}],
 *	  "waterfalls": [{"key", "title", "classes": [...], "traces": [{"name", "note", "start_ns",
 *			  "total_ns", "spans": [{"class", "name", "start_ns", "duration_ns", "depth",
 *			  "detail": [...]}]}]}]}}}
 *
 * Keys of values end in their unit: _ns, _bytes, _percent, _per_s. What is not known is null; so is
 * a bucket's upper bound when it has none. Members are there even when they are empty.
 */
int write_report_json(const struct report *r, const struct write_options *o, struct sink *out);

/*
 * One picture of all histograms, series and waterfalls, for light and dark pages, which needs no
 * other file and no script. Tables are left to the other two.
 */
int write_report_svg(const struct report *r, const struct write_options *o, struct sink *out);

#endif
