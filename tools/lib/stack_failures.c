/* SPDX-License-Identifier: MIT */
/* Where walks failed: the question that a user with incomplete stacks asks first. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "stack_profile.h"
#include "util.h"

#define MAX_SHOWN 20

struct failure {
	uint64_t frame; /* the last one that was found */
	uint64_t count;
	uint8_t end;
};

static int by_place(const void *a, const void *b)
{
	const struct failure *x = a, *y = b;

	if (x->frame != y->frame)
		return x->frame < y->frame ? -1 : 1;
	return (int)x->end - (int)y->end;
}

static int by_count(const void *a, const void *b)
{
	const struct failure *x = a, *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return by_place(a, b);
}

static void print_failure(const struct failure *f, const struct objects *objects, FILE *out)
{
	struct object *obj =
		FRAME_IS_KERNEL(f->frame) ? NULL : objects_by_id(objects, FRAME_OBJECT(f->frame));
	const struct sym_frame *frames;

	fprintf(out, "  %8" PRIu64 "  %-13s ", f->count, unwind_end_name(f->end));
	if (!obj) {
		fprintf(out, "0x%" PRIx64 "\n", (uint64_t)FRAME_ADDR(f->frame));
		return;
	}
	fprintf(out, "%s+0x%" PRIx64, obj->path, (uint64_t)FRAME_ADDR(f->frame));
	if (obj->sym && sym_object_lookup(obj->sym, FRAME_ADDR(f->frame), &frames) > 0)
		fprintf(out, " (%s)", frames[0].function);
	fputc('\n', out);
}

static void explain(const struct stacks *s, FILE *out)
{
	uint64_t ends[UNWIND_NR_ENDS];

	stacks_by_end(s, ends);
	for (unsigned int i = UNWIND_COMPLETE + 1; i < UNWIND_NR_ENDS; i++)
		if (ends[i])
			fprintf(out, "  %s: %s\n", unwind_end_name(i), unwind_end_text(i));
}

void stack_failures_print(const struct stacks *s, const struct objects *objects, FILE *out)
{
	struct failure *list = calloc(s->nr_counts + 1, sizeof(*list));
	size_t n = 0, merged = 0;

	if (!list)
		return;
	for (size_t i = 0; i < s->nr_counts; i++) {
		const struct stack *st = &s->items[s->counts[i].stack];

		if (st->end <= UNWIND_COMPLETE || !s->counts[i].count)
			continue;
		list[n++] = (struct failure){
			.frame = st->nr_frames ? s->frames[st->first_frame + st->nr_frames - 1] : 0,
			.count = s->counts[i].count,
			.end = st->end,
		};
	}
	qsort(list, n, sizeof(*list), by_place);
	for (size_t i = 0; i < n; i++) {
		if (merged && !by_place(&list[merged - 1], &list[i]))
			list[merged - 1].count += list[i].count;
		else
			list[merged++] = list[i];
	}
	qsort(list, merged, sizeof(*list), by_count);
	if (merged)
		fprintf(out, "walks that ended early, by the last address found:\n");
	for (size_t i = 0; i < MIN(merged, (size_t)MAX_SHOWN); i++)
		print_failure(&list[i], objects, out);
	if (merged > MAX_SHOWN)
		fprintf(out, "  and %zu more addresses\n", merged - MAX_SHOWN);
	explain(s, out);
	free(list);
}
