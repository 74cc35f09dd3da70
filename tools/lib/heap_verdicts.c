/* SPDX-License-Identifier: MIT */
#include "heap_verdicts.h"

#include <errno.h>
#include <stdlib.h>

#include "profile.h"
#include "stack_profile.h"
#include "util.h"

const char *const heap_verdict_names[HEAP_NR_VERDICTS] = {
	[HEAP_IN_FRAME] = "own frame",	 [HEAP_UP] = "caller",
	[HEAP_WITH_REQUEST] = "request", [HEAP_BY_THREAD] = "other thread",
	[HEAP_RESIZED_AWAY] = "resized", [HEAP_KEPT] = "kept",
	[HEAP_UNKNOWN] = "unknown",
};

#define NO_FUNCTION UINT32_MAX

struct build {
	struct heap_verdicts *v;
	const struct capture_heap *c;
	const struct heap_snapshot *s;
	const struct heap_callers *callers;
	struct stack_profile *sp;
	struct heap_judged **judged; /* by the snapshot's sites */
};

/* A fate with what there is to judge it by. */
struct judgement {
	const struct heap_fate_view *f;
	const struct heap_site_view *site;
	uint32_t tgid;
	const struct stack *from, *to; /* of the allocation and the free; NULL: unknown */
	size_t from_index;
	enum heap_verdict verdict;
	struct heap_place place;
	bool guessed;
};

void heap_verdicts_release(struct heap_verdicts *v)
{
	free(v->items);
	profile_free(v->names);
	*v = (struct heap_verdicts){ 0 };
}

/* ---------------------------------------------------------------- frames ---- */

static const struct stack *find_stack(const struct build *b, uint64_t hash)
{
	const struct stacks *stacks = capture_heap_stacks(b->c);
	ssize_t at = hash ? stacks_find(stacks, hash) : -1;

	return at < 0 || !stacks->items[at].nr_frames ? NULL : &stacks->items[at];
}

/* The i-th frame, the innermost is 0. */
static uint64_t frame_of(const struct build *b, const struct stack *s, size_t i)
{
	return capture_heap_stacks(b->c)->frames[s->first_frame + i];
}

/* The function as compiled that a frame is of: beyond all that is inlined in it. */
static int function_of(const struct build *b, uint32_t tgid, uint64_t frame, uint32_t *ret)
{
	const struct profile *p = b->v->names;
	const struct profile_location *l;
	uint32_t location;
	int err = stack_profile_location(b->sp, tgid, frame, &location);

	if (err)
		return err;
	l = &p->locations[location];
	*ret = l->nr_lines ? p->lines[l->first_line + l->nr_lines - 1].function : NO_FUNCTION;
	return 0;
}

/* How many innermost frames are nobody's who asked for memory. */
static int count_wrappers(const struct build *b, const struct judgement *j, size_t *ret)
{
	uint32_t caller, location;
	int err = stack_profile_caller(b->sp, j->tgid, j->from_index, &caller);

	for (*ret = 0; !err && *ret + 1 < j->from->nr_frames; ++*ret) {
		err = stack_profile_location(b->sp, j->tgid, frame_of(b, j->from, *ret), &location);
		if (err || location == caller)
			break;
	}
	return err;
}

/* The outermost frames that the two stacks share; *ret_last: the last of them has gone on since. */
static int count_shared(const struct build *b, const struct judgement *j, size_t *ret,
			bool *ret_jumped)
{
	size_t n = j->from->nr_frames, m = j->to->nr_frames, shared = 0;
	size_t kept = MIN((size_t)j->f->key.kept, m);
	uint32_t x, y;
	int err;

	while (shared < MIN(n, kept) &&
	       frame_of(b, j->from, n - 1 - shared) == frame_of(b, j->to, m - 1 - shared))
		shared++;
	*ret = shared;
	/* All of the stack of the free: what was called from its end has become free() by a jump. */
	*ret_jumped = shared == m && shared < n;
	if (*ret_jumped || shared >= MIN(n, kept))
		return 0;
	err = function_of(b, j->tgid, frame_of(b, j->from, n - 1 - shared), &x);
	if (!err)
		err = function_of(b, j->tgid, frame_of(b, j->to, m - 1 - shared), &y);
	if (!err && x == y && x != NO_FUNCTION)
		++*ret;
	return err;
}

/* ---------------------------------------------------------------- a verdict ---- */

