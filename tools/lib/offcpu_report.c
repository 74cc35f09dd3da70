/* SPDX-License-Identifier: MIT */
#include "offcpu_report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "summary.h"
#include "util.h"

static uint64_t time_of(const struct offcpu_value *v)
{
	return v->blocked + v->runnable;
}

static void add_reasons(struct report *r, const struct offcpu_waits *w)
{
	static const struct report_column columns[] = {
		{ "reason", "reason", REPORT_TEXT }, { "waits", "waits", REPORT_COUNT },
		{ "offcpu", "off-CPU", REPORT_NS },  { "share", "share", REPORT_PERCENT },
		{ "blocked", "blocked", REPORT_NS }, { "runqueue", "run queue", REPORT_NS },
		{ "mean", "mean", REPORT_NS },	     { "longest", "longest", REPORT_NS },
	};
	struct report_section *s = report_section(r, "reasons", "Waits by reason");
	struct report_table *t = report_table(s, "reasons", NULL, columns, ARRAY_SIZE(columns));
	struct offcpu_value sums[OFFCPU_NR_REASONS] = { 0 }, all = { 0 };

	for (size_t i = 0; i < w->nr; i++) {
		if (w->items[i].key.reason >= OFFCPU_RUNNING)
			continue;
		offcpu_value_add(&sums[w->items[i].key.reason], &w->items[i].value);
		offcpu_value_add(&all, &w->items[i].value);
	}
	for (unsigned int i = 0; i < OFFCPU_RUNNING; i++) {
		const struct offcpu_value *v = &sums[i];

		if (!v->waits)
			continue;
		report_add_text(t, offcpu_reason_name(i));
		report_add(t, (int64_t)v->waits);
		report_add(t, (int64_t)time_of(v));
		report_add_real(t, 100.0 * (double)time_of(v) / (double)time_of(&all));
		report_add(t, (int64_t)v->blocked);
		report_add(t, (int64_t)v->runnable);
		report_add(t, (int64_t)(time_of(v) / v->waits));
		report_add(t, (int64_t)v->longest);
	}
	report_sort(t, "offcpu");
}

/* A row: a thread, or the sum of `ended` ones; tgid 0: of several processes, which are gone, too. */
struct row {
	struct offcpu_thread sum;
	size_t ended;
};

static void add_row(struct report_table *t, const struct row *r, bool pids)
{
	const struct offcpu_thread *th = &r->sum;
	char name[STACK_COMM_LEN + 48];

	snprintf(name, sizeof(name), "%s (%zu ended)", th->comm, r->ended);
	report_add_text(t, r->ended ? name : th->comm);
	if (r->ended)
		report_add_none(t);
	else
		report_add(t, th->tid);
	if (pids && !th->tgid)
		report_add_none(t);
	else if (pids)
		report_add(t, th->tgid);
	report_add(t, (int64_t)th->waits);
	report_add(t, (int64_t)(th->blocked + th->runnable));
	report_add(t, (int64_t)th->blocked);
	report_add(t, (int64_t)th->runnable);
	report_add(t, (int64_t)th->running);
}

/* Those that have ended behind each other, by process and name. */
static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->ended != y->ended)
		return x->ended < y->ended ? -1 : 1;
	if (x->sum.tgid != y->sum.tgid)
		return x->sum.tgid < y->sum.tgid ? -1 : 1;
	return strcmp(x->sum.comm, y->sum.comm);
}

/* The rows of all threads: of those that have ended, there may be many, one for each name. */
static size_t make_rows(struct row *rows, const struct capture_offcpu *c)
{
	const struct offcpu_waits *w = capture_offcpu_waits(c);
	size_t n = 0;

	for (size_t i = 0; i < w->nr_threads; i++) {
		struct row *r = &rows[i];

		*r = (struct row){ w->threads[i], w->threads[i].doing == OFFCPU_IS_DEAD };
		if (r->ended && !target_find(capture_offcpu_target(c), (pid_t)r->sum.tgid))
			r->sum.tgid = 0;
	}
	qsort(rows, w->nr_threads, sizeof(*rows), compare_rows);
	for (size_t i = 0; i < w->nr_threads; i++) {
		struct row *last = n ? &rows[n - 1] : NULL;

		if (!last || !rows[i].ended || rows[i].sum.tgid != last->sum.tgid ||
		    strcmp(rows[i].sum.comm, last->sum.comm) != 0 || !last->ended) {
			rows[n++] = rows[i];
			continue;
		}
		last->ended++;
		last->sum.waits += rows[i].sum.waits;
		last->sum.blocked += rows[i].sum.blocked;
		last->sum.runnable += rows[i].sum.runnable;
		last->sum.running += rows[i].sum.running;
	}
	return n;
}

static void add_threads(struct report *r, const struct capture_offcpu *c)
{
	static const struct report_column with_pids[] = {
		{ "thread", "thread", REPORT_TEXT },	{ "tid", "TID", REPORT_COUNT },
		{ "pid", "PID", REPORT_COUNT },		{ "waits", "waits", REPORT_COUNT },
		{ "offcpu", "off-CPU", REPORT_NS },	{ "blocked", "blocked", REPORT_NS },
		{ "runqueue", "run queue", REPORT_NS }, { "running", "running", REPORT_NS },
	};
	static const struct report_column without[] = {
		{ "thread", "thread", REPORT_TEXT }, { "tid", "TID", REPORT_COUNT },
		{ "waits", "waits", REPORT_COUNT },  { "offcpu", "off-CPU", REPORT_NS },
		{ "blocked", "blocked", REPORT_NS }, { "runqueue", "run queue", REPORT_NS },
		{ "running", "running", REPORT_NS },
	};
	bool pids = capture_offcpu_target(c)->nr_seen > 1;
	struct report_section *s = report_section(r, "threads", "Threads, all their time");
	struct report_table *t = report_table(s, "threads", NULL, pids ? with_pids : without,
					      pids ? ARRAY_SIZE(with_pids) : ARRAY_SIZE(without));
	struct row *rows = calloc(capture_offcpu_waits(c)->nr_threads + 1, sizeof(*rows));
	size_t n = rows ? make_rows(rows, c) : 0;

	if (!rows)
		r->err = -ENOMEM;
	for (size_t i = 0; i < n; i++)
		add_row(t, &rows[i], pids);
	free(rows);
	report_sort(t, "offcpu");
}

void offcpu_report(struct report *r, const struct capture_offcpu *c)
{
	add_reasons(r, capture_offcpu_waits(c));
	add_threads(r, c);
}

static void add_unless_0(struct summary *s, const char *key, uint64_t value)
{
	if (value)
		summary_u64(s, key, value);
}

void offcpu_summarize(struct summary *s, const struct capture_offcpu_stats *st, bool user)
{
	if (user)
		summary_u64(s, "complete", st->by_end[UNWIND_COMPLETE]);
	summary_u64(s, "lost", st->lost);
	if (st->lost)
		summary_seconds(s, "lost-seconds", st->lost_ns);
	for (size_t i = UNWIND_COMPLETE + 1; i < UNWIND_NR_ENDS; i++)
		add_unless_0(s, unwind_end_name(i), st->by_end[i]);
	add_unless_0(s, "by-frame-pointer", st->guessed);
	add_unless_0(s, "no-stack", st->no_stack);
	add_unless_0(s, "lost-threads", st->lost_threads);
	add_unless_0(s, "lost-events", st->lost_events);
	add_unless_0(s, "lost-requests", st->lost_requests);
	add_unless_0(s, "unreported", st->unreported);
	add_unless_0(s, "kernel-misread", st->misread);
}
