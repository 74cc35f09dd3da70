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

/* At work on one request. */
struct fall {
	struct capture_requests *c;
	struct stack_text *stacks;
	const struct request_slow *slow;
	uint64_t end;
	struct report_trace *trace;
	struct strbuf text;
};

static uint64_t begin_of(const struct fall *f, uint32_t i)
{
	return i < f->slow->detail.nr ? f->slow->detail.segments[i].at : f->end;
}

/* Phases that go on over several segments are one bar. */
static void add_phases(struct fall *f)
{
	const struct request_detail *d = &f->slow->detail;
	uint64_t start = f->slow->request.start;
	uint32_t i = 0, j;

	while (i < d->nr) {
		const char *name = requests_phase_name(d->segments[i].phase);

		for (j = i + 1; j < d->nr && d->segments[j].phase == d->segments[i].phase;)
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

	while (i < d->nr && !err) {
		/* A segment that only changes the phase goes on with the state. */
		for (j = i + 1; j < d->nr && d->segments[j].state == d->segments[i].state &&
				d->segments[j].tid == d->segments[i].tid && !d->segments[j].stack;)
			j++;
		err = add_state(f, i, j, depth);
		i = j;
	}
	return err;
}

static int add_request(struct fall *f, struct report_waterfall *w, uint64_t epoch)
{
	const struct request_record *r = &f->slow->request;
	char *name = request_name(capture_requests_table(f->c), r);
	bool phases = capture_requests_points(f->c)->has_phases;
	char note[160], lost[64] = "";
	int err;

	if (!name)
		return -ENOMEM;
	if (f->slow->detail.lost)
		snprintf(lost, sizeof(lost), ", %u further changes of state not kept",
			 f->slow->detail.lost);
	if (r->status)
		snprintf(note, sizeof(note), "status %" PRId64 ", id %#" PRIx64 "%s",
			 (int64_t)r->status, (uint64_t)r->header.arg, lost);
	else
		snprintf(note, sizeof(note), "id %" PRIu64 "%s", (uint64_t)r->header.arg, lost);
	f->end = REQUEST_WORD_TIME(r->word);
	f->trace = report_trace(w, name, r->start - epoch, request_latency(r), note);
	free(name);
	if (phases)
		add_phases(f);
	err = add_states(f, phases);
	return err;
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
	struct report_waterfall *w;
	struct fall f = { .c = c };
	size_t n;
	int err = 0;

	f.slow = capture_requests_slow(c, &n);
	if (!n)
		return 0;
	strbuf_init(&f.text);
	w = report_waterfall(report_section(r, "slow", "Slowest requests that match"), "slowest",
			     NULL);
	add_classes(w, capture_requests_points(c)->has_phases);
	f.stacks = stack_text_new(capture_requests_stacks(c), &capture_requests_target(c)->objects,
				  true);
	if (!f.stacks)
		err = -errno;
	for (size_t i = 0; i < n && !err; i++, f.slow++)
		err = add_request(&f, w, capture_requests_epoch(c));
	stack_text_free(f.stacks);
	strbuf_release(&f.text);
	return err;
}
