/* SPDX-License-Identifier: MIT */
#include "walk.h"

#include <string.h>
#include <sys/uio.h>

struct walker {
	const struct objects *objects;
	const struct unwind_mapping *maps;
	size_t nr_maps;
	uint32_t leaf_object;
};

static const struct unwind_mapping *find_mapping(const struct walker *w, uint64_t addr)
{
	size_t lo = 0, hi = w->nr_maps;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (addr < w->maps[mid].start)
			hi = mid;
		else if (addr >= w->maps[mid].end)
			lo = mid + 1;
		else
			return &w->maps[mid];
	}
	return NULL;
}

/* The step by the mapping's rows. *frame is the frame's name so far. */
static int step(const struct unwind_table *t, uint64_t vaddr, struct unwind_state *s,
		unwind_read_fn read, void *cookie, uint64_t *frame)
{
	const struct unwind_row *row = t->words ? unwind_table_row(t, vaddr) : NULL;
	const struct unwind_rule *rule = row ? unwind_table_rule(t, row) : NULL;

	if (!t->words || vaddr < t->base)
		return UNWIND_NO_TABLE;
	if (!row)
		return UNWIND_HOLE;
	if (row->cfa >> UNWIND_KIND_SHIFT == UNWIND_RULE && !rule)
		return UNWIND_UNSUPPORTED;
	/* A handler's return address is its restorer's first byte; no call is before it. */
	if (rule && rule->cfa_kind == UNWIND_CFA_SIGNAL && s->is_return)
		++*frame;
	return unwind_step(s, row, rule, read, cookie);
}

/* One frame: named, appended to e, left for its caller. Returns enum unwind_end. */
static int walk_frame(struct walker *w, struct unwind_state *s, unwind_read_fn read, void *cookie,
		      struct stack_event *e)
{
	static const struct unwind_table none;
	uint64_t pc = unwind_lookup_pc(s), frame = pc & FRAME_ADDR_MASK;
	const struct unwind_mapping *m = find_mapping(w, pc);
	struct object *obj = m ? objects_by_id(w->objects, m->object) : NULL;
	int end;

	if (obj)
		frame = (uint64_t)obj->id << FRAME_OBJECT_SHIFT |
			((pc - m->bias) & FRAME_ADDR_MASK);
	if (!s->is_return)
		w->leaf_object = FRAME_OBJECT(frame);
	else if (FRAME_OBJECT(frame) != w->leaf_object)
		unwind_leave_object(s);
	end = m ? step(obj ? &obj->table : &none, obj ? pc - m->bias : 0, s, read, cookie, &frame)
		: UNWIND_NO_MAPPING;
	e->frames[e->nr_frames++] = frame;
	if (end != UNWIND_NO_TABLE && end != UNWIND_HOLE)
		return end;
	if (unwind_by_frame_pointer(s, read, cookie))
		return end;
	e->guessed += e->guessed < UINT8_MAX;
	return UNWIND_MORE;
}

void walk_stack(const struct objects *objects, const struct unwind_mapping *maps, size_t nr_maps,
		struct unwind_state *s, unwind_read_fn read, void *cookie, struct stack_event *e)
{
	struct walker w = { .objects = objects, .maps = maps, .nr_maps = nr_maps };
	int end = UNWIND_MORE;

	while (end == UNWIND_MORE && e->nr_frames < STACK_MAX_FRAMES)
		end = walk_frame(&w, s, read, cookie, e);
	e->end = end == UNWIND_MORE ? UNWIND_TOO_DEEP : end;
}

void walk_memory_init(struct walk_memory *m, pid_t pid)
{
	m->pid = pid;
	m->len = 0;
}

int walk_memory_read(void *cookie, __u64 addr, __u64 *ret)
{
	struct walk_memory *m = cookie;
	struct iovec local = { m->page, sizeof(m->page) };
	struct iovec remote = { (void *)(uintptr_t)(addr & ~UINT64_C(4095)), sizeof(m->page) };

	if (addr & 7)
		return -1;
	if (!m->len || addr - m->start >= m->len) {
		m->len = 0;
		if (process_vm_readv(m->pid, &local, 1, &remote, 1, 0) != sizeof(m->page))
			return -1;
		m->start = addr & ~UINT64_C(4095);
		m->len = sizeof(m->page);
	}
	memcpy(ret, m->page + (addr - m->start), sizeof(*ret));
	return 0;
}
