/* SPDX-License-Identifier: MIT */
#include "timeline_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "measure.h"
#include "strbuf.h"
#include "util.h"

#define WATERFALLS 5 /* requests drawn, at most */

struct builder {
	struct timeline_report *r;
	struct timeline_summary *s;
	const struct trace *t;
	bool all_columns;
	int err;
};

/* -------- states as columns -------- */

/*
 * Those of threads, in the order of go tool trace's; what is none of them is one of requests alone,
 * or a queue. Preempted is waiting for a CPU, too.
 */
static const struct {
	unsigned int state;
	const char *key, *heading;
} state_columns[] = {
	{ THREAD_USER, "execution", "execution" },
	{ THREAD_SYSCALL, "syscall", "syscall" },
	{ THREAD_RUNNABLE, "sched_wait", "sched wait" },
	{ THREAD_FUTEX, "futex", "futex" },
	{ THREAD_EPOLL, "epoll", "epoll" },
	{ THREAD_NETWORK, "network", "network" },
	{ THREAD_DISK, "disk", "disk" },
	{ THREAD_SLEEP, "sleep", "sleep" },
	{ THREAD_FAULT, "fault", "page fault" },
	{ THREAD_OTHER, "other", "other" },
	{ REQUEST_LOOP, "loop", "behind loop" },
	{ REQUEST_WAIT, "outside", "outside" },
	{ REQUEST_COMMIT, "commit", "commit" },
	{ REQUEST_REPLY, "reply", "reply" },
};

static uint64_t state_time(const uint64_t *by_state, unsigned int state)
{
	return by_state[state] + (state == THREAD_RUNNABLE ? by_state[THREAD_PREEMPTED] : 0);
}

#define MAX_COLUMNS (REQUEST_NR_STATES + 16)

struct state_table {
	struct report_column columns[MAX_COLUMNS];
	size_t nr;
	unsigned int states[REQUEST_NR_STATES];
	size_t nr_states;
	struct report_table *table;
};

static struct state_table *state_table(struct builder *b)
{
	struct state_table *t = arena_take(&b->r->memory, sizeof(*t));

	if (!t)
		b->err = -ENOMEM;
	else
		memset(t, 0, sizeof(*t));
	return t;
}

static void add_column(struct state_table *t, const char *key, const char *heading,
		       enum report_unit unit)
{
	t->columns[t->nr++] = (struct report_column){ key, heading, unit };
}

static void add_state(struct state_table *t, unsigned int state, const char *key,
		      const char *heading)
{
	t->states[t->nr_states++] = state;
	add_column(t, key, heading, REPORT_NS);
}

/* A key of a name that may be anything: lower-case, and no two the same. */
static const char *make_key(struct builder *b, const char *prefix, unsigned int number,
			    const char *name)
{
	struct strbuf text = { 0 };
	char *key;

	strbuf_printf(&text, "%s%u_", prefix, number);
	for (const char *p = name; *p && text.len < 40; p++) {
		char c = *p | 0x20;

		strbuf_putc(&text, (c >= 'a' && c <= 'z') || (*p >= '0' && *p <= '9') ? c : '_');
	}
	key = arena_take(&b->r->memory, text.len + 1);
	if (!key || strbuf_error(&text))
		b->err = -ENOMEM;
	else
		strcpy(key, strbuf_str(&text));
	strbuf_release(&text);
	return b->err ? "none" : key;
}

static const char *make_heading(struct builder *b, const char *prefix, const char *name)
{
	size_t len = strlen(prefix) + strnlen(name, 60) + 1;
	char *heading = arena_take(&b->r->memory, len);

	if (!heading) {
		b->err = -ENOMEM;
		return "";
	}
	snprintf(heading, len, "%s%s", prefix, name);
	return heading;
}

/* For people, only states that occur; for programs all that these things can be in. */
static void add_states_of(struct builder *b, struct state_table *t, const uint64_t *by_state,
			  unsigned int nr)
{
	const struct timeline_names *names = &b->s->totals.names;

	for (size_t i = 0; i < ARRAY_SIZE(state_columns); i++)
		if (state_columns[i].state < nr &&
		    (b->all_columns || state_time(by_state, state_columns[i].state)))
			add_state(t, state_columns[i].state, state_columns[i].key,
				  state_columns[i].heading);
	for (unsigned int i = 0; i < names->nr_queues && REQUEST_QUEUED < nr; i++) {
		const char *name = trace_string(b->t, names->queues[i]);

		if (b->all_columns || by_state[REQUEST_QUEUED + i])
			add_state(t, REQUEST_QUEUED + i, make_key(b, "queue", i, name),
				  make_heading(b, "queue: ", name));
	}
	if (b->all_columns || by_state[THREAD_UNKNOWN])
		add_state(t, THREAD_UNKNOWN, "unknown", "unknown");
}

