/* SPDX-License-Identifier: MIT */
#include "offcpu_report.h"

#include <inttypes.h>
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

static void add_thread(struct report_table *t, const char *name, const struct offcpu_thread *th,
		       bool ended, bool pids)
{
	report_add_text(t, name);
	if (ended)
		report_add_none(t);
	else
		report_add(t, th->tid);
	if (pids)
		report_add(t, th->tgid);
	report_add(t, (int64_t)th->waits);
	report_add(t, (int64_t)(th->blocked + th->runnable));
	report_add(t, (int64_t)th->blocked);
	report_add(t, (int64_t)th->runnable);
	report_add(t, (int64_t)th->running);
}

static int by_name(const void *a, const void *b)
{
	const struct offcpu_thread *x = *(const struct offcpu_thread *const *)a;
	const struct offcpu_thread *y = *(const struct offcpu_thread *const *)b;
	int order = (x->tgid > y->tgid) - (x->tgid < y->tgid);

	return order ? order : strcmp(x->comm, y->comm);
}

/* Those of one name in one process are a row, behind each other in the sorted list. */
static void add_ended(struct report_table *t, const struct offcpu_thread **list, size_t n,
		      bool pids)
{
	qsort(list, n, sizeof(*list), by_name);
	for (size_t i = 0, next; i < n; i = next) {
		struct offcpu_thread sum = *list[i];
		char name[STACK_COMM_LEN + 48];

		for (next = i + 1; next < n && !by_name(&list[i], &list[next]); next++) {
			sum.waits += list[next]->waits;
			sum.blocked += list[next]->blocked;
			sum.runnable += list[next]->runnable;
			sum.running += list[next]->running;
		}
		snprintf(name, sizeof(name), "%s (%zu ended)", sum.comm, next - i);
		add_thread(t, name, &sum, true, pids);
	}
}

static void add_threads(struct report *r, const struct offcpu_waits *w, bool pids)
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
	struct report_section *s = report_section(r, "threads", "Threads, all their time");
	struct report_table *t = report_table(s, "threads", NULL, pids ? with_pids : without,
					      pids ? ARRAY_SIZE(with_pids) : ARRAY_SIZE(without));
	const struct offcpu_thread **ended = calloc(w->nr_threads + 1, sizeof(*ended));
	size_t nr_ended = 0;

	for (size_t i = 0; i < w->nr_threads; i++) {
		const struct offcpu_thread *th = &w->threads[i];

		if (th->doing == OFFCPU_IS_DEAD && ended)
			ended[nr_ended++] = th;
		else
			add_thread(t, th->comm, th, th->doing == OFFCPU_IS_DEAD, pids);
	}
	if (ended)
		add_ended(t, ended, nr_ended, pids);
	free(ended);
	report_sort(t, "offcpu");
}

void offcpu_report(struct report *r, const struct capture_offcpu *c)
{
	const struct offcpu_waits *w = capture_offcpu_waits(c);

	add_reasons(r, w);
	add_threads(r, w, capture_offcpu_target(c)->nr_seen > 1);
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
	add_unless_0(s, "unreported", st->unreported);
}
