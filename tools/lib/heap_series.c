/* SPDX-License-Identifier: MIT */
#include "heap_series.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "util.h"

#define MAX_POINTS 2048
#define POINT_NS   100000000ULL

int heap_series_init(struct heap_series *s)
{
	*s = (struct heap_series){ .between_ns = POINT_NS };
	s->points = calloc(MAX_POINTS, sizeof(*s->points));
	return s->points ? 0 : -ENOMEM;
}

void heap_series_release(struct heap_series *s)
{
	free(s->points);
	*s = (struct heap_series){ 0 };
}

/* proc(5), /proc/PID/statm: the second number is what is resident, in pages. */
static uint64_t read_rss(pid_t pid)
{
	unsigned long pages = 0;
	char path[64];
	char *text;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	text = read_file_at(-1, path, 4096, NULL);
	if (text && sscanf(text, "%*u %lu", &pages) != 1)
		pages = 0;
	free(text);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void heap_series_take(struct heap_series *s, const struct heap_table *table, const struct target *t,
		      uint64_t now, bool always)
{
	struct heap_counts sum;
	struct heap_point *p;

	if (!always && s->nr && now - s->points[s->nr - 1].time_ns < s->between_ns)
		return;
	if (s->nr == MAX_POINTS) {
		for (size_t i = 0; i < MAX_POINTS / 2; i++)
			s->points[i] = s->points[2 * i];
		s->nr = MAX_POINTS / 2;
		s->between_ns *= 2;
	}
	heap_table_sum(table, &sum);
	p = &s->points[s->nr++];
	*p = (struct heap_point){
		.time_ns = now,
		.allocs = sum.allocs,
		.alloc_bytes = sum.alloc_bytes,
		.live = sum.live,
		.live_bytes = sum.live_bytes,
	};
	for (size_t i = 0; i < t->nr_procs; i++)
		p->rss_bytes += read_rss(t->procs[i]->pid);
}
