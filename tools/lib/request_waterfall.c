/* SPDX-License-Identifier: MIT */
#include "request_waterfall.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request_names.h"
#include "stack_text.h"
#include "strbuf.h"
#include "util.h"

#define NOT_KEPT "not kept"

/* At work on one request. */
struct fall {
	struct stack_text *stacks;
	const struct request_slow *slow;
	uint32_t nr;	/* segments whose end is known */
	uint64_t known; /* until then what it did is */
	struct report_trace *trace;
	struct strbuf text;
};

static uint64_t begin_of(const struct fall *f, uint32_t i)
{
	return i < f->nr ? f->slow->detail.segments[i].at : f->known;
}

/* Phases that go on over several segments are one bar. */
static void add_phases(struct fall *f)
{
	const struct request_detail *d = &f->slow->detail;
	uint64_t start = f->slow->request.start;
	uint32_t i = 0, j;

	while (i < f->nr) {
		const char *name = requests_phase_name(d->segments[i].phase);

		for (j = i + 1; j < f->nr && d->segments[j].phase == d->segments[i].phase;)
			j++;
		report_span(f->trace, name, name, begin_of(f, i) - start,
			    begin_of(f, j) - begin_of(f, i), 0, NULL);
		i = j;
	}
}

static int add_state(struct fall *f, uint32_t i, uint32_t j, unsigned int depth)
{
	const struct request_segment *g = &f->slow->detail.segments[i];
	const char *class = requests_state_name(g->state);
	char name[64];
	int err = 0;

	if (g->tid)
		snprintf(name, sizeof(name), "%s, thread %u", class, g->tid);
	else
		snprintf(name, sizeof(name), "%s", class);
	strbuf_reset(&f->text);
	if (g->stack)
		err = stack_text_put(f->stacks, f->slow->request.header.tgid, g->stack, &f->text);
	if (!err)
		report_span(f->trace, class, name, g->at - f->slow->request.start,
			    begin_of(f, j) - g->at, depth, g->stack ? strbuf_str(&f->text) : NULL);
	return err;
}

static int add_states(struct fall *f, unsigned int depth)
{
	const struct request_detail *d = &f->slow->detail;
	uint32_t i = 0, j;
	int err = 0;

	while (i < f->nr && !err) {
		/* A segment that only changes the phase goes on with the state. */
		for (j = i + 1; j < f->nr && d->segments[j].state == d->segments[i].state &&
				d->segments[j].tid == d->segments[i].tid && !d->segments[j].stack;)
			j++;
		err = add_state(f, i, j, depth);
		i = j;
	}
	return err;
}

int request_spans(struct report_trace *t, const struct request_slow *slow, bool phases,
		  struct stack_text *stacks)
{
	struct fall f = { .stacks = stacks, .slow = slow, .nr = slow->detail.nr, .trace = t };
	uint64_t end = REQUEST_WORD_TIME(slow->request.word);
	char name[64];
	int err;

	/* Of the last that was kept nobody knows how long it lasted. */
	f.known = end;
	if (slow->detail.lost && f.nr) {
		f.nr--;
		f.known = MIN(slow->detail.segments[f.nr].at, end);
	}
	strbuf_init(&f.text);
	if (phases)
		add_phases(&f);
	err = add_states(&f, phases);
	if (slow->detail.lost) {
		snprintf(name, sizeof(name), NOT_KEPT ", %u changes", slow->detail.lost);
		report_span(t, NOT_KEPT, name, f.known - slow->request.start, end - f.known, 0,
			    NULL);
	}
	strbuf_release(&f.text);
	return err;
}

static int add_request(struct report_waterfall *w, struct capture_requests *c,
		       const struct request_slow *slow, struct stack_text *stacks)
{
	const struct request_record *r = &slow->request;
	char *name = request_name(capture_requests_table(c), r);
	char note[160], lost[64] = "";
	struct report_trace *t;

	if (!name)
		return -ENOMEM;
	if (slow->detail.lost)
		snprintf(lost, sizeof(lost), ", %u changes of state not kept", slow->detail.lost);
	if (r->status)
		snprintf(note, sizeof(note), "status %" PRId64 ", id %#" PRIx64 "%s",
			 (int64_t)r->status, (uint64_t)r->header.arg, lost);
	else
		snprintf(note, sizeof(note), "id %" PRIu64 "%s", (uint64_t)r->header.arg, lost);
	t = report_trace(w, name, r->start - capture_requests_epoch(c), request_latency(r), note);
	free(name);
	return request_spans(t, slow, capture_requests_points(c)->has_phases, stacks);
}

/* The order of the colours: the same whatever is seen first. */
static void add_classes(struct report_waterfall *w, bool phases)
{
	for (unsigned int i = 0; i < STATE_NR; i++)
		report_class(w, requests_state_name(i));
	for (unsigned int i = 0; i < PHASE_NR && phases; i++)
		report_class(w, requests_phase_name(i));
}

int request_waterfalls(struct report *r, struct capture_requests *c)
{
	const struct request_slow *slow;
	struct report_waterfall *w;
	struct stack_text *stacks;
	size_t n;
	int err = 0;

	slow = capture_requests_slow(c, &n);
	if (!n)
		return 0;
	w = report_waterfall(report_section(r, "slow", "Slowest requests that match"), "slowest",
			     NULL);
	add_classes(w, capture_requests_points(c)->has_phases);
	for (size_t i = 0; i < n; i++)
		if (slow[i].detail.lost)
			report_unknown(w, NOT_KEPT);
	stacks = stack_text_new(capture_requests_stacks(c), &capture_requests_target(c)->objects,
				true);
	if (!stacks)
		err = -errno;
	for (size_t i = 0; i < n && !err; i++)
		err = add_request(w, c, &slow[i], stacks);
	stack_text_free(stacks);
	return err;
}
