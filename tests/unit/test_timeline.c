/* SPDX-License-Identifier: MIT */
/* The analysis of timelines: against traces of which every number is known, and cases made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/synthetic/synthetic.h"
#include "lib/util.h"
#include "trace_fixture.h"

#define MAX_SEEN 64

/* What a visitor has seen: whatever does not fit fails at once. */
struct seen_thread {
	uint32_t tid;
	uint64_t first, last; /* states reach from first to last without a gap */
	unsigned int depth;
	uint64_t span_time, instants, wakings;
	struct timeline_thread end; /* as it was at its end */
	bool ended;
};

struct seen {
	struct trace *trace;
	bool pieces;
	struct seen_thread threads[MAX_SEEN];
	size_t nr_threads;
	uint64_t cpu_last[64];
	uint64_t cpu_time;
	struct synthetic_sums routes[SYNTHETIC_NR_ROUTES];
	uint64_t requests, partial, lost_requests, slowest, intervals, phases_open, ios, counters;
	struct timeline_request last;		   /* the request that ended last */
	struct timeline_interval states[MAX_SEEN]; /* of threads, the first */
	uint32_t state_tids[MAX_SEEN];
	size_t nr_states;
	uint64_t lost, lost_until;
};

static struct seen_thread *find(struct seen *s, const struct timeline_thread *t)
{
	assert_non_null(t->data);
	assert_ptr_equal(((struct seen_thread *)t->data)->end.data, s);
	return t->data;
}

static int on_thread(void *ctx, struct timeline_thread *t)
{
	struct seen *s = ctx;
	struct seen_thread *mine;

	assert_false(t->foreign);
	if (t->data)
		return 0;
	assert_true(s->nr_threads < MAX_SEEN);
	mine = &s->threads[s->nr_threads++];
	mine->tid = t->tid;
	mine->first = mine->last = t->born;
	mine->end.data = s;
	t->data = mine;
	return 0;
}

static int on_thread_end(void *ctx, struct timeline_thread *t)
{
	struct seen_thread *mine = find(ctx, t);

	assert_false(mine->ended);
	assert_int_equal(mine->depth, 0);
	mine->ended = true;
	mine->end = *t;
	return 0;
}

static int on_state(void *ctx, struct timeline_thread *t, const struct timeline_interval *i)
{
	struct seen *s = ctx;
	struct seen_thread *mine = find(s, t);

	assert_true(i->end > i->start);
	/* A filter of requests cuts pieces out. */
	if (s->pieces)
		assert_true(i->start >= mine->last);
	else
		assert_int_equal(i->start, mine->last);
	mine->last = i->end;
	if (s->nr_states < MAX_SEEN) {
		s->states[s->nr_states] = *i;
		s->state_tids[s->nr_states++] = t->tid;
	}
	return 0;
}

static int on_run(void *ctx, struct timeline_thread *t, uint16_t cpu, uint64_t start, uint64_t end,
		  unsigned int then)
{
	struct seen *s = ctx;

	find(s, t);
	assert_true(then < THREAD_NR_STATES && then != THREAD_SYSCALL);
	assert_true(cpu < ARRAY_SIZE(s->cpu_last));
	assert_true(end > start);
	assert_true(start >= s->cpu_last[cpu]);
	s->cpu_last[cpu] = end;
	s->cpu_time += end - start;
	return 0;
}

static int on_span_begin(void *ctx, struct timeline_thread *t, const struct timeline_span *s,
			 const struct event *e)
{
	(void)s;
	(void)e;
	find(ctx, t)->depth++;
	return 0;
}

static int on_span_end(void *ctx, struct timeline_thread *t, const struct timeline_span *s,
		       uint64_t end, const struct event *e)
{
	struct seen_thread *mine = find(ctx, t);

	assert_true(mine->depth > 0);
	assert_true(end >= s->start);
	assert_int_equal(s->cut, !e);
	if (s->kind == TIMELINE_SPAN)
		mine->span_time += end - s->start;
	mine->depth--;
	return 0;
}

static int on_instant(void *ctx, struct timeline_thread *t, const struct event *e)
{
	(void)e;
	if (t)
		find(ctx, t)->instants++;
	return 0;
}

static int on_waking(void *ctx, struct timeline_thread *waker, struct timeline_thread *wakee,
		     const struct event *e)
{
	(void)waker;
	(void)e;
	find(ctx, wakee)->wakings++;
	return 0;
}

static int on_request_begin(void *ctx, struct timeline_request *r, const struct event *e)
{
	(void)e;
	assert_null(r->data);
	r->data = ctx;
	return 0;
}

