/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REPORT_H
#define PERISCOPE_REPORT_H

/*
 * The report model: what captures end in that are not stacks. Sections hold facts, notes, tables,
 * histograms, series over time and waterfalls; write_report.h has the writers. Values are raw
 * integers in the base unit (nanoseconds, bytes); only writers round.
 *
 * A report is built in one go and checked once: what cannot be added, for lack of memory or because
 * it does not fit (a text into a column of numbers, a row that is too long), is remembered, the
 * adders then return NULL or do nothing, take NULL as their first argument, and report_error() says
 * so at the end. All texts are copied but keys, headings and the columns' array, which are constants
 * of the caller. Keys are lower-case words with `_`: they are what programs find in JSON, and stay as
 * they are from version to version.
 *
 *	static const struct report_column columns[] = {
 *		{ "route", "route", REPORT_PLACE },
 *		{ "requests", "requests", REPORT_COUNT },
 *		{ "share", "share", REPORT_PERCENT },
 *		REPORT_LATENCY_COLUMNS,
 *	};
 *	struct report *r = report_new();
 *	struct report_section *s = report_section(r, "routes", "Requests by route");
 *	struct report_table *t = report_table(s, "routes", NULL, columns, ARRAY_SIZE(columns));
 *
 *	for (...) {
 *		report_add_text(t, name);
 *		report_add(t, count);
 *		report_add_real(t, 100.0 * count / all);
 *		report_add_latency(t, &hist);
 *	}
 *	report_sort(t, "requests");
 *	report_histogram_of(s, "latency", "Latency of all requests", REPORT_NS, "requests", &all);
 *	err = report_error(r);
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hist;
struct report;

/* What a value is; in JSON the unit ends the key ("p99_ns"). */
enum report_unit {
	REPORT_TEXT,	/* a few words */
	REPORT_PLACE,	/* a name of any length, whose middle gives way: a function, a route */
	REPORT_STACK,	/* frames, innermost first, a line each; the last column of its table */
	REPORT_COUNT,	/* plain integer */
	REPORT_BYTES,	/* _bytes */
	REPORT_NS,	/* _ns */
	REPORT_PERCENT, /* _percent, a real from 0 to 100 */
	REPORT_RATE,	/* _per_s, a real */
	REPORT_MEAN,	/* plain real */
};

struct report_value {
	bool known; /* false: "-", null */
	union {
		int64_t number;
		double real;
		char *text;
	};
};

struct report_column {
	const char *key, *heading;
	enum report_unit unit;
};

struct report_fact {
	struct report_column what;
	struct report_value value;
};

struct report_table {
	struct report *report;
	const char *key;
	char *title; /* NULL: the section's title says it */
	const struct report_column *columns;
	size_t nr_columns;
	struct report_value *values; /* row by row */
	size_t nr_values, cap_values;
	bool all_rows; /* --top does not shorten it */
};

struct report_bucket {
	uint64_t low, high; /* inclusive; high UINT64_MAX: no upper end */
	uint64_t count, second;
};

/* A value to be marked in a histogram: { "p99", 1234567 }. */
struct report_mark {
	const char *name;
	uint64_t value;
};

struct report_histogram {
	struct report *report;
	const char *key;
	char *title;
	enum report_unit unit; /* of the bounds */
	const char *what;      /* what is counted: "requests" */
	/* Beside the counts, e.g. the bytes of allocations of that size. Without a key: none. */
	struct report_column second;
	struct report_bucket *buckets;
	size_t nr_buckets, cap_buckets;
	struct report_mark *marks;
	size_t nr_marks, cap_marks;
};

struct report_point {
	uint64_t ns; /* since the start of the capture */
	int64_t *values;
};

/* Integers over time, all of one unit. */
struct report_series {
	struct report *report;
	const char *key;
	char *title;
	const struct report_column *lines;
	size_t nr_lines;
	struct report_point *points; /* ascending in time */
	size_t nr_points, cap_points;
};

struct report_span {
	size_t class; /* into report_waterfall.classes */
	char *name;
	uint64_t start_ns, duration_ns; /* start since the trace's */
	unsigned int depth;
	char *detail; /* lines, e.g. a stack, innermost first; NULL: none */
};

/* One request, or whatever has a beginning and an end. */
struct report_trace {
	struct report *report;
	struct report_waterfall *waterfall;
	char *name;
	char *note; /* NULL: none */
	uint64_t start_ns, total_ns;
	struct report_span *spans;
	size_t nr_spans, cap_spans;
};

struct report_waterfall {
	struct report *report;
	const char *key;
	char *title;
	char **classes; /* each has a colour of its own, in this order */
	size_t nr_classes, cap_classes;
	size_t unknown; /* its number + 1 of the class for what is not known; 0: there is none */
	struct report_trace **traces;
	size_t nr_traces, cap_traces;
};

enum report_kind { REPORT_TABLE, REPORT_HISTOGRAM, REPORT_SERIES, REPORT_WATERFALL };
#define REPORT_NR_KINDS 4

struct report_part {
	enum report_kind kind;
	union {
		struct report_table *table;
		struct report_histogram *histogram;
		struct report_series *series;
		struct report_waterfall *waterfall;
	};
};

