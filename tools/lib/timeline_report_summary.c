/* SPDX-License-Identifier: MIT */
/* What a timeline comes to, in a few figures, and what is missing of it. */
#include <inttypes.h>
#include <stdio.h>

#include "measure.h"
#include "timeline_heaps.h"
#include "timeline_report.h"
#include "util.h"

static void add_requests(struct report_section *section, const struct timeline_summary *s)
{
	uint64_t all = s->all.latency.count + s->all.partial + s->all.lost;

	if (!all)
		return;
	report_fact(section, "requests", "requests", REPORT_COUNT, (int64_t)all);
	report_fact(section, "in_flight", "in flight at most", REPORT_COUNT,
		    (int64_t)s->in_flight_max);
	if (s->totals.left_out) {
		report_fact(section, "whole", "with all their events", REPORT_COUNT,
			    (int64_t)(all - MIN(all, s->totals.summed)));
		report_fact(section, "left_out", "events left out", REPORT_COUNT,
			    (int64_t)s->totals.left_out);
		report_note(section,
			    "Of %" PRIu64
			    " requests the recording has their sums alone (--only): what "
			    "threads did meanwhile is unknown, and not in their tables.",
			    s->totals.summed);
	}
	if (s->all.partial)
		report_note(section,
			    "%" PRIu64
			    " requests began before the recording or had not ended: they "
			    "are in no table.",
			    s->all.partial);
	if (s->all.lost)
		report_note(section,
			    "%" PRIu64 " requests were open while events were lost: they are in no "
			    "table and no percentile.",
			    s->all.lost);
}

/* By samples, for a clock in each call would be most of what it measures. */
static void add_allocator(struct report_section *section, const struct timeline_summary *s)
{
	uint64_t others = s->sampled_ns - s->probe_ns;

	if (!others && s->sampled_ns)
		report_note(section,
			    "The time in the allocator is not known: there are no CPU samples "
			    "but in the probes of the recording.");
	if (!others)
		return;
	report_fact(section, "allocator", "time in the allocator", REPORT_NS,
		    (int64_t)s->allocator_ns);
	report_fact_real(section, "allocator_share", "of the time on a CPU", REPORT_PERCENT,
			 100.0 * (double)s->allocator_ns / (double)others);
	report_note(
		section,
		"The time in the allocator is that of %" PRIu64
		" CPU samples; those in the probes of a recording (%.1f %% of all) are in neither "
		"the time nor the share.",
		s->allocator_samples, 100.0 * (double)s->probe_ns / (double)s->sampled_ns);
}

/* What was there before is unknown: so the figure says what it counts from. */
static void add_heap(struct report_section *section, const struct timeline_summary *s,
		     const struct trace *t)
{
	const char *untracked = trace_info(t, TIMELINE_HEAP_UNTRACKED);

	if (!s->counters[COUNTER_HEAP_MOST].told)
		return;
	report_fact(section, "heap_max", "heap at most", REPORT_BYTES,
		    s->counters[COUNTER_HEAP_MOST].max);
	report_note(
		section,
		"The heap is what a process held of the blocks that it allocated since the "
		"recording began, in the sizes that it asked for; blocks from before are not in "
		"it.");
	if (untracked)
		report_note(section, "It is without %s blocks that could not be followed.",
			    untracked);
}

static void add_memory(struct report_section *section, const struct timeline_summary *s,
		       const struct trace *t)
{
	if (s->counters[COUNTER_RSS].told)
		report_fact(section, "rss_max", "resident memory at most", REPORT_BYTES,
			    s->counters[COUNTER_RSS].max);
	add_heap(section, s, t);
	if (!s->totals.allocs)
		return;
	report_fact(section, "allocations", "allocations", REPORT_COUNT, (int64_t)s->allocs);
	report_fact(section, "allocated", "of", REPORT_BYTES, (int64_t)s->alloc_bytes);
	add_allocator(section, s);
}