static int on_phase(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time)
{
	(void)time;
	(void)phase;
	assert_ptr_equal(r->data, ctx);
	((struct seen *)ctx)->phases_open++;
	return 0;
}

static int on_phase_end(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time)
{
	(void)time;
	(void)phase;
	assert_ptr_equal(r->data, ctx);
	assert_true(((struct seen *)ctx)->phases_open-- > 0);
	return 0;
}

static int on_request_state(void *ctx, struct timeline_request *r,
			    const struct timeline_interval *i)
{
	assert_ptr_equal(r->data, ctx);
	assert_true(i->end > i->start);
	((struct seen *)ctx)->intervals += i->end - i->start;
	return 0;
}

static int on_request_end(void *ctx, struct timeline_request *r, const struct event *e)
{
	struct seen *s = ctx;
	uint64_t states = 0, phases = 0, latency = r->end - r->begin;

	assert_ptr_equal(r->data, ctx);
	s->last = *r;
	s->requests++;
	s->partial += r->partial;
	s->lost_requests += r->lost;
	assert_true(e || r->partial);
	for (unsigned int i = 0; i < REQUEST_NR_STATES; i++)
		states += r->by_state[i];
	for (unsigned int i = 0; i < TIMELINE_MAX_PHASES; i++)
		phases += r->by_phase[i];
	assert_int_equal(states, latency);
	assert_int_equal(phases, latency);
	for (unsigned int i = 1; i < TIMELINE_WAITS; i++)
		assert_true(r->waits[i].end - r->waits[i].start <=
			    r->waits[i - 1].end - r->waits[i - 1].start);
	s->slowest = MAX(s->slowest, latency);
	for (unsigned int i = 0; i < SYNTHETIC_NR_ROUTES; i++) {
		struct synthetic_sums *sums = &s->routes[i];

		if (strcmp(trace_string(s->trace, r->route), synthetic_routes[i]) != 0)
			continue;
		sums->count++;
		sums->latency += latency;
		sums->syscalls += r->syscalls;
		sums->pieces += r->pieces;
		sums->switches += r->switches;
		for (unsigned int j = 0; j < REQUEST_NR_STATES; j++)
			sums->by_state[j] += r->by_state[j];
		/* In these traces phases come up in the order of their numbers. */
		for (unsigned int j = 0; j < SYNTHETIC_NR_PHASES; j++)
			sums->by_phase[j] += r->by_phase[j];
	}
	return 0;
}

static int on_io(void *ctx, const struct timeline_io *io)
{
	assert_true(io->end > io->start);
	((struct seen *)ctx)->ios++;
	return 0;
}

static int on_counter(void *ctx, const struct event *e)
{
	(void)e;
	((struct seen *)ctx)->counters++;
	return 0;
}

static int on_lost(void *ctx, const struct event *e)
{
	struct seen *s = ctx;

	s->lost += e->lost.count;
	s->lost_until = e->lost.until;
	return 0;
}

static const struct timeline_visitor visitor = {
	.thread = on_thread,
	.thread_end = on_thread_end,
	.state = on_state,
	.run = on_run,
	.span_begin = on_span_begin,
	.span_end = on_span_end,
	.instant = on_instant,
	.waking = on_waking,
	.request_begin = on_request_begin,
	.phase_begin = on_phase,
	.phase_end = on_phase_end,
	.request_state = on_request_state,
	.request_end = on_request_end,
	.io = on_io,
	.counter = on_counter,
	.lost = on_lost,
};

static void run(struct trace *t, const struct timeline_filter *filter, struct seen *s,
		struct timeline_totals *totals)
{
	struct timeline_filter none = { 0 };

	*s = (struct seen){ .trace = t, .pieces = filter && (filter->route || filter->slower) };
	assert_int_equal(timeline_run(t, filter ? filter : &none, &visitor, s, totals), 0);
	assert_int_equal(s->phases_open, 0);
	for (size_t i = 0; i < s->nr_threads; i++) {
		const struct timeline_thread *end = &s->threads[i].end;
		uint64_t sum = 0;

		assert_true(s->threads[i].ended);
		for (unsigned int j = 0; j < THREAD_NR_STATES; j++)
			sum += end->total[j];
		/* All of its time, and no more. */
		if (!s->pieces) {
			assert_int_equal(s->threads[i].last, end->died ? end->died : totals->end);
			assert_int_equal(sum, s->threads[i].last - s->threads[i].first);
		}
	}
}

/* -------- whole traces -------- */