struct report_section {
	struct report *report;
	const char *key;
	char *title;
	char **notes;
	size_t nr_notes, cap_notes;
	struct report_fact *facts;
	size_t nr_facts, cap_facts;
	struct report_part *parts; /* in the order of addition */
	size_t nr_parts, cap_parts;
};

struct report {
	struct report_section **sections;
	size_t nr_sections, cap_sections;
	int err;
};

/* Returns NULL and errno. */
struct report *report_new(void);
void report_free(struct report *r);

/* 0, -ENOMEM, or -EINVAL for what did not fit: a mistake of the caller. */
int report_error(const struct report *r);

/* A key of its own among the report's sections. */
struct report_section *report_section(struct report *r, const char *key, const char *title);

/* A sentence below the title: what was left out, what the figures rest on. */
void report_note(struct report_section *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Figures that stand alone. Each key once in a section. */
void report_fact(struct report_section *s, const char *key, const char *heading,
		 enum report_unit unit, int64_t value);
void report_fact_real(struct report_section *s, const char *key, const char *heading,
		      enum report_unit unit, double value);
void report_fact_text(struct report_section *s, const char *key, const char *heading,
		      const char *text);

/* What goes into the members above. */
bool report_is_text(enum report_unit unit);
bool report_is_real(enum report_unit unit);

/* ---------------------------------------------------------------- tables ---- */

/*
 * `columns` is borrowed, in the order of importance: a narrow terminal leaves out the last ones of
 * numbers, and says so. title NULL: the section's. Rows are filled value by value.
 */
struct report_table *report_table(struct report_section *s, const char *key, const char *title,
				  const struct report_column *columns, size_t nr);

void report_add_text(struct report_table *t, const char *text); /* NULL: unknown */
void report_add(struct report_table *t, int64_t value);
void report_add_real(struct report_table *t, double value); /* not finite: unknown */
void report_add_none(struct report_table *t);

/* Five columns of a latency and what fills them; no values: unknown. */
#define REPORT_LATENCY_COLUMNS                                                                 \
	{ "p50", "p50", REPORT_NS }, { "p90", "p90", REPORT_NS }, { "p99", "p99", REPORT_NS }, \
		{ "p999", "p99.9", REPORT_NS },                                                \
	{                                                                                      \
		"max", "max", REPORT_NS                                                        \
	}
void report_add_latency(struct report_table *t, const struct hist *h);

/* Greatest first by a column of numbers (texts: ascending); unknown last; else as added. */
void report_sort(struct report_table *t, const char *key);

size_t report_rows(const struct report_table *t);
const struct report_value *report_cell(const struct report_table *t, size_t row, size_t column);

/* ---------------------------------------------------------------- histograms ---- */

struct report_histogram *report_histogram(struct report_section *s, const char *key,
					  const char *title, enum report_unit unit,
					  const char *what);
/* Ascending, without overlap; gaps are empty buckets that nobody needs to add. */
void report_bucket(struct report_histogram *h, uint64_t low, uint64_t high, uint64_t count,
		   uint64_t second);
/* The bucket of the values whose hist_log2() (bpf/hist.h) is `power`: 2^power to 2^(power + 1) - 1. */
void report_bucket_log2(struct report_histogram *h, unsigned int power, uint64_t count,
			uint64_t second);
/* There is a second series of integers. */
void report_second(struct report_histogram *h, const char *key, const char *heading,
		   enum report_unit unit);
void report_mark(struct report_histogram *h, const char *name, uint64_t value);

/*
 * The same of a histogram that was recorded: its buckets brought together to powers of two, or to
 * halves, quarters and eighths of them where that stays readable; percentiles and max marked.
 */
struct report_histogram *report_histogram_of(struct report_section *s, const char *key,
					     const char *title, enum report_unit unit,
					     const char *what, const struct hist *from);

/* ---------------------------------------------------------------- over time ---- */

/* `lines` is borrowed; all of one unit: count, bytes or ns. */
struct report_series *report_series(struct report_section *s, const char *key, const char *title,
				    const struct report_column *lines, size_t nr);
/* A value for each line, not before the last point. */
void report_point(struct report_series *s, uint64_t ns, const int64_t *values);

/* ---------------------------------------------------------------- waterfalls ---- */

struct report_waterfall *report_waterfall(struct report_section *s, const char *key,
					  const char *title);
/* Classes take their colours in the order of this call, else of their first span. */
void report_class(struct report_waterfall *w, const char *class);
/* Spans of this class, one a waterfall, stand for what is not known: they are drawn hollow. */
void report_unknown(struct report_waterfall *w, const char *class);

/* start_ns: since the start of the capture. */
struct report_trace *report_trace(struct report_waterfall *w, const char *name, uint64_t start_ns,
				  uint64_t total_ns, const char *note);
/*
 * A part of the trace; deeper ones lie within those above them. `detail`, lines of text, may be
 * NULL. What exceeds the trace is drawn to its end.
 */
void report_span(struct report_trace *t, const char *class, const char *name, uint64_t start_ns,
		 uint64_t duration_ns, unsigned int depth, const char *detail);

#endif
