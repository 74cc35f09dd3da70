/* SPDX-License-Identifier: MIT */
/*
 * All sections of the chunks that are due, merged by time: a heap of sections, each with its next
 * event decoded. A chunk is opened when the merge has come to its first time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_file_read_impl.h"
#include "util.h"

#define MAX_OPEN       64		   /* chunks at once */
#define MAX_OPEN_BYTES ((size_t)512 << 20) /* of their payloads */

struct open_chunk {
	uint8_t *payload;
	size_t size;
	const char **texts;
	size_t nr_texts;
	struct section *sections;
	size_t nr_sections, cap_sections, nr_live;
	uint64_t last;
	struct trace_damage *damage;
};

struct section {
	struct open_chunk *chunk;
	struct varint_reader r;
	uint64_t order; /* among those of equal time: the older chunk first */
	uint64_t request;
	struct event e; /* the next one */
	struct event_arg args[EVENT_MAX_ARGS];
};

struct trace_cursor {
	struct trace *t;
	uint32_t *due; /* chunks of events and gaps, by `first` */
	size_t nr_due, next;
	struct section **heap;
	size_t nr, cap;
	size_t nr_open, open_bytes;
	struct trace_damage known; /* what is counted in the trace already */
	uint64_t order;
	bool started; /* the top of the heap has been handed out */
};

/* -------- one event -------- */

static uint64_t get_field(struct varint_reader *r, enum event_field_type type, struct section *s)
{
	uint64_t v = varint_get(r);

	switch (type) {
	case EVENT_FIELD_INT:
		return (uint64_t)unzigzag(v);
	case EVENT_FIELD_TID:
		return (uint32_t)unzigzag(v) + s->e.tid;
	case EVENT_FIELD_REQUEST:
		s->request += (uint64_t)unzigzag(v);
		return s->request;
	case EVENT_FIELD_TIME:
		return v && v - 1 <= s->e.time ? s->e.time - (v - 1) : 0;
	case EVENT_FIELD_LATER:
		return s->e.time + MIN(v, TRACE_MAX_TIME - s->e.time);
	default:
		return v;
	}
}

static void get_args(struct varint_reader *r, struct section *s)
{
	while (r->p < r->end && !r->bad && s->e.nr_args < EVENT_MAX_ARGS) {
		struct event_arg *a = &s->args[s->e.nr_args];
		uint64_t key = varint_get(r), value = varint_get(r);

		a->name = (uint32_t)(key >> 3);
		a->type = key & 7;
		if (a->type > EVENT_ARG_TEXT)
			continue; /* of a newer version */
		if (a->type == EVENT_ARG_TEXT)
			a->text = value < s->chunk->nr_texts ? s->chunk->texts[value] : "";
		else if (a->type == EVENT_ARG_INT)
			a->i = unzigzag(value);
		else
			a->u = value;
		s->e.nr_args++;
	}
}

static void get_fields(struct varint_reader *r, const struct trace_kind *k, struct section *s)
{
	unsigned int nr = event_kinds[s->e.kind].nr_fields;

	memset(s->e.v, 0, sizeof(s->e.v));
	for (unsigned int i = 0; i < k->nr_fields && (k->args || r->p < r->end); i++) {
		if (i < nr)
			s->e.v[i] = get_field(r, k->fields[i], s);
		else
			varint_get(r);
	}
	s->e.nr_args = 0;
	if (k->args)
		get_args(r, s);
}

/* Decode the next event of a section that we understand. False at its end. */
static bool section_next(struct trace *t, struct section *s)
{
	while (s->r.p && s->r.p < s->r.end && !s->r.bad) {
		uint8_t code = *s->r.p++, kind = code & 0x7f;
		struct varint_reader body = varint_part(&s->r, varint_get(&s->r));
		const struct trace_kind *k = &t->private->kinds[kind];
		uint64_t dt = varint_get(&body);

		if (code & 0x80)
			s->e.tid += (uint32_t)varint_get_signed(&body);
		if (s->r.bad || body.bad || dt > s->chunk->last - s->e.time)
			break;
		s->e.time += dt;
		if (!k->readable || (kind == EVT_NONE)) {
			s->chunk->damage->unknown++;
			continue;
		}
		s->e.kind = kind;
		get_fields(&body, k, s);
		if (!body.bad)
			return true;
		s->chunk->damage->events++;
	}
	if (s->r.p < s->r.end || s->r.bad)
		s->chunk->damage->events++;
	return false;
}