static struct trace *make(struct fixture_trace *f, struct synthetic *s,
			  const struct synthetic_options *o)
{
	struct trace_writer_options options = { .start = SYNTHETIC_START, .max_events = 5000 };
	int fd;

	snprintf(f->path, sizeof(f->path), "/tmp/periscope-trace.XXXXXX");
	fd = mkstemp(f->path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(trace_file_create(f->path, SYNTHETIC_START, 1700000000000000000, &f->file),
			 0);
	assert_int_equal(trace_writer_new(f->file, &options, &f->w), 0);
	assert_int_equal(synthetic_make(s, o, f->w), 0);
	assert_int_equal(trace_writer_finish(f->w, s->end), 0);
	trace_writer_free(f->w);
	assert_int_equal(trace_file_close(f->file), 0);
	return fixture_trace_open(f);
}

static void expect_thread(const struct seen *s, const struct synthetic_thread *was)
{
	for (size_t i = 0; i < s->nr_threads; i++) {
		const struct timeline_thread *is = &s->threads[i].end;

		if (is->tid != was->tid)
			continue;
		for (unsigned int j = 0; j < THREAD_NR_STATES; j++)
			assert_int_equal(is->total[j], was->total[j]);
		assert_int_equal(is->runs, was->runs);
		assert_int_equal(is->wakeups, was->wakeups);
		assert_int_equal(s->threads[i].wakings, was->wakeups);
		assert_int_equal(is->syscalls, was->syscalls);
		assert_int_equal(is->preemptions, was->preemptions);
		assert_int_equal(is->faults, was->faults);
		assert_int_equal(is->samples, was->samples);
		assert_int_equal(s->threads[i].instants, was->samples);
		return;
	}
	fail_msg("thread %u was not seen", was->tid);
}

static void expect_sums(const struct synthetic_sums *is, const struct synthetic_sums *was)
{
	assert_int_equal(is->count, was->count);
	assert_int_equal(is->latency, was->latency);
	for (unsigned int i = 0; i < REQUEST_NR_STATES; i++)
		assert_int_equal(is->by_state[i], was->by_state[i]);
	for (unsigned int i = 0; i < SYNTHETIC_NR_PHASES; i++)
		assert_int_equal(is->by_phase[i], was->by_phase[i]);
	assert_int_equal(is->syscalls, was->syscalls);
	assert_int_equal(is->pieces, was->pieces);
	assert_int_equal(is->switches, was->switches);
}

static void test_known(void **state)
{
	static const struct synthetic_options options[] = {
		{ .events = 300, .loops = 1, .seed = 1 },
		{ .events = 60000, .loops = 1, .seed = 2 },
		{ .events = 60000, .loops = 3, .seed = 3 },
	};
	uint64_t running = 0, latency = 0;
	struct timeline_totals totals;
	static struct synthetic s;
	static struct seen seen;
	struct fixture_trace f;
	struct trace *t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		t = make(&f, &s, &options[i]);
		run(t, NULL, &seen, &totals);
		running = latency = 0;
		for (unsigned int j = 0; j < s.o.loops; j++) {
			expect_thread(&seen, &s.loops[j]);
			expect_thread(&seen, &s.writers[j]);
			running += s.loops[j].total[THREAD_USER] + s.loops[j].total[THREAD_SYSCALL];
			running += s.writers[j].total[THREAD_USER] +
				   s.writers[j].total[THREAD_SYSCALL];
		}
		for (unsigned int j = 0; j < SYNTHETIC_NR_ROUTES; j++) {
			expect_sums(&seen.routes[j], &s.routes[j]);
			latency += s.routes[j].latency;
		}
		assert_int_equal(seen.nr_threads, 2 * s.o.loops);
		assert_int_equal(totals.threads, 2 * s.o.loops);
		assert_int_equal(seen.requests, s.requests);
		assert_int_equal(totals.requests, s.requests);
		assert_int_equal(seen.partial, 0);
		assert_int_equal(seen.lost_requests, 0);
		assert_int_equal(seen.slowest, s.slowest);
		/* What is drawn is what is added up. */
		assert_int_equal(seen.cpu_time, running);
		assert_int_equal(seen.intervals, latency);
		assert_int_equal(totals.odd, 0);
		assert_int_equal(totals.losses, 0);
		assert_int_equal(totals.end, s.end);
		assert_int_equal(t->nr_events, s.emitted);
		trace_close(t);
		unlink(f.path);
	}
}

