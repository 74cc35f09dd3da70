/* SPDX-License-Identifier: MIT */
/* What a capture of a timeline says of itself, and of what it has recorded. */
#include "capture_timeline_impl.h"

int capture_timeline_info(struct capture_timeline *c, const char *key, const char *value)
{
	return trace_writer_info(c->writer, key, value);
}

int capture_timeline_flush(struct capture_timeline *c)
{
	uint32_t named;
	int err;

	/* Naming takes long: between one bit and the next of it the rings are emptied. */
	do {
		named = c->told.next_symbol;
		err = watch_consume(&c->watch);
		if (!err)
			err = timeline_tell(&c->told, &c->watch, c->writer, c->ksyms,
					    TIMELINE_SYMBOLS_AT_ONCE);
	} while (!err && c->told.next_symbol != named);
	return err ? err : trace_writer_flush(c->writer);
}

void capture_timeline_stats(struct capture_timeline *c, struct capture_timeline_stats *ret)
{
	struct trace_writer_stats w;

	trace_writer_stats(c->writer, &w);
	*ret = (struct capture_timeline_stats){
		.events = w.events,
		.left_out = w.left_out,
		.lost = w.lost,
		.losses = w.losses,
		.stacks = c->watch.stacks.nr,
		.no_stack = watch_stat(&c->watch, STAT_LOST_COUNTS) +
			    watch_stat(&c->watch, STAT_LOST_SCRATCH) + w.stacks_dropped,
		.lost_events = watch_stat(&c->watch, STAT_LOST_EVENTS),
		.bad = c->records.nr_bad + w.refused,
		.threads = c->records.nr_known,
		.unread = c->bpf->bss->bad_arguments,
		.probes = c->sources.probes.nr_usdt + c->sources.points.nr_sites,
		.functions = c->sources.probes.nr_functions,
		.entry_only = c->sources.probes.nr_entry_only,
		.refused = c->sources.probes.nr_refused,
		.refused_why = c->sources.probes.refused,
		.allocators = c->sources.allocs.probes.nr_sites,
		.allocs = c->gauges.allocs,
		.allocs_missing = c->bpf->bss->allocs_uncounted,
		.untracked = c->bpf->bss->heap_untracked,
	};
	for (size_t i = 0; i < c->watch.stacks.nr; i++)
		if (c->watch.stacks.items[i].end < UNWIND_NR_ENDS)
			ret->by_end[c->watch.stacks.items[i].end]++;
}

const char *capture_timeline_notes(const struct capture_timeline *c)
{
	return strbuf_str(&c->sources.points.notes);
}

const struct target *capture_timeline_target(const struct capture_timeline *c)
{
	return &c->watch.target;
}

const struct stacks *capture_timeline_stacks(const struct capture_timeline *c)
{
	return &c->watch.stacks;
}

void capture_timeline_span(const struct capture_timeline *c, uint64_t *ret_start, uint64_t *ret_end)
{
	*ret_start = c->started;
	*ret_end = c->ended;
}
