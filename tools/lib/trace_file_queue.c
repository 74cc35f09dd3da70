/* SPDX-License-Identifier: MIT */
/*
 * The events of a CPU in the order they happened in, and what is missing among them. A program that
 * is interrupted between taking its time and handing its event over is overtaken by those of the
 * interrupt: what comes is nearly sorted. So the common case is a look at each event as it comes,
 * and only what has gaps or is out of order is sorted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_file_impl.h"
#include "util.h"

int queue_add(struct queue *q, const struct event *e, uint64_t seq)
{
	struct queued *item;

	if (array_grow((void **)&q->items, q->nr, &q->cap, sizeof(*q->items)))
		return -ENOMEM;
	item = &q->items[q->nr];
	item->e = *e;
	item->seq = seq;
	item->order = (uint32_t)q->nr++;
	if (e->time < q->newest)
		q->disordered = true;
	else
		q->newest = e->time;
	if (!seq)
		return 0;
	if (seq == q->expected)
		q->expected++;
	else if (seq + 1 != q->expected)
		q->gaps = true;
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct queued *x = a, *y = b;

	if (x->e.time != y->e.time)
		return x->e.time < y->e.time ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

void queue_sort(struct queue *q)
{
	qsort(q->items, q->nr, sizeof(*q->items), by_time);
	for (size_t i = 0; i < q->nr; i++)
		q->items[i].order = (uint32_t)i;
	q->disordered = false;
}

/* A number that came, and when. */
struct arrival {
	uint64_t seq, time;
};

static int by_seq(const void *a, const void *b)
{
	const struct arrival *x = a, *y = b;

	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* Those not settled before; what was given up as lost is late. */
static size_t find_arrivals(struct queue *q, struct arrival *ret, struct trace_writer_stats *stats)
{
	size_t n = 0;

	for (size_t i = 0; i < q->nr; i++) {
		struct queued *item = &q->items[i];

		if (item->seq && item->seq + 1 < q->next) {
			stats->late++;
			item->seq = 0;
		}
		if (item->seq)
			ret[n++] = (struct arrival){ item->seq, item->e.time };
	}
	qsort(ret, n, sizeof(*ret), by_seq);
	return n;
}

static int add_lost(struct queue *q, uint16_t cpu, uint64_t count, uint64_t until,
		    struct trace_writer_stats *stats)
{
	struct event lost = {
		.time = MIN(q->next_time, until),
		.cpu = cpu,
		.kind = EVT_LOST,
		.lost = { .count = count, .until = until },
	};

	stats->lost += count;
	stats->losses++;
	q->disordered = true;
	return queue_add(q, &lost, 0);
}

/* Go through the numbers up to the first gap that may still be filled. */
static int settle_numbers(struct queue *q, uint16_t cpu, uint64_t young,
			  const struct arrival *arrivals, size_t nr,
			  struct trace_writer_stats *stats)
{
	int err = 0;

	for (size_t i = 0; i < nr && !err; i++) {
		const struct arrival *a = &arrivals[i];

		if (a->seq > q->next) {
			if (a->time >= young)
				break;
			err = add_lost(q, cpu, a->seq - q->next, a->time, stats);
		}
		q->next = MAX(q->next, a->seq + 1);
		q->next_time = a->time;
	}
	return err;
}

/* Ready first, each part in its order. Returns how many are ready. */
static size_t partition(struct queue *q, struct queued *held)
{
	size_t ready = 0, nr_held = 0;

	q->gaps = false;
	for (size_t i = 0; i < q->nr; i++) {
		if (q->items[i].seq >= q->next) {
			held[nr_held++] = q->items[i];
			q->gaps = true;
			continue;
		}
		q->items[ready] = q->items[i];
		q->items[ready++].seq = 0;
	}
	memcpy(&q->items[ready], held, nr_held * sizeof(*held));
	return ready;
}

static int settle_slowly(struct queue *q, uint16_t cpu, uint64_t young,
			 struct trace_writer_stats *stats, size_t *ret)
{
	struct arrival *arrivals = malloc((q->nr + 1) * sizeof(*arrivals));
	struct queued *held = NULL;
	int err = -ENOMEM;
	size_t nr;

	if (!arrivals)
		return err;
	nr = find_arrivals(q, arrivals, stats);
	err = settle_numbers(q, cpu, young, arrivals, nr, stats);
	if (!err)
		held = malloc((q->nr + 1) * sizeof(*held));
	if (!err && !held)
		err = -ENOMEM;
	if (!err) {
		if (q->disordered)
			queue_sort(q);
		*ret = partition(q, held);
	}
	free(arrivals);
	free(held);
	return err;
}

int queue_settle(struct queue *q, uint16_t cpu, uint64_t young, struct trace_writer_stats *stats,
		 size_t *ret)
{
	if (q->gaps)
		return settle_slowly(q, cpu, young, stats, ret);
	if (q->expected != q->next) {
		q->next = q->expected;
		q->next_time = q->newest;
	}
	if (q->disordered)
		queue_sort(q);
	*ret = q->nr;
	return 0;
}

void queue_drop(struct queue *q, size_t n)
{
	q->nr -= n;
	if (n)
		memmove(q->items, q->items + n, q->nr * sizeof(*q->items));
	q->newest = q->nr ? 0 : q->newest;
	for (size_t i = 0; i < q->nr; i++) {
		q->items[i].order = (uint32_t)i;
		q->newest = MAX(q->newest, q->items[i].e.time);
		q->expected = MAX(q->expected, q->items[i].seq + 1);
	}
	q->expected = MAX(q->expected, q->next);
}