/* With losses nothing overlaps, all adds up, and what they touched is marked. */
static void test_with_losses(void **state)
{
	const struct synthetic_options rare = {
		.events = 40000, .loops = 2, .seed = 4, .lose = 5003
	};
	const struct synthetic_options often = {
		.events = 40000, .loops = 2, .seed = 5, .lose = 7
	};
	struct timeline_totals totals;
	static struct synthetic s;
	static struct seen seen;
	struct fixture_trace f;
	struct trace *t;

	(void)state;
	t = make(&f, &s, &rare);
	run(t, NULL, &seen, &totals);
	assert_int_equal(totals.lost, s.lost);
	assert_int_equal(seen.lost, s.lost);
	assert_true(seen.lost_requests >= 1 && seen.lost_requests < 4 * s.lost);
	/* All but those few are exact: the sum of what is left is near. */
	assert_true(seen.requests + 2 * s.lost >= s.requests &&
		    seen.requests <= s.requests + s.lost);
	trace_close(t);
	unlink(f.path);
	t = make(&f, &s, &often);
	run(t, NULL, &seen, &totals);
	assert_int_equal(totals.lost, s.lost);
	trace_close(t);
	unlink(f.path);
}

/* -------- filters -------- */

static void test_window(void **state)
{
	const struct synthetic_options o = { .events = 40000, .loops = 2, .seed = 6 };
	struct timeline_filter filter = { 0 };
	struct timeline_totals totals;
	static struct synthetic s;
	static struct seen seen;
	struct fixture_trace f;
	uint64_t sums[THREAD_NR_STATES] = { 0 }, requests = 0, span;
	struct trace *t;

	(void)state;
	t = make(&f, &s, &o);
	span = s.end - SYNTHETIC_START;
	/* The parts, taken one by one, make the whole. */
	for (int part = 0; part < 5; part++) {
		filter.from = span / 5 * part;
		filter.to = part == 4 ? 0 : span / 5 * (part + 1);
		run(t, &filter, &seen, &totals);
		assert_int_equal(totals.start, SYNTHETIC_START + filter.from);
		for (size_t i = 0; i < seen.nr_threads; i++) {
			assert_int_equal(seen.threads[i].first, totals.start);
			for (unsigned int j = 0; j < THREAD_NR_STATES; j++)
				sums[j] += seen.threads[i].end.total[j];
		}
		requests += seen.requests - seen.partial;
	}
	for (unsigned int j = 0; j < THREAD_NR_STATES; j++) {
		for (unsigned int i = 0; i < s.o.loops; i++)
			sums[j] -= s.loops[i].total[j] + s.writers[i].total[j];
		assert_int_equal(sums[j], 0);
	}
	assert_int_equal(requests, s.requests);
	/* Beyond the end there is nothing, and that is no error. */
	filter.from = filter.to = 2 * span;
	run(t, &filter, &seen, &totals);
	assert_int_equal(totals.start, totals.end);
	assert_int_equal(seen.requests, 0);
	trace_close(t);
	unlink(f.path);
}

static void test_choice(void **state)
{
	const struct synthetic_options o = { .events = 40000, .loops = 2, .seed = 7 };
	struct timeline_filter filter = { .route = "POST *" };
	const uint32_t tid = SYNTHETIC_PID + 3;
	struct timeline_totals totals;
	static struct synthetic s;
	static struct seen seen;
	struct fixture_trace f;
	uint64_t on_cpu = 0;
	struct trace *t;

	(void)state;
	t = make(&f, &s, &o);
	run(t, &filter, &seen, &totals);
	assert_int_equal(seen.requests, s.routes[SYNTHETIC_ROUTE_BOOK].count);
	assert_int_equal(totals.unchosen, s.requests - seen.requests);
	expect_sums(&seen.routes[SYNTHETIC_ROUTE_BOOK], &s.routes[SYNTHETIC_ROUTE_BOOK]);
	/* Of threads, what they did for these requests. */
	for (size_t i = 0; i < seen.nr_threads; i++)
		on_cpu += seen.threads[i].end.total[THREAD_USER];
	assert_int_equal(on_cpu, s.routes[SYNTHETIC_ROUTE_BOOK].by_state[THREAD_USER]);

	filter = (struct timeline_filter){ .slower = s.slowest };
	run(t, &filter, &seen, &totals);
	assert_int_equal(seen.requests, 1);
	assert_int_equal(seen.slowest, s.slowest);
	filter.slower = s.slowest + 1;
	run(t, &filter, &seen, &totals);
	assert_int_equal(seen.requests, 0);
	assert_int_equal(seen.nr_threads, 0);

	filter = (struct timeline_filter){ .tids = &tid, .nr_tids = 1 };
	run(t, &filter, &seen, &totals);
	assert_int_equal(seen.nr_threads, 1);
	expect_thread(&seen, &s.loops[1]);
	assert_int_equal(seen.requests, s.requests);
	trace_close(t);
	unlink(f.path);
}

