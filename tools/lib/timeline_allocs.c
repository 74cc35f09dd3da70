/* SPDX-License-Identifier: MIT */
#include "timeline_allocs.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bpf/timeline.h"
#include "strbuf.h"
#include "util.h"

void timeline_allocs_init(struct timeline_allocs *a, int call_prog, int return_prog, int map_fd)
{
	*a = (struct timeline_allocs){
		.probes = { .alloc_only = true,
			    .call_prog = call_prog,
			    .return_prog = return_prog },
		.map_fd = map_fd,
	};
}

static int tell_functions(const struct heap_probed *o, struct trace_writer *w)
{
	struct strbuf key, value;
	int err;

	strbuf_init(&key);
	strbuf_init(&value);
	strbuf_printf(&key, "%s%s", TIMELINE_ALLOCATOR, o->object->path);
	for (size_t i = 0; i < o->nr_ranges; i++)
		strbuf_printf(&value, "%s%" PRIx64 "-%" PRIx64, i ? " " : "", o->ranges[i].start,
			      o->ranges[i].end);
	err = strbuf_error(&key) || strbuf_error(&value)
		      ? -ENOMEM
		      : trace_writer_info(w, strbuf_str(&key), strbuf_str(&value));
	strbuf_release(&key);
	strbuf_release(&value);
	return err;
}

static int tell_new(struct timeline_allocs *a, struct trace_writer *w)
{
	int err = 0;

	while (a->told < a->probes.nr_probed && !err)
		err = tell_functions(&a->probes.probed[a->told++], w);
	if (err)
		snprintf(a->probes.error, sizeof(a->probes.error), "cannot write the trace: %s",
			 strerror(-err));
	return err;
}

int timeline_allocs_update(struct timeline_allocs *a, const struct target *t,
			   struct trace_writer *w)
{
	int err = heap_probes_update(&a->probes, t);
	size_t given_up;

	/* One whose allocator does not come has none, as far as is known. */
	heap_probes_reprobe(&a->probes, t, &given_up);
	return err || a->probes.away ? err : tell_new(a, w);
}

int timeline_allocs_place(struct timeline_allocs *a, struct trace_writer *w)
{
	int err;

	a->probes.away = false;
	err = heap_probes_place_all(&a->probes);
	return err ? err : tell_new(a, w);
}

int timeline_allocs_follow(struct timeline_allocs *a, const struct target *t, bool follow)
{
	heap_probes_release(&a->probes);
	a->probes.seen = a->probes.nr_sites = a->probes.nr_stepped = 0;
	a->probes.alloc_only = !follow;
	return heap_probes_update(&a->probes, t);
}

int timeline_allocs_forget(struct timeline_allocs *a, pid_t pid)
{
	size_t before = a->probes.nr_probed, gone;

	heap_probes_forget(&a->probes, pid);
	gone = before - a->probes.nr_probed;
	/* Those that are left have been told of. */
	a->told -= MIN(a->told, gone);
	return gone ? heap_probes_execed(&a->probes, pid) : 0;
}

int timeline_allocs_lead(struct timeline_allocs *a, const struct target *t, pid_t pid, uint64_t pc,
			 struct trace_writer *w)
{
	int done = heap_probes_lead(&a->probes, t, pid, pc), err;

	if (done < 0)
		return done;
	err = tell_new(a, w);
	return err ? err : done;
}

int timeline_allocs_finish(const struct timeline_allocs *a, struct timeline_gauges *g,
			   struct timeline_records *r, uint64_t time)
{
	struct event e = { .time = time, .cpu = EVENT_NO_CPU, .kind = EVT_ALLOCATED };
	struct timeline_alloc sums;
	__u32 tid, *last = NULL;
	int err = 0;

	while (!err && !bpf_map_get_next_key(a->map_fd, last, &tid)) {
		last = &tid;
		if (bpf_map_lookup_elem(a->map_fd, &tid, &sums) ||
		    sums.use.count == sums.told_count)
			continue;
		e.tid = tid;
		e.allocated.allocs = sums.use.count - sums.told_count;
		e.allocated.bytes = sums.use.bytes - sums.told_bytes;
		err = timeline_gauges_alloc(g, sums.tgid, e.allocated.allocs, e.allocated.bytes);
		if (!err)
			err = timeline_event(r, &e);
	}
	return err;
}

void timeline_allocs_detach(struct timeline_allocs *a)
{
	heap_probes_take_away(&a->probes);
}

void timeline_allocs_release(struct timeline_allocs *a)
{
	heap_probes_release(&a->probes);
	*a = (struct timeline_allocs){ 0 };
}
