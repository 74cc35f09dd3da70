/* SPDX-License-Identifier: MIT */
#include "sleepers.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/offcpu.h"
#include "util.h"
#include "walk.h"

#define BUFFER_SIZE (256 * 1024)

void sleepers_release(struct sleepers *s)
{
	free(s->items);
	dedup_release(&s->index);
	*s = (struct sleepers){ 0 };
}

struct search {
	const struct sleepers *sleepers;
	uint64_t key[2]; /* thread, scan */
};

static bool is_searched(const void *ctx, uint32_t index)
{
	const struct search *s = ctx;
	const struct sleeper *item = &s->sleepers->items[index];

	return item->tid == s->key[0] && item->scan == s->key[1];
}

static uint32_t find(const struct search *search)
{
	return dedup_find(&search->sleepers->index, hash_bytes(search->key, sizeof(search->key)),
			  is_searched, search);
}

uint64_t sleepers_find(const struct sleepers *s, uint32_t tid, uint64_t scan)
{
	uint32_t found = find(&(struct search){ s, { tid, scan } });

	return found == DEDUP_NONE ? 0 : s->items[found].stack;
}

static int remember(struct sleepers *s, uint32_t tid, uint64_t scan, uint64_t stack)
{
	struct search search = { s, { tid, scan } };
	uint32_t found = find(&search);

	if (found != DEDUP_NONE) {
		s->items[found].stack = stack;
		return 0;
	}
	if (dedup_reserve(&s->index) ||
	    array_grow((void **)&s->items, s->nr, &s->cap, sizeof(*s->items)))
		return -ENOMEM;
	dedup_insert(&s->index, hash_bytes(search.key, sizeof(search.key)), (uint32_t)s->nr);
	s->items[s->nr++] = (struct sleeper){ tid, scan, stack };
	return 0;
}

/* What is known of it until it is read: what it was before. */
static int remember_torn(struct sleepers *s, const struct offcpu_sleeper *r)
{
	uint64_t torn = r->torn && !(r->torn & 1) ? sleepers_find(s, r->tid, r->torn) : r->torn;

	return torn ? remember(s, r->tid, r->stack, torn) : 0;
}

/* Has it been waiting without a break since it was scanned? */
static bool still_waits(const struct sleepers *s, const struct offcpu_sleeper *r)
{
	struct offcpu_thread t;

	return !bpf_map_lookup_elem(s->threads_fd, &r->pid, &t) && t.stack == r->stack &&
	       t.doing != OFFCPU_IS_RUNNING;
}

static void add_user(const struct sleepers *s, const struct offcpu_sleeper *r,
		     struct stack_event *e)
{
	const struct target *t = &s->watch->target;
	const struct target_process *p = target_find(t, (pid_t)r->tgid);
	struct unwind_state state = r->state;
	struct walk_memory memory;

	if (!r->has_regs) {
		e->end = UNWIND_NO_REGS;
	} else if (!p || !p->region) {
		e->end = UNWIND_NO_MAPPING;
	} else {
		walk_memory_init(&memory, (pid_t)r->tgid);
		walk_stack(&t->objects, p->region->maps, p->region->nr_maps, &state,
			   walk_memory_read, &memory, e);
	}
}

/* Names given here are even; those of BPF programs are odd. */
static uint64_t name_of(const struct stack_event *e)
{
	uint64_t hash = hash_bytes(e->frames, e->nr_frames * sizeof(*e->frames));

	return ((hash ^ e->end) & ~UINT64_C(1)) | 4;
}

static int take(struct sleepers *s, const struct offcpu_sleeper *r)
{
	struct stack_event e = {
		.header = { .type = EVENT_STACK, .tgid = r->tgid },
		.tid = r->tid,
		.end = UNWIND_MORE,
	};
	int err = remember_torn(s, r);

	if (err)
		return err;
	memcpy(e.comm, r->comm, sizeof(e.comm));
	if (s->kernel) {
		e.nr_kernel = e.nr_frames = r->nr_kernel;
		memcpy(e.frames, r->kernel, e.nr_kernel * sizeof(*e.frames));
	}
	if (s->user)
		add_user(s, r, &e);
	if (!still_waits(s, r))
		return 0;
	s->nr_unmapped += e.end == UNWIND_NO_MAPPING;
	if (r->torn && e.end != UNWIND_COMPLETE)
		return 0; /* no better than it was */
	e.header.arg = name_of(&e);
	err = stacks_event(&s->watch->stacks, &e, sizeof(e));
	return err ? err : remember(s, r->tid, r->stack, e.header.arg);
}