/* -------- cases made by hand: a process 10 with threads 11 and 12; times in ns -------- */

#define EVENT(...) fixture_put(&f, FIXTURE_EVENT(__VA_ARGS__), 0)

static void begin_hand(struct fixture_trace *f)
{
	fixture_trace_new(f, NULL);
	for (uint32_t tid = 11; tid <= 12; tid++)
		fixture_put(f,
			    FIXTURE_EVENT(.tid = tid, .kind = EVT_THREAD,
					  .thread = { 10, trace_writer_string(f->w, "hand"),
						      EVENT_THREAD_BEFORE }),
			    0);
}

/* What thread 11 was doing: "user 10, futex 90, ..."; and the run is checked as ever. */
static void expect_hand(struct fixture_trace *f, uint64_t end, const char *expected,
			struct seen *seen, struct timeline_totals *totals)
{
	char text[512] = "";
	struct trace *t;
	size_t len = 0;

	fixture_trace_finish(f, end);
	t = fixture_trace_open(f);
	run(t, NULL, seen, totals);
	for (size_t i = 0; i < seen->nr_states; i++)
		if (seen->state_tids[i] == 11)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s %d",
						len ? ", " : "",
						thread_state_name(seen->states[i].state),
						(int)(seen->states[i].end - seen->states[i].start));
	assert_string_equal(text, expected);
	trace_close(t);
	unlink(f->path);
}

static void test_told_state(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f;

	(void)state;
	/* It slept all the while, and before. */
	begin_hand(&f);
	EVENT(.tid = 11, .kind = EVT_STATE, .state = { THREAD_SLEEP, FIXTURE_START - 1000 });
	expect_hand(&f, 100, "sleep 100", &seen, &totals);
	/* Told in the middle: since when it was so is told, too. What came later tells nothing new. */
	begin_hand(&f);
	EVENT(.time = 50, .tid = 11, .kind = EVT_STATE,
	      .state = { THREAD_FUTEX, FIXTURE_START + 20, 7 });
	EVENT(.time = 60, .kind = EVT_WAKING, .waking = { 11 });
	EVENT(.time = 70, .tid = 11, .cpu = 3, .kind = EVT_SWITCH_IN);
	EVENT(.time = 80, .tid = 11, .kind = EVT_STATE, .state = { THREAD_SLEEP });
	expect_hand(&f, 100, "unknown 20, futex 40, runnable 10, user 30", &seen, &totals);
	assert_int_equal(totals.odd, 0);
}

/* The wakeup is told before the switch that it is about. */
static void test_woken_early(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f;

	(void)state;
	begin_hand(&f);
	EVENT(.time = 10, .tid = 11, .kind = EVT_SWITCH_IN);
	EVENT(.time = 20, .tid = 12, .cpu = 1, .kind = EVT_WAKING, .waking = { 11 });
	EVENT(.time = 21, .tid = 11, .kind = EVT_SWITCH_OUT, .out = { THREAD_FUTEX });
	EVENT(.time = 50, .tid = 11, .kind = EVT_SWITCH_IN);
	/* This one is of a thread that did not sleep: it does so later, and is woken again. */
	EVENT(.time = 60, .tid = 12, .cpu = 1, .kind = EVT_WAKING, .waking = { 11 });
	EVENT(.time = 70, .tid = 11, .kind = EVT_SWITCH_OUT, .out = { THREAD_DISK });
	EVENT(.time = 80, .tid = 12, .cpu = 1, .kind = EVT_WAKING, .waking = { 11 });
	EVENT(.time = 90, .tid = 11, .kind = EVT_SWITCH_IN);
	expect_hand(&f, 100,
		    "unknown 10, user 11, runnable 29, user 20, disk 10, runnable 10, user 10",
		    &seen, &totals);
	for (size_t i = 0; i < seen.nr_states; i++)
		if (seen.states[i].state == THREAD_RUNNABLE)
			assert_int_equal(seen.states[i].waker, 12);
	assert_int_equal(totals.odd, 0);
}