static void add_times(struct state_table *t, const uint64_t *by_state)
{
	for (size_t i = 0; i < t->nr_states; i++)
		report_add(t->table, (int64_t)state_time(by_state, t->states[i]));
}

static void add_alloc_columns(struct state_table *t)
{
	add_column(t, "allocs", "allocs", REPORT_COUNT);
	add_column(t, "allocated", "allocated", REPORT_BYTES);
}

static void add_allocs(struct state_table *t, uint64_t allocs, uint64_t bytes)
{
	report_add(t->table, (int64_t)allocs);
	report_add(t->table, (int64_t)bytes);
}

/* -------- threads -------- */

static const char *thread_name(const struct builder *b, const struct timeline_thread_row *row,
			       char *buf, size_t size)
{
	if (!row->tid)
		snprintf(buf, size, "(%" PRIu64 " others)", row->threads);
	else
		snprintf(buf, size, "%s", trace_string(b->t, row->name));
	return buf;
}

static void add_thread(const struct builder *b, struct state_table *t,
		       const struct timeline_thread_row *row)
{
	uint64_t total = 0;
	char name[128];

	for (unsigned int j = 0; j < THREAD_NR_STATES; j++)
		total += row->total[j];
	report_add_text(t->table, thread_name(b, row, name, sizeof(name)));
	report_add(t->table, row->tid);
	report_add(t->table, (int64_t)total);
	add_times(t, row->total);
	report_add(t->table, (int64_t)row->runs);
	report_add(t->table, (int64_t)row->preemptions);
	report_add(t->table, (int64_t)row->syscalls);
	report_add(t->table, (int64_t)row->faults);
	report_add(t->table, (int64_t)row->wakeups);
	if (b->s->totals.allocs)
		add_allocs(t, row->allocs, row->alloc_bytes);
	if (b->all_columns)
		report_add(t->table, row->pid);
}

static void add_threads(struct builder *b)
{
	struct state_table *t = b->s->nr_threads ? state_table(b) : NULL;
	struct report_section *section;

	if (!t)
		return;
	add_column(t, "thread", "thread", REPORT_TEXT);
	add_column(t, "tid", "tid", REPORT_COUNT);
	add_column(t, "total", "total", REPORT_NS);
	add_states_of(b, t, b->s->states, THREAD_NR_STATES);
	add_column(t, "runs", "runs", REPORT_COUNT);
	add_column(t, "preemptions", "preempted", REPORT_COUNT);
	add_column(t, "syscalls", "syscalls", REPORT_COUNT);
	add_column(t, "faults", "faults", REPORT_COUNT);
	add_column(t, "wakeups", "wakeups", REPORT_COUNT);
	if (b->s->totals.allocs)
		add_alloc_columns(t);
	if (b->all_columns)
		add_column(t, "pid", "pid", REPORT_COUNT);
	section = report_section(b->r->report, "threads", "Threads");
	report_note(section, "A thread is in one state at a time: the columns of times add up to "
			     "its total.");
	t->table = report_table(section, "threads", NULL, t->columns, t->nr);
	for (size_t i = 0; i < b->s->nr_threads; i++)
		add_thread(b, t, &b->s->threads[i]);
}

/* -------- requests by route -------- */

static const char *route_name(const struct builder *b, const struct timeline_route_row *row)
{
	return row->route ? trace_string(b->t, row->route) : "(unknown)";
}

static void add_latency(struct builder *b, struct report_section *section)
{
	static const struct report_column columns[] = {
		{ "route", "route", REPORT_PLACE },
		{ "requests", "requests", REPORT_COUNT },
		{ "mean", "mean", REPORT_NS },
		REPORT_LATENCY_COLUMNS,
		{ "failed", "5xx", REPORT_COUNT },
		{ "partial", "partial", REPORT_COUNT },
		{ "lost", "lost", REPORT_COUNT },
		{ "allocs", "allocs", REPORT_COUNT },
		{ "allocated", "allocated", REPORT_BYTES },
	};
	bool allocs = b->s->totals.allocs;
	struct report_table *table = report_table(section, "latency", "Latency by route", columns,
						  ARRAY_SIZE(columns) - (allocs ? 0 : 2));

	for (size_t i = 0; i < b->s->nr_routes; i++) {
		const struct timeline_route_row *row = &b->s->routes[i];

		report_add_text(table, route_name(b, row));
		report_add(table, (int64_t)row->latency.count);
		if (row->latency.count)
			report_add(table, (int64_t)hist_mean(&row->latency));
		else
			report_add_none(table);
		report_add_latency(table, &row->latency);
		report_add(table, (int64_t)row->failed);
		report_add(table, (int64_t)row->partial);
		report_add(table, (int64_t)row->lost);
		if (!allocs)
			continue;
		report_add(table, (int64_t)row->allocs);
		report_add(table, (int64_t)row->alloc_bytes);
	}
}

