/* SPDX-License-Identifier: MIT */
#include "timeline_gauges.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "timeline_heaps.h"
#include "util.h"

static const uint32_t counters[4] = { COUNTER_RSS, COUNTER_THREADS, COUNTER_MINOR_FAULTS,
				      COUNTER_MAJOR_FAULTS };

_Static_assert(sizeof(((struct timeline_gauge_row *)0)->values) / 8 == ARRAY_SIZE(counters),
	       "one each");

/* proc(5): of /proc/PID/stat 10 minflt, 12 majflt, 20 num_threads, 24 rss in pages. */
static int read_stat(pid_t pid, uint64_t *values)
{
	char path[64], line[1024], *at;
	uint64_t fields[25] = { 0 };
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	n = fread(line, 1, sizeof(line) - 1, f);
	fclose(f);
	line[n] = '\0';
	/* The second field is the name, in parentheses, which it may contain, too. */
	at = strrchr(line, ')');
	if (!at || !at[1] || !at[2] || !at[3])
		return -EINVAL;
	at += 3;
	for (size_t i = 4; i < ARRAY_SIZE(fields); i++)
		fields[i] = strtoull(at, &at, 10);
	/* It is about to end, or has: this is not what it had. */
	if (!fields[24])
		return -ESRCH;
	values[0] = fields[24] * sysconf(_SC_PAGESIZE);
	values[1] = fields[20];
	values[2] = fields[10];
	values[3] = fields[12];
	return 0;
}

static int tell(struct timeline_records *r, pid_t pid, unsigned int counter, uint64_t value,
		uint64_t now)
{
	struct event e = { .time = now, .tid = pid, .cpu = EVENT_NO_CPU, .kind = EVT_COUNTER };

	e.counter.counter = counter;
	e.counter.value = value;
	return timeline_event(r, &e);
}

static struct timeline_gauge_row *row_of(struct timeline_gauges *g, pid_t pid)
{
	for (size_t i = 0; i < g->nr; i++)
		if (g->items[i].pid == pid)
			return &g->items[i];
	if (array_grow((void **)&g->items, g->nr, &g->cap, sizeof(*g->items)))
		return NULL;
	g->items[g->nr] = (struct timeline_gauge_row){ .pid = pid };
	return &g->items[g->nr++];
}

static int read_process(struct timeline_gauges *g, pid_t pid, struct timeline_records *r,
			uint64_t now)
{
	uint64_t values[ARRAY_SIZE(counters)] = { 0 };
	struct timeline_gauge_row *row;
	int err = 0;

	if (read_stat(pid, values))
		return 0; /* it is gone */
	row = row_of(g, pid);
	if (!row)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(counters) && !err; i++)
		if (!row->told || row->values[i] != values[i] ||
		    event_counter_info(counters[i])->total)
			err = tell(r, pid, counters[i], values[i], now);
	memcpy(row->values, values, sizeof(values));
	row->told = true;
	return err;
}

/* Less than that is no step, but a clock that is kept exact. */
#define CLOCK_STEP_NS 10000000

static int tell_clock(struct timeline_gauges *g, struct timeline_records *r, uint64_t now)
{
	struct event e = { .time = now, .cpu = EVENT_NO_CPU, .kind = EVT_CLOCK };
	struct timespec t;
	int64_t differ;

	clock_gettime(CLOCK_REALTIME, &t);
	differ = t.tv_sec * INT64_C(1000000000) + t.tv_nsec - (int64_t)now_ns();
	if (llabs(differ - g->clocks_differ) < CLOCK_STEP_NS)
		return 0;
	g->clocks_differ = differ;
	e.clock.realtime = now + (uint64_t)differ;
	return timeline_event(r, &e);
}

static int tell_allocs(struct timeline_gauges *g, struct timeline_records *r, uint64_t now)
{
	int err = 0;

	for (size_t i = 0; i < g->nr && !err; i++) {
		const struct timeline_gauge_row *row = &g->items[i];

		if (!row->allocates)
			continue;
		err = tell(r, row->pid, COUNTER_ALLOCS, row->allocs, now);
		if (!err)
			err = tell(r, row->pid, COUNTER_ALLOC_BYTES, row->alloc_bytes, now);
	}
	return err;
}

int timeline_gauges_finish(struct timeline_gauges *g, const struct target *t,
			   struct timeline_records *r, uint64_t now)
{
	int err = tell_clock(g, r, now);

	g->read_at = now;
	for (size_t i = 0; i < t->nr_procs && !err; i++)
		err = read_process(g, t->procs[i]->pid, r, now);
	if (!err && g->heaps)
		err = timeline_heaps_tell(g->heaps, g, r, now);
	return err ? err : tell_allocs(g, r, now);
}

int timeline_gauges_read(struct timeline_gauges *g, const struct target *t,
			 struct timeline_records *r, uint64_t now)
{
	return now - g->read_at < TIMELINE_GAUGE_NS ? 0 : timeline_gauges_finish(g, t, r, now);
}

int timeline_gauges_alloc(struct timeline_gauges *g, pid_t pid, uint64_t calls, uint64_t bytes)
{
	struct timeline_gauge_row *row = row_of(g, pid);

	if (!row)
		return -ENOMEM;
	row->allocates = true;
	row->allocs += calls;
	row->alloc_bytes += bytes;
	g->allocs += calls;
	return 0;
}

int timeline_gauges_heap(struct timeline_gauges *g, struct timeline_records *r, pid_t pid,
			 uint64_t held, uint64_t most, uint64_t now)
{
	struct timeline_gauge_row *row = row_of(g, pid);
	int err = 0;

	if (!row)
		return -ENOMEM;
	if (!row->has_heap || row->heap != held)
		err = tell(r, pid, COUNTER_HEAP, held, now);
	if (!err && (!row->has_heap || row->heap_most != most))
		err = tell(r, pid, COUNTER_HEAP_MOST, most, now);
	row->has_heap = true;
	row->heap = held;
	row->heap_most = most;
	return err;
}

void timeline_gauges_release(struct timeline_gauges *g)
{
	free(g->items);
	*g = (struct timeline_gauges){ 0 };
}