/* Preempted, moved to another CPU, given up, and in a system call all the while. */
static void test_moves(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f;

	(void)state;
	begin_hand(&f);
	EVENT(.time = 0, .tid = 11, .cpu = 1, .kind = EVT_SWITCH_IN);
	EVENT(.time = 10, .tid = 11, .cpu = 1, .kind = EVT_SYSCALL_ENTER, .enter = { 5 });
	EVENT(.time = 30, .tid = 11, .cpu = 1, .kind = EVT_SWITCH_OUT, .out = { THREAD_PREEMPTED });
	EVENT(.time = 50, .tid = 11, .cpu = 2, .kind = EVT_SWITCH_IN);
	EVENT(.time = 60, .tid = 11, .cpu = 2, .kind = EVT_SYSCALL_EXIT, .leave = { 5 });
	EVENT(.time = 70, .tid = 11, .cpu = 2, .kind = EVT_SWITCH_OUT, .out = { THREAD_RUNNABLE });
	EVENT(.time = 75, .tid = 12, .cpu = 2, .kind = EVT_SWITCH_IN);
	EVENT(.time = 80, .tid = 12, .cpu = 2, .kind = EVT_SWITCH_OUT, .out = { THREAD_OTHER });
	EVENT(.time = 85, .tid = 11, .cpu = 2, .kind = EVT_SWITCH_IN);
	expect_hand(&f, 100,
		    "user 10, syscall 20, preempted 20, syscall 10, user 10, runnable 15, user 15",
		    &seen, &totals);
	assert_int_equal(seen.cpu_time, 30 + 20 + 5 + 15);
	assert_int_equal(totals.odd, 0);
}

/* What is not known is not said: from the last sure event to the next. */
static void test_lost_on_its_cpu(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f;

	(void)state;
	begin_hand(&f);
	fixture_put(&f, FIXTURE_EVENT(.time = 10, .tid = 11, .kind = EVT_SWITCH_IN), 1);
	fixture_put(&f,
		    FIXTURE_EVENT(.time = 20, .tid = 11, .kind = EVT_SYSCALL_ENTER, .enter = { 5 }),
		    2);
	/* 3 and 4 are missing; then it is another's CPU. */
	fixture_put(&f, FIXTURE_EVENT(.time = 50, .tid = 12, .kind = EVT_SWITCH_IN), 5);
	fixture_put(&f,
		    FIXTURE_EVENT(.time = 60, .tid = 12, .kind = EVT_SWITCH_OUT,
				  .out = { THREAD_FUTEX }),
		    6);
	fixture_put(&f, FIXTURE_EVENT(.time = 60, .tid = 11, .kind = EVT_SWITCH_IN), 7);
	expect_hand(&f, 100, "unknown 10, user 10, unknown 40, user 40", &seen, &totals);
	assert_int_equal(totals.lost, 2);
	assert_int_equal(totals.odd, 0);
	/* The call that was open was cut where knowledge ends. */
	assert_int_equal(seen.cpu_time, 10 + 10 + 40);
}

/* A thread that sleeps is not on the CPU that has lost events; its wakeup may be one of them. */
static void test_lost_elsewhere(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f;

	(void)state;
	for (int woken = 0; woken < 2; woken++) {
		begin_hand(&f);
		EVENT(.time = 0, .tid = 11, .cpu = 1, .kind = EVT_SWITCH_IN);
		EVENT(.time = 10, .tid = 11, .cpu = 1, .kind = EVT_SWITCH_OUT,
		      .out = { THREAD_FUTEX });
		fixture_put(&f, FIXTURE_EVENT(.time = 20, .tid = 12, .kind = EVT_SWITCH_IN), 1);
		fixture_put(&f, FIXTURE_EVENT(.time = 40, .tid = 12, .kind = EVT_INSTANT), 3);
		if (woken)
			EVENT(.time = 60, .tid = 12, .kind = EVT_WAKING, .waking = { 11 });
		EVENT(.time = 70, .tid = 11, .cpu = 1, .kind = EVT_SWITCH_IN);
		expect_hand(&f, 100,
			    woken ? "user 10, futex 50, runnable 10, user 30"
				  : "user 10, futex 10, unknown 50, user 30",
			    &seen, &totals);
		assert_int_equal(totals.losses, 1);
	}
}

/* Without a loss between, what does not fit is counted, and nothing is made up. */
static void test_odd(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f;

	(void)state;
	begin_hand(&f);
	EVENT(.time = 0, .tid = 11, .kind = EVT_SWITCH_IN);
	EVENT(.time = 10, .tid = 11, .kind = EVT_SWITCH_OUT, .out = { THREAD_FUTEX });
	EVENT(.time = 30, .tid = 11, .kind = EVT_SYSCALL_ENTER, .enter = { 1 });
	EVENT(.time = 50, .tid = 12, .kind = EVT_SWITCH_IN);
	expect_hand(&f, 100, "user 10, futex 20, syscall 20, unknown 50", &seen, &totals);
	assert_int_equal(totals.odd, 2);
}

