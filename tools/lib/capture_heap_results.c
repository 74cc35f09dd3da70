/* SPDX-License-Identifier: MIT */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "capture_heap_impl.h"
#include "util.h"

int capture_heap_snapshot(const struct capture_heap *c, struct heap_snapshot *ret)
{
	int err = heap_table_snapshot(&c->table, ret);

	/* Nobody is left: what they held at their exits is what there was at the end. */
	if (!err && !c->watch.target.nr_procs)
		heap_snapshot_keep_exited(ret);
	if (!err && c->mode == HEAP_COUNT_SOMETIMES)
		heap_snapshot_scale(
			ret, heap_duty_factor(&c->duty, c->ended_ns ? c->ended_ns : now_ns()));
	return err;
}

static uint64_t missed_hits(int prog_fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 size = sizeof(info);

	return bpf_obj_get_info_by_fd(prog_fd, &info, &size) ? 0 : info.recursion_misses;
}

static void count_stacks(const struct capture_heap *c, const struct heap_snapshot *s,
			 struct capture_heap_stats *ret)
{
	const struct stacks *stacks = &c->watch.stacks;

	for (size_t i = 0; i < s->nr; i++) {
		const struct heap_site_view *v = &s->items[i];
		ssize_t at = v->key.stack ? stacks_find(stacks, v->key.stack) : -1;

		if (!v->index)
			ret->no_site += v->n.allocs;
		if (at < 0) {
			ret->no_stack += v->n.allocs;
			continue;
		}
		ret->by_end[stacks->items[at].end] += v->n.allocs;
		if (stacks->items[at].guessed)
			ret->guessed += v->n.allocs;
	}
}

int capture_heap_stats(struct capture_heap *c, struct capture_heap_stats *ret)
{
	int fd = bpf_map__fd(c->bpf->maps.heap_stats);
	struct heap_snapshot s;
	int err = capture_heap_snapshot(c, &s);

	if (err)
		return err;
	*ret = (struct capture_heap_stats){
		.sum = s.sum,
		.failed = watch_sum(fd, HEAP_STAT_FAILED),
		.filtered = watch_sum(fd, HEAP_STAT_FILTERED),
		.missed = watch_sum(fd, HEAP_STAT_MISSED) + watch_sum(fd, HEAP_STAT_ABORTED),
		.no_thread = watch_sum(fd, HEAP_STAT_NO_THREAD),
		.nested = watch_sum(fd, HEAP_STAT_NESTED),
		.before = watch_sum(fd, HEAP_STAT_BEFORE),
		.inherited = watch_sum(fd, HEAP_STAT_INHERITED),
		.internal = watch_sum(fd, HEAP_STAT_INTERNAL),
		.unknown = watch_sum(fd, HEAP_STAT_UNKNOWN),
		.reused = watch_sum(fd, HEAP_STAT_REUSED),
		.lost_events = watch_stat(&c->watch, STAT_LOST_EVENTS),
		.missed_hits = missed_hits(bpf_program__fd(c->bpf->progs.heap_call)) +
			       missed_hits(bpf_program__fd(c->bpf->progs.heap_return)),
		.lost_fates = watch_sum(fd, HEAP_STAT_NO_FATE),
		.lost_requests = watch_sum(fd, HEAP_STAT_NO_REQUEST),
		.unprobed = c->unprobed,
		.sites = s.nr,
		.stacks = c->watch.stacks.nr,
		.threads = c->nr_threads ? c->nr_threads - 1 : 0,
		.probes = c->probes.nr_sites,
		.stepped = c->probes.nr_stepped,
		.everywhere = c->probes.everywhere,
		.duty = c->mode == HEAP_COUNT_SOMETIMES ? c->o.duty : 0,
		.windows = c->duty.n,
		.counted = capture_heap_count(c),
		.error_percent = heap_duty_error(&c->duty),
	};
	count_stacks(c, &s, ret);
	heap_snapshot_release(&s);
	return 0;
}

const struct stacks *capture_heap_stacks(const struct capture_heap *c)
{
	return &c->watch.stacks;
}

const struct heap_thread_name *capture_heap_thread(const struct capture_heap *c, uint32_t serial)
{
	static const struct heap_thread_name unknown;

	return serial < c->nr_threads ? &c->threads[serial] : &unknown;
}

const struct target *capture_heap_target(const struct capture_heap *c)
{
	return &c->watch.target;
}

const struct heap_table *capture_heap_table(const struct capture_heap *c)
{
	return &c->table;
}

const struct heap_point *capture_heap_points(const struct capture_heap *c, size_t *ret_n)
{
	*ret_n = c->series.nr;
	return c->series.points;
}

uint64_t capture_heap_count(const struct capture_heap *c)
{
	struct heap_counts sum;

	heap_table_sum(&c->table, &sum);
	return sum.allocs;
}

int capture_heap_record_info(struct capture_heap *c, const char *key, const char *value)
{
	return trace_writer_info(c->record.writer, key, value);
}

int capture_heap_record_error(const struct capture_heap *c)
{
	return c->record.err;
}

void capture_heap_record_stats(const struct capture_heap *c, struct trace_writer_stats *ret)
{
	*ret = (struct trace_writer_stats){ 0 };
	if (c->record.writer)
		trace_writer_stats(c->record.writer, ret);
}

int capture_heap_fates(const struct capture_heap *c, struct heap_fates *ret)
{
	return heap_fates_read(ret, bpf_map__fd(c->bpf->maps.fates));
}

bool capture_heap_sees_frees(const struct capture_heap *c)
{
	return c->mode == HEAP_FOLLOW_ALL;
}
