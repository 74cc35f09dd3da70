/* SPDX-License-Identifier: MIT */
#include "request_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request_names.h"
#include "request_waterfall.h"
#include "util.h"

static const char *const state_keys[STATE_NR] = {
	[STATE_ON_CPU] = "on_cpu",
	[STATE_RUNNABLE] = "runnable",
	[STATE_BLOCKED + WAIT_LOCK] = "lock",
	[STATE_BLOCKED + WAIT_POLL] = "poll",
	[STATE_BLOCKED + WAIT_NETWORK] = "network",
	[STATE_BLOCKED + WAIT_DISK] = "disk",
	[STATE_BLOCKED + WAIT_SLEEP] = "sleep",
	[STATE_BLOCKED + WAIT_FAULT] = "page_fault",
	[STATE_BLOCKED + WAIT_OTHER] = "other_wait",
	[STATE_QUEUE_WRITER] = "writer_queue",
	[STATE_QUEUE_HASH] = "hash_queue",
	[STATE_COMMIT] = "commit",
	[STATE_REPLY] = "reply",
	[STATE_LOOP] = "loop",
	[STATE_SEND] = "sending",
};

static const char *const phase_keys[PHASE_NR] = {
	[PHASE_OTHER] = "other", [PHASE_PARSE] = "parse", [PHASE_AUTH] = "auth",
	[PHASE_SQL] = "sql",	 [PHASE_HASH] = "hash",	  [PHASE_JSON] = "json",
	[PHASE_SEND] = "send",
};

/* Columns of a partition before its parts: route, requests, mean. */
#define NR_MEAN 3

