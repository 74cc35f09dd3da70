/* SPDX-License-Identifier: MIT */
#include "trace_ring.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fresh_file.h"
#include "trace_file_codec.h"
#include "util.h"

#define BEGIN_MAX 64 /* bytes of the entry that says where a dump begins, packed */

/* A chunk, shared by the ring and a dump; never changed. */
struct kept {
	atomic_uint users;
	struct trace_chunk_header header;
	unsigned char payload[];
};

struct kept_list {
	struct kept **items;
	size_t nr, cap;
	size_t first; /* of those that are still there */
};

struct dump {
	pthread_t thread;
	bool running;
	atomic_bool done;
	struct kept **items;
	size_t nr;
	struct trace_dump what;
	char *path;
	struct trace_dumped result;
};

struct trace_ring {
	struct trace_chunks chunks;
	size_t max_bytes;
	uint64_t max_ns, newest;
	struct kept_list dictionary, events;
	struct trace_ring_stats stats;
	struct dump dump;
};

static void put_kept(struct kept *k)
{
	if (atomic_fetch_sub(&k->users, 1) == 1)
		free(k);
}

static size_t size_of(const struct kept *k)
{
	return sizeof(k->header) + k->header.size;
}

static void drop_first(struct trace_ring *r)
{
	struct kept *k = r->events.items[r->events.first++];

	r->stats.bytes -= size_of(k);
	r->stats.events -= k->header.events;
	r->stats.dropped += k->header.events;
	put_kept(k);
}

static void trim(struct trace_ring *r)
{
	struct kept_list *l = &r->events;

	while (l->first < l->nr &&
	       ((r->max_bytes && r->stats.bytes > r->max_bytes) ||
		(r->max_ns && l->items[l->first]->header.last + r->max_ns < r->newest)))
		drop_first(r);
	/* The room at the front is used again when it is half of all. */
	if (l->first > l->nr / 2) {
		memmove(l->items, l->items + l->first, (l->nr - l->first) * sizeof(*l->items));
		l->nr -= l->first;
		l->first = 0;
	}
	r->stats.oldest = l->first < l->nr ? l->items[l->first]->header.first : 0;
}

static int take_chunk(struct trace_chunks *c, const struct trace_chunk_header *header,
		      const void *payload)
{
	struct trace_ring *r = (struct trace_ring *)c;
	bool events = header->type == TRACE_CHUNK_EVENTS;
	struct kept_list *l = events ? &r->events : &r->dictionary;
	struct kept *k;

	if (array_grow((void **)&l->items, l->nr, &l->cap, sizeof(*l->items)))
		return -ENOMEM;
	k = malloc(sizeof(*k) + header->size);
	if (!k)
		return -ENOMEM;
	atomic_init(&k->users, 1);
	k->header = *header;
	memcpy(k->payload, payload, header->size);
	l->items[l->nr++] = k;
	if (!events) {
		r->stats.dictionary += size_of(k);
		return 0;
	}
	r->stats.bytes += size_of(k);
	r->stats.events += header->events;
	r->newest = MAX(r->newest, header->last);
	trim(r);
	return 0;
}

struct trace_ring *trace_ring_new(size_t max_bytes, uint64_t max_ns)
{
	struct trace_ring *r = calloc(1, sizeof(*r));

	if (!r) {
		errno = ENOMEM;
		return NULL;
	}
	r->chunks = (struct trace_chunks){ .chunk = take_chunk };
	r->max_bytes = max_bytes;
	r->max_ns = max_ns;
	return r;
}

static void list_release(struct kept_list *l)
{
	for (size_t i = l->first; i < l->nr; i++)
		put_kept(l->items[i]);
	free(l->items);
}

void trace_ring_free(struct trace_ring *r)
{
	struct trace_dumped last = { 0 };

	if (!r)
		return;
	trace_ring_dumped(r, true, &last);
	free(last.path);
	list_release(&r->dictionary);
	list_release(&r->events);
	free(r);
}

struct trace_chunks *trace_ring_chunks(struct trace_ring *r)
{
	return &r->chunks;
}

void trace_ring_limit(struct trace_ring *r, size_t max_bytes, uint64_t max_ns)
{
	r->max_bytes = max_bytes;
	r->max_ns = max_ns;
	trim(r);
}

void trace_ring_time(struct trace_ring *r, uint64_t now)
{
	r->newest = MAX(r->newest, now);
	trim(r);
}

