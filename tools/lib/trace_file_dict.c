/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_file_read_impl.h"
#include "util.h"

void kinds_init(struct trace_kind *kinds)
{
	for (unsigned int i = 1; i < EVT_NR; i++) {
		const struct event_kind_info *k = &event_kinds[i];

		kinds[i].readable = true;
		kinds[i].args = k->args;
		kinds[i].nr_fields = k->nr_fields;
		for (unsigned int j = 0; j < k->nr_fields; j++)
			kinds[i].fields[j] = k->fields[j].type;
	}
}

/*
 * Make element `number` of a table be there; those in between are empty. Numbers follow one another,
 * but where a chunk could not be read there is a gap: such gaps have a limit, so that a few bytes
 * cannot ask for all memory.
 */
static int reach(struct trace *t, void **items, size_t *nr, size_t *cap, size_t size,
		 uint64_t number)
{
	uint64_t gap = number > MAX(*nr, 1) ? number - MAX(*nr, 1) : 0;

	if (gap > t->private->gaps || number >= UINT32_MAX)
		return -EBADMSG;
	t->private->gaps -= gap;
	if (number < *nr)
		return 0;
	if (number >= *cap) {
		size_t want = MAX(*cap * 2, (size_t)number + 1);
		void *p = realloc(*items, want * size);

		if (!p)
			return -ENOMEM;
		*items = p;
		*cap = want;
	}
	memset((char *)*items + *nr * size, 0, ((size_t)number + 1 - *nr) * size);
	*nr = (size_t)number + 1;
	return 0;
}

/* Text with its NUL, in memory of the trace; NULL for lack of memory. */
static char *keep(struct trace *t, const uint8_t *text, size_t len)
{
	char *copy = arena_take(&t->private->text, len + 1);

	if (copy && len)
		memcpy(copy, text, len);
	if (copy)
		copy[len] = '\0';
	return copy;
}

static int take_text(struct trace *t, struct varint_reader *r, const char **ret)
{
	uint64_t len = varint_get(r);
	const uint8_t *text = varint_bytes(r, len);

	if (!text)
		return -EBADMSG;
	*ret = keep(t, text, (size_t)len);
	return *ret ? 0 : -ENOMEM;
}

static int take_kind(struct trace *t, struct varint_reader *r)
{
	uint64_t number = varint_get(r), flags, nr;
	struct trace_kind k = { .readable = number < EVT_NR };
	const struct event_kind_info *ours = number < EVT_NR ? &event_kinds[number] : NULL;

	varint_bytes(r, varint_get(r));
	flags = varint_get(r);
	nr = varint_get(r);
	if (r->bad || !number || number >= TRACE_KINDS || nr > TRACE_KIND_FIELDS)
		return -EBADMSG;
	k.args = flags & 1;
	k.nr_fields = (uint8_t)nr;
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t type;

		varint_bytes(r, varint_get(r));
		type = varint_get(r);
		if (!ours || i >= ours->nr_fields)
			continue;
		k.fields[i] = ours->fields[i].type;
		if (type != k.fields[i])
			k.readable = false;
	}
	if (ours && k.args != ours->args)
		k.readable = false;
	if (r->bad)
		return -EBADMSG;
	t->private->kinds[number] = k;
	return 0;
}

static int take_strings(struct trace *t, struct varint_reader *r)
{
	uint64_t number = varint_get(r);
	int err = number ? 0 : -EBADMSG;

	for (; r->p < r->end && !r->bad && !err; number++) {
		err = reach(t, (void **)&t->strings, &t->nr_strings, &t->private->cap_strings,
			    sizeof(*t->strings), number);
		if (!err)
			err = take_text(t, r, &t->strings[number]);
	}
	return err;
}

