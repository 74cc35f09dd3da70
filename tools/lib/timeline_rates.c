/* SPDX-License-Identifier: MIT */
#include "timeline_rates.h"

#include <errno.h>
#include <stdlib.h>

struct last {
	uint64_t time;
	int64_t value;
};

void timeline_rates_release(struct timeline_rates *r)
{
	struct last *last;

	for (size_t at = 0; (last = id_map_each(&r->last, &at));)
		free(last);
	id_map_release(&r->last);
}

static struct last *last_of(struct timeline_rates *r, const struct event *e)
{
	struct last *last = id_map_find(&r->last, e->counter.counter, e->tid);

	if (last || id_map_reserve(&r->last))
		return last;
	last = calloc(1, sizeof(*last));
	if (last)
		id_map_add(&r->last, e->counter.counter, e->tid, last);
	return last;
}

int timeline_rate(struct timeline_rates *r, const struct event *e, uint64_t *ret_from,
		  int64_t *ret_value)
{
	int64_t value = (int64_t)e->counter.value;
	struct last *last, before;

	if (!event_counter_info((unsigned int)e->counter.counter)->total) {
		*ret_from = e->time;
		*ret_value = value;
		return 1;
	}
	last = last_of(r, e);
	if (!last)
		return -ENOMEM;
	before = *last;
	*last = (struct last){ e->time, value };
	if (!before.time || e->time <= before.time || value < before.value)
		return 0;
	*ret_from = before.time;
	*ret_value =
		(int64_t)((double)(value - before.value) * 1e9 / (double)(e->time - before.time) +
			  0.5);
	return 1;
}