/* It was freed by the thread that allocated it, and both stacks are whole: where? */
static int judge_place(const struct build *b, struct judgement *j)
{
	const struct heap_fate_key *key = &j->f->key;
	size_t n = j->from->nr_frames, shared, wrappers, up;
	bool jumped;
	int err = count_shared(b, j, &shared, &jumped);

	if (!err)
		err = count_wrappers(b, j, &wrappers);
	if (err || !shared)
		return err;
	up = n - shared - jumped;
	/* Of the innermost frame it is known where it was. */
	if (!up && !wrappers && ((key->flags & HEAP_FATE_LEFT) || (!jumped && key->at != n)))
		up = 1;
	up -= MIN(up, wrappers);
	if (!up) {
		j->verdict = HEAP_IN_FRAME;
		j->guessed = wrappers || !(key->flags & HEAP_FATE_PROVED);
		return 0;
	}
	if (key->then == HEAP_THEN_WITH &&
	    (!(key->flags & HEAP_FATE_IN_PIECE) || n - wrappers - up <= key->outside)) {
		j->verdict = HEAP_WITH_REQUEST;
		return 0;
	}
	if (up + wrappers >= n)
		return 0;
	j->verdict = HEAP_UP;
	j->place.up = up;
	return function_of(b, j->tgid, frame_of(b, j->from, up + wrappers), &j->place.function);
}

static bool is_whole(const struct stack *s)
{
	return s && s->end == UNWIND_COMPLETE;
}

static int judge(const struct build *b, struct judgement *j)
{
	const struct heap_fate_key *key = &j->f->key;

	j->verdict = key->then == HEAP_THEN_WITH ? HEAP_WITH_REQUEST : HEAP_UNKNOWN;
	j->place = (struct heap_place){ .function = NO_FUNCTION, .blocks = j->f->n.blocks };
	j->guessed = false;
	if (key->how == HEAP_RESIZED) {
		j->verdict = HEAP_RESIZED_AWAY;
		return 0;
	}
	if (key->flags & HEAP_FATE_OTHER_THREAD) {
		j->verdict = HEAP_BY_THREAD;
		return j->to ? function_of(b, j->tgid, frame_of(b, j->to, 0), &j->place.function)
			     : 0;
	}
	if (key->flags & HEAP_FATE_ANY_THREAD || !is_whole(j->from) || !is_whole(j->to))
		return 0;
	return judge_place(b, j);
}

/* ---------------------------------------------------------------- sums ---- */

static void add_place(struct heap_place *places, const struct heap_place *p)
{
	struct heap_place *least = places;

	for (size_t i = 0; i < HEAP_MAX_PLACES; i++) {
		if (places[i].blocks && places[i].function == p->function &&
		    places[i].up == p->up) {
			places[i].blocks += p->blocks;
			return;
		}
		if (places[i].blocks < least->blocks)
			least = &places[i];
	}
	/* One that is rare gives way: that of most blocks stays. */
	if (least->blocks < p->blocks)
		*least = *p;
}

static void add_blocks(struct heap_blocks *to, const struct heap_blocks *n)
{
	to->blocks += n->blocks;
	to->bytes += n->bytes;
	to->for_requests += n->for_requests;
	to->for_requests_bytes += n->for_requests_bytes;
}

/* Blocks of a site. */
static struct heap_blocks blocks_of(const struct heap_site_view *site, uint64_t blocks,
				    uint64_t bytes)
{
	bool for_request = site->key.route != HEAP_ROUTE_NONE;

	return (struct heap_blocks){ blocks, bytes, for_request ? blocks : 0,
				     for_request ? bytes : 0 };
}

static int by_index(const void *x, const void *y)
{
	const struct heap_site_view *a = x, *b = y;

	return (a->index > b->index) - (a->index < b->index);
}

static int add_fate(struct build *b, const struct heap_fate_view *f)
{
	const struct stacks *stacks = capture_heap_stacks(b->c);
	struct heap_site_view *site, key = { .index = f->key.site };
	struct judgement j = { .f = f };
	struct heap_blocks n;
	struct heap_judged *to;
	int err;

	site = bsearch(&key, b->s->items, b->s->nr, sizeof(key), by_index);
	if (!site)
		return 0;
	j.site = site;
	j.tgid = capture_heap_thread(b->c, site->key.thread)->tgid;
	j.from = find_stack(b, site->key.stack);
	j.to = find_stack(b, f->key.stack);
	if (j.from)
		j.from_index = (size_t)(j.from - stacks->items);
	err = judge(b, &j);
	if (err)
		return err;
	to = b->judged[site - b->s->items];
	n = blocks_of(site, f->n.blocks, f->n.bytes);
	add_blocks(&to->by[j.verdict], &n);
	if (j.guessed)
		to->guessed += f->n.blocks;
	if (f->key.then == HEAP_THEN_WITH)
		to->with_request += f->n.blocks;
	if (j.verdict == HEAP_UP)
		add_place(to->up, &j.place);
	if (j.verdict == HEAP_BY_THREAD)
		add_place(to->by_thread, &j.place);
	return 0;
}

static uint64_t rest(uint64_t all, uint64_t known)
{
	return all - MIN(all, known);
}

