/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SYNTHETIC_H
#define PERISCOPE_SYNTHETIC_H

/*
 * A server that never was: traces of any length in which every number is known. Some loops, each
 * with a writer of its own; each thread has a CPU for itself. What it does is decided here, step by
 * step, and both told to a trace file and added up, so that an analysis of the file can be compared
 * with what happened. The same seed gives the same trace. For tests and benchmarks; in a header, so
 * that programs and sanitized tests both take it.
 */

#include "synthetic_names.h"

/* Events are written with those of their fields that matter; clang warns of all others. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wmissing-field-initializers"
#endif

/* -------- what is told -------- */

static inline uint64_t synthetic_random(struct synthetic *s, uint64_t low, uint64_t high)
{
	s->random = s->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return low + (s->random >> 33) % (high - low + 1);
}

static inline void synthetic_emit(struct synthetic *s, struct synthetic_thread *t, uint8_t kind,
				  struct event e)
{
	e.kind = kind;
	e.time = t->now;
	/* An interrupt comes while the CPU is idle. */
	e.tid = kind == EVT_WAKING && (e.waking.flags & EVENT_WAKING_IRQ) ? 0 : t->tid;
	e.cpu = t->cpu;
	t->seq++;
	s->events++;
	if (s->o.lose && s->events % s->o.lose == 0) {
		s->lost++;
		return;
	}
	s->emitted++;
	if (!s->err)
		s->err = trace_writer_event(s->w, &e, t->seq);
}

#define SYNTHETIC(s, t, kind, ...) synthetic_emit(s, t, kind, (struct event){ __VA_ARGS__ })

/* The thread is in a state for a while: the only place where time goes by. */
static inline void synthetic_spend(struct synthetic_thread *t, unsigned int state, uint64_t ns)
{
	t->now += ns;
	t->total[state] += ns;
	if (!t->request)
		return;
	t->request->sums.by_state[state] += ns;
	t->request->sums.by_phase[t->request->phase] += ns;
}

static inline void synthetic_work(struct synthetic *s, struct synthetic_thread *t, uint64_t low,
				  uint64_t high)
{
	synthetic_spend(t, t->syscall ? THREAD_SYSCALL : THREAD_USER,
			synthetic_random(s, low, high));
}

static inline void synthetic_enter(struct synthetic *s, struct synthetic_thread *t, unsigned int nr)
{
	SYNTHETIC(s, t, EVT_SYSCALL_ENTER, .enter = { nr, 7 });
	t->syscall = nr + 1;
	t->syscalls++;
	if (t->request)
		t->request->sums.syscalls++;
	synthetic_work(s, t, 200, 900);
}

static inline void synthetic_leave(struct synthetic *s, struct synthetic_thread *t, int64_t ret)
{
	SYNTHETIC(s, t, EVT_SYSCALL_EXIT, .leave = { t->syscall - 1, (uint64_t)ret });
	t->syscall = 0;
	synthetic_work(s, t, 100, 400);
}

/* Off the CPU, and after its wakeup and a wait for the CPU on it again. */
static inline void synthetic_block(struct synthetic *s, struct synthetic_thread *t,
				   unsigned int state, uint64_t ns, struct synthetic_thread *waker)
{
	SYNTHETIC(s, t, EVT_SWITCH_OUT, .out = { state, 0x1000 + state, 0 });
	if (t->request)
		t->request->sums.switches++;
	synthetic_spend(t, state, ns);
	if (waker)
		SYNTHETIC(s, waker, EVT_WAKING, .waking = { t->tid, t->cpu, 0, 0x2000 });
	else
		SYNTHETIC(s, t, EVT_WAKING, .waking = { t->tid, t->cpu, EVENT_WAKING_IRQ });
	t->wakeups++;
	synthetic_spend(t, THREAD_RUNNABLE, synthetic_random(s, 500, 6000));
	SYNTHETIC(s, t, EVT_SWITCH_IN, .in = { 0 });
	t->runs++;
}

static inline void synthetic_preempt(struct synthetic *s, struct synthetic_thread *t)
{
	SYNTHETIC(s, t, EVT_SWITCH_OUT, .out = { THREAD_PREEMPTED, 0x3000, 1 });
	t->preemptions++;
	if (t->request)
		t->request->sums.switches++;
	synthetic_spend(t, THREAD_PREEMPTED, synthetic_random(s, 1000, 90000));
	SYNTHETIC(s, t, EVT_SWITCH_IN, .in = { 1 });
	t->runs++;
}

/* -------- requests -------- */

