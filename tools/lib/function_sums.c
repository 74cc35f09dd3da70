/* SPDX-License-Identifier: MIT */
#include "function_sums.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Code is between the notes at a stack's root (the thread, a mark) and those behind its innermost
 * function, beyond which another thread's stack may follow.
 */
static void find_code(const struct frames *f, const struct frame_stack *stack, size_t *ret_first,
		      size_t *ret_end)
{
	size_t at = 0;

	while (at < stack->n && f->symbols[stack->items[at].symbol].origin == FRAME_NOTE)
		at++;
	*ret_first = at;
	while (at < stack->n && f->symbols[stack->items[at].symbol].origin != FRAME_NOTE)
		at++;
	*ret_end = at;
}

static void count(struct function_sum *rows, const struct frames *f,
		  const struct frame_stack *stack, uint32_t sample, int64_t value)
{
	size_t first, end;

	find_code(f, stack, &first, &end);
	for (size_t j = first; j < end; j++) {
		struct function_sum *row = &rows[stack->items[j].symbol];

		row->inlined |= stack->items[j].inlined;
		row->called |= !stack->items[j].inlined;
		if (j + 1 == end)
			row->flat = profile_sum(row->flat, value);
		if (row->last_sample != sample + 1)
			row->cum = profile_sum(row->cum, value);
		row->last_sample = sample + 1;
	}
}

int function_sums(struct frames *f, const struct profile *p, size_t type, struct function_sum **ret)
{
	struct frame_stack stack = { 0 };
	struct function_sum *rows = NULL;
	int err = 0;

	/* Symbols first: a stack's notes become some when it is met. */
	for (uint32_t i = 0; i < p->nr_samples && !err; i++)
		err = frames_stack(f, &p->samples[i], &stack);
	if (!err) {
		rows = calloc(f->nr_symbols + 1, sizeof(*rows));
		err = rows ? 0 : -ENOMEM;
	}
	if (err)
		goto cleanup;
	for (uint32_t i = 0; i < f->nr_symbols; i++)
		rows[i].symbol = i;
	for (uint32_t i = 0; i < p->nr_samples && type < p->nr_types && !err; i++) {
		const struct profile_sample *s = &p->samples[i];

		if (s->values[type] <= 0)
			continue;
		err = frames_stack(f, s, &stack);
		if (!err)
			count(rows, f, &stack, i, s->values[type]);
	}
cleanup:
	frame_stack_release(&stack);
	if (err)
		free(rows);
	else
		*ret = rows;
	return err;
}
