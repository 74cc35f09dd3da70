/* SPDX-License-Identifier: MIT */
#include "stacks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

static const struct {
	const char *name, *text;
} ends[UNWIND_NR_ENDS] = {
	[UNWIND_MORE] = { "none", "no walk was made" },
	[UNWIND_COMPLETE] = { "complete", "the walk reached the outermost frame" },
	[UNWIND_NO_MAPPING] = { "no-mapping", "an address outside the mappings known at the time" },
	[UNWIND_NO_TABLE] = { "no-table", "code without unwind information or frame pointers" },
	[UNWIND_HOLE] = { "hole", "code that its object's unwind information leaves out" },
	[UNWIND_UNSUPPORTED] = { "unsupported", "an unwind rule that cannot be expressed" },
	[UNWIND_LOST_REG] = { "lost-register", "a rule on a register that is not known up there" },
	[UNWIND_BAD_READ] = { "bad-read", "stack memory that could not be read" },
	[UNWIND_BAD_CFA] = { "bad-cfa", "a frame that is not above its callee's" },
	[UNWIND_TOO_DEEP] = { "too-deep", "more frames than a record holds" },
	[UNWIND_NO_REGS] = { "no-registers", "a thread without user registers" },
};

const char *unwind_end_name(unsigned int end)
{
	return end < UNWIND_NR_ENDS ? ends[end].name : "unknown";
}

const char *unwind_end_text(unsigned int end)
{
	return end < UNWIND_NR_ENDS ? ends[end].text : "for a reason unknown";
}

void stacks_init(struct stacks *s)
{
	*s = (struct stacks){ 0 };
}

void stacks_release(struct stacks *s)
{
	free(s->items);
	free(s->frames);
	free(s->counts);
	free(s->by_hash);
	free(s->by_key);
	stacks_init(s);
}

/* Hashes of the BPF programs' are odd, names that others give may be small numbers. */
static size_t slot_of(uint64_t hash, size_t slots)
{
	return (hash * 0x9e3779b97f4a7c15ULL) >> 32 & (slots - 1);
}

/* Double a table of index + 1 and put its entries back by hash_of(entry). */
static int rehash(uint32_t **table, size_t *slots, size_t nr, const struct stacks *s,
		  uint64_t (*hash_of)(const struct stacks *, size_t))
{
	size_t n = *slots ? *slots * 2 : 1024;
	uint32_t *t;

	if (nr * 2 < *slots)
		return 0;
	t = calloc(n, sizeof(*t));
	if (!t)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++) {
		size_t at = slot_of(hash_of(s, i), n);

		while (t[at])
			at = (at + 1) & (n - 1);
		t[at] = i + 1;
	}
	free(*table);
	*table = t;
	*slots = n;
	return 0;
}

static uint64_t stack_hash(const struct stacks *s, size_t i)
{
	return s->items[i].hash;
}

static uint64_t count_hash(const struct stacks *s, size_t i)
{
	return s->counts[i].hash;
}

/* The slot of a stack: holding it, or empty. */
static uint32_t *find_stack(const struct stacks *s, uint64_t hash)
{
	size_t at = slot_of(hash, s->hash_slots);

	while (s->by_hash[at] && s->items[s->by_hash[at] - 1].hash != hash)
		at = (at + 1) & (s->hash_slots - 1);
	return &s->by_hash[at];
}

static uint32_t *find_key(const struct stacks *s, uint64_t hash)
{
	size_t at = slot_of(hash, s->key_slots);

	while (s->by_key[at] && s->counts[s->by_key[at] - 1].hash != hash)
		at = (at + 1) & (s->key_slots - 1);
	return &s->by_key[at];
}

