/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/target.h"
#include "trace_file_impl.h"
#include "util.h"

int intern_init(struct intern *d, size_t max_strings, size_t max_stacks)
{
	*d = (struct intern){ .max_strings = max_strings, .max_stacks = max_stacks };
	/* Number 0 of each is "none". */
	if (bytes_add(&d->text, "", 1) ||
	    array_grow((void **)&d->strings, 0, &d->cap_strings, sizeof(*d->strings)) ||
	    array_grow((void **)&d->frames, 0, &d->cap_frames, sizeof(*d->frames)) ||
	    array_grow((void **)&d->nodes, 0, &d->cap_nodes, sizeof(*d->nodes)) ||
	    array_grow((void **)&d->stacks, 0, &d->cap_stacks, sizeof(*d->stacks)))
		return -ENOMEM;
	d->strings[0] = 0;
	d->frames[0] = (struct intern_frame){ 0 };
	d->nodes[0] = (struct intern_node){ 0 };
	d->stacks[0] = (struct intern_stack){ 0 };
	d->nr_strings = d->nr_frames = d->nr_nodes = d->nr_stacks = 1;
	d->strings_done = d->frames_done = d->nodes_done = 1;
	return 0;
}

void intern_release(struct intern *d)
{
	bytes_release(&d->text);
	bytes_release(&d->stack_entries);
	bytes_release(&d->entries);
	bytes_release(&d->scratch);
	dedup_release(&d->by_text);
	dedup_release(&d->by_frame);
	dedup_release(&d->by_node);
	dedup_release(&d->by_hash);
	free(d->strings);
	free(d->frames);
	free(d->nodes);
	free(d->stacks);
}

/* A key, and the table that it is looked for in. */
struct intern_key {
	const struct intern *d;
	const void *data;
	size_t len;
};

static bool same_text(const void *ctx, uint32_t index)
{
	const struct intern_key *key = ctx;
	const char *s = (const char *)key->d->text.data + key->d->strings[index];

	return !strncmp(s, key->data, key->len) && !s[key->len];
}

static bool same_frame(const void *ctx, uint32_t index)
{
	const struct intern_key *key = ctx;
	const struct intern_frame *a = key->data, *b = &key->d->frames[index];

	return a->frame == b->frame && a->pid == b->pid;
}

static bool same_node(const void *ctx, uint32_t index)
{
	const struct intern_key *key = ctx;
	const struct intern_node *a = key->data, *b = &key->d->nodes[index];

	return a->up == b->up && a->frame == b->frame;
}

static bool same_hash(const void *ctx, uint32_t index)
{
	const struct intern_key *key = ctx;

	return key->d->stacks[index].hash == *(const uint64_t *)key->data;
}

int intern_string(struct intern *d, const char *s, uint32_t *ret)
{
	struct intern_key key = { .d = d, .data = s };
	uint64_t hash;
	uint32_t at;

	*ret = 0;
	if (!s || !*s)
		return 0;
	key.len = strnlen(s, EVENT_MAX_TEXT);
	hash = hash_bytes(s, key.len);
	at = dedup_find(&d->by_text, hash, same_text, &key);
	if (at == DEDUP_NONE) {
		if (d->nr_strings > d->max_strings) {
			d->strings_dropped++;
			return 0;
		}
		at = (uint32_t)d->nr_strings;
		if (dedup_reserve(&d->by_text) ||
		    array_grow((void **)&d->strings, at, &d->cap_strings, sizeof(*d->strings)) ||
		    !bytes_room(&d->text, key.len + 1))
			return -ENOMEM;
		d->strings[at] = d->text.len;
		memcpy(d->text.data + d->text.len, s, key.len);
		d->text.len += key.len;
		d->text.data[d->text.len++] = '\0';
		d->nr_strings++;
		dedup_insert(&d->by_text, hash, at);
	}
	*ret = at;
	return 0;
}

static int intern_frame(struct intern *d, uint64_t frame, uint32_t pid, uint32_t *ret)
{
	struct intern_frame f = { .frame = frame };
	struct intern_key key = { .d = d, .data = &f };
	uint64_t hash;
	uint32_t at;

	/* Everywhere else a frame means the same in every process. */
	if (!FRAME_IS_KERNEL(frame) && !FRAME_OBJECT(frame))
		f.pid = pid;
	hash = hash_bytes((uint64_t[]){ f.frame, f.pid }, 2 * sizeof(uint64_t));
	at = dedup_find(&d->by_frame, hash, same_frame, &key);
	if (at == DEDUP_NONE) {
		at = (uint32_t)d->nr_frames;
		if (dedup_reserve(&d->by_frame) ||
		    array_grow((void **)&d->frames, at, &d->cap_frames, sizeof(*d->frames)))
			return -ENOMEM;
		d->frames[d->nr_frames++] = f;
		dedup_insert(&d->by_frame, hash, at);
	}
	*ret = at;
	return 0;
}

static int intern_node(struct intern *d, uint32_t up, uint32_t frame, uint32_t *ret)
{
	struct intern_node n = { .up = up, .frame = frame };
	struct intern_key key = { .d = d, .data = &n };
	uint64_t hash = hash_bytes(&n, sizeof(n));
	uint32_t at = dedup_find(&d->by_node, hash, same_node, &key);

	if (at == DEDUP_NONE) {
		at = (uint32_t)d->nr_nodes;
		if (dedup_reserve(&d->by_node) ||
		    array_grow((void **)&d->nodes, at, &d->cap_nodes, sizeof(*d->nodes)))
			return -ENOMEM;
		d->nodes[d->nr_nodes++] = n;
		dedup_insert(&d->by_node, hash, at);
	}
	*ret = at;
	return 0;
}

