/* SPDX-License-Identifier: MIT */
/* Events as they are in a chunk (trace_file.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_file_impl.h"
#include "util.h"

/* Code, sizes, times, fields, arguments: no event takes more bytes. */
#define EVENT_MAX_BYTES (4 + VARINT_MAX * (2 + EVENT_MAX_FIELDS + 2 * EVENT_MAX_ARGS))

/* What the fields of the next event are told by. */
struct section {
	uint64_t time, request;
	uint32_t tid;
};

static uint8_t *put_field(uint8_t *p, const struct event *e, enum event_field_type type, uint64_t v,
			  struct section *s)
{
	switch (type) {
	case EVENT_FIELD_INT:
		return varint_put(p, zigzag((int64_t)v));
	case EVENT_FIELD_TID:
		return varint_put(p, zigzag((int32_t)((uint32_t)v - e->tid)));
	case EVENT_FIELD_REQUEST:
		p = varint_put(p, zigzag((int64_t)(v - s->request)));
		s->request = v;
		return p;
	case EVENT_FIELD_TIME:
		return varint_put(p, v ? e->time - MIN(v, e->time) + 1 : 0);
	case EVENT_FIELD_LATER:
		return varint_put(p, MAX(v, e->time) - e->time);
	default:
		return varint_put(p, v);
	}
}

static uint8_t *put_fields(uint8_t *p, const struct event *e, struct section *s)
{
	const struct event_kind_info *k = &event_kinds[e->kind];
	unsigned int n = k->nr_fields;

	while (n && !k->args && !e->v[n - 1])
		n--;
	for (unsigned int i = 0; i < n; i++)
		p = put_field(p, e, k->fields[i].type, e->v[i], s);
	return p;
}

static bool same_text(const void *ctx, uint32_t index)
{
	const void *const *key = ctx;
	const struct encoder *c = key[0];

	return !strcmp(c->text_at[index], key[1]);
}

static int text_number(struct encoder *c, const char *text, uint32_t *ret)
{
	const void *key[] = { c, text };
	size_t len = strlen(text);
	uint64_t hash = hash_bytes(text, len);

	*ret = dedup_find(&c->by_text, hash, same_text, key);
	if (*ret != DEDUP_NONE)
		return 0;
	if (dedup_reserve(&c->by_text) ||
	    array_grow((void **)&c->text_at, c->nr_texts, &c->cap_texts, sizeof(*c->text_at)))
		return -ENOMEM;
	*ret = (uint32_t)c->nr_texts;
	c->text_at[c->nr_texts++] = text;
	dedup_insert(&c->by_text, hash, *ret);
	return bytes_text(&c->texts, text, len);
}

static int put_args(struct encoder *c, uint8_t **p, const struct event *e)
{
	uint32_t text;
	int err = 0;

	for (unsigned int i = 0; i < e->nr_args && !err; i++) {
		const struct event_arg *a = &e->args[i];

		*p = varint_put(*p, (uint64_t)a->name << 3 | a->type);
		switch (a->type) {
		case EVENT_ARG_INT:
			*p = varint_put(*p, zigzag(a->i));
			break;
		case EVENT_ARG_TEXT:
			err = text_number(c, a->text, &text);
			*p = varint_put(*p, text);
			break;
		default:
			*p = varint_put(*p, a->u);
		}
	}
	return err;
}

static int put_event(struct encoder *c, const struct event *e, struct section *s)
{
	uint8_t *at = bytes_room(&c->section, EVENT_MAX_BYTES), *body, *p;
	size_t len;
	int err;

	if (!at)
		return -ENOMEM;
	/* One byte for the size will do nearly always. */
	body = p = at + 2;
	*at = e->kind;
	p = varint_put(p, e->time - s->time);
	if (e->tid != s->tid) {
		*at |= 0x80;
		p = varint_put(p, zigzag((int32_t)(e->tid - s->tid)));
	}
	s->time = e->time;
	s->tid = e->tid;
	p = put_fields(p, e, s);
	err = put_args(c, &p, e);
	len = (size_t)(p - body);
	if (len >= 0x80) {
		memmove(body + 1, body, len);
		p++;
	}
	varint_put(at + 1, len);
	c->section.len = (size_t)(p - c->section.data);
	return err;
}

void encoder_start(struct encoder *c, uint64_t first)
{
	c->sections.len = c->texts.len = c->payload.len = 0;
	c->nr_texts = 0;
	dedup_release(&c->by_text);
	c->first = c->last = first;
	c->events = 0;
}

int encoder_section(struct encoder *c, uint16_t cpu, const struct queued *items, size_t nr)
{
	struct section s = { .time = c->first };
	int err = 0;

	if (!nr)
		return 0;
	c->section.len = 0;
	for (size_t i = 0; i < nr && !err; i++)
		err = put_event(c, &items[i].e, &s);
	c->last = MAX(c->last, s.time);
	c->events += nr;
	if (!err)
		err = bytes_varint(&c->sections, cpu == EVENT_NO_CPU ? 0 : cpu + 1U);
	if (!err)
		err = bytes_varint(&c->sections, nr);
	if (!err)
		err = bytes_text(&c->sections, c->section.data, c->section.len);
	return err;
}

const struct bytes *encoder_payload(struct encoder *c)
{
	c->payload.len = 0;
	if (bytes_varint(&c->payload, c->nr_texts) ||
	    bytes_add(&c->payload, c->texts.data, c->texts.len) ||
	    bytes_add(&c->payload, c->sections.data, c->sections.len))
		return NULL;
	return &c->payload;
}

void encoder_release(struct encoder *c)
{
	bytes_release(&c->sections);
	bytes_release(&c->texts);
	bytes_release(&c->payload);
	bytes_release(&c->section);
	dedup_release(&c->by_text);
	free(c->text_at);
}