static inline void synthetic_run(struct synthetic *s, struct synthetic_thread *t,
				 struct synthetic_request *r)
{
	SYNTHETIC(s, t, EVT_REQUEST_RUN, .run = { r->id });
	t->request = r;
	r->sums.pieces++;
}

static inline void synthetic_pause(struct synthetic *s, struct synthetic_thread *t)
{
	SYNTHETIC(s, t, EVT_REQUEST_PAUSE, .run = { t->request->id });
	t->request = NULL;
}

/* Nobody works on it for a while. */
static inline void synthetic_wait(struct synthetic_request *r, unsigned int state, uint64_t ns)
{
	r->sums.by_state[state] += ns;
	r->sums.by_phase[r->phase] += ns;
}

static inline void synthetic_phase(struct synthetic *s, struct synthetic_thread *t,
				   unsigned int phase)
{
	struct synthetic_request *r = t->request;

	if (r->phase)
		SYNTHETIC(s, t, EVT_PHASE_END, .phase = { r->id, s->phase_names[r->phase] });
	r->phase = phase;
	if (phase)
		SYNTHETIC(s, t, EVT_PHASE_BEGIN, .phase = { r->id, s->phase_names[phase] });
}

static inline void synthetic_begin(struct synthetic *s, struct synthetic_thread *t,
				   struct synthetic_request *r, unsigned int route)
{
	struct event_arg args[] = {
		{ .name = s->method, .type = EVENT_ARG_TEXT, .text = route == 1 ? "POST" : "GET" },
		{ .name = s->path, .type = EVENT_ARG_TEXT, .text = s->path_text },
	};

	snprintf(s->path_text, sizeof(s->path_text), "/rooms/%" PRIu64, s->requests);
	*r = (struct synthetic_request){
		.id = ((uint64_t)(t - s->loops + 1) << 56) + ++s->requests,
		.begin = t->now,
		.route = route,
	};
	SYNTHETIC(s, t, EVT_REQUEST_BEGIN, .nr_args = 2, .args = args,
		  .begin = { r->id, s->route_names[route], EVENT_REQUEST_RUNS });
	t->request = r;
	r->sums.pieces++;
}

static inline void synthetic_add(struct synthetic_sums *to, const struct synthetic_sums *from)
{
	to->count += from->count;
	to->latency += from->latency;
	to->syscalls += from->syscalls;
	to->pieces += from->pieces;
	to->switches += from->switches;
	for (unsigned int i = 0; i < REQUEST_NR_STATES; i++)
		to->by_state[i] += from->by_state[i];
	for (unsigned int i = 0; i < SYNTHETIC_NR_PHASES; i++)
		to->by_phase[i] += from->by_phase[i];
}

static inline void synthetic_end(struct synthetic *s, struct synthetic_thread *t, int64_t status)
{
	struct synthetic_request *r = t->request;

	r->sums.count = 1;
	r->sums.latency = t->now - r->begin;
	if (r->sums.latency > s->slowest)
		s->slowest = r->sums.latency;
	SYNTHETIC(s, t, EVT_REQUEST_END,
		  .end = { r->id, (uint64_t)status, 1000, EVENT_REQUEST_RUNS });
	t->request = NULL;
	synthetic_add(&s->routes[r->route], &r->sums);
}

/* An SQL statement with a read from the disk in it, now and then. */
static inline void synthetic_statement(struct synthetic *s, struct synthetic_thread *t)
{
	struct event_arg text = { .name = s->statement,
				  .type = EVENT_ARG_TEXT,
				  .text = "SELECT id, name FROM rooms WHERE id = ?1" };
	struct event_arg rows = { .name = s->rows, .type = EVENT_ARG_INT, .i = 3 };

	SYNTHETIC(s, t, EVT_SPAN_BEGIN, .span = { s->sql, s->sql_category }, .nr_args = 1,
		  .args = &text);
	synthetic_work(s, t, 5000, 40000);
	if (synthetic_random(s, 0, 9) == 0) {
		synthetic_enter(s, t, SYNTHETIC_PREAD);
		SYNTHETIC(s, t, EVT_IO_ISSUE, .issue = { 2049, s->events, 4096, 0 });
		synthetic_block(s, t, THREAD_DISK, synthetic_random(s, 20000, 900000), NULL);
		synthetic_leave(s, t, 4096);
	}
	if (synthetic_random(s, 0, 4) == 0) {
		SYNTHETIC(s, t, EVT_SAMPLE, .sample = { 0x4000, 1001001, 0 });
		t->samples++;
		synthetic_work(s, t, 100, 200);
	}
	SYNTHETIC(s, t, EVT_SPAN_END, .span = { s->sql }, .nr_args = 1, .args = &rows);
	synthetic_work(s, t, 100, 300);
}