/* -------- the heap -------- */

static bool before(const struct section *a, const struct section *b)
{
	return a->e.time != b->e.time ? a->e.time < b->e.time : a->order < b->order;
}

static void sift_down(struct trace_cursor *c, size_t i)
{
	struct section *s = c->heap[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= c->nr)
			break;
		if (child + 1 < c->nr && before(c->heap[child + 1], c->heap[child]))
			child++;
		if (before(s, c->heap[child]))
			break;
		c->heap[i] = c->heap[child];
		i = child;
	}
	c->heap[i] = s;
}

static int push(struct trace_cursor *c, struct section *s)
{
	size_t i = c->nr;

	if (array_grow((void **)&c->heap, c->nr, &c->cap, sizeof(struct section *)))
		return -ENOMEM;
	c->nr++;
	while (i && before(s, c->heap[(i - 1) / 2])) {
		c->heap[i] = c->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	c->heap[i] = s;
	return 0;
}

/* -------- chunks -------- */

static void close_chunk(struct trace_cursor *c, struct open_chunk *o)
{
	c->nr_open--;
	c->open_bytes -= o->size;
	free(o->payload);
	free(o->texts);
	free(o->sections);
	free(o);
}

static void drop_top(struct trace_cursor *c)
{
	struct open_chunk *o = c->heap[0]->chunk;

	c->heap[0] = c->heap[--c->nr];
	if (c->nr)
		sift_down(c, 0);
	if (!--o->nr_live)
		close_chunk(c, o);
}

/* Each moves forward by a byte over its length, which leaves room for a NUL behind it. */
static int read_texts(struct open_chunk *o, struct varint_reader *r)
{
	uint64_t nr = varint_get(r);

	if (r->bad || nr > varint_left(r))
		return -EBADMSG;
	o->texts = malloc((nr + 1) * sizeof(*o->texts));
	if (!o->texts)
		return -ENOMEM;
	for (; o->nr_texts < nr; o->nr_texts++) {
		uint64_t len = varint_get(r);
		const uint8_t *text = varint_bytes(r, len);
		char *at;

		if (!text)
			return -EBADMSG;
		at = (char *)o->payload + (text - o->payload) - 1;
		memmove(at, text, len);
		at[len] = '\0';
		o->texts[o->nr_texts] = at;
	}
	return 0;
}

static int read_sections(struct open_chunk *o, struct varint_reader *r, uint64_t first)
{
	while (r->p < r->end) {
		uint64_t cpu = varint_get(r);
		struct section *s;

		varint_get(r); /* how many: a hint for other readers */
		if (array_grow((void **)&o->sections, o->nr_sections, &o->cap_sections,
			       sizeof(*o->sections)))
			return -ENOMEM;
		s = &o->sections[o->nr_sections];
		*s = (struct section){ .chunk = o, .e = { .time = first } };
		s->r = varint_part(r, varint_get(r));
		if (r->bad || cpu > EVENT_NO_CPU)
			return -EBADMSG;
		s->e.cpu = cpu ? (uint16_t)(cpu - 1) : EVENT_NO_CPU;
		o->nr_sections++;
	}
	return 0;
}

/* Start reading what a chunk has. Its sections do not move any more. */
static int start_sections(struct trace_cursor *c, struct open_chunk *o)
{
	int err = 0;

	o->nr_live = 1; /* we hold it */
	for (size_t i = 0; i < o->nr_sections && !err; i++) {
		struct section *s = &o->sections[i];

		s->order = c->order++;
		s->e.args = s->args;
		if (!s->r.bad && s->e.kind == EVT_LOST) {
			o->nr_live++;
			err = push(c, s);
		} else if (section_next(c->t, s)) {
			o->nr_live++;
			err = push(c, s);
		}
	}
	if (!--o->nr_live)
		close_chunk(c, o);
	return err;
}

/* A chunk that cannot be read is a loss on every CPU. */
static int add_loss(struct open_chunk *o, const struct trace_chunk *c)
{
	o->sections = calloc(1, sizeof(*o->sections));
	if (!o->sections)
		return -ENOMEM;
	o->nr_sections = 1;
	o->sections[0].chunk = o;
	o->sections[0].e = (struct event){
		.time = c->first,
		.cpu = EVENT_NO_CPU,
		.kind = EVT_LOST,
		.lost = { .count = c->events, .until = c->last },
	};
	return 0;
}

static int open_chunk(struct trace_cursor *c, struct trace_chunk *from)
{
	struct open_chunk *o;
	struct varint_reader r;
	int err = -EBADMSG;

	if (c->nr_open >= MAX_OPEN || c->open_bytes > MAX_OPEN_BYTES)
		return -EFBIG;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	c->nr_open++;
	o->last = from->last;
	o->damage = from->read ? &c->known : &c->t->damage;
	from->read = true;
	if (from->type == TRACE_CHUNK_EVENTS)
		err = chunk_load(c->t, from, &o->payload, &o->size);
	c->open_bytes += o->size;
	if (!err) {
		r = (struct varint_reader){ .p = o->payload, .end = o->payload + o->size };
		err = read_texts(o, &r);
		if (!err)
			err = read_sections(o, &r, from->first);
	}
	if (err == -EBADMSG) {
		o->damage->chunks += from->type == TRACE_CHUNK_EVENTS;
		free(o->sections);
		o->nr_sections = 0;
		err = add_loss(o, from);
	}
	if (!err)
		return start_sections(c, o);
	close_chunk(c, o);
	return err;
}

/* -------- the cursor -------- */

static int by_first(const void *a, const void *b, void *ctx)
{
	const struct trace_chunk *chunks = ctx;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;

	if (chunks[i].first != chunks[j].first)
		return chunks[i].first < chunks[j].first ? -1 : 1;
	return i < j ? -1 : i > j;
}

/* Go to the last place to start from whose events all are at or before `time`. */
static void seek(struct trace_cursor *c, uint64_t time)
{
	const struct trace_chunk *chunks = c->t->chunks;
	uint64_t first = 0;

	for (size_t i = 0; i < c->nr_due; i++) {
		const struct trace_chunk *chunk = &chunks[c->due[i]];

		if ((chunk->flags & TRACE_CHUNK_KEY) && chunk->last <= time)
			first = chunk->first;
	}
	/* Chunks that begin before may still have events after it. */
	while (c->next < c->nr_due && chunks[c->due[c->next]].last < first)
		c->next++;
}

int trace_cursor_new(struct trace *t, uint64_t from, uint64_t before_ns, struct trace_cursor **ret)
{
	struct trace_cursor *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->t = t;
	c->due = malloc((t->nr_chunks + 1) * sizeof(*c->due));
	if (!c->due) {
		free(c);
		return -ENOMEM;
	}
	for (size_t i = 0; i < t->nr_chunks; i++)
		if (t->chunks[i].type == TRACE_CHUNK_EVENTS || t->chunks[i].type == TRACE_CHUNK_GAP)
			c->due[c->nr_due++] = (uint32_t)i;
	qsort_r(c->due, c->nr_due, sizeof(*c->due), by_first, t->chunks);
	if (from > before_ns)
		seek(c, from - before_ns);
	*ret = c;
	return 0;
}

void trace_cursor_free(struct trace_cursor *c)
{
	if (!c)
		return;
	while (c->nr)
		drop_top(c);
	free(c->heap);
	free(c->due);
	free(c);
}

int trace_next(struct trace_cursor *c, const struct event **ret)
{
	int err;

	*ret = NULL;
	if (c->started) {
		struct section *s = c->heap[0];

		if (section_next(c->t, s))
			sift_down(c, 0);
		else
			drop_top(c);
	}
	c->started = false;
	while (c->next < c->nr_due &&
	       (!c->nr || c->t->chunks[c->due[c->next]].first <= c->heap[0]->e.time)) {
		err = open_chunk(c, &c->t->chunks[c->due[c->next++]]);
		if (err) {
			c->t->err = err;
			return err;
		}
	}
	if (!c->nr)
		return 0;
	c->started = true;
	*ret = &c->heap[0]->e;
	return 0;
}