/* What was freed, and the fates do not tell how. */
static void add_unknown(struct heap_judged *j)
{
	struct heap_blocks known = { 0 }, *to = &j->by[HEAP_UNKNOWN];

	for (size_t i = 0; i < HEAP_NR_VERDICTS; i++)
		add_blocks(&known, &j->by[i]);
	to->blocks += rest(j->all.blocks, known.blocks);
	to->bytes += rest(j->all.bytes, known.bytes);
	to->for_requests += rest(j->all.for_requests, known.for_requests);
	to->for_requests_bytes += rest(j->all.for_requests_bytes, known.for_requests_bytes);
}

static void add_sum(struct heap_judged *sum, const struct heap_judged *j)
{
	add_blocks(&sum->all, &j->all);
	for (size_t i = 0; i < HEAP_NR_VERDICTS; i++)
		add_blocks(&sum->by[i], &j->by[i]);
	sum->guessed += j->guessed;
	sum->with_request += j->with_request;
}

static int by_blocks(const void *x, const void *y)
{
	const struct heap_judged *a = x, *b = y;

	return (b->all.blocks > a->all.blocks) - (b->all.blocks < a->all.blocks);
}

/* ---------------------------------------------------------------- all ---- */

/* All that a site allocated, and what of it was not freed. */
static void add_site(struct heap_judged *j, const struct heap_site_view *site)
{
	const struct heap_counts *n = &site->n;
	struct heap_blocks all = blocks_of(site, n->allocs, n->alloc_bytes), kept;

	kept = blocks_of(site, (uint64_t)MAX(n->live, (int64_t)0) + n->exited + n->execed,
			 (uint64_t)MAX(n->live_bytes, (int64_t)0) + n->exited_bytes +
				 n->execed_bytes);
	add_blocks(&j->all, &all);
	add_blocks(&j->by[HEAP_KEPT], &kept);
}

/* A place for each caller, and by site whose it is. */
static int make_items(struct build *b)
{
	const struct heap_callers *l = b->callers;

	b->v->items = calloc(l->nr + 1, sizeof(*b->v->items));
	b->judged = calloc(b->s->nr + 1, sizeof(struct heap_judged *));
	if (!b->v->items || !b->judged)
		return -ENOMEM;
	b->v->nr = l->nr;
	for (size_t i = 0; i < l->nr; i++) {
		b->v->items[i].caller = l->items[i];
		l->items[i]->place = i;
	}
	for (size_t i = 0; i < b->s->nr; i++) {
		b->judged[i] = &b->v->items[l->of_site[i]->place];
		add_site(b->judged[i], &b->s->items[i]);
	}
	return 0;
}

static int fill(struct build *b)
{
	struct heap_fates fates;
	int err = capture_heap_fates(b->c, &fates);

	if (err)
		return err;
	err = make_items(b);
	for (size_t i = 0; i < fates.nr && !err; i++)
		err = add_fate(b, &fates.items[i]);
	heap_fates_release(&fates);
	if (err)
		return err;
	for (size_t i = 0; i < b->v->nr; i++) {
		add_unknown(&b->v->items[i]);
		add_sum(&b->v->sum, &b->v->items[i]);
	}
	if (b->v->nr)
		qsort(b->v->items, b->v->nr, sizeof(*b->v->items), by_blocks);
	if (capture_heap_routes(b->c))
		b->v->requests = heap_routes_total(capture_heap_routes(b->c)).begun;
	return 0;
}

int heap_verdicts_init(struct heap_verdicts *ret, const struct capture_heap *c,
		       const struct heap_snapshot *s, const struct heap_callers *l)
{
	const struct stack_profile_options so = { .hide_leaves = heap_wrappers };
	struct build b = { .v = ret, .c = c, .s = s, .callers = l };
	int err;

	*ret = (struct heap_verdicts){ .names = profile_new() };
	if (!ret->names)
		return -errno;
	b.sp = stack_profile_new(ret->names, capture_heap_stacks(c),
				 &capture_heap_target(c)->objects, &so);
	err = b.sp ? fill(&b) : -ENOMEM;
	stack_profile_free(b.sp);
	free(b.judged);
	if (err)
		heap_verdicts_release(ret);
	return err;
}

enum heap_verdict heap_verdict_of(const struct heap_judged *j)
{
	enum heap_verdict most = HEAP_UNKNOWN;

	for (size_t i = 0; i < HEAP_NR_VERDICTS; i++)
		if (j->by[i].blocks > j->by[most].blocks)
			most = i;
	return most;
}

const struct heap_place *heap_place_of(const struct heap_place *places)
{
	const struct heap_place *most = places;

	for (size_t i = 1; i < HEAP_MAX_PLACES; i++)
		if (places[i].blocks > most->blocks)
			most = &places[i];
	return most->blocks ? most : NULL;
}

const char *heap_place_name(const struct heap_verdicts *v, const struct heap_place *p)
{
	if (p->function == NO_FUNCTION)
		return NULL;
	return profile_str(v->names, v->names->functions[p->function].name);
}
