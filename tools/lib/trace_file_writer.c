/* SPDX-License-Identifier: MIT */
#include "trace_file_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_file_impl.h"
#include "util.h"

#define MAX_EVENTS_DEFAULT  32768
#define MAX_STACKS_DEFAULT  ((size_t)1 << 20)
#define MAX_STRINGS_DEFAULT ((size_t)1 << 20)
#define FLUSH_DEFAULT	    UINT64_C(500000000)
#define KEY_DEFAULT	    UINT64_C(5000000000)
#define LEVEL_DEFAULT	    1
#define MAX_TEXTS	    ((size_t)8 << 20)	/* bytes of arguments that wait */
#define HOLD		    UINT64_C(100000000) /* ns for which a missing number may still come */

int trace_writer_new(struct trace_chunks *to, const struct trace_writer_options *o,
		     struct trace_writer **ret)
{
	struct trace_writer *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->to = to;
	w->o = *o;
	w->o.max_events = o->max_events ? o->max_events : MAX_EVENTS_DEFAULT;
	w->o.max_stacks = o->max_stacks ? o->max_stacks : MAX_STACKS_DEFAULT;
	w->o.max_strings = o->max_strings ? o->max_strings : MAX_STRINGS_DEFAULT;
	w->o.flush_ns = o->flush_ns ? o->flush_ns : FLUSH_DEFAULT;
	w->o.key_ns = o->key_ns ? o->key_ns : KEY_DEFAULT;
	w->o.level = o->level ? o->level : LEVEL_DEFAULT;
	w->newest = w->written = w->keyed = o->start;
	err = intern_init(&w->dict, w->o.max_strings, w->o.max_stacks);
	if (!err)
		err = writer_kinds(&w->dict);
	if (err)
		trace_writer_free(w);
	else
		*ret = w;
	return err;
}

void trace_writer_free(struct trace_writer *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->nr_queues; i++)
		free(w->queues[i].items);
	free(w->queues);
	free(w->ready);
	free(w->key_items);
	arena_release(&w->args[0]);
	arena_release(&w->args[1]);
	intern_release(&w->dict);
	keys_release(&w->keys);
	packer_release(&w->packer);
	encoder_release(&w->encoder);
	sieving_release(&w->sieving);
	free(w);
}

/* -------- events -------- */

static int queue_of(struct trace_writer *w, uint16_t cpu, struct queue **ret)
{
	size_t i = cpu == EVENT_NO_CPU ? 0 : cpu + (size_t)1;

	while (w->nr_queues <= i) {
		if (array_grow((void **)&w->queues, w->nr_queues, &w->cap_queues,
			       sizeof(*w->queues)))
			return -ENOMEM;
		w->queues[w->nr_queues++] = (struct queue){
			.next = 1,
			.expected = 1,
			.next_time = w->o.start,
		};
	}
	*ret = &w->queues[i];
	return 0;
}

static bool acceptable(const struct event *e)
{
	if (e->kind == EVT_NONE || e->kind >= EVT_NR || e->kind == EVT_LOST)
		return false;
	if (!e->nr_args)
		return true;
	if (!event_kinds[e->kind].args || e->nr_args > EVENT_MAX_ARGS)
		return false;
	for (unsigned int i = 0; i < e->nr_args; i++)
		if (e->args[i].type > EVENT_ARG_TEXT)
			return false;
	return true;
}

/* Arguments of our own, in memory that lasts until they are written. */
int writer_keep_args(struct arena *arena, struct event *e)
{
	struct event_arg *args;

	if (!e->nr_args) {
		e->args = NULL;
		return 0;
	}
	args = arena_take(arena, e->nr_args * sizeof(*args));
	if (!args)
		return -ENOMEM;
	for (unsigned int i = 0; i < e->nr_args; i++) {
		size_t len;
		char *text;

		args[i] = e->args[i];
		if (args[i].type != EVENT_ARG_TEXT)
			continue;
		len = args[i].text ? strnlen(args[i].text, EVENT_MAX_TEXT) : 0;
		text = arena_take(arena, len + 1);
		if (!text)
			return -ENOMEM;
		if (len)
			memcpy(text, args[i].text, len);
		text[len] = '\0';
		args[i].text = text;
	}
	e->args = args;
	return 0;
}

/* Hashes become numbers; and what is known of every system call is its name. */
static int intern_fields(struct trace_writer *w, struct event *e)
{
	const struct event_kind_info *k = &event_kinds[e->kind];
	uint32_t stack;
	int err = 0;

	for (unsigned int i = 0; i < k->nr_fields && !err; i++) {
		if (k->fields[i].type != EVENT_FIELD_STACK || !e->v[i])
			continue;
		err = intern_stack(&w->dict, e->v[i], &stack);
		e->v[i] = stack;
	}
	if (!err && (e->kind == EVT_SYSCALL_ENTER || e->kind == EVT_SYSCALL_EXIT))
		err = intern_syscall(&w->dict, e->enter.nr);
	if (!err && e->kind == EVT_STATE && e->state.syscall)
		err = intern_syscall(&w->dict, e->state.syscall - 1);
	return err;
}