static void add_states(struct builder *b, struct report_section *section)
{
	struct state_table *t = state_table(b);

	if (!t)
		return;
	add_column(t, "route", "route", REPORT_PLACE);
	add_column(t, "requests", "requests", REPORT_COUNT);
	add_column(t, "latency", "latency", REPORT_NS);
	add_states_of(b, t, b->s->all.by_state, REQUEST_NR_STATES);
	t->table = report_table(section, "states", "Where the time of all requests went, by state",
				t->columns, t->nr);
	for (size_t i = 0; i < b->s->nr_routes; i++) {
		const struct timeline_route_row *row = &b->s->routes[i];

		if (!row->latency.count)
			continue;
		report_add_text(t->table, route_name(b, row));
		report_add(t->table, (int64_t)row->latency.count);
		report_add(t->table, (int64_t)row->latency.sum);
		add_times(t, row->by_state);
	}
}

static void add_phases(struct builder *b, struct report_section *section)
{
	const struct timeline_names *names = &b->s->totals.names;
	unsigned int nr = MAX(names->nr_phases, 1);
	struct report_column *columns = arena_take(&b->r->memory, (3 + nr) * sizeof(*columns));
	struct report_table *table;

	if (nr < 2)
		return;
	if (!columns) {
		b->err = -ENOMEM;
		return;
	}
	columns[0] = (struct report_column){ "route", "route", REPORT_PLACE };
	columns[1] = (struct report_column){ "requests", "requests", REPORT_COUNT };
	columns[2] = (struct report_column){ "latency", "latency", REPORT_NS };
	for (unsigned int i = 0; i < nr; i++) {
		const char *name = i ? trace_string(b->t, names->phases[i]) : "no phase";

		columns[3 + i].key = i ? make_key(b, "phase", i, name) : "no_phase";
		columns[3 + i].heading = make_heading(b, "", name);
		columns[3 + i].unit = REPORT_NS;
	}
	table = report_table(section, "phases", "And by phase", columns, 3 + nr);
	for (size_t i = 0; i < b->s->nr_routes; i++) {
		const struct timeline_route_row *row = &b->s->routes[i];

		if (!row->latency.count)
			continue;
		report_add_text(table, route_name(b, row));
		report_add(table, (int64_t)row->latency.count);
		report_add(table, (int64_t)row->latency.sum);
		for (unsigned int j = 0; j < nr; j++)
			report_add(table, (int64_t)row->by_phase[j]);
	}
}

static void add_routes(struct builder *b)
{
	struct report_section *section;

	if (!b->s->nr_routes)
		return;
	section = report_section(b->r->report, "requests", "Requests");
	add_latency(b, section);
	if (!b->s->all.latency.count)
		return;
	add_states(b, section);
	add_phases(b, section);
	report_histogram_of(section, "histogram", "Latency", REPORT_NS, "requests",
			    &b->s->all.latency);
}

/* -------- the slowest -------- */

static const char *state_name(const struct builder *b, const struct timeline_interval *i, char *buf,
			      size_t size)
{
	if (i->queue)
		snprintf(buf, size, "queue: %s", trace_string(b->t, i->queue));
	else
		snprintf(buf, size, "%s", request_state_name(i->state));
	return buf;
}

static void add_slow_spans(struct builder *b, struct report_trace *trace,
			   const struct timeline_slow *slow)
{
	const struct timeline_request *r = &slow->request;
	struct strbuf stack = { 0 };
	char name[96];

	for (size_t i = 0; i < slow->nr_phases; i++) {
		const struct timeline_stretch *p = &slow->phases[i];
		const char *phase = trace_string(b->t, p->name);

		if (p->end > p->start)
			report_span(trace, phase, phase, p->start - r->begin, p->end - p->start,
				    p->depth, NULL);
	}
	for (size_t i = 0; i < slow->nr_states; i++) {
		const struct timeline_interval *wait = &slow->states[i];
		unsigned int depth = 0;

		/* Below all phases that it is in. */
		for (size_t j = 0; j < slow->nr_phases; j++)
			if (slow->phases[j].start <= wait->start &&
			    slow->phases[j].end >= wait->end)
				depth = MAX(depth, slow->phases[j].depth + 1);
		timeline_put_stack(b->t, wait->stack, &stack);
		state_name(b, wait, name, sizeof(name));
		report_span(trace, name, name, wait->start - r->begin, wait->end - wait->start,
			    depth, stack.len ? strbuf_str(&stack) : NULL);
	}
	if (strbuf_error(&stack))
		b->err = -ENOMEM;
	strbuf_release(&stack);
}

