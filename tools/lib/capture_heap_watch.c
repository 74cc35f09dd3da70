/* SPDX-License-Identifier: MIT */
/*
 * The heap engine's proof of what is freed in its own frame: functions that seem to free what they
 * have allocated get a probe at their entry. From then on a block that is freed in the place where
 * its function's frame was is known to be freed in that frame, if the function has not been entered
 * there in between (bpf/heap_fates.bpf.h, HEAP_FATE_PROVED).
 *
 * Such functions are looked for every now and then, for the first seconds mostly. One that is called
 * too often is let go again, and what it frees stays a guess.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "capture_heap_impl.h"
#include "probe_site.h"
#include "util.h"

#define FIRST_NS    200000000ULL
#define OFTEN	    10 /* times that it is looked every FIRST_NS; */
#define SELDOM_NS   2000000000ULL
#define MAX_PER_S   50000 /* entries of a function */
#define MAX_STEPPED 5000  /* likewise, where the kernel single-steps */
#define SINCE_SIZE  (HEAP_MAX_SITES * sizeof(uint64_t))

int heap_watch_prepare(struct capture_heap *c)
{
	struct heap_bpf *b = c->bpf;
	int err;

	b->rodata->with_fates = c->o.fates;
	if (!c->o.fates)
		return 0;
	err = bpf_map__set_max_entries(b->maps.fates, HEAP_MAX_FATES);
	if (!err)
		err = bpf_map__set_max_entries(b->maps.watched_since, HEAP_MAX_SITES);
	if (!err)
		err = bpf_map__set_max_entries(b->maps.open_serials, HEAP_MAX_REQUESTS);
	if (!err)
		err = bpf_program__set_autoload(b->progs.heap_enter, true);
	return err ? err : attach_prepare(b->progs.heap_enter);
}

int heap_watch_open(struct capture_heap *c)
{
	void *since;

	if (!c->o.fates)
		return 0;
	since = mmap(NULL, SINCE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		     bpf_map__fd(c->bpf->maps.watched_since), 0);
	if (since == MAP_FAILED)
		return -errno;
	c->watched.since = since;
	return 0;
}

void heap_watch_release(struct capture_heap *c)
{
	struct heap_watched *w = &c->watched;
	struct attach all = { 0 };

	for (size_t i = 0; i < w->nr; i++)
		attach_move(&all, &w->items[i].attach);
	attach_release(&all);
	for (size_t i = 0; i < w->nr_fdes; i++)
		sym_fdes_release(&w->fdes[i]);
	free(w->fdes);
	if (w->since)
		munmap(w->since, SINCE_SIZE);
	*w = (struct heap_watched){ 0 };
}

/* ---------------------------------------------------------------- functions ---- */

/* The function of a frame, by the unwind information; NULL: it has none. */
static const struct sym_fde *function_of(struct capture_heap *c, uint64_t frame)
{
	struct heap_watched *w = &c->watched;
	size_t id = FRAME_OBJECT(frame);
	const struct object *object = objects_by_id(&c->watch.target.objects, id);

	if (!object || !object->elf || object->is_vdso)
		return NULL;
	while (w->nr_fdes <= id) {
		if (array_grow((void **)&w->fdes, w->nr_fdes, &w->cap_fdes, sizeof(*w->fdes)))
			return NULL;
		w->fdes[w->nr_fdes++] = (struct sym_fdes){ 0 };
	}
	if (!w->fdes[id].items && sym_fdes_init(&w->fdes[id], object->elf))
		return NULL;
	return sym_fdes_find(&w->fdes[id], FRAME_ADDR(frame));
}

static struct heap_watched_function *find_watched(struct heap_watched *w, uint64_t frame)
{
	for (size_t i = 0; i < w->nr; i++) {
		struct heap_watched_function *f = &w->items[i];

		if (f->object == FRAME_OBJECT(frame) && FRAME_ADDR(frame) >= f->start &&
		    FRAME_ADDR(frame) < f->end)
			return f;
	}
	return NULL;
}

/*
 * Where to probe. What compilers split off from a function and jump to has unwind information of its
 * own: only where the return address is on top of the stack a function begins.
 */
static int find_site(const struct object *object, const struct sym_fde *fde, struct probe_site *ret)
{
	struct probe_code *code = probe_code_new(object->elf);
	struct probe_site entry;
	int err = code ? 0 : -errno;

	if (!err)
		err = probe_site_at(code, fde->start, false, &entry);
	if (!err && probe_site_returns(code, &entry, 0) != PROBE_RETURN_OK)
		err = -ENOENT;
	if (!err)
		err = probe_site_find(code, fde->start, fde->size, NULL, ret);
	probe_code_free(code);
	return err;
}

