/* SPDX-License-Identifier: MIT */
#include "timeline_gauges.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

static const uint32_t counters[4] = { COUNTER_RSS, COUNTER_THREADS, COUNTER_MINOR_FAULTS,
				      COUNTER_MAJOR_FAULTS };

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
	values[0] = fields[24] * sysconf(_SC_PAGESIZE);
	values[1] = fields[20];
	values[2] = fields[10];
	values[3] = fields[12];
	return 0;
}

static int read_process(struct timeline_gauges *g, pid_t pid, struct timeline_records *r,
			uint64_t now)
{
	uint64_t values[ARRAY_SIZE(counters)] = { 0 };
	bool fresh = false;
	size_t at = 0;
	int err = 0;

	if (read_stat(pid, values))
		return 0; /* it is gone */
	while (at < g->nr && g->items[at].pid != pid)
		at++;
	if (at == g->nr) {
		err = array_grow((void **)&g->items, g->nr, &g->cap, sizeof(*g->items));
		if (err)
			return err;
		g->items[g->nr++].pid = pid;
		fresh = true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(counters) && !err; i++) {
		struct event e = {
			.time = now, .tid = pid, .cpu = EVENT_NO_CPU, .kind = EVT_COUNTER
		};

		if (!fresh && g->items[at].values[i] == values[i])
			continue;
		g->items[at].values[i] = values[i];
		e.counter.counter = counters[i];
		e.counter.value = values[i];
		err = timeline_event(r, &e);
	}
	return err;
}

int timeline_gauges_read(struct timeline_gauges *g, const struct target *t,
			 struct timeline_records *r, uint64_t now)
{
	int err = 0;

	if (now - g->read_at < TIMELINE_GAUGE_NS)
		return 0;
	g->read_at = now;
	for (size_t i = 0; i < t->nr_procs && !err; i++)
		err = read_process(g, t->procs[i]->pid, r, now);
	return err;
}

void timeline_gauges_release(struct timeline_gauges *g)
{
	free(g->items);
	*g = (struct timeline_gauges){ 0 };
}
