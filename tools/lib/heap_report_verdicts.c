/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>

#include "heap_report_impl.h"
#include "heap_verdicts.h"
#include "report.h"
#include "report_value.h"
#include "util.h"

#define MAX_SITES 100 /* rows of a table; text shows fewer */

/* ---------------------------------------------------------------- all of them ---- */

static void add_mean(struct report_table *t, const struct heap_verdicts *v, uint64_t n)
{
	if (v->requests)
		report_add_real(t, (double)n / (double)v->requests);
	else
		report_add_none(t);
}

static void add_overview(struct report_section *s, const struct heap_verdicts *v)
{
	static const struct report_column columns[] = {
		{ "verdict", "verdict", REPORT_TEXT },
		{ "blocks", "blocks", REPORT_COUNT },
		{ "share", "share", REPORT_PERCENT },
		{ "bytes", "allocated", REPORT_BYTES },
		{ "blocks_each", "a request", REPORT_MEAN },
		{ "bytes_each", "bytes a request", REPORT_MEAN },
	};
	struct report_table *t =
		report_table(s, "verdicts", NULL, columns,
			     v->requests ? ARRAY_SIZE(columns) : ARRAY_SIZE(columns) - 2);

	for (size_t i = 0; i < HEAP_NR_VERDICTS; i++) {
		const struct heap_blocks *n = &v->sum.by[i];

		report_add_text(t, heap_verdict_names[i]);
		report_add(t, (int64_t)n->blocks);
		report_add_real(t, report_share(n->blocks, v->sum.all.blocks));
		report_add(t, (int64_t)n->bytes);
		if (!v->requests)
			continue;
		add_mean(t, v, n->for_requests);
		add_mean(t, v, n->for_requests_bytes);
	}
}

/* Each site with all that was seen of it. */
static void add_sites(struct report_section *s, const struct heap_verdicts *v)
{
	static const struct report_column columns[] = {
		{ "caller", "allocated by", REPORT_PLACE },
		{ "verdict", "verdict", REPORT_TEXT },
		{ "share", "of its", REPORT_PERCENT },
		{ "blocks", "blocks", REPORT_COUNT },
		{ "bytes", "allocated", REPORT_BYTES },
		{ "own_frame", "own frame", REPORT_COUNT },
		{ "guessed", "guessed", REPORT_COUNT },
		{ "up", "caller", REPORT_COUNT },
		{ "request", "request", REPORT_COUNT },
		{ "other_thread", "thread", REPORT_COUNT },
		{ "resized", "resized", REPORT_COUNT },
		{ "kept", "kept", REPORT_COUNT },
		{ "unknown", "unknown", REPORT_COUNT },
		{ "with_request", "with request", REPORT_COUNT },
	};
	struct report_table *t = report_table(s, "sites", "By site", columns, ARRAY_SIZE(columns));

	for (size_t i = 0; i < MIN(v->nr, (size_t)MAX_SITES); i++) {
		const struct heap_judged *j = &v->items[i];
		enum heap_verdict verdict = heap_verdict_of(j);

		report_add_text(t, j->caller->name);
		report_add_text(t, heap_verdict_names[verdict]);
		report_add_real(t, report_share(j->by[verdict].blocks, j->all.blocks));
		report_add(t, (int64_t)j->all.blocks);
		report_add(t, (int64_t)j->all.bytes);
		report_add(t, (int64_t)j->by[HEAP_IN_FRAME].blocks);
		report_add(t, (int64_t)j->guessed);
		for (size_t k = HEAP_UP; k < HEAP_NR_VERDICTS; k++)
			report_add(t, (int64_t)j->by[k].blocks);
		report_add(t, (int64_t)j->with_request);
	}
	if (v->nr > MAX_SITES)
		report_note(s, "%zu sites; these are the %d with most allocations", v->nr,
			    MAX_SITES);
}

/* ---------------------------------------------------------------- one by one ---- */

#define SITE                                           \
	{                                              \
		"caller", "allocated by", REPORT_PLACE \
	}
#define COUNTS                                                                       \
	{ "share", "of its", REPORT_PERCENT }, { "blocks", "blocks", REPORT_COUNT }, \
	{                                                                            \
		"bytes", "allocated", REPORT_BYTES                                   \
	}
#define SIZES                               \
	{                                   \
		"size", "size", REPORT_TEXT \
	}
#define EACH                                            \
	{                                               \
		"blocks_each", "a request", REPORT_MEAN \
	}