void trace_ring_stats(const struct trace_ring *r, struct trace_ring_stats *ret)
{
	*ret = r->stats;
}

/* ---------------------------------------------------------------- dumps ---- */

/*
 * Chunks are numbered anew: what the ring has let go is not missing from the file. The first may
 * begin before what was asked for.
 */
static int write_chunks(struct dump *d, struct trace_chunks *file)
{
	uint32_t serial = 0;
	int err = 0;

	if (d->what.from) {
		err = trace_file_begin(file, d->what.from);
		serial++;
	}
	for (size_t i = 0; i < d->nr && !err; i++) {
		struct trace_chunk_header h = d->items[i]->header;

		h.serial = serial++;
		trace_chunk_seal(&h);
		err = file->chunk(file, &h, d->items[i]->payload);
	}
	if (!err)
		err = file->finish(file, d->what.end);
	return err;
}

static int write_file(struct dump *d, struct fresh_file *fresh)
{
	struct trace_chunks *file;
	uint64_t start = d->what.start;
	int err, closed;

	for (size_t i = 0; i < d->nr; i++) {
		if (d->items[i]->header.type != TRACE_CHUNK_EVENTS)
			continue;
		start = d->items[i]->header.first;
		break;
	}
	err = trace_file_attach(fresh->fd, start, d->what.realtime + (start - d->what.start),
				&file);
	if (err)
		return err;
	err = write_chunks(d, file);
	d->result.bytes = trace_file_bytes(file);
	closed = trace_file_close(file);
	return err ? err : closed;
}

static void *write_dump(void *arg)
{
	struct fresh_file fresh = { .fd = -1 };
	struct dump *d = arg;
	int err = fresh_file_open(&fresh, d->path);

	if (!err)
		err = write_file(d, &fresh);
	if (!err)
		err = fresh_file_publish(&fresh, d->path, &d->result.path);
	fresh_file_release(&fresh);
	d->result.err = err;
	atomic_store(&d->done, true);
	return NULL;
}

static void dump_release(struct dump *d)
{
	for (size_t i = 0; i < d->nr; i++)
		put_kept(d->items[i]);
	free(d->items);
	free(d->path);
	memset(d, 0, sizeof(*d));
}

/* All dictionaries, and the events that are wanted. */
static int collect(struct trace_ring *r, struct dump *d)
{
	const struct kept_list *l = &r->events;

	d->items = calloc(r->dictionary.nr + (l->nr - l->first) + 1, sizeof(*d->items));
	if (!d->items)
		return -ENOMEM;
	for (size_t i = 0; i < r->dictionary.nr; i++)
		d->items[d->nr++] = r->dictionary.items[i];
	for (size_t i = l->first; i < l->nr; i++)
		if (l->items[i]->header.last >= d->what.from)
			d->items[d->nr++] = l->items[i];
	for (size_t i = 0; i < d->nr; i++)
		atomic_fetch_add(&d->items[i]->users, 1);
	return 0;
}

int trace_ring_dump(struct trace_ring *r, const struct trace_dump *what)
{
	struct dump *d = &r->dump;
	int err = 0;

	if (d->running)
		return -EBUSY;
	d->what = *what;
	/* Chunks go when the newest of their events is too old: the others are too old already. */
	if (r->max_ns && r->newest > r->max_ns)
		d->what.from = MAX(d->what.from, r->newest - r->max_ns);
	d->path = strdup(what->path);
	if (!d->path)
		err = -ENOMEM;
	if (!err)
		err = collect(r, d);
	if (!err)
		err = -pthread_create(&d->thread, NULL, write_dump, d);
	if (err)
		dump_release(d);
	else
		d->running = true;
	return err;
}

uint64_t trace_ring_dump_size(const struct trace_ring *r)
{
	/* Of each chunk the index has six numbers. */
	return sizeof(struct trace_header) + r->stats.bytes + r->stats.dictionary +
	       (r->dictionary.nr + r->events.nr + 2) * (6 * VARINT_MAX) + BEGIN_MAX +
	       3 * sizeof(struct trace_chunk_header);
}

int trace_ring_dumped(struct trace_ring *r, bool wait, struct trace_dumped *ret)
{
	struct dump *d = &r->dump;

	if (!d->running || (!wait && !atomic_load(&d->done)))
		return 0;
	pthread_join(d->thread, NULL);
	*ret = d->result;
	dump_release(d);
	return 1;
}