static inline void synthetic_answer(struct synthetic *s, struct synthetic_thread *t)
{
	synthetic_phase(s, t, SYNTHETIC_PHASE_JSON);
	synthetic_work(s, t, 3000, 9000);
	if (synthetic_random(s, 0, 7) == 0) {
		SYNTHETIC(s, t, EVT_FAULT_BEGIN, .fault = { 0x7f0000001000, EVENT_FAULT_WRITE });
		t->faults++;
		synthetic_work(s, t, 400, 900);
		SYNTHETIC(s, t, EVT_FAULT_END, .fault_end = { 0 });
	}
	if (synthetic_random(s, 0, 15) == 0)
		synthetic_preempt(s, t);
	synthetic_phase(s, t, SYNTHETIC_PHASE_SEND);
	synthetic_enter(s, t, SYNTHETIC_WRITE);
	synthetic_work(s, t, 4000, 9000);
	synthetic_leave(s, t, 1000);
	synthetic_phase(s, t, SYNTHETIC_PHASE_NONE);
}

/* A read: all of it in the loop. */
static inline void synthetic_rooms(struct synthetic *s, struct synthetic_thread *t)
{
	struct synthetic_request r;

	synthetic_begin(s, t, &r, SYNTHETIC_ROUTE_ROOMS);
	synthetic_phase(s, t, SYNTHETIC_PHASE_PARSE);
	synthetic_work(s, t, 1000, 3000);
	synthetic_phase(s, t, SYNTHETIC_PHASE_SQL);
	synthetic_statement(s, t);
	synthetic_answer(s, t);
	synthetic_end(s, t, 200);
}

/* The loop sleeps until there is something to do, `from` on. Its time goes by in epoll. */
static inline void synthetic_sleep(struct synthetic *s, struct synthetic_thread *t, uint64_t ns,
				   struct synthetic_thread *waker)
{
	synthetic_enter(s, t, SYNTHETIC_EPOLL);
	synthetic_block(s, t, THREAD_EPOLL, ns, waker);
	synthetic_leave(s, t, 1);
}

/* Another thread's clock comes up to `time`, while it sleeps in futex. */
static inline void synthetic_catch_up(struct synthetic_thread *t, uint64_t time)
{
	t->total[THREAD_FUTEX] += time - t->now;
	t->now = time;
}

/* What the writer does with a request; from its wakeup to its next sleep. */
static inline void synthetic_write(struct synthetic *s, struct synthetic_thread *w,
				   struct synthetic_request *r, uint64_t queued,
				   uint64_t *ret_reply)
{
	uint64_t worked, committed;

	w->wakeups++;
	synthetic_spend(w, THREAD_RUNNABLE, synthetic_random(s, 500, 6000));
	SYNTHETIC(s, w, EVT_SWITCH_IN, .in = { 0 });
	w->runs++;
	synthetic_work(s, w, 100, 500);
	synthetic_leave(s, w, 0);
	SYNTHETIC(s, w, EVT_DEQUEUE, .queue = { r->id, s->queue_name });
	SYNTHETIC(s, w, EVT_COMMIT_BEGIN, .commit = { s->requests });
	synthetic_wait(r, REQUEST_QUEUED, w->now - queued);
	synthetic_run(s, w, r);
	synthetic_phase(s, w, SYNTHETIC_PHASE_SQL);
	synthetic_statement(s, w);
	synthetic_phase(s, w, SYNTHETIC_PHASE_NONE);
	synthetic_pause(s, w);
	worked = w->now;
	synthetic_enter(s, w, SYNTHETIC_FSYNC);
	synthetic_block(s, w, THREAD_DISK, synthetic_random(s, 100000, 2000000), NULL);
	synthetic_leave(s, w, 0);
	SYNTHETIC(s, w, EVT_COMMIT_END, .commit = { s->requests, 1, 0 });
	committed = w->now;
	synthetic_wait(r, REQUEST_COMMIT, committed - worked);
	synthetic_work(s, w, 500, 900);
	SYNTHETIC(s, w, EVT_REPLY, .queue = { r->id, s->queue_name });
	*ret_reply = committed;
}

/* A write: through the writer's queue, and back. */
static inline void synthetic_book(struct synthetic *s, struct synthetic_thread *t,
				  struct synthetic_thread *w)
{
	struct synthetic_request r;
	uint64_t queued, reply;

