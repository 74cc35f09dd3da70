/* SPDX-License-Identifier: MIT */
/*
 * A writer that does not write all that comes (struct trace_sieve). The events of all CPUs are merged
 * in order of time and wait until it is decided what becomes of them; then they are written, or
 * counted. What every thread is, is followed through all of them, so that where events are written
 * again it is told first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_file_impl.h"
#include "util.h"

#define MAX_HELD ((size_t)1 << 17) /* events, about 18 MB */

void sieving_release(struct sieving *s)
{
	for (size_t i = 0; i < s->nr_outs; i++)
		free(s->outs[i].items);
	free(s->outs);
	free(s->items);
	free(s->heap);
	arena_release(&s->args[0]);
	arena_release(&s->args[1]);
	*s = (struct sieving){ 0 };
}

/* -------- in: all queues, by time -------- */

/* A queue's next event. */
struct sieve_next {
	const struct queued *at, *end;
};

static void sift_down(struct sieve_next *heap, size_t nr, size_t i)
{
	struct sieve_next n = heap[i];

	for (size_t child = 2 * i + 1; child < nr; child = 2 * i + 1) {
		if (child + 1 < nr && heap[child + 1].at->e.time < heap[child].at->e.time)
			child++;
		if (n.at->e.time <= heap[child].at->e.time)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = n;
}

static int hold(struct trace_writer *w, const struct event *e)
{
	struct sieving *s = &w->sieving;
	struct sieve_held *h;
	int err = array_grow((void **)&s->items, s->nr, &s->cap, sizeof(*s->items));

	if (err)
		return err;
	h = &s->items[s->nr];
	h->e = *e;
	h->tag = NULL;
	err = writer_keep_args(&s->args[0], &h->e);
	if (err)
		return err;
	s->nr++;
	return w->o.sieve->see(w->o.sieve, &h->e, &h->tag);
}

int sieve_take(struct trace_writer *w)
{
	struct sieving *s = &w->sieving;
	struct sieve_next *heap = realloc(s->heap, (w->nr_queues + 1) * sizeof(*heap));
	size_t nr = 0;
	int err = 0;

	if (!heap)
		return -ENOMEM;
	s->heap = heap;
	for (size_t i = 0; i < w->nr_queues; i++) {
		const struct queued *items = w->queues[i].items;

		if (w->ready[i])
			heap[nr++] = (struct sieve_next){ items, items + w->ready[i] };
	}
	for (size_t i = nr; i--;)
		sift_down(heap, nr, i);
	while (nr && !err) {
		err = hold(w, &heap->at->e);
		if (++heap->at == heap->end)
			heap[0] = heap[--nr];
		if (nr)
			sift_down(heap, nr, 0);
	}
	return err;
}

/* -------- out: again by CPU -------- */

static int put(struct sieving *s, const struct event *e)
{
	size_t i = e->cpu == EVENT_NO_CPU ? 0 : e->cpu + (size_t)1;
	struct queue *q;

	while (s->nr_outs <= i) {
		if (array_grow((void **)&s->outs, s->nr_outs, &s->cap_outs, sizeof(*s->outs)))
			return -ENOMEM;
		s->outs[s->nr_outs++] = (struct queue){ 0 };
	}
	q = &s->outs[i];
	/* A queue looks whether what comes is in order. */
	return queue_add(q, e, 0);
}

static int put_left_out(struct sieving *s, uint64_t time, bool ends)
{
	struct event e = { .time = time, .cpu = EVENT_NO_CPU, .kind = EVT_LEFT_OUT };

	e.left_out.count = s->left_out;
	e.left_out.flags = ends ? EVENT_LEFT_OUT_ENDS : 0;
	s->left_out = 0;
	s->whole = ends;
	return put(s, &e);
}

/* From here on all is written: what every thread is. */
static int begin_whole(struct trace_writer *w, uint64_t time)
{
	int err = put_left_out(&w->sieving, time, true);

	for (size_t i = 0; i < w->keys.nr && !err; i++) {
		struct event e;

		if (!keys_state(&w->keys.threads[i], &e))
			continue;
		e.time = time;
		err = put(&w->sieving, &e);
	}
	return err;
}

static int put_sums(struct sieving *s, const struct trace_pass *p, uint64_t time, uint32_t tid)
{
	int err = 0;

	for (size_t i = 0; i < p->nr_sums && !err; i++) {
		struct event e = p->sums[i];

		e.time = time;
		e.tid = tid;
		e.cpu = EVENT_NO_CPU;
		err = writer_keep_args(&s->args[0], &e);
		if (!err)
			err = put(s, &e);
	}
	return err;
}

static int pass(struct trace_writer *w, const struct sieve_held *h)
{
	struct sieving *s = &w->sieving;
	struct trace_pass p = { 0 };
	struct event e = h->e;
	int err = w->o.sieve->pass(w->o.sieve, &e, h->tag, &p);

	if (!err && p.whole != s->whole)
		err = p.whole ? begin_whole(w, e.time) : put_left_out(s, e.time, false);
	if (!err)
		err = put_sums(s, &p, e.time, e.tid);
	if (p.bare)
		e.nr_args = 0;
	if (!err && p.keep)
		err = put(s, &e);
	if (!p.keep) {
		s->left_out++;
		w->stats.left_out++;
	}
	if (!err)
		err = keys_event(&w->keys, &h->e);
	/* The next moment: this one is still shown. */
	if (!err && p.whole && !p.whole_after)
		err = put_left_out(s, e.time + 1, false);
	return err;
}

static int put_outs(struct trace_writer *w)
{
	struct sieving *s = &w->sieving;
	int err = 0;

	for (size_t i = 0; i < s->nr_outs && !err; i++) {
		struct queue *q = &s->outs[i];

		if (q->disordered)
			queue_sort(q);
		err = encoder_section(&w->encoder, i ? (uint16_t)(i - 1) : EVENT_NO_CPU, q->items,
				      q->nr);
		q->nr = 0;
		q->newest = 0;
	}
	return err;
}

/* How many of the first are decided, and the time of the oldest. */
static size_t count_decided(struct trace_writer *w, enum trace_urge urge, uint64_t *first)
{
	const struct sieving *s = &w->sieving;
	uint64_t until = w->o.sieve->decided(w->o.sieve, w->newest, urge);
	size_t n = 0;

	*first = UINT64_MAX;
	for (; n < s->nr && s->items[n].e.time < until; n++)
		*first = MIN(*first, s->items[n].e.time);
	return n;
}

/* What was passed leaves; the arguments of the rest move, so that memory can be given back. */
static int drop(struct sieving *s, size_t n)
{
	struct arena old = s->args[0];
	int err = 0;

	s->nr -= n;
	memmove(s->items, s->items + n, s->nr * sizeof(*s->items));
	s->args[0] = s->args[1];
	for (size_t i = 0; i < s->nr && !err; i++)
		err = writer_keep_args(&s->args[0], &s->items[i].e);
	arena_reset(&old);
	s->args[1] = old;
	return err;
}

static int write_decided(struct trace_writer *w, size_t n, uint64_t first)
{
	struct sieving *s = &w->sieving;
	int err = writer_begin_events(w, first);

	/* A recording begins with nothing of its threads. */
	if (!err && !w->any)
		err = put_left_out(s, first, false);
	for (size_t i = 0; i < n && !err; i++)
		err = pass(w, &s->items[i]);
	/* Each chunk tells what was left out of it. */
	if (!err && s->left_out)
		err = put_left_out(s, s->items[n - 1].e.time, s->whole);
	if (!err)
		err = put_outs(w);
	if (!err)
		err = drop(s, n);
	return err ? err : writer_end_events(w);
}

int sieve_write(struct trace_writer *w, enum trace_urge urge)
{
	uint64_t first;
	size_t n = count_decided(w, urge, &first);
	int err = n ? write_decided(w, n, first) : writer_dictionary(w);

	while (!err && w->sieving.nr > MAX_HELD) {
		n = count_decided(w, TRACE_URGE_CROWDED, &first);
		err = n ? write_decided(w, n, first) : 0;
	}
	return err;
}