static double share_of(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static uint64_t latency_of(const struct request_route_stats *s)
{
	return (uint64_t)s->latency.sum;
}

/* "GET /rooms" */
static void put_route(struct report_table *t, const struct request_table *table,
		      const struct request_route_stats *s)
{
	const char *method = request_method(table, s->method);
	char *name;

	if (!s->numbered || !*method) {
		report_add_text(t, s->name);
		return;
	}
	if (asprintf(&name, "%s %s", method, s->name) < 0)
		name = NULL;
	report_add_text(t, name);
	free(name);
}

/* ---------------------------------------------------------------- routes ---- */

static bool has_status(const struct request_points *points)
{
	for (size_t i = 0; i < points->nr; i++)
		if (points->items[i].probe.role == ROLE_END &&
		    points->items[i].probe.status != REQUEST_NO_ARG)
			return true;
	return false;
}

static const struct report_column class_columns[] = {
	{ "status_2xx", "2xx", REPORT_COUNT },	   { "status_3xx", "3xx", REPORT_COUNT },
	{ "status_4xx", "4xx", REPORT_COUNT },	   { "status_5xx", "5xx", REPORT_COUNT },
	{ "status_other", "other", REPORT_COUNT }, { "aborted", "aborted", REPORT_COUNT },
};

/* How many of a route's requests are in a column of the above. */
static uint64_t class_count(const struct request_route_stats *s, size_t column)
{
	switch (column) {
	case 4:
		return s->by_class[0] + s->by_class[1];
	case 5:
		return s->aborted;
	default:
		return s->by_class[column + 2];
	}
}

/* Errors, if there are any, stand before the latencies, the rest behind: the end may be cut off. */
static size_t choose_route_columns(struct report_column *columns, size_t *classes,
				   const struct request_table *table, bool status)
{
	static const struct report_column first[] = {
		{ "route", "route", REPORT_PLACE },
		{ "requests", "requests", REPORT_COUNT },
		{ "rate", "rate", REPORT_RATE },
	};
	static const struct report_column latency[] = { REPORT_LATENCY_COLUMNS };
	size_t nr = 0;

	for (size_t i = 0; i < ARRAY_SIZE(first); i++)
		columns[nr++] = first[i];
	for (int errors = 1; errors >= 0; errors--) {
		for (size_t i = 0; i < ARRAY_SIZE(class_columns) && status; i++) {
			uint64_t n = 0;

			for (size_t j = 0; j < table->nr_routes; j++)
				n += class_count(&table->routes[j], i);
			if ((i >= 2 && n) != errors)
				continue;
			*classes++ = i;
			columns[nr++] = class_columns[i];
		}
		for (size_t i = 0; i < ARRAY_SIZE(latency) && errors; i++)
			columns[nr++] = latency[i];
		if (errors)
			*classes++ = SIZE_MAX; /* here are the latencies */
	}
	return nr;
}

static void add_routes(struct request_report *r, struct report_section *section,
		       const struct request_table *table, const struct request_points *points,
		       uint64_t ran_ns)
{
	size_t classes[ARRAY_SIZE(class_columns) + 1], status = has_status(points);
	size_t nr = choose_route_columns(r->routes, classes, table, status);
	struct report_table *t = report_table(section, "routes", NULL, r->routes, nr);

	for (size_t i = 0; i < table->nr_routes; i++) {
		const struct request_route_stats *s = &table->routes[i];

		put_route(t, table, s);
		report_add(t, (int64_t)s->count);
		report_add_real(t, 1e9 * (double)s->count / (double)ran_ns);
		for (size_t j = 0; j < (status ? ARRAY_SIZE(classes) : 1); j++)
			if (classes[j] == SIZE_MAX)
				report_add_latency(t, &s->latency);
			else
				report_add(t, (int64_t)class_count(s, classes[j]));
	}
	report_sort(t, "requests");
}

/* ---------------------------------------------------------------- where time goes ---- */

/*
 * The columns of a partition: what all have, then what took any time, most first. `order` gets the
 * numbers of the latter. Returns how many those are; + NR_MEAN columns.
 */
static size_t choose_columns(struct report_column *columns, size_t *order, const uint64_t *times,
			     size_t n, const char *const *keys, const char *(*name)(unsigned int))
{
	size_t nr = 0;

	columns[0] = (struct report_column){ "route", "route", REPORT_PLACE };
	columns[1] = (struct report_column){ "requests", "requests", REPORT_COUNT };
	columns[2] = (struct report_column){ "mean", "mean", REPORT_NS };
	for (size_t i = 0; i < n; i++) {
		size_t at = nr;

		if (!times[i])
			continue;
		for (; at && times[order[at - 1]] < times[i]; at--)
			order[at] = order[at - 1];
		order[at] = i;
		nr++;
	}
	for (size_t i = 0; i < nr; i++)
		columns[NR_MEAN + i] =
			(struct report_column){ keys[order[i]], name(order[i]), REPORT_NS };
	return nr;
}

/* A row's beginning: what all its times are means of. */
static void put_mean(struct report_table *t, const struct request_table *table,
		     const struct request_route_stats *s)
{
	put_route(t, table, s);
	report_add(t, (int64_t)s->count);
	report_add(t, (int64_t)hist_mean(&s->latency));
}

static int64_t mean_of(uint64_t sum, const struct request_route_stats *s)
{
	return s->count ? (int64_t)((sum + s->count / 2) / s->count) : 0;
}

static void add_states(struct request_report *r, struct report_section *section,
		       const struct request_table *table)
{
	uint64_t all[STATE_NR] = { 0 }, split = 0;
	size_t order[STATE_NR], nr;
	struct report_table *t;

	for (size_t i = 0; i < table->nr_routes; i++) {
		for (size_t j = 0; j < STATE_NR; j++)
			all[j] += table->routes[i].states[j];
		split += table->routes[i].split;
	}
	nr = choose_columns(r->states, order, all, STATE_NR, state_keys, requests_state_name);
	r->states[NR_MEAN + nr] = (struct report_column){ "not_known", "not known", REPORT_NS };
	t = report_table(section, "states", "Where the time of a request goes, on average",
			 r->states, NR_MEAN + nr + !!split);
	for (size_t i = 0; i < table->nr_routes; i++) {
		const struct request_route_stats *s = &table->routes[i];

		put_mean(t, table, s);
		for (size_t j = 0; j < nr; j++)
			report_add(t, mean_of(s->states[order[j]], s));
		if (split)
			report_add(t, mean_of(s->split_ns, s));
	}
	report_sort(t, "requests");
	if (split)
		report_note(section,
			    "%" PRIu64 " requests left the thread that began them, or shared it: "
			    "what became of them is not known without --run and --pause.",
			    split);
}

static void add_phases(struct request_report *r, struct report_section *section,
		       const struct request_table *table)
{
	uint64_t all[PHASE_NR] = { 0 };
	size_t order[PHASE_NR], nr;
	struct report_table *t;

	for (size_t i = 0; i < table->nr_routes; i++)
		for (size_t j = 0; j < PHASE_NR; j++)
			all[j] += table->routes[i].phases[j];
	nr = choose_columns(r->phases, order, all, PHASE_NR, phase_keys, requests_phase_name);
	t = report_table(section, "phases", "What it is spent on", r->phases, NR_MEAN + nr);
	for (size_t i = 0; i < table->nr_routes; i++) {
		const struct request_route_stats *s = &table->routes[i];

		put_mean(t, table, s);
		for (size_t j = 0; j < nr; j++)
			report_add(t, mean_of(s->phases[order[j]], s));
	}
	report_sort(t, "requests");
}

/* ---------------------------------------------------------------- SQL ---- */

static const struct report_column sql_columns[] = {
	{ "statement", "statement", REPORT_PLACE },
	{ "route", "route", REPORT_PLACE },
	{ "calls", "calls", REPORT_COUNT },
	{ "total", "total", REPORT_NS },
	{ "mean", "mean", REPORT_NS },
	{ "max", "max", REPORT_NS },
	{ "share", "of latency", REPORT_PERCENT },
	{ "rows", "rows", REPORT_COUNT },
	{ "steps", "VM steps", REPORT_COUNT },
};

static void put_sql(struct report_table *t, const struct request_sql *sql, uint32_t stmt)
{
	char number[32];

	snprintf(number, sizeof(number), "(statement %u)", stmt);
	report_add_text(t, sql && sql->text && *sql->text ? sql->text : number);
}

static void put_sql_figures(struct report_table *t, const struct request_own_stmt *s,
			    uint64_t latency)
{
	report_add(t, (int64_t)s->count);
	report_add(t, (int64_t)s->ns);
	report_add(t, s->count ? (int64_t)(s->ns / s->count) : 0);
	report_add(t, (int64_t)s->max_ns);
	if (latency)
		report_add_real(t, share_of(s->ns, latency));
	else
		report_add_none(t);
	report_add(t, (int64_t)s->rows);
	report_add(t, (int64_t)s->steps);
}

static void add_sql(struct report_section *section, const struct request_table *table,
		    const struct capture_requests *c)
{
	struct report_table *t =
		report_table(section, "statements", NULL, sql_columns, ARRAY_SIZE(sql_columns));
	const struct request_sql *sql;
	size_t n;

	for (size_t i = 0; i < table->nr_routes; i++) {
		const struct request_route_stats *s = &table->routes[i];

		for (size_t j = 0; j < s->nr_stmts; j++) {
			const struct request_statement *from = &s->stmts[j];
			struct request_own_stmt sum = { .count = from->count,
							.ns = from->ns,
							.max_ns = from->max_ns,
							.rows = from->rows,
							.steps = from->steps };

			put_sql(t, capture_requests_sql(c, from->tgid, from->stmt), from->stmt);
			put_route(t, table, s);
			put_sql_figures(t, &sum, latency_of(s));
		}
		if (s->lost_stmts)
			report_note(section,
				    "%s: %" PRIu64 " executions are not in the table, of "
				    "requests with more than %d different statements.",
				    s->name, s->lost_stmts, REQUEST_STMTS);
	}
	sql = capture_requests_all_sql(c, &n);
	for (size_t i = 0; i < n; i++) {
		if (!sql[i].own.count)
			continue;
		put_sql(t, &sql[i], sql[i].stmt);
		report_add_text(t, "(no request's)");
		put_sql_figures(t, &sql[i].own, 0);
	}
	report_sort(t, "total");
}

static bool has_sql(const struct request_points *points)
{
	for (size_t i = 0; i < points->nr; i++)
		if (points->items[i].probe.role == ROLE_STMT_END ||
		    points->items[i].probe.role == ROLE_STMT_OWN)
			return true;
	return false;
}

/* ---------------------------------------------------------------- the rest ---- */

static const struct report_column use_columns[] = {
	{ "route", "route", REPORT_PLACE },
	{ "requests", "requests", REPORT_COUNT },
	{ "waits", "waits", REPORT_COUNT },
	{ "pieces", "pieces", REPORT_COUNT },
	{ "moves", "moves", REPORT_COUNT },
	{ "faults", "page faults", REPORT_COUNT },
	{ "device_faults", "from disk", REPORT_COUNT },
	{ "hits", "probe hits", REPORT_COUNT },
};
static const struct report_column syscall_columns[] = {
	{ "syscalls", "syscalls", REPORT_COUNT },
};
static const struct report_column alloc_columns[] = {
	{ "allocations", "allocations", REPORT_COUNT },
	{ "allocated", "allocated", REPORT_BYTES },
	{ "allocations_each", "a request", REPORT_COUNT },
	{ "allocated_each", "bytes a request", REPORT_BYTES },
};

static size_t choose_use_columns(struct report_column *columns,
				 const struct capture_requests_options *o)
{
	size_t nr = 2;

	memcpy(columns, use_columns, nr * sizeof(*columns));
	if (o->allocs) {
		memcpy(columns + nr, alloc_columns, sizeof(alloc_columns));
		nr += ARRAY_SIZE(alloc_columns);
	}
	if (o->syscalls)
		columns[nr++] = syscall_columns[0];
	memcpy(columns + nr, use_columns + 2, sizeof(use_columns) - 2 * sizeof(*columns));
	return nr + ARRAY_SIZE(use_columns) - 2;
}

static void add_use(struct request_report *r, struct report_section *section,
		    const struct request_table *table, const struct capture_requests_options *o)
{
	size_t nr = choose_use_columns(r->use, o);
	struct report_table *t = report_table(section, "use", NULL, r->use, nr);

	for (size_t i = 0; i < table->nr_routes; i++) {
		const struct request_route_stats *s = &table->routes[i];

		put_route(t, table, s);
		report_add(t, (int64_t)s->count);
		if (o->allocs) {
			report_add(t, (int64_t)s->allocs);
			report_add(t, (int64_t)s->alloc_bytes);
			report_add(t, mean_of(s->allocs, s));
			report_add(t, mean_of(s->alloc_bytes, s));
		}
		if (o->syscalls)
			report_add(t, (int64_t)s->syscalls);
		report_add(t, (int64_t)s->waits);
		report_add(t, (int64_t)s->pieces);
		report_add(t, (int64_t)s->moves);
		report_add(t, (int64_t)s->faults);
		report_add(t, (int64_t)s->device_faults);
		report_add(t, (int64_t)s->hits);
		if (s->committed)
			report_note(section,
				    "%s %s: a commit was shared by %.1f requests on average.",
				    request_method(table, s->method), s->name,
				    (double)s->shared / (double)s->committed);
	}
	report_sort(t, "requests");
}

static const struct report_column open_columns[] = {
	{ "request", "request", REPORT_PLACE }, { "age", "age", REPORT_NS },
	{ "state", "state", REPORT_TEXT },	{ "thread", "last thread", REPORT_COUNT },
	{ "id", "id", REPORT_COUNT },
};

static void add_open(struct report *r, const struct request_table *table,
		     const struct request_open *open, size_t n)
{
	struct report_section *section = report_section(r, "open", "Requests that were still open");
	struct report_table *t =
		report_table(section, "open", NULL, open_columns, ARRAY_SIZE(open_columns));

	for (size_t i = 0; i < n; i++) {
		const struct request_record *o = &open[i].request;
		char *name = request_name(table, o);

		report_add_text(t, name);
		free(name);
		report_add(t, (int64_t)open[i].age_ns);
		report_add_text(t, requests_state_name(REQUEST_WORD_WHAT(o->word)));
		report_add(t, o->last_tid);
		report_add(t, (int64_t)o->header.arg);
	}
}

static void add_latencies(struct report_section *section, const struct request_table *table)
{
	struct hist all;
	int err = 0;

	hist_init(&all);
	for (size_t i = 0; i < table->nr_routes && !err; i++)
		err = hist_merge(&all, &table->routes[i].latency);
	if (!err && all.count)
		report_histogram_of(section, "latency", "Latency of all requests", REPORT_NS,
				    "requests", &all);
	hist_release(&all);
}

/* Requests that are in none of the tables, or apart from others, and why. */
static void add_notes(struct report_section *s, const struct capture_requests_stats *st)
{
	const struct {
		uint64_t n;
		const char *what;
	} notes[] = {
		{ st->no_start, "that began before the capture did, and are not counted" },
		{ st->open, "that were still open at its end (see below)" },
		{ st->not_executed,
		  "not executed, as what is only prepared, fails before that, or is the "
		  "program's own work (rows of their own)" },
		{ st->reused, "that were never seen to end, their id began anew" },
		{ st->thread_gone, "that were never seen to end, their thread exited" },
		{ st->helpers, "told by threads that exited and executed none, as parallel workers "
			       "do (their work is in no request)" },
		{ st->lost_open, "that were lost, too many were open at once" },
		{ st->lost_ring, "that were lost, their records came faster than they were read" },
		{ st->inconsistent, "with times that do not add up, a fault of this program" },
		{ st->damaged, "with damaged records, a fault of this program" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(notes); i++)
		if (notes[i].n)
			report_note(s, "Requests %s: %" PRIu64 ".", notes[i].what, notes[i].n);
	if (st->bad_arguments)
		report_note(s, "Arguments that could not be read: %" PRIu64 ".", st->bad_arguments);
	if (st->lost_threads)
		report_note(s, "Threads that could not be followed, too many: %" PRIu64 " times.",
			    st->lost_threads);
	if (st->stray_ends)
		report_note(s, "Returns of functions whose call was not seen: %" PRIu64 ".",
			    st->stray_ends);
}

static void add_tables(struct request_report *r, struct report_section *section,
		       const struct request_table *table, const struct request_points *points,
		       uint64_t ran_ns)
{
	add_routes(r, section, table, points, ran_ns);
	add_states(r, section, table);
	if (points->has_phases)
		add_phases(r, section, table);
}

int request_report_init_table(struct request_report *r, const struct request_table *t,
			      const struct request_points *points, uint64_t ran_ns,
			      const char *title)
{
	r->report = report_new();
	if (!r->report)
		return -errno;
	add_tables(r, report_section(r->report, "requests", title), t, points, ran_ns);
	return report_error(r->report);
}

int request_report_init(struct request_report *r, struct capture_requests *c, uint64_t ran_ns)
{
	const struct request_points *points = capture_requests_points(c);
	const struct request_table *table = capture_requests_table(c);
	const struct request_open *open;
	struct capture_requests_stats st;
	struct report_section *s;
	size_t n;
	int err;

	r->report = report_new();
	if (!r->report)
		return -errno;
	capture_requests_stats(c, &st);
	s = report_section(r->report, "requests", "Requests by route");
	add_notes(s, &st);
	add_tables(r, s, table, points, ran_ns);
	add_latencies(s, table);
	if (has_sql(points))
		add_sql(report_section(r->report, "sql", "SQL by statement"), table, c);
	add_use(r, report_section(r->report, "use", "What requests use, in all"), table,
		capture_requests_options(c));
	open = capture_requests_open(c, &n);
	if (n)
		add_open(r->report, table, open, n);
	err = request_waterfalls(r->report, c);
	return err ? err : report_error(r->report);
}

void request_report_release(struct request_report *r)
{
	report_free(r->report);
	*r = (struct request_report){ 0 };
}