	synthetic_begin(s, t, &r, SYNTHETIC_ROUTE_BOOK);
	synthetic_phase(s, t, SYNTHETIC_PHASE_PARSE);
	synthetic_work(s, t, 1000, 3000);
	synthetic_phase(s, t, SYNTHETIC_PHASE_NONE);
	SYNTHETIC(s, t, EVT_ENQUEUE, .queue = { r.id, s->queue_name, 1 });
	synthetic_work(s, t, 200, 300);
	synthetic_pause(s, t);
	queued = t->now;
	/* It wakes the writer, which slept all the while, and sleeps itself. */
	synthetic_catch_up(w, t->now);
	SYNTHETIC(s, t, EVT_WAKING, .waking = { w->tid, w->cpu, 0, 0x2000 });
	synthetic_enter(s, t, SYNTHETIC_EPOLL);
	SYNTHETIC(s, t, EVT_SWITCH_OUT, .out = { THREAD_EPOLL, 0x1000 + THREAD_EPOLL, 0 });
	synthetic_write(s, w, &r, queued, &reply);
	synthetic_spend(t, THREAD_EPOLL, w->now - t->now);
	SYNTHETIC(s, w, EVT_WAKING, .waking = { t->tid, t->cpu, 0, 0x2000 });
	t->wakeups++;
	synthetic_spend(t, THREAD_RUNNABLE, synthetic_random(s, 500, 6000));
	SYNTHETIC(s, t, EVT_SWITCH_IN, .in = { 0 });
	t->runs++;
	synthetic_leave(s, t, 1);
	synthetic_enter(s, w, SYNTHETIC_FUTEX);
	SYNTHETIC(s, w, EVT_SWITCH_OUT, .out = { THREAD_FUTEX, 0x1000 + THREAD_FUTEX, 0 });
	synthetic_wait(&r, REQUEST_REPLY, t->now - reply);
	synthetic_run(s, t, &r);
	synthetic_answer(s, t);
	synthetic_end(s, t, 201);
}

/* One that is put aside while its loop works on another and then sleeps. */
static inline void synthetic_aside(struct synthetic *s, struct synthetic_thread *t)
{
	struct synthetic_request r;
	uint64_t paused, idle = synthetic_random(s, 1000, 300000);

	synthetic_begin(s, t, &r, SYNTHETIC_ROUTE_PAUSE);
	synthetic_work(s, t, 1000, 5000);
	synthetic_pause(s, t);
	paused = t->now;
	synthetic_rooms(s, t);
	synthetic_sleep(s, t, idle, NULL);
	synthetic_wait(&r, REQUEST_WAIT, idle);
	synthetic_wait(&r, REQUEST_LOOP, t->now - paused - idle);
	synthetic_run(s, t, &r);
	synthetic_answer(s, t);
	synthetic_end(s, t, 200);
}

/* -------- the whole -------- */

static inline void synthetic_note(struct synthetic *s, uint8_t kind, struct event e)
{
	e.kind = kind;
	e.cpu = EVENT_NO_CPU;
	s->events++;
	s->emitted++;
	if (!s->err)
		s->err = trace_writer_event(s->w, &e, 0);
}

static inline void synthetic_start_thread(struct synthetic *s, struct synthetic_thread *t,
					  uint32_t tid, const char *name, unsigned int number,
					  unsigned int state, unsigned int syscall)
{
	char text[32];

	snprintf(text, sizeof(text), "%s-%u", name, number);
	*t = (struct synthetic_thread){ .tid = tid,
					.cpu = (uint16_t)(tid - SYNTHETIC_PID - 1),
					.now = SYNTHETIC_START,
					.syscall = syscall + 1 };
	synthetic_note(s, EVT_THREAD,
		       (struct event){ .time = SYNTHETIC_START,
				       .tid = tid,
				       .thread = { SYNTHETIC_PID, trace_writer_string(s->w, text),
						   EVENT_THREAD_BEFORE } });
	synthetic_note(s, EVT_STATE,
		       (struct event){ .time = SYNTHETIC_START,
				       .tid = tid,
				       .state = { state, SYNTHETIC_START - 1000000, 0x1000 + state,
						  syscall + 1, SYNTHETIC_START - 2000000 } });
}