/* Take the whole records at the start of buf; returns how many bytes they are, or an error. */
static ssize_t take_all(struct sleepers *s, const char *buf, size_t len)
{
	const size_t head = offsetof(struct offcpu_sleeper, kernel);
	struct offcpu_sleeper r;
	size_t at = 0, size;
	int err;

	while (len - at >= head) {
		memcpy(&r, buf + at, head);
		if (r.nr_kernel > STACK_MAX_KERNEL)
			return -EPROTO;
		size = head + r.nr_kernel * sizeof(*r.kernel);
		if (len - at < size)
			break;
		memcpy(&r, buf + at, size);
		at += size;
		err = take(s, &r);
		if (err)
			return err;
	}
	return (ssize_t)at;
}

static int read_all(struct sleepers *s, int fd, char *buf)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, buf + len, BUFFER_SIZE - len)) > 0 || (n < 0 && errno == EAGAIN)) {
		len += MAX(n, 0);
		n = take_all(s, buf, len);
		if (n < 0)
			return (int)n;
		len -= (size_t)n;
		memmove(buf, buf + n, len);
	}
	return n < 0 ? -errno : 0;
}

int sleepers_scan(struct sleepers *s, const struct bpf_program *program)
{
	struct bpf_link *link = bpf_program__attach_iter(program, NULL);
	char *buf = malloc(BUFFER_SIZE);
	int fd = link ? bpf_iter_create(bpf_link__fd(link)) : -1, err = -errno;

	s->nr_unmapped = 0;
	if (!buf)
		err = -ENOMEM;
	else if (fd >= 0)
		err = read_all(s, fd, buf);
	free(buf);
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	return err;
}

/* ---------------------------------------------------------------- complete stacks ---- */

/* Stacks by what is outside of the functions that sleep. */
struct outer {
	const struct sleepers *sleepers;
	struct dedup index;
	uint32_t *items; /* into stacks.items */
	size_t nr, cap;
};

struct outer_search {
	const struct outer *outer;
	const struct stack *stack;
};

/* How many of its innermost frames are of functions that sleep. */
static uint32_t nr_sleeping(const struct sleepers *s, const struct stack *stack)
{
	const uint64_t *frames = s->watch->stacks.frames + stack->first_frame;
	uint32_t n = 0;

	while (n < stack->nr_kernel && frames[n] >= s->sleeping[0] && frames[n] < s->sleeping[1])
		n++;
	return n;
}

static const uint64_t *outer_frames(const struct sleepers *s, const struct stack *stack, size_t *n)
{
	uint32_t skip = nr_sleeping(s, stack);

	*n = stack->nr_frames - skip;
	return s->watch->stacks.frames + stack->first_frame + skip;
}

static uint64_t outer_hash(const struct sleepers *s, const struct stack *stack)
{
	size_t n;
	const uint64_t *frames = outer_frames(s, stack, &n);

	return hash_bytes(frames, n * sizeof(*frames));
}

static bool same_outer(const void *ctx, uint32_t index)
{
	const struct outer_search *search = ctx;
	const struct sleepers *s = search->outer->sleepers;
	const struct stack *stack = &s->watch->stacks.items[search->outer->items[index]];
	size_t n, m;
	const uint64_t *a = outer_frames(s, stack, &n), *b = outer_frames(s, search->stack, &m);

	return stack->end == search->stack->end && n == m && !memcmp(a, b, n * sizeof(*a));
}

static int add_outer(struct outer *o, uint32_t at)
{
	const struct stack *stack = &o->sleepers->watch->stacks.items[at];
	struct outer_search search = { o, stack };
	uint64_t hash = outer_hash(o->sleepers, stack);

	if (!nr_sleeping(o->sleepers, stack) ||
	    dedup_find(&o->index, hash, same_outer, &search) != DEDUP_NONE)
		return 0;
	if (dedup_reserve(&o->index) ||
	    array_grow((void **)&o->items, o->nr, &o->cap, sizeof(*o->items)))
		return -ENOMEM;
	o->items[o->nr] = at;
	dedup_insert(&o->index, hash, (uint32_t)o->nr++);
	return 0;
}

static void complete(const struct outer *o, struct sleeper *item)
{
	const struct stacks *stacks = &o->sleepers->watch->stacks;
	ssize_t at = stacks_find(stacks, item->stack);
	struct outer_search search = { o, at < 0 ? NULL : &stacks->items[at] };
	uint32_t found;

	if (!search.stack)
		return;
	found = dedup_find(&o->index, outer_hash(o->sleepers, search.stack), same_outer, &search);
	if (found != DEDUP_NONE)
		item->stack = stacks->items[o->items[found]].hash;
}

int sleepers_complete(struct sleepers *s)
{
	struct outer o = { .sleepers = s };
	int err = 0;

	for (size_t i = 0; i < s->watch->stacks.nr && !err; i++)
		err = add_outer(&o, (uint32_t)i);
	for (size_t i = 0; i < s->nr && !err; i++)
		complete(&o, &s->items[i]);
	dedup_release(&o.index);
	free(o.items);
	return err;
}