static int flush(struct trace_writer *w, bool all, enum trace_urge urge);

int trace_writer_event(struct trace_writer *w, const struct event *e, uint64_t seq)
{
	struct event mine = *e;
	struct queue *q = NULL;
	int err;

	if (w->err)
		return w->err;
	if (!acceptable(e)) {
		w->stats.refused++;
		return 0;
	}
	err = intern_fields(w, &mine);
	if (!err)
		err = writer_keep_args(&w->args[0], &mine);
	if (!err)
		err = queue_of(w, e->cpu, &q);
	if (!err)
		err = queue_add(q, &mine, seq);
	if (err)
		return writer_done(w, err);
	w->stats.events++;
	w->newest = MAX(w->newest, e->time);
	if (++w->nr_queued < w->o.max_events && w->args[0].used < MAX_TEXTS)
		return 0;
	err = flush(w, false, TRACE_URGE_NONE);
	/* Too much waits for what is missing. */
	if (!err && w->nr_queued > w->o.max_events / 2)
		err = flush(w, true, TRACE_URGE_NONE);
	return err;
}

int trace_writer_lost(struct trace_writer *w, uint16_t cpu, uint64_t seq, uint64_t time)
{
	struct queue *q = NULL;
	size_t ready = 0;
	int err = w->err;

	if (!err)
		err = queue_of(w, cpu, &q);
	if (!err)
		err = queue_settle(q, cpu, UINT64_MAX, &w->stats, &ready);
	if (!err && seq >= q->next) {
		struct event lost = {
			.time = MIN(q->next_time, time),
			.cpu = cpu,
			.kind = EVT_LOST,
			.lost = { .count = seq + 1 - q->next, .until = time },
		};

		w->stats.lost += lost.lost.count;
		w->stats.losses++;
		q->next = q->expected = seq + 1;
		q->next_time = time;
		q->disordered = true;
		err = queue_add(q, &lost, 0);
		w->nr_queued++;
	}
	w->newest = MAX(w->newest, time);
	return writer_done(w, err);
}

/* -------- chunks of events -------- */

static int add_key(struct trace_writer *w, size_t *nr, const struct event *e)
{
	if (array_grow((void **)&w->key_items, *nr, &w->cap_key_items, sizeof(*w->key_items)))
		return -ENOMEM;
	w->key_items[*nr] = (struct queued){ .e = *e };
	w->key_items[*nr].e.time = w->written;
	w->key_items[(*nr)++].e.cpu = EVENT_NO_CPU;
	return 0;
}

static int add_key_thread(struct trace_writer *w, size_t *nr, const struct key_thread *t)
{
	struct event thread = { .tid = t->tid, .kind = EVT_THREAD }, state;
	int err;

	thread.thread.pid = t->pid;
	thread.thread.name = t->name;
	thread.thread.flags = t->flags;
	err = t->pid ? add_key(w, nr, &thread) : 0;
	if (!err && keys_state(t, &state) && (!w->o.sieve || w->sieving.whole))
		err = add_key(w, nr, &state);
	return err;
}

/* For who begins to read here: are events left out, and how many were. */
static int add_key_left_out(struct trace_writer *w, size_t *nr)
{
	struct event e = { .kind = EVT_LEFT_OUT };

	if (!w->o.sieve)
		return 0;
	e.left_out.count = w->sieving.left_out;
	e.left_out.flags = w->sieving.whole ? EVENT_LEFT_OUT_ENDS : 0;
	w->sieving.left_out = 0;
	return add_key(w, nr, &e);
}

/* What every thread is at the time of the last event that was written. */
static int put_keys(struct trace_writer *w)
{
	size_t nr = 0;
	int err = add_key_left_out(w, &nr);

	for (size_t i = 0; i < w->keys.nr_processes && !err; i++) {
		const struct key_process *p = &w->keys.processes[i];
		struct event e = { .tid = p->pid, .kind = EVT_PROCESS };

		e.process.parent = p->parent;
		e.process.name = p->name;
		err = add_key(w, &nr, &e);
	}
	for (size_t i = 0; i < w->keys.nr && !err; i++)
		err = add_key_thread(w, &nr, &w->keys.threads[i]);
	return err ? err : encoder_section(&w->encoder, EVENT_NO_CPU, w->key_items, nr);
}

