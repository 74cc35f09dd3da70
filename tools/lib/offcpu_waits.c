/* SPDX-License-Identifier: MIT */
#include "offcpu_waits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

const char *offcpu_reason_name(unsigned int reason)
{
	static const char *const names[OFFCPU_NR_REASONS] = {
		[WAIT_LOCK] = "futex",
		[WAIT_POLL] = "epoll",
		[WAIT_NETWORK] = "network",
		[WAIT_DISK] = "disk",
		[WAIT_SLEEP] = "sleep",
		[WAIT_FAULT] = "page-fault",
		[WAIT_OTHER] = "other",
		[OFFCPU_STOPPED] = "stopped",
		[OFFCPU_PREEMPTED] = "preempted",
		[OFFCPU_START] = "start",
		[OFFCPU_RUNNING] = "running",
	};

	return reason < OFFCPU_NR_REASONS && names[reason] ? names[reason] : "unknown";
}

void offcpu_waits_release(struct offcpu_waits *w)
{
	free(w->items);
	free(w->threads);
	dedup_release(&w->by_key);
	dedup_release(&w->by_tid);
	*w = (struct offcpu_waits){ 0 };
}

struct search {
	const struct offcpu_waits *waits;
	const struct offcpu_key *key;
	uint32_t tid;
};

static bool same_key(const void *ctx, uint32_t index)
{
	const struct search *s = ctx;

	return !memcmp(&s->waits->items[index].key, s->key, sizeof(*s->key));
}

static bool same_tid(const void *ctx, uint32_t index)
{
	const struct search *s = ctx;

	return s->waits->threads[index].tid == s->tid;
}

void offcpu_value_add(struct offcpu_value *sum, const struct offcpu_value *v)
{
	sum->waits += v->waits;
	sum->blocked += v->blocked;
	sum->runnable += v->runnable;
	sum->longest = MAX(sum->longest, v->longest);
}

int offcpu_waits_add(struct offcpu_waits *w, const struct offcpu_key *key,
		     const struct offcpu_value *value)
{
	struct search s = { .waits = w, .key = key };
	uint64_t hash = hash_bytes(key, sizeof(*key));
	uint32_t found = dedup_find(&w->by_key, hash, same_key, &s);

	if (found != DEDUP_NONE) {
		offcpu_value_add(&w->items[found].value, value);
		return 0;
	}
	if (dedup_reserve(&w->by_key) ||
	    array_grow((void **)&w->items, w->nr, &w->cap, sizeof(*w->items)))
		return -ENOMEM;
	dedup_insert(&w->by_key, hash, (uint32_t)w->nr);
	w->items[w->nr++] = (struct offcpu_wait){ *key, *value };
	return 0;
}

static uint32_t find_thread(const struct offcpu_waits *w, uint32_t tid)
{
	struct search s = { .waits = w, .tid = tid };

	return dedup_find(&w->by_tid, hash_bytes(&tid, sizeof(tid)), same_tid, &s);
}

int offcpu_waits_thread(struct offcpu_waits *w, const struct offcpu_thread *t)
{
	uint32_t before = find_thread(w, t->tid);

	if (dedup_reserve(&w->by_tid) ||
	    array_grow((void **)&w->threads, w->nr_threads, &w->cap_threads, sizeof(*w->threads)))
		return -ENOMEM;
	/* A number that was given anew: it is the later thread's, the earlier one moves on. */
	if (before == DEDUP_NONE) {
		dedup_insert(&w->by_tid, hash_bytes(&t->tid, sizeof(t->tid)),
			     (uint32_t)w->nr_threads);
		w->threads[w->nr_threads++] = *t;
	} else {
		w->threads[w->nr_threads++] = w->threads[before];
		w->threads[before] = *t;
	}
	return 0;
}

const char *offcpu_waits_comm(const struct offcpu_waits *w, uint32_t tid)
{
	uint32_t found = find_thread(w, tid);

	return found == DEDUP_NONE ? NULL : w->threads[found].comm;
}

static uint64_t in_window(uint64_t from, uint64_t to, uint64_t start, uint64_t end)
{
	from = MAX(from, start);
	to = MIN(to, end);
	return to > from ? to - from : 0;
}

void offcpu_open_wait(struct offcpu_thread *t, uint64_t start, uint64_t end,
		      struct offcpu_value *ret)
{
	uint64_t woken = end;

	*ret = (struct offcpu_value){ 0 };
	if (t->doing == OFFCPU_IS_RUNNING) {
		t->running += in_window(t->since, end, start, end);
		return;
	}
	if (t->doing == OFFCPU_IS_RUNNABLE)
		woken = t->since;
	else if (t->woken > t->since)
		woken = t->woken;
	ret->blocked = in_window(t->since, woken, start, end);
	ret->runnable = in_window(woken, end, start, end);
	t->blocked += ret->blocked;
	t->runnable += ret->runnable;
	ret->longest = ret->blocked + ret->runnable;
	ret->waits = t->since < end;
	t->waits += ret->waits;
}