int intern_stack(struct intern *d, uint64_t hash, uint32_t *ret)
{
	struct intern_key key = { .d = d, .data = &hash };
	uint64_t mixed = hash * UINT64_C(0x9e3779b97f4a7c15);
	uint32_t at;

	*ret = 0;
	if (!hash)
		return 0;
	at = dedup_find(&d->by_hash, mixed, same_hash, &key);
	if (at == DEDUP_NONE) {
		if (d->nr_stacks > d->max_stacks) {
			d->stacks_dropped++;
			return 0;
		}
		at = (uint32_t)d->nr_stacks;
		if (dedup_reserve(&d->by_hash) ||
		    array_grow((void **)&d->stacks, at, &d->cap_stacks, sizeof(*d->stacks)))
			return -ENOMEM;
		d->stacks[d->nr_stacks++] = (struct intern_stack){ .hash = hash };
		dedup_insert(&d->by_hash, mixed, at);
	}
	*ret = at;
	return 0;
}

int intern_define_stack(struct intern *d, const struct trace_stack *s)
{
	size_t n = MIN(s->nr_frames, TRACE_MAX_FRAMES);
	uint32_t stack, frame, node = 0;
	int err = intern_stack(d, s->hash, &stack);

	if (err || !stack || d->stacks[stack].defined)
		return err;
	while (n-- && !err) {
		err = intern_frame(d, s->frames[n], s->pid, &frame);
		if (!err)
			err = intern_node(d, node, frame, &node);
	}
	if (!err)
		err = bytes_varint(&d->stack_entries, stack);
	if (!err)
		err = bytes_varint(&d->stack_entries, node);
	if (!err)
		err = bytes_varint(&d->stack_entries, s->end);
	if (!err)
		err = bytes_varint(&d->stack_entries, s->guessed);
	d->stacks[stack].defined = !err;
	return err;
}

int intern_syscall(struct intern *d, uint64_t nr)
{
	const char *name = nr < INTERN_SYSCALLS ? syscall_name((unsigned int)nr) : NULL;
	int err;

	if (!name || (d->syscalls[nr / 8] & (1 << nr % 8)))
		return 0;
	d->syscalls[nr / 8] |= (uint8_t)(1 << nr % 8);
	d->scratch.len = 0;
	err = bytes_varint(&d->scratch, nr);
	if (!err)
		err = bytes_text(&d->scratch, name, strlen(name));
	return err ? err : intern_entry(d, TRACE_SYSCALL);
}

static int add_entry(struct intern *d, enum trace_entry type, const struct bytes *body)
{
	int err = bytes_varint(&d->entries, type);

	return err ? err : bytes_text(&d->entries, body->data, body->len);
}

int intern_entry(struct intern *d, enum trace_entry type)
{
	return add_entry(d, type, &d->scratch);
}

static int put_string(struct intern *d, size_t i)
{
	size_t end = i + 1 < d->nr_strings ? d->strings[i + 1] : d->text.len;

	return bytes_text(&d->scratch, d->text.data + d->strings[i], end - d->strings[i] - 1);
}

/* Where and address as the file has them (TRACE_FRAMES). */
static int put_frame(struct intern *d, size_t i)
{
	uint64_t frame = d->frames[i].frame, address = FRAME_ADDR(frame), where;
	int err;

	if (FRAME_IS_KERNEL(frame)) {
		where = 1;
		address = frame;
	} else {
		where = FRAME_OBJECT(frame) ? FRAME_OBJECT(frame) + UINT64_C(2) : 0;
	}
	err = bytes_varint(&d->scratch, where);
	if (!err)
		err = bytes_varint(&d->scratch, address);
	if (!err && !where)
		err = bytes_varint(&d->scratch, d->frames[i].pid);
	return err;
}

static int put_node(struct intern *d, size_t i)
{
	const struct intern_node *n = &d->nodes[i];
	int err = bytes_varint(&d->scratch, n->up ? i - n->up : 0);

	return err ? err : bytes_varint(&d->scratch, n->frame);
}

/* An entry of all of a table that is new. */
static int collect(struct intern *d, enum trace_entry type, size_t *done, size_t nr,
		   int (*put)(struct intern *d, size_t i))
{
	int err;

	if (*done == nr)
		return 0;
	d->scratch.len = 0;
	err = bytes_varint(&d->scratch, *done);
	for (; *done < nr && !err; (*done)++)
		err = put(d, *done);
	return err ? err : intern_entry(d, type);
}

int intern_collect(struct intern *d)
{
	int err = collect(d, TRACE_STRINGS, &d->strings_done, d->nr_strings, put_string);

	if (!err)
		err = collect(d, TRACE_FRAMES, &d->frames_done, d->nr_frames, put_frame);
	if (!err)
		err = collect(d, TRACE_NODES, &d->nodes_done, d->nr_nodes, put_node);
	if (!err && d->stack_entries.len)
		err = add_entry(d, TRACE_STACKS, &d->stack_entries);
	d->stack_entries.len = 0;
	return err;
}