/* How many events of each queue are ready, and the time of the oldest. */
static int settle(struct trace_writer *w, bool all, uint64_t *first, size_t *total)
{
	uint64_t young = all ? UINT64_MAX : w->newest - MIN(HOLD, w->newest);
	size_t *ready = realloc(w->ready, (w->nr_queues + 1) * sizeof(*ready));
	int err = 0;

	if (!ready)
		return -ENOMEM;
	w->ready = ready;
	*first = UINT64_MAX;
	*total = w->nr_queued = 0;
	for (size_t i = 0; i < w->nr_queues && !err; i++) {
		struct queue *q = &w->queues[i];

		err = queue_settle(q, i ? (uint16_t)(i - 1) : EVENT_NO_CPU, young, &w->stats,
				   &ready[i]);
		if (!err && ready[i])
			*first = MIN(*first, q->items[0].e.time);
		*total += ready[i];
		w->nr_queued += q->nr;
	}
	return err;
}

static int put_sections(struct trace_writer *w)
{
	int err = 0;

	for (size_t i = 0; i < w->nr_queues && !err; i++) {
		const struct queue *q = &w->queues[i];

		err = encoder_section(&w->encoder, i ? (uint16_t)(i - 1) : EVENT_NO_CPU, q->items,
				      w->ready[i]);
		for (size_t j = 0; j < w->ready[i] && !err; j++)
			err = keys_event(&w->keys, &q->items[j].e);
	}
	return err;
}

/* What was written leaves; the arguments of what waits move, so that memory can be given back. */
static int drop_written(struct trace_writer *w)
{
	struct arena old = w->args[0];
	int err = 0;

	w->args[0] = w->args[1];
	w->nr_queued = 0;
	for (size_t i = 0; i < w->nr_queues && !err; i++) {
		struct queue *q = &w->queues[i];

		queue_drop(q, w->ready[i]);
		for (size_t j = 0; j < q->nr && !err; j++)
			err = writer_keep_args(&w->args[0], &q->items[j].e);
		w->nr_queued += q->nr;
	}
	arena_reset(&old);
	w->args[1] = old;
	return err;
}

int writer_begin_events(struct trace_writer *w, uint64_t first)
{
	w->key = !w->any || w->newest - w->keyed >= w->o.key_ns;
	encoder_start(&w->encoder, w->key && w->any ? MIN(first, w->written) : first);
	if (!w->key)
		return 0;
	w->keyed = w->newest;
	return w->any ? put_keys(w) : 0;
}

int writer_end_events(struct trace_writer *w)
{
	struct trace_chunk_header h = {
		.type = TRACE_CHUNK_EVENTS,
		.flags = w->key ? TRACE_CHUNK_KEY : 0,
		.first = w->encoder.first,
		.last = w->encoder.last,
		.events = (uint32_t)w->encoder.events,
	};
	const struct bytes *payload;
	int err = writer_dictionary(w);

	if (err || !w->encoder.events)
		return err;
	payload = encoder_payload(&w->encoder);
	if (!payload)
		return -ENOMEM;
	w->any = true;
	w->written = MAX(w->written, h.last);
	return writer_chunk(w, &h, payload, &w->stats.payload);
}

static int write_events(struct trace_writer *w, uint64_t first)
{
	int err = writer_begin_events(w, first);

	if (!err)
		err = put_sections(w);
	return err ? err : writer_end_events(w);
}

static int flush(struct trace_writer *w, bool all, enum trace_urge urge)
{
	uint64_t first = 0;
	size_t total = 0;
	int err = w->err;

	if (!err)
		err = settle(w, all, &first, &total);
	if (!err && total)
		err = w->o.sieve ? sieve_take(w) : write_events(w, first);
	if (!err && total)
		err = drop_written(w);
	if (!err && w->o.sieve)
		err = sieve_write(w, urge);
	else if (!err && !total)
		err = writer_dictionary(w);
	return writer_done(w, err);
}

int trace_writer_poll(struct trace_writer *w, uint64_t now)
{
	if (w->err || now - w->flushed < w->o.flush_ns)
		return w->err;
	w->flushed = now;
	return flush(w, false, TRACE_URGE_NONE);
}

int trace_writer_flush(struct trace_writer *w)
{
	return flush(w, false, TRACE_URGE_ALL);
}

int trace_writer_finish(struct trace_writer *w, uint64_t end)
{
	int err = w->err;

	if (!err)
		err = flush(w, true, TRACE_URGE_ALL);
	if (!err)
		err = writer_dictionary(w);
	if (!err && !w->finished && w->to->finish)
		err = w->to->finish(w->to, MAX(end, w->newest));
	w->finished = true;
	return writer_done(w, err);
}

void trace_writer_stats(const struct trace_writer *w, struct trace_writer_stats *ret)
{
	*ret = w->stats;
	ret->stacks_dropped = w->dict.stacks_dropped;
	ret->strings_dropped = w->dict.strings_dropped;
}