/* Its end is its last switch, or, if nobody saw that, when it said that it exits. */
static void test_exit(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f;

	(void)state;
	for (int how = 0; how < 3; how++) {
		begin_hand(&f);
		EVENT(.time = 0, .tid = 11, .kind = EVT_SWITCH_IN);
		EVENT(.time = 10, .tid = 11, .kind = EVT_EXIT);
		if (how == 0)
			EVENT(.time = 20, .tid = 11, .kind = EVT_SWITCH_OUT,
			      .out = { THREAD_DEAD });
		else if (how == 1)
			EVENT(.time = 30, .tid = 12, .kind = EVT_SWITCH_IN);
		expect_hand(&f, 100, how ? "user 10" : "user 20", &seen, &totals);
		assert_int_equal(totals.odd, 0);
		assert_int_equal(seen.threads[0].end.died, FIXTURE_START + (how ? 10 : 20));
	}
}

/* A number that is used again is another thread. */
static void test_tid_again(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f;

	(void)state;
	begin_hand(&f);
	EVENT(.time = 0, .tid = 11, .kind = EVT_SWITCH_IN);
	EVENT(.time = 10, .tid = 11, .kind = EVT_EXIT);
	EVENT(.time = 20, .tid = 11, .kind = EVT_SWITCH_OUT, .out = { THREAD_DEAD });
	EVENT(.time = 50, .tid = 11, .kind = EVT_THREAD, .thread = { 99 });
	EVENT(.time = 60, .tid = 11, .kind = EVT_SWITCH_IN);
	expect_hand(&f, 100, "user 20, runnable 10, user 40", &seen, &totals);
	assert_int_equal(seen.nr_threads, 3);
	assert_int_equal(totals.threads, 3);
}

/* Without the scheduler's events nobody knows when a thread slept. */
static void test_no_sched(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f;

	(void)state;
	begin_hand(&f);
	assert_int_equal(trace_writer_info(f.w, "sched", "off"), 0);
	EVENT(.time = 10, .tid = 11, .kind = EVT_SYSCALL_ENTER, .enter = { 1 });
	EVENT(.time = 40, .tid = 11, .kind = EVT_SYSCALL_EXIT, .leave = { 1 });
	expect_hand(&f, 100, "unknown 10, unknown 30, unknown 60", &seen, &totals);
}

/* Recursion, ends without begins, begins without ends. */
static void test_spans(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f;
	uint32_t a, b;

	(void)state;
	begin_hand(&f);
	a = trace_writer_string(f.w, "a");
	b = trace_writer_string(f.w, "b");
	EVENT(.time = 0, .tid = 11, .kind = EVT_SWITCH_IN);
	EVENT(.time = 5, .tid = 11, .kind = EVT_SPAN_END, .span = { a }); /* none */
	EVENT(.time = 10, .tid = 11, .kind = EVT_SPAN_BEGIN, .span = { a });
	EVENT(.time = 20, .tid = 11, .kind = EVT_SPAN_BEGIN, .span = { a });
	EVENT(.time = 25, .tid = 11, .kind = EVT_SPAN_BEGIN, .span = { b });	 /* no end */
	EVENT(.time = 26, .tid = 11, .kind = EVT_SYSCALL_ENTER, .enter = { 1 }); /* likewise */
	EVENT(.time = 30, .tid = 11, .kind = EVT_SPAN_END, .span = { a });
	EVENT(.time = 60, .tid = 11, .kind = EVT_SPAN_END, .span = { a });
	EVENT(.time = 70, .tid = 11, .kind = EVT_SPAN_BEGIN, .span = { b });
	expect_hand(&f, 100, "user 26, syscall 74", &seen, &totals);
	/* a: 10 to 60 and 20 to 30; b: 25 to 30 and 70 to 100. */
	assert_int_equal(seen.threads[0].span_time, 50 + 10 + 5 + 30);
}