static void add_losses(struct report_section *section, const struct timeline_summary *s,
		       const struct trace *t)
{
	const struct timeline_totals *totals = &s->totals;
	const struct trace_damage *d = &t->damage;

	if (totals->losses) {
		report_fact(section, "lost", "lost events", REPORT_COUNT, (int64_t)totals->lost);
		report_note(section,
			    "Events are missing at %" PRIu64 " places%s: what threads did there is "
			    "unknown.",
			    totals->losses,
			    totals->lost_more ? ", at some of them nobody knows how many" : "");
	}
	if (totals->odd)
		report_note(section,
			    "%" PRIu64 " events do not fit those before them, though nothing was "
			    "lost.",
			    totals->odd);
	if (!t->complete)
		report_note(section,
			    "The recording was not finished: this is what there is of it.");
	if (d->chunks || d->bytes || d->entries || d->events || d->missing)
		report_note(section,
			    "The file is damaged: %" PRIu64 " parts of it are, %" PRIu64
			    " are missing, and %" PRIu64 " bytes were passed over.",
			    d->chunks + d->entries + d->events, d->missing, d->bytes);
	if (d->unknown)
		report_note(section,
			    "%" PRIu64 " things in the file are of a newer version, and left out.",
			    d->unknown);
}

/* Who and which, in words. */
static void add_extremes(struct report_section *section, const struct timeline_summary *s,
			 const struct trace *t)
{
	const struct timeline_thread_row *row = s->nr_threads ? &s->threads[0] : NULL;
	const struct timeline_request *r = s->nr_slowest ? &s->slowest[0].request : NULL;
	char text[TIMELINE_WHAT + 96], time[MEASURE_LEN];
	uint64_t ns;

	if (row && row->tid) {
		ns = row->total[THREAD_USER] + row->total[THREAD_SYSCALL];
		measure_value(measure_for((int64_t)ns, "nanoseconds"), (int64_t)ns, time);
		snprintf(text, sizeof(text), "%s (%u), %s on a CPU", trace_string(t, row->name),
			 row->tid, time);
		report_fact_text(section, "busiest", "busiest thread", text);
	}
	if (r) {
		ns = r->end - r->begin;
		measure_value(measure_for((int64_t)ns, "nanoseconds"), (int64_t)ns, time);
		snprintf(text, sizeof(text), "%s, %s",
			 *r->what ? r->what : trace_string(t, r->route), time);
		report_fact_text(section, "slowest", "slowest request", text);
	}
}

/* An empty report by mistake looks like one of a recording in which nothing happened. */
static void add_nothing_left(struct report_section *section, const struct timeline_summary *s,
			     const struct timeline_filter *f)
{
	bool requests = s->all.latency.count + s->all.partial + s->all.lost;

	if (f->route && !requests)
		report_note(section, "No request is left by --route '%s'%s.", f->route,
			    f->slower ? " and --slower" : "");
	else if (f->slower && !requests)
		report_note(section, "No request is left by --slower.");
	if (f->nr_tids && !s->totals.threads)
		report_note(section, "No thread is left by --tid.");
}

void timeline_report_summary(struct report *report, const struct timeline_summary *s,
			     const struct timeline_view *v)
{
	const struct trace *t = v->trace;
	struct report_section *section = report_section(report, "summary", "What ran");
	const struct timeline_totals *totals = &s->totals;

	report_fact(section, "span", "span", REPORT_NS, (int64_t)(totals->end - totals->start));
	report_fact(section, "events", "events", REPORT_COUNT, (int64_t)totals->events);
	report_fact(section, "threads", "threads", REPORT_COUNT, (int64_t)totals->threads);
	report_fact(section, "cpu", "time on a CPU", REPORT_NS,
		    (int64_t)(s->states[THREAD_USER] + s->states[THREAD_SYSCALL]));
	if (s->samples)
		report_fact(section, "samples", "samples", REPORT_COUNT, (int64_t)s->samples);
	if (s->ios) {
		report_fact(section, "ios", "block transfers", REPORT_COUNT, (int64_t)s->ios);
		report_fact(section, "io_size", "of", REPORT_BYTES, (int64_t)s->io_bytes);
	}
	add_requests(section, s);
	add_extremes(section, s, t);
	add_memory(section, s, t);
	add_losses(section, s, t);
	add_nothing_left(section, s, &v->filter);
}