static int add_stack(struct stacks *s, const struct stack_event *e, uint32_t *slot)
{
	size_t want = s->nr_frames + e->nr_frames;
	uint64_t *frames;
	int err;

	err = array_grow((void **)&s->items, s->nr, &s->cap, sizeof(*s->items));
	if (err)
		return err;
	if (want > s->cap_frames) {
		want = MAX(want, s->cap_frames * 2);
		frames = reallocarray(s->frames, want, sizeof(*frames));
		if (!frames)
			return -ENOMEM;
		s->frames = frames;
		s->cap_frames = want;
	}
	if (e->nr_frames)
		memcpy(s->frames + s->nr_frames, e->frames, e->nr_frames * sizeof(*e->frames));
	s->items[s->nr++] = (struct stack){
		.hash = e->header.arg,
		.nr_frames = e->nr_frames,
		.nr_kernel = e->nr_kernel,
		.end = e->end,
		.guessed = e->guessed,
		.first_frame = s->nr_frames,
		.tid = e->tid,
	};
	memcpy(s->items[s->nr - 1].comm, e->comm, STACK_COMM_LEN - 1);
	s->nr_frames += e->nr_frames;
	*slot = s->nr;
	return 0;
}

int stacks_event(struct stacks *s, const struct stack_event *e, size_t size)
{
	size_t head = sizeof(*e) - sizeof(e->frames);
	struct stack_key key;
	uint32_t *slot, *at;
	int err;

	if (size < head || e->nr_frames > STACK_MAX_FRAMES || e->nr_kernel > e->nr_frames ||
	    size < head + e->nr_frames * sizeof(*e->frames))
		return -EINVAL;
	err = rehash(&s->by_hash, &s->hash_slots, s->nr, s, stack_hash);
	if (!err)
		err = rehash(&s->by_key, &s->key_slots, s->nr_counts, s, count_hash);
	if (err)
		return err;
	slot = find_stack(s, e->header.arg);
	err = *slot ? 0 : add_stack(s, e, slot);
	if (err)
		return err;
	key = (struct stack_key){ e->header.arg, e->header.tgid, e->tid };
	at = find_key(s, stack_key_hash(key));
	if (*at)
		return 0;
	err = array_grow((void **)&s->counts, s->nr_counts, &s->cap_counts, sizeof(*s->counts));
	if (err)
		return err;
	s->counts[s->nr_counts] =
		(struct stack_count){ .key = key, .hash = stack_key_hash(key), .stack = *slot - 1 };
	memcpy(s->counts[s->nr_counts].comm, e->comm, STACK_COMM_LEN - 1);
	*at = ++s->nr_counts;
	return 0;
}

int stacks_count(struct stacks *s, uint64_t key_hash, uint64_t n)
{
	uint32_t *at = s->key_slots ? find_key(s, key_hash) : NULL;

	if (!at || !*at)
		return -ENOENT;
	s->counts[*at - 1].count += n;
	return 0;
}

ssize_t stacks_find(const struct stacks *s, uint64_t hash)
{
	return s->hash_slots ? (ssize_t)*find_stack(s, hash) - 1 : -1;
}

void stacks_by_end(const struct stacks *s, uint64_t *ret)
{
	memset(ret, 0, UNWIND_NR_ENDS * sizeof(*ret));
	for (size_t i = 0; i < s->nr_counts; i++) {
		uint8_t end = s->items[s->counts[i].stack].end;

		if (end < UNWIND_NR_ENDS)
			ret[end] += s->counts[i].count;
	}
}

static int compare_tids(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int stacks_threads(const struct stacks *s, size_t *ret)
{
	uint32_t *tids = calloc(s->nr_counts + 1, sizeof(*tids));
	size_t n = 0;

	if (!tids)
		return -ENOMEM;
	for (size_t i = 0; i < s->nr_counts; i++)
		tids[i] = s->counts[i].key.tid;
	qsort(tids, s->nr_counts, sizeof(*tids), compare_tids);
	for (size_t i = 0; i < s->nr_counts; i++)
		n += !i || tids[i] != tids[i - 1];
	free(tids);
	*ret = n;
	return 0;
}