#define REQUEST(kind_of, at, who, id, ...) \
	EVENT(.kind = kind_of, .time = at, .tid = who, .cpu = who, .begin = { id, ##__VA_ARGS__ })

/* Two threads at once, a number used again, and one that never ends. */
static void test_requests(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f;

	(void)state;
	begin_hand(&f);
	EVENT(.tid = 11, .cpu = 11, .kind = EVT_SWITCH_IN);
	EVENT(.tid = 12, .cpu = 12, .kind = EVT_SWITCH_IN);
	REQUEST(EVT_REQUEST_BEGIN, 10, 11, 7, 0, EVENT_REQUEST_RUNS);
	/* The other begins before the first has stopped: it is the one that counts. */
	REQUEST(EVT_REQUEST_RUN, 20, 12, 7);
	EVENT(.time = 30, .tid = 12, .cpu = 12, .kind = EVT_SWITCH_OUT, .out = { THREAD_DISK });
	REQUEST(EVT_REQUEST_PAUSE, 40, 11, 7);
	EVENT(.time = 45, .kind = EVT_WAKING, .waking = { 12, 0, EVENT_WAKING_IRQ });
	EVENT(.time = 50, .tid = 12, .cpu = 12, .kind = EVT_SWITCH_IN);
	REQUEST(EVT_REQUEST_PAUSE, 60, 12, 7);
	REQUEST(EVT_REQUEST_END, 70, 11, 7);
	expect_hand(&f, 100, "user 10, user 30, user 60", &seen, &totals);
	assert_int_equal(seen.last.by_state[THREAD_USER], 10 + 10 + 10);
	assert_int_equal(seen.last.by_state[THREAD_DISK], 15);
	assert_int_equal(seen.last.by_state[THREAD_RUNNABLE], 5);
	/* Its own thread was busy with something else. */
	assert_int_equal(seen.last.by_state[REQUEST_LOOP], 10);
	assert_int_equal(seen.last.pieces, 2);

	begin_hand(&f);
	EVENT(.tid = 11, .cpu = 11, .kind = EVT_SWITCH_IN);
	REQUEST(EVT_REQUEST_BEGIN, 10, 11, 7, 0, EVENT_REQUEST_RUNS);
	REQUEST(EVT_REQUEST_BEGIN, 50, 11, 7, 0, EVENT_REQUEST_RUNS);
	REQUEST(EVT_REQUEST_END, 60, 11, 7);
	REQUEST(EVT_REQUEST_RUN, 70, 11, 8); /* its begin was before the recording */
	REQUEST(EVT_REQUEST_END, 80, 11, 9); /* nothing is known of it */
	expect_hand(&f, 100, "user 10, user 40, user 10, user 10, user 30", &seen, &totals);
	assert_int_equal(seen.requests, 3);
	assert_int_equal(seen.partial, 2);
	assert_int_equal(totals.requests, 3);
}

/* Phases in one another: the innermost counts; and they end with what they are in. */
static void test_phases(void **state)
{
	struct timeline_totals totals;
	static struct seen seen;
	struct fixture_trace f;
	uint32_t auth, sql;

	(void)state;
	begin_hand(&f);
	auth = trace_writer_string(f.w, "auth");
	sql = trace_writer_string(f.w, "sql");
	EVENT(.tid = 11, .cpu = 11, .kind = EVT_SWITCH_IN);
	REQUEST(EVT_REQUEST_BEGIN, 10, 11, 7, 0, EVENT_REQUEST_RUNS);
	REQUEST(EVT_PHASE_BEGIN, 15, 11, 7, auth);
	REQUEST(EVT_PHASE_BEGIN, 20, 11, 7, sql);
	REQUEST(EVT_PHASE_END, 30, 11, 7, sql);
	REQUEST(EVT_PHASE_BEGIN, 32, 11, 7, sql);
	REQUEST(EVT_PHASE_END, 40, 11, 7, auth);
	REQUEST(EVT_PHASE_END, 45, 11, 7, sql); /* not open any more */
	REQUEST(EVT_REQUEST_END, 60, 11, 7);
	expect_hand(&f, 100, "user 10, user 50, user 40", &seen, &totals);
	assert_int_equal(seen.last.by_phase[0], 5 + 20);
	assert_int_equal(seen.last.by_phase[1], 5 + 2);
	assert_int_equal(seen.last.by_phase[2], 10 + 8);
	assert_int_equal(totals.names.nr_phases, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),	       cmocka_unit_test(test_with_losses),
		cmocka_unit_test(test_window),	       cmocka_unit_test(test_choice),
		cmocka_unit_test(test_told_state),     cmocka_unit_test(test_woken_early),
		cmocka_unit_test(test_moves),	       cmocka_unit_test(test_lost_on_its_cpu),
		cmocka_unit_test(test_lost_elsewhere), cmocka_unit_test(test_odd),
		cmocka_unit_test(test_exit),	       cmocka_unit_test(test_tid_again),
		cmocka_unit_test(test_no_sched),       cmocka_unit_test(test_spans),
		cmocka_unit_test(test_requests),       cmocka_unit_test(test_phases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