static void add_slowest_table(struct builder *b, struct report_section *section)
{
	struct state_table *t = state_table(b);
	uint64_t sums[REQUEST_NR_STATES] = { 0 };

	if (!t)
		return;
	for (size_t i = 0; i < b->s->nr_slowest; i++)
		for (unsigned int j = 0; j < REQUEST_NR_STATES; j++)
			sums[j] += b->s->slowest[i].request.by_state[j];
	add_column(t, "request", "request", REPORT_PLACE);
	add_column(t, "at", "at", REPORT_NS);
	add_column(t, "status", "status", REPORT_COUNT);
	add_column(t, "latency", "latency", REPORT_NS);
	add_states_of(b, t, sums, REQUEST_NR_STATES);
	if (b->s->totals.allocs)
		add_alloc_columns(t);
	if (b->all_columns)
		add_column(t, "id", "id", REPORT_COUNT);
	t->table = report_table(section, "slowest", NULL, t->columns, t->nr);
	for (size_t i = 0; i < b->s->nr_slowest; i++) {
		const struct timeline_request *r = &b->s->slowest[i].request;

		report_add_text(t->table, *r->what ? r->what : trace_string(b->t, r->route));
		report_add(t->table, (int64_t)(r->begin - b->t->start));
		report_add(t->table, r->status);
		report_add(t->table, (int64_t)(r->end - r->begin));
		add_times(t, r->by_state);
		if (b->s->totals.allocs)
			add_allocs(t, r->allocs, r->alloc_bytes);
		if (b->all_columns)
			report_add(t->table, (int64_t)r->id);
	}
}

static void add_slowest(struct builder *b)
{
	struct report_section *section;
	struct report_waterfall *waterfall;
	char name[TIMELINE_WHAT + 64], note[192];

	if (!b->s->nr_slowest)
		return;
	section = report_section(b->r->report, "slowest", "The slowest requests");
	add_slowest_table(b, section);
	waterfall = report_waterfall(section, "waterfalls", NULL);
	for (size_t i = 0; i < MIN(b->s->nr_slowest, WATERFALLS); i++) {
		const struct timeline_slow *slow = &b->s->slowest[i];
		const struct timeline_request *r = &slow->request;
		const char *what = *r->what ? r->what : trace_string(b->t, r->route);

		snprintf(name, sizeof(name), "%s", what);
		snprintf(note, sizeof(note), "status %" PRId64 ", id %" PRIu64 "%s%s%.100s",
			 r->status, r->id, slow->cut ? ", not all of it" : "",
			 r->trigger ? ", kept for " : "",
			 r->trigger ? trace_string(b->t, r->trigger) : "");
		add_slow_spans(b,
			       report_trace(waterfall, name, r->begin - b->t->start,
					    r->end - r->begin, note),
			       slow);
	}
}

/* -------- the whole -------- */

int timeline_report_init(struct timeline_report *r, const struct timeline_view *v, size_t slowest,
			 bool all_columns)
{
	struct builder b = { .r = r, .s = &r->summary, .t = v->trace, .all_columns = all_columns };

	memset(r, 0, sizeof(*r));
	b.err = timeline_summary_init(&r->summary, v, slowest);
	if (b.err)
		return b.err;
	r->report = report_new();
	if (!r->report)
		b.err = -ENOMEM;
	if (!b.err) {
		timeline_report_summary(r->report, &r->summary, v);
		timeline_report_marks(r->report, &r->summary, v->trace);
		add_threads(&b);
		add_routes(&b);
		add_slowest(&b);
	}
	if (!b.err)
		b.err = report_error(r->report);
	if (b.err)
		timeline_report_release(r);
	return b.err;
}

void timeline_report_release(struct timeline_report *r)
{
	report_free(r->report);
	timeline_summary_release(&r->summary);
	arena_release(&r->memory);
	memset(r, 0, sizeof(*r));
}