/* A function that cannot be probed is remembered, too, so that nobody tries again. */
static void watch_function(struct capture_heap *c, uint64_t frame)
{
	struct heap_watched *w = &c->watched;
	const struct sym_fde *fde = function_of(c, frame);
	const struct object *object;
	struct heap_watched_function *f;
	struct attach_site site;
	struct attach_to to;
	struct probe_site at;

	if (!fde || w->nr == HEAP_MAX_WATCHED || find_watched(w, frame))
		return;
	object = objects_by_id(&c->watch.target.objects, FRAME_OBJECT(frame));
	f = &w->items[w->nr++];
	*f = (struct heap_watched_function){ .object = object->id,
					     .start = fde->start,
					     .end = fde->start + fde->size };
	if (find_site(object, fde, &at))
		return;
	f->stepped = at.class == PROBE_STEPPED;
	site = (struct attach_site){ .offset = at.offset,
				     .cookie = probe_site_cookie(&at, w->nr - 1) };
	to = (struct attach_to){ .elf = object->elf,
				 .prog_fd = bpf_program__fd(c->bpf->progs.heap_enter),
				 .pid = c->o.watch.only ? c->o.watch.only : -1 };
	if (attach_sites(&f->attach, &to, &site, 1) == 1)
		f->since_ns = now_ns();
}

/* ---------------------------------------------------------------- candidates ---- */

static const struct stack *find_stack(const struct capture_heap *c, uint64_t hash)
{
	ssize_t at = hash ? stacks_find(&c->watch.stacks, hash) : -1;

	return at < 0 || !c->watch.stacks.items[at].nr_frames ? NULL : &c->watch.stacks.items[at];
}

/* Does it seem that a frame frees what it has allocated? Returns the frame, or 0. */
static uint64_t seems_own(struct capture_heap *c, const struct heap_fate_key *key)
{
	const uint64_t *frames = c->watch.stacks.frames;
	const struct stack *from, *to;
	const struct sym_fde *fde;
	uint64_t frame;

	if (key->how != HEAP_FREED || key->site >= HEAP_MAX_SITES ||
	    key->flags & (HEAP_FATE_OTHER_THREAD | HEAP_FATE_ANY_THREAD | HEAP_FATE_LEFT |
			  HEAP_FATE_PROVED))
		return 0;
	from = find_stack(c, c->table.sites[key->site].key.stack);
	to = find_stack(c, key->stack);
	if (!from || !to)
		return 0;
	frame = frames[from->first_frame];
	/* By a jump: then the caller is the first that is left. */
	if (to->nr_frames + 1 == from->nr_frames &&
	    frames[to->first_frame] == frames[from->first_frame + 1])
		return frame;
	if (key->at != from->nr_frames || key->at > to->nr_frames)
		return 0;
	fde = function_of(c, frame);
	return fde && fde == function_of(c, frames[to->first_frame + to->nr_frames - key->at])
		       ? frame
		       : 0;
}

static void find_candidates(struct capture_heap *c)
{
	struct heap_fates fates;
	uint64_t frame;

	if (heap_fates_read(&fates, bpf_map__fd(c->bpf->maps.fates)))
		return;
	for (size_t i = 0; i < fates.nr; i++) {
		frame = seems_own(c, &fates.items[i].key);
		if (frame)
			watch_function(c, frame);
	}
	heap_fates_release(&fates);
}

/* Say of each site whose function is watched since when. */
static void mark_sites(struct capture_heap *c)
{
	uint32_t nr = MIN(__atomic_load_n(c->table.maps.nr_sites, __ATOMIC_RELAXED),
			  (uint32_t)HEAP_MAX_SITES);
	const struct heap_watched_function *f;
	const struct stack *s;

	for (uint32_t i = 1; i < nr; i++) {
		if (c->watched.since[i])
			continue;
		s = find_stack(c, c->table.sites[i].key.stack);
		f = s ? find_watched(&c->watched, c->watch.stacks.frames[s->first_frame]) : NULL;
		if (f && f->since_ns)
			__atomic_store_n(&c->watched.since[i], f->since_ns, __ATOMIC_RELEASE);
	}
}

/* ---------------------------------------------------------------- the price ---- */

static void let_go(struct capture_heap *c, struct heap_watched_function *f)
{
	const struct stack *s;

	f->since_ns = 0;
	for (uint32_t i = 1; i < HEAP_MAX_SITES; i++) {
		if (!c->watched.since[i])
			continue;
		s = find_stack(c, c->table.sites[i].key.stack);
		if (s && find_watched(&c->watched, c->watch.stacks.frames[s->first_frame]) == f)
			__atomic_store_n(&c->watched.since[i], 0, __ATOMIC_RELEASE);
	}
	attach_release(&f->attach);
}

static void check_rates(struct capture_heap *c, uint64_t now)
{
	struct heap_watched *w = &c->watched;
	double seconds = (double)(now - w->looked_ns) / 1e9, rate;
	int fd = bpf_map__fd(c->bpf->maps.entries);
	uint64_t n;

	for (uint32_t i = 0; i < w->nr; i++) {
		struct heap_watched_function *f = &w->items[i];

		if (!f->since_ns || bpf_map_lookup_elem(fd, &i, &n))
			continue;
		rate = (double)(n - f->entries) / seconds;
		f->entries = n;
		if (rate > (f->stepped ? MAX_STEPPED : MAX_PER_S))
			let_go(c, f);
	}
}

void heap_watch_poll(struct capture_heap *c, uint64_t now)
{
	struct heap_watched *w = &c->watched;

	if (!w->since)
		return;
	if (!w->looked_ns)
		w->looked_ns = now;
	if (now - w->looked_ns < (w->looks < OFTEN ? FIRST_NS : SELDOM_NS))
		return;
	check_rates(c, now);
	w->looked_ns = now;
	w->looks++;
	find_candidates(c);
	mark_sites(c);
}
