/* SPDX-License-Identifier: MIT */
#include "func_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stack_profile.h"
#include "stack_text.h"
#include "strbuf.h"
#include "util.h"

#define MAX_HISTOGRAMS 5

static const struct report_column columns[] = {
	{ "function", "function", REPORT_PLACE },
	{ "calls", "calls", REPORT_COUNT },
	{ "rate", "rate", REPORT_RATE },
	{ "total", "total", REPORT_NS },
	{ "on_cpu", "on CPU", REPORT_PERCENT },
	REPORT_LATENCY_COLUMNS,
	{ "mean", "mean", REPORT_NS },
	{ "min", "min", REPORT_NS },
	{ "returns", "returns", REPORT_COUNT },
	{ "missing", "missing", REPORT_COUNT },
	{ "object", "object", REPORT_TEXT },
};

/* Beside them with --alloc. */
static const struct report_column alloc_columns[] = {
	{ "function", "function", REPORT_PLACE },
	{ "returns", "returns", REPORT_COUNT },
	{ "allocations", "allocations", REPORT_COUNT },
	{ "allocated", "allocated", REPORT_BYTES },
	{ "allocations_each", "a call", REPORT_COUNT },
	{ "allocated_each", "bytes a call", REPORT_BYTES },
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Of a function whose return is not probed there are only calls. */
static void put_times(struct report_table *t, const struct func_result *r)
{
	const struct func_stat *s = &r->sum;

	if (!r->timed || !s->returns) {
		for (int i = 0; i < 9; i++)
			report_add_none(t);
		return;
	}
	report_add(t, (int64_t)s->outer_ns);
	if (s->ns)
		report_add_real(t, 100.0 * (double)s->on_cpu_ns / (double)s->ns);
	else
		report_add_none(t);
	report_add_latency(t, &r->latency);
	report_add(t, (int64_t)(s->ns / s->returns));
	report_add(t, (int64_t)~s->min_ns);
}

static void add_functions(struct report_section *section, const struct func_result *results,
			  size_t n, uint64_t ran_ns)
{
	struct report_table *t =
		report_table(section, "functions", NULL, columns, ARRAY_SIZE(columns));
	bool timed = false;

	for (size_t i = 0; i < n; i++) {
		const struct func_result *r = &results[i];

		if (r->site->site_err)
			continue;
		report_add_text(t, r->site->name);
		report_add(t, (int64_t)r->sum.calls);
		report_add_real(t, 1e9 * (double)r->sum.calls / (double)ran_ns);
		put_times(t, r);
		if (r->timed) {
			report_add(t, (int64_t)r->sum.returns);
			report_add(t, (int64_t)r->sum.missing);
		} else {
			report_add_none(t);
			report_add_none(t);
		}
		report_add_text(t, base_name(r->site->object->path));
		timed = timed || r->timed;
	}
	report_sort(t, "calls");
	if (timed)
		report_note(section, "Times are from call to return. What a function hands to "
				     "another thread or to a loop goes on after that: the end of a "
				     "handler is not that of the answer (see periscope requests).");
}

static void add_allocs(struct report *report, const struct func_result *results, size_t n)
{
	struct report_section *section =
		report_section(report, "allocations", "Allocations in calls that returned");
	struct report_table *t = report_table(section, "allocations", NULL, alloc_columns,
					      ARRAY_SIZE(alloc_columns));

	report_note(section, "With those of what they call.");
	for (size_t i = 0; i < n; i++) {
		const struct func_stat *s = &results[i].sum;

		if (!results[i].timed || !s->returns)
			continue;
		report_add_text(t, results[i].site->name);
		report_add(t, (int64_t)s->returns);
		report_add(t, (int64_t)s->allocs);
		report_add(t, (int64_t)s->alloc_bytes);
		report_add(t, (int64_t)((s->allocs + s->returns / 2) / s->returns));
		report_add(t, (int64_t)((s->alloc_bytes + s->returns / 2) / s->returns));
	}
	report_sort(t, "allocations");
}

static bool is_stepped(const struct func_result *r)
{
	return r->timed && r->site->site.class == PROBE_STEPPED;
}

static bool repeats(const struct func_result *r)
{
	return r->site->site.repeats;
}

static bool is_late(const struct func_result *r)
{
	return r->late;
}

/* What is to be known of some functions' figures; the first of them is named. */
static void add_caveats(struct report_section *section, const struct func_result *results, size_t n)
{
	static const struct {
		bool (*holds)(const struct func_result *r);
		const char *what;
	} caveats[] = {
		{ is_stepped, "an instruction is single-stepped at the probe, which takes some ten "
			      "microseconds; they are in the time of each call" },
		{ repeats,
		  "the code jumps back to where it is probed, and each time is counted: calls "
		  "are as many at most" },
		/* Until a new mapping is noticed nobody counts. */
		{ is_late, "in a file that was mapped during the capture; calls before that was "
			   "noticed are not counted" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(caveats); i++) {
		const char *first = NULL;
		size_t nr = 0;

		for (size_t j = 0; j < n; j++) {
			if (results[j].site->site_err || !caveats[i].holds(&results[j]))
				continue;
			first = first ? first : results[j].site->name;
			nr++;
		}
		if (nr)
			report_note(section, "%s%s: %s.", first, nr > 1 ? " and others" : "",
				    caveats[i].what);
	}
}

/* Functions whose returns are not probed, by reason. */
static void add_refusals(struct report_section *section, const struct func_result *results,
			 size_t n, bool entries)
{
	for (unsigned int why = PROBE_RETURN_OK + 1; why <= PROBE_RETURN_NO_MEMORY && !entries;
	     why++) {
		const struct function_site *first = NULL;
		size_t nr = 0;

		for (size_t i = 0; i < n; i++) {
			const struct function_site *f = results[i].site;

			if (f->site_err || f->returns != why)
				continue;
			first = first ? first : f;
			nr++;
		}
		if (nr == 1)
			report_note(section, "%s is counted, not timed: %s.", first->name,
				    probe_return_text(why));
		else if (nr)
			report_note(section,
				    "%zu functions, %s among them, are counted, not timed: %s.", nr,
				    first->name, probe_return_text(why));
	}
}

/* What was not done because of its cost. */
static void add_verdict(struct report_section *s, const struct probe_budget_verdict *v)
{
	if (v->narrowed)
		report_note(
			s,
			"Calls are counted, not timed: to time them would have made the process's "
			"work take about %.0f%% longer (--max-overhead, --force).",
			v->asked);
}

static void add_notes(struct report_section *s, const struct capture_funcs_stats *st)
{
	const struct {
		uint64_t n;
		const char *what;
	} notes[] = {
		{ st->missing, "Calls without a return, more than 64 deep in a thread, or left by "
			       "an exception, a jump or the thread's end" },
		{ st->open, "Calls that had not returned at the end" },
		{ st->stray, "Returns of calls from before the capture, not counted" },
		{ st->lost, "Calls that were not timed, in too many threads" },
		{ st->lost_buckets,
		  "Returns that are not in the percentiles, of too many different times" },
		{ st->lost_stacks, "Calls without a stack, for lack of room" },
		{ st->lost_values,
		  "Values of arguments that were not counted, too many different ones" },
		{ st->lost_args, "Calls of functions where the argument is not known" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(notes); i++)
		if (notes[i].n)
			report_note(s, "%s: %" PRIu64 ".", notes[i].what, notes[i].n);
}

/* Names that were asked for, and stand for nothing. */
static void add_unmatched(struct report_section *s, const struct capture_funcs *c)
{
	struct strbuf names;

	strbuf_init(&names);
	capture_funcs_unmatched(c, &names);
	if (names.len)
		report_note(s, "No function is called %s.", strbuf_str(&names));
	strbuf_release(&names);
}

/* ---------------------------------------------------------------- histograms ---- */

static int by_calls(const void *a, const void *b)
{
	const struct func_result *x = *(const struct func_result *const *)a;
	const struct func_result *y = *(const struct func_result *const *)b;

	return x->sum.calls < y->sum.calls ? 1 : x->sum.calls > y->sum.calls ? -1 : 0;
}

static int add_histograms(struct report *report, const struct func_result *results, size_t n)
{
	const struct func_result **order = calloc(n + 1, sizeof(struct func_result *));
	struct report_section *section = NULL;
	size_t nr = 0;

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (results[i].latency.count)
			order[nr++] = &results[i];
	qsort(order, nr, sizeof(struct func_result *), by_calls);
	if (nr)
		section = report_section(report, "latency", "Time from call to return");
	if (nr > MAX_HISTOGRAMS)
		report_note(section,
			    "Of the %d functions that were called most; not shown are %zu others.",
			    MAX_HISTOGRAMS, nr - MAX_HISTOGRAMS);
	for (size_t i = 0; i < MIN(nr, MAX_HISTOGRAMS); i++)
		report_histogram_of(section, order[i]->site->name, order[i]->site->name, REPORT_NS,
				    "calls", &order[i]->latency);
	free(order);
	return 0;
}

/* ---------------------------------------------------------------- arguments ---- */

static const struct report_column value_columns[] = {
	{ "function", "function", REPORT_PLACE },    { "argument", "argument", REPORT_TEXT },
	{ "value", "value", REPORT_PLACE },	     { "calls", "calls", REPORT_COUNT },
	{ "share", "of its calls", REPORT_PERCENT },
};

const char *func_arg_kind_name(unsigned int kind)
{
	static const char *const names[] = { "long", "ulong", "int", "uint", "ptr", "str" };

	return kind < ARRAY_SIZE(names) ? names[kind] : "?";
}

/*
 * Values that differ are to look different, also those of pointers to something else than text: bytes
 * that are no printable UTF-8 are written as in C, and so is the backslash.
 */
static void put_text(struct report_table *t, const char *text)
{
	struct strbuf out;

	strbuf_init(&out);
	strbuf_puts_escaped(&out, text);
	if (strbuf_error(&out))
		report_add_none(t);
	else
		report_add_text(t, strbuf_str(&out));
	strbuf_release(&out);
}

static void put_value(struct report_table *t, const struct capture_funcs *c, unsigned int kind,
		      uint64_t value)
{
	const char *known = NULL;
	char text[32];

	switch (kind) {
	case FUNC_ARG_TEXT:
		if (value == FUNC_TEXT_NULL)
			known = "(null)";
		else if (value == FUNC_TEXT_UNREADABLE)
			known = "(unreadable)";
		else
			known = capture_funcs_text(c, value);
		put_text(t, known ? known : "(lost)");
		return;
	case FUNC_ARG_POINTER:
		snprintf(text, sizeof(text), "%#" PRIx64, value);
		break;
	case FUNC_ARG_LONG:
	case FUNC_ARG_INT:
		snprintf(text, sizeof(text), "%" PRId64, (int64_t)value);
		break;
	default:
		snprintf(text, sizeof(text), "%" PRIu64, value);
		break;
	}
	report_add_text(t, text);
}

static void add_values(struct report *report, const struct capture_funcs *c,
		       const struct capture_funcs_options *o, const struct func_result *results,
		       size_t n)
{
	struct report_section *section =
		report_section(report, "arguments", "Arguments of calls, by value");
	struct report_table *t =
		report_table(section, "values", NULL, value_columns, ARRAY_SIZE(value_columns));
	size_t nr;
	const struct func_value_count *values = capture_funcs_values(c, &nr);
	char text[32];

	for (size_t i = 0; i < nr; i++) {
		const struct func_value *key = &values[i].key;

		if (key->func >= n || key->arg >= o->nr_args)
			continue;
		report_add_text(t, results[key->func].site->name);
		snprintf(text, sizeof(text), "arg%u:%s", o->args[key->arg].number + 1,
			 func_arg_kind_name(o->args[key->arg].kind));
		report_add_text(t, text);
		put_value(t, c, o->args[key->arg].kind, key->value);
		report_add(t, (int64_t)values[i].count);
		report_add_real(t, 100.0 * (double)values[i].count /
					   (double)MAX(results[key->func].sum.calls, 1));
	}
	report_sort(t, "calls");
}

/* ---------------------------------------------------------------- callers ---- */

static const struct report_column caller_columns[] = {
	{ "calls", "calls", REPORT_COUNT },
	{ "time", "time", REPORT_NS },
	{ "on_cpu", "on CPU", REPORT_PERCENT },
	{ "stack", "stack", REPORT_STACK },
};

/* Threads with the same stack are one row: sorted by stack they stand together. */
static int by_stack(const void *a, const void *b)
{
	const struct func_caller *x = a, *y = b;

	if (x->key.stack != y->key.stack)
		return x->key.stack < y->key.stack ? -1 : 1;
	return x->key.tgid < y->key.tgid ? -1 : x->key.tgid > y->key.tgid;
}

static int put_callers(struct report_table *t, struct stack_text *text, const struct func_caller *c,
		       size_t n, struct strbuf *b)
{
	struct func_callers sum = { 0 };
	int err;

	for (size_t i = 0; i < n; i++) {
		sum.calls += c[i].sum.calls;
		sum.returns += c[i].sum.returns;
		sum.ns += c[i].sum.ns;
		sum.on_cpu_ns += c[i].sum.on_cpu_ns;
	}
	report_add(t, (int64_t)sum.calls);
	if (sum.returns) {
		report_add(t, (int64_t)sum.ns);
		report_add_real(t, sum.ns ? 100.0 * (double)sum.on_cpu_ns / (double)sum.ns : 0);
	} else {
		report_add_none(t);
		report_add_none(t);
	}
	strbuf_reset(b);
	err = stack_text_put(text, c->key.tgid, c->key.stack, b);
	report_add_text(t, strbuf_str(b));
	return err;
}

static int add_callers(struct report *report, const struct capture_funcs *c)
{
	struct report_section *section = report_section(report, "callers", "Who calls");
	struct report_table *t =
		report_table(section, "callers", NULL, caller_columns, ARRAY_SIZE(caller_columns));
	struct stack_text *text =
		stack_text_new(capture_funcs_stacks(c), &capture_funcs_target(c)->objects, false);
	struct func_caller *sorted;
	struct strbuf b;
	size_t n, j;
	const struct func_caller *callers = capture_funcs_callers(c, &n);
	int err = 0;

	sorted = calloc(n + 1, sizeof(*sorted));
	if (!text || !sorted)
		err = -ENOMEM;
	strbuf_init(&b);
	if (!err && n) {
		memcpy(sorted, callers, n * sizeof(*sorted));
		qsort(sorted, n, sizeof(*sorted), by_stack);
	}
	for (size_t i = 0; i < n && !err; i = j) {
		for (j = i + 1; j < n && !by_stack(&sorted[i], &sorted[j]);)
			j++;
		err = put_callers(t, text, &sorted[i], j - i, &b);
	}
	report_sort(t, "calls");
	strbuf_release(&b);
	free(sorted);
	stack_text_free(text);
	return err;
}

/* ---------------------------------------------------------------- the report ---- */

static struct report *finish(struct report *r, int err)
{
	if (!err)
		err = report_error(r);
	if (!err)
		return r;
	report_free(r);
	errno = -err;
	return NULL;
}

struct report *func_report_table(const struct func_result *results, size_t n, uint64_t ran_ns,
				 const char *title)
{
	struct report *r = report_new();

	if (!r)
		return NULL;
	add_functions(report_section(r, "functions", title), results, n, ran_ns);
	return finish(r, 0);
}

struct report *func_report(struct capture_funcs *c, uint64_t ran_ns)
{
	const struct capture_funcs_options *o = capture_funcs_options(c);
	struct report *r = report_new();
	struct capture_funcs_stats st;
	struct report_section *s;
	size_t n;
	const struct func_result *results = capture_funcs_results(c, &n);
	int err;

	if (!r)
		return NULL;
	capture_funcs_stats(c, &st);
	s = report_section(r, "functions", "Calls by function");
	add_unmatched(s, c);
	add_notes(s, &st);
	add_verdict(s, capture_funcs_verdict(c));
	add_refusals(s, results, n, o->entries);
	add_caveats(s, results, n);
	add_functions(s, results, n, ran_ns);
	if (o->allocs)
		add_allocs(r, results, n);
	err = add_histograms(r, results, n);
	if (o->nr_args)
		add_values(r, c, o, results, n);
	if (!err && o->stacks)
		err = add_callers(r, c);
	return finish(r, err);
}

/* ---------------------------------------------------------------- as a profile ---- */

static int add_stacks(struct profile *p, struct capture_funcs *c, bool per_thread)
{
	const struct target *t = capture_funcs_target(c);
	const struct stacks *stacks = capture_funcs_stacks(c);
	struct stack_profile_options so = { .per_thread = per_thread, .label_pid = t->nr_seen > 1 };
	struct stack_profile *sp = stack_profile_new(p, stacks, &t->objects, &so);
	size_t n;
	const struct func_caller *callers = capture_funcs_callers(c, &n);
	int err = sp ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && !err; i++) {
		const struct func_caller *f = &callers[i];
		ssize_t at = stacks_find(stacks, f->key.stack);
		int64_t values[] = { (int64_t)f->sum.calls, (int64_t)f->sum.ns,
				     (int64_t)f->sum.on_cpu_ns };
		struct stack_sample sample = { .stack = (size_t)at,
					       .tgid = f->key.tgid,
					       .tid = f->key.tid,
					       .comm = f->sum.comm,
					       .values = values };

		if (at >= 0)
			err = stack_profile_add(sp, &sample);
	}
	stack_profile_free(sp);
	return err;
}

static int add_function(struct profile *p, const struct func_result *r, uint32_t comm)
{
	struct profile_function f = { 0 };
	struct profile_line line = { 0 };
	uint32_t location;
	struct profile_sample_key key = { .locations = &location, .nr_locations = 1, .comm = comm };
	int64_t values[] = { (int64_t)r->sum.calls, (int64_t)r->sum.ns, (int64_t)r->sum.on_cpu_ns };
	int err = profile_string(p, r->site->name, &f.name);

	f.system_name = f.name;
	if (!err)
		err = profile_function(p, &f, &line.function);
	if (!err)
		err = profile_location(p, 0, PROFILE_NONE, &line, 1, &location);
	return err ? err : profile_add(p, &key, values);
}

int func_profile(struct profile *p, struct capture_funcs *c, const char *comm, bool per_thread)
{
	size_t n, nr_callers;
	const struct func_result *results = capture_funcs_results(c, &n);
	uint32_t type, root;
	int err = profile_type(p, "calls", "count", &type);

	if (!err)
		err = profile_type(p, "time", "nanoseconds", &type);
	if (!err)
		err = profile_type(p, "on_cpu", "nanoseconds", &type);
	if (err)
		return err;
	p->default_type = 0;
	capture_funcs_callers(c, &nr_callers);
	if (nr_callers)
		return add_stacks(p, c, per_thread);
	err = profile_string(p, comm, &root);
	for (size_t i = 0; i < n && !err; i++)
		if (results[i].sum.calls)
			err = add_function(p, &results[i], root);
	return err;
}