static const struct report_column own_frame_columns[] = {
	SITE, COUNTS, SIZES, { "guessed", "guessed", REPORT_PERCENT }, EACH
};
static const struct report_column caller_columns[] = {
	SITE, { "lives_in", "lives in", REPORT_PLACE }, { "up", "up", REPORT_COUNT }, COUNTS, EACH
};
static const struct report_column request_columns[] = { SITE, COUNTS, SIZES, EACH };
static const struct report_column thread_columns[] = {
	SITE, { "freed_by", "freed by", REPORT_PLACE }, COUNTS, EACH
};

/* Verdicts that say what could be done. */
static const struct kind {
	enum heap_verdict verdict;
	const char *key, *title, *note;
	const struct report_column *columns;
	size_t nr_columns;
} kinds[] = {
	{ HEAP_IN_FRAME, "own_frame", "Could live on the stack",
	  "own frame: freed in the frame that allocated it; guessed: or in that of a later call in "
	  "the same place of the stack",
	  own_frame_columns, ARRAY_SIZE(own_frame_columns) },
	{ HEAP_UP, "caller", "Could live in a caller's frame",
	  "caller: freed while a caller of that frame was still there, at least so many frames up",
	  caller_columns, ARRAY_SIZE(caller_columns) },
	{ HEAP_WITH_REQUEST, "request", "Could live in an arena of the request",
	  "request: freed while its request was at work, or when it was tidied up, beyond the frames "
	  "that had begun for it",
	  request_columns, ARRAY_SIZE(request_columns) },
	{ HEAP_BY_THREAD, "other_thread", "Freed by another thread",
	  "other thread: freed by another one than had allocated it", thread_columns,
	  ARRAY_SIZE(thread_columns) },
	{ HEAP_KEPT, "kept", "Never freed", "kept: not freed in the capture", request_columns,
	  ARRAY_SIZE(request_columns) },
};

static void add_site(struct report_table *t, const struct heap_verdicts *v,
		     const struct heap_judged *j, const struct kind *k)
{
	const struct heap_blocks *n = &j->by[k->verdict];
	const struct heap_place *place =
		heap_place_of(k->verdict == HEAP_UP ? j->up : j->by_thread);

	report_add_text(t, j->caller->name);
	if (k->verdict == HEAP_UP || k->verdict == HEAP_BY_THREAD)
		report_add_text(t, place ? heap_place_name(v, place) : NULL);
	if (k->verdict == HEAP_UP)
		report_add(t, place ? place->up : 0);
	report_add_real(t, report_share(n->blocks, j->all.blocks));
	report_add(t, (int64_t)n->blocks);
	report_add(t, (int64_t)n->bytes);
	if (k->verdict != HEAP_UP && k->verdict != HEAP_BY_THREAD)
		heap_report_sizes(t, j->caller);
	if (k->verdict == HEAP_IN_FRAME)
		report_add_real(t, report_share(j->guessed, n->blocks));
	if (v->requests)
		add_mean(t, v, n->for_requests);
}

/* The sites that most of all, or in a good part, have that verdict. */
static void add_kind(struct report_section *s, const struct heap_verdicts *v, const struct kind *k)
{
	struct report_table *t = NULL;
	size_t n = 0;

	for (size_t i = 0; i < v->nr; i++) {
		const struct heap_judged *j = &v->items[i];

		if (!j->by[k->verdict].blocks || heap_verdict_of(j) != k->verdict)
			continue;
		if (!t)
			t = report_table(s, k->key, k->title, k->columns,
					 k->nr_columns - (v->requests ? 0 : 1));
		if (n++ < MAX_SITES)
			add_site(t, v, j, k);
	}
}

void heap_report_verdicts(struct report *r, const struct capture_heap *c,
			  const struct heap_snapshot *s, const struct heap_callers *l)
{
	struct report_section *section = report_section(r, "verdicts", "Verdicts");
	struct heap_verdicts v;

	if (heap_verdicts_init(&v, c, s, l)) {
		report_note(section, "could not be read");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (v.sum.by[kinds[i].verdict].blocks)
			report_note(section, "%s", kinds[i].note);
	if (v.requests)
		report_note(section, "a request: of the %" PRIu64 " that began in the capture",
			    v.requests);
	add_overview(section, &v);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		add_kind(section, &v, &kinds[i]);
	add_sites(section, &v);
	heap_verdicts_release(&v);
}