static char *hex(struct trace *t, const uint8_t *bytes, size_t len)
{
	char *text = arena_take(&t->private->text, 2 * len + 1);

	for (size_t i = 0; i < len && text; i++) {
		text[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
		text[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
	}
	if (text)
		text[2 * len] = '\0';
	return text;
}

static int take_object(struct trace *t, struct varint_reader *r)
{
	uint64_t number = varint_get(r), len;
	struct trace_object_info o;
	const uint8_t *id;
	int err = take_text(t, r, &o.path);

	if (err)
		return err;
	len = varint_get(r);
	id = varint_bytes(r, len);
	o.vdso = varint_get(r) & 1;
	o.start = varint_get(r);
	o.end = varint_get(r);
	o.offset = varint_get(r);
	o.bias = varint_get(r);
	if (r->bad)
		return -EBADMSG;
	o.build_id = hex(t, id, (size_t)len);
	if (!o.build_id)
		return -ENOMEM;
	err = reach(t, (void **)&t->objects, &t->nr_objects, &t->private->cap_objects,
		    sizeof(*t->objects), number);
	if (!err)
		t->objects[number] = o;
	return err;
}

static int take_mapping(struct trace *t, struct varint_reader *r)
{
	struct trace_mapping m;

	m.pid = (uint32_t)varint_get(r);
	m.time = varint_get(r);
	m.start = varint_get(r);
	m.end = varint_get(r);
	m.offset = varint_get(r);
	m.object = (uint32_t)varint_get(r);
	if (r->bad)
		return -EBADMSG;
	if (array_grow((void **)&t->mappings, t->nr_mappings, &t->private->cap_mappings,
		       sizeof(*t->mappings)))
		return -ENOMEM;
	t->mappings[t->nr_mappings++] = m;
	return 0;
}

static int take_frames(struct trace *t, struct varint_reader *r)
{
	uint64_t number = varint_get(r);
	int err = number ? 0 : -EBADMSG;

	for (; r->p < r->end && !r->bad && !err; number++) {
		uint64_t where = varint_get(r);
		struct trace_frame f = { .address = varint_get(r) };

		if (where <= 1) {
			f.where = where ? TRACE_FRAME_KERNEL : TRACE_FRAME_PROCESS;
			f.object = where ? 0 : (uint32_t)varint_get(r);
		} else {
			f.where = TRACE_FRAME_OBJECT;
			f.object = (uint32_t)(where - 2);
		}
		if (r->bad)
			break;
		err = reach(t, (void **)&t->frames, &t->nr_frames, &t->private->cap_frames,
			    sizeof(*t->frames), number);
		if (!err)
			t->frames[number] = f;
	}
	return err;
}

static int take_nodes(struct trace *t, struct varint_reader *r)
{
	struct trace_private *p = t->private;
	uint64_t number = varint_get(r);
	int err = number ? 0 : -EBADMSG;

	for (; r->p < r->end && !r->bad && !err; number++) {
		uint64_t up = varint_get(r), frame = varint_get(r);

		if (r->bad)
			break;
		/* Its callers come before it: so there are no circles. */
		if (up >= number || frame > UINT32_MAX)
			return -EBADMSG;
		err = reach(t, (void **)&p->nodes, &p->nr_nodes, &p->cap_nodes, sizeof(*p->nodes),
			    number);
		if (!err)
			p->nodes[number] = (struct trace_node){ up ? (uint32_t)(number - up) : 0,
								(uint32_t)frame };
	}
	return err;
}

static int take_stacks(struct trace *t, struct varint_reader *r)
{
	int err = 0;

	while (r->p < r->end && !r->bad && !err) {
		uint64_t number = varint_get(r), node = varint_get(r);
		uint64_t end = varint_get(r), guessed = varint_get(r);

		if (r->bad || !number || node > UINT32_MAX)
			return -EBADMSG;
		err = reach(t, (void **)&t->stacks, &t->nr_stacks, &t->private->cap_stacks,
			    sizeof(*t->stacks), number);
		if (!err)
			t->stacks[number] = (struct trace_stack_info){
				.node = (uint32_t)node,
				.end = (uint8_t)MIN(end, UINT8_MAX),
				.guessed = (uint8_t)MIN(guessed, UINT8_MAX),
				.known = true,
			};
	}
	return err;
}

static int take_symbol(struct trace *t, struct varint_reader *r)
{
	uint64_t frame = varint_get(r);
	size_t first = t->nr_lines;

	if (r->bad || frame >= t->nr_frames)
		return -EBADMSG;
	while (r->p < r->end && t->nr_lines - first < TRACE_MAX_FRAMES) {
		struct trace_line l;

		l.function = (uint32_t)varint_get(r);
		l.linkage = (uint32_t)varint_get(r);
		l.file = (uint32_t)varint_get(r);
		l.line = (uint32_t)varint_get(r);
		l.start_line = (uint32_t)varint_get(r);
		l.flags = (uint32_t)varint_get(r);
		if (r->bad) {
			t->nr_lines = first;
			return -EBADMSG;
		}
		if (array_grow((void **)&t->lines, t->nr_lines, &t->private->cap_lines,
			       sizeof(*t->lines)))
			return -ENOMEM;
		t->lines[t->nr_lines++] = l;
	}
	if (t->nr_lines > UINT32_MAX)
		return -EBADMSG;
	t->frames[frame].first_line = (uint32_t)first;
	t->frames[frame].nr_lines = (uint32_t)(t->nr_lines - first);
	return 0;
}

static int take_syscall(struct trace *t, struct varint_reader *r)
{
	struct trace_private *p = t->private;
	struct trace_syscall_name s = { .nr = (uint32_t)varint_get(r) };
	int err = take_text(t, r, &s.name);

	if (err)
		return err;
	if (array_grow((void **)&p->syscalls, p->nr_syscalls, &p->cap_syscalls,
		       sizeof(*p->syscalls)))
		return -ENOMEM;
	p->syscalls[p->nr_syscalls++] = s;
	return 0;
}

static int take_info(struct trace *t, struct varint_reader *r)
{
	struct trace_info info;
	int err = take_text(t, r, &info.key);

	if (!err)
		err = take_text(t, r, &info.value);
	if (err)
		return err;
	if (array_grow((void **)&t->infos, t->nr_infos, &t->private->cap_infos, sizeof(*t->infos)))
		return -ENOMEM;
	t->infos[t->nr_infos++] = info;
	return 0;
}

static int take_begin(struct trace *t, struct varint_reader *r)
{
	uint64_t begin = varint_get(r);

	if (!r->bad && begin <= TRACE_MAX_TIME)
		t->private->begin = begin;
	return begin > TRACE_MAX_TIME ? -EBADMSG : 0;
}

int dictionary_take(struct trace *t, const uint8_t *payload, size_t len)
{
	static int (*const take[])(struct trace * t, struct varint_reader * r) = {
		[TRACE_KIND] = take_kind,	[TRACE_STRINGS] = take_strings,
		[TRACE_OBJECT] = take_object,	[TRACE_MAPPING] = take_mapping,
		[TRACE_FRAMES] = take_frames,	[TRACE_NODES] = take_nodes,
		[TRACE_STACKS] = take_stacks,	[TRACE_SYMBOL] = take_symbol,
		[TRACE_SYSCALL] = take_syscall, [TRACE_INFO] = take_info,
		[TRACE_BEGIN] = take_begin,
	};
	struct varint_reader r = { .p = payload, .end = payload + len };

	while (r.p < r.end) {
		uint64_t type = varint_get(&r);
		struct varint_reader body = varint_part(&r, varint_get(&r));
		int err;

		if (r.bad) {
			t->damage.entries++;
			return 0;
		}
		if (!type || type >= ARRAY_SIZE(take)) {
			t->damage.unknown++;
			continue;
		}
		err = take[type](t, &body);
		if (err == -ENOMEM)
			return err;
		if (err || body.bad)
			t->damage.entries++;
	}
	return 0;
}