static inline void synthetic_counters(struct synthetic *s, uint64_t time)
{
	const uint64_t values[][2] = {
		{ COUNTER_RSS, 10000000 + s->requests * 100 },
		{ COUNTER_HEAP, 5000000 + s->requests % 1000 * 1000 },
		{ COUNTER_ALLOC_TIME, (time - SYNTHETIC_START) / 50 },
	};

	for (size_t i = 0; i < 3; i++)
		synthetic_note(s, EVT_COUNTER,
			       (struct event){ .time = time,
					       .tid = SYNTHETIC_PID,
					       .counter = { values[i][0], values[i][1] } });
}

/* Loops begin in epoll, writers in futex, and there they end. */
static inline void synthetic_start(struct synthetic *s)
{
	synthetic_note(s, EVT_PROCESS,
		       (struct event){ .time = SYNTHETIC_START,
				       .tid = SYNTHETIC_PID,
				       .process = { 1, trace_writer_string(s->w, "server") } });
	for (unsigned int i = 0; i < s->o.loops; i++) {
		synthetic_start_thread(s, &s->loops[i], SYNTHETIC_PID + 1 + 2 * i, "loop", i,
				       THREAD_EPOLL, SYNTHETIC_EPOLL);
		synthetic_start_thread(s, &s->writers[i], SYNTHETIC_PID + 2 + 2 * i, "writer", i,
				       THREAD_FUTEX, SYNTHETIC_FUTEX);
	}
}

/* From its sleep to its next: some requests. */
static inline void synthetic_turn(struct synthetic *s, struct synthetic_thread *t,
				  struct synthetic_thread *w)
{
	uint64_t n = synthetic_random(s, 1, 4);

	synthetic_spend(t, THREAD_EPOLL, synthetic_random(s, 1000, 400000));
	SYNTHETIC(s, t, EVT_WAKING, .waking = { t->tid, t->cpu, EVENT_WAKING_IRQ });
	t->wakeups++;
	synthetic_spend(t, THREAD_RUNNABLE, synthetic_random(s, 500, 6000));
	SYNTHETIC(s, t, EVT_SWITCH_IN, .in = { 0 });
	t->runs++;
	synthetic_work(s, t, 100, 500);
	synthetic_leave(s, t, (int64_t)n);
	while (n--) {
		uint64_t what = synthetic_random(s, 0, 15);

		if (what == 0)
			synthetic_book(s, t, w);
		else if (what < 3)
			synthetic_aside(s, t);
		else
			synthetic_rooms(s, t);
		synthetic_work(s, t, 500, 2000);
	}
	synthetic_enter(s, t, SYNTHETIC_EPOLL);
	SYNTHETIC(s, t, EVT_SWITCH_OUT, .out = { THREAD_EPOLL, 0x1000 + THREAD_EPOLL, 0 });
}

static inline struct synthetic_thread *synthetic_earliest(struct synthetic *s)
{
	struct synthetic_thread *t = &s->loops[0];

	for (unsigned int i = 1; i < s->o.loops; i++)
		if (s->loops[i].now < t->now)
			t = &s->loops[i];
	return t;
}

/* All of it, into a new writer. Returns 0 or its error; the caller finishes at s->end. */
static inline int synthetic_make(struct synthetic *s, const struct synthetic_options *o,
				 struct trace_writer *w)
{
	uint64_t next_counters = SYNTHETIC_START, next_poll = SYNTHETIC_START;

	*s = (struct synthetic){ .o = *o, .w = w, .random = o->seed, .end = SYNTHETIC_START };
	synthetic_dictionaries(s);
	synthetic_start(s);
	while (s->events < o->events && !s->err) {
		struct synthetic_thread *t = synthetic_earliest(s);

		if (t->now >= next_counters) {
			synthetic_counters(s, next_counters);
			next_counters += 10000000;
		}
		if (t->now >= next_poll && !s->err) {
			s->err = trace_writer_poll(w, next_poll);
			next_poll += 100000000;
		}
		synthetic_turn(s, t, &s->writers[t - s->loops]);
	}
	for (unsigned int i = 0; i < o->loops; i++) {
		if (s->loops[i].now > s->end)
			s->end = s->loops[i].now;
		if (s->writers[i].now > s->end)
			s->end = s->writers[i].now;
	}
	for (unsigned int i = 0; i < o->loops; i++) {
		struct synthetic_thread *t = &s->loops[i], *writer = &s->writers[i];

		t->total[THREAD_EPOLL] += s->end - t->now;
		writer->total[THREAD_FUTEX] += s->end - writer->now;
		if (!s->err)
			s->err = trace_writer_lost(w, t->cpu, t->seq, s->end);
		if (!s->err)
			s->err = trace_writer_lost(w, writer->cpu, writer->seq, s->end);
	}
	return s->err;
}

#endif
