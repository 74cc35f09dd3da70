/* SPDX-License-Identifier: MIT */
/*
 * The server that never was as a trace file, for tests of what reads one:
 *
 *   synthetic_trace OUT EVENTS LOSE LOOPS [NAME]
 *
 * Prints what is in it as JSON. NAME: a further thread of this name, a span of this name with an
 * argument of this text (after one that has nothing of it), a request with it as its path, and a
 * trigger of a flight recorder.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/synthetic/synthetic.h"

static void print_answers(const struct synthetic *s)
{
	printf("{\"events\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"requests\":%" PRIu64
	       ",\"slowest\":%" PRIu64 ",\"span\":%" PRIu64 ",\"routes\":{",
	       s->emitted, s->lost, s->requests, s->slowest, s->end - SYNTHETIC_START);
	for (unsigned int i = 0; i < SYNTHETIC_NR_ROUTES; i++) {
		const struct synthetic_sums *r = &s->routes[i];

		printf("%s\"%s\":{\"count\":%" PRIu64 ",\"latency\":%" PRIu64
		       ",\"syscalls\":%" PRIu64 ",\"by_state\":[",
		       i ? "," : "", synthetic_routes[i], r->count, r->latency, r->syscalls);
		for (unsigned int j = 0; j < REQUEST_QUEUED + 1; j++)
			printf("%s%" PRIu64, j ? "," : "", r->by_state[j]);
		printf("]}");
	}
	printf("},\"threads\":[");
	for (unsigned int i = 0; i < 2 * s->o.loops; i++) {
		const struct synthetic_thread *t = i % 2 ? &s->writers[i / 2] : &s->loops[i / 2];

		printf("%s{\"tid\":%u,\"runs\":%" PRIu64 ",\"syscalls\":%" PRIu64
		       ",\"samples\":%" PRIu64 ",\"total\":[",
		       i ? "," : "", t->tid, t->runs, t->syscalls, t->samples);
		for (unsigned int j = 0; j < THREAD_NR_STATES; j++)
			printf("%s%" PRIu64, j ? "," : "", t->total[j]);
		printf("]}");
	}
	printf("]}\n");
}

static int add_hostile(struct trace_writer *w, uint64_t time, const char *text)
{
	const uint32_t name = trace_writer_string(w, text);
	struct event_arg path = { .name = trace_writer_string(w, "path"),
				  .type = EVENT_ARG_TEXT,
				  .text = text };
	const uint32_t quiet = trace_writer_string(w, "quiet");
	struct event_arg calm = { .name = quiet, .type = EVENT_ARG_TEXT, .text = "calm" };
	const struct event events[] = {
		{ .kind = EVT_THREAD, .thread = { SYNTHETIC_PID, name } },
		{ .kind = EVT_SWITCH_IN, .in = { 0 } },
		{ .kind = EVT_REQUEST_BEGIN,
		  .begin = { 666, name, EVENT_REQUEST_RUNS },
		  .nr_args = 1,
		  .args = &path },
		{ .kind = EVT_SPAN_BEGIN, .span = { quiet, quiet }, .nr_args = 1, .args = &calm },
		{ .kind = EVT_SPAN_END, .span = { quiet } },
		{ .kind = EVT_SPAN_BEGIN, .span = { name, name }, .nr_args = 1, .args = &path },
		{ .kind = EVT_SPAN_END, .span = { name } },
		{ .kind = EVT_TRIGGER, .trigger = { name, 666 } },
		{ .kind = EVT_REQUEST_END, .end = { 666, 500, 1, EVENT_REQUEST_RUNS } },
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]) && !err; i++) {
		struct event e = events[i];

		e.time = time + i * 1000;
		e.tid = 666;
		e.cpu = 100;
		err = trace_writer_event(w, &e, i + 1);
	}
	return err;
}

int main(int argc, char **argv)
{
	struct trace_writer_options options = { .start = SYNTHETIC_START };
	struct synthetic_options o = { .seed = 1 };
	static struct synthetic s;
	struct trace_chunks *file;
	struct trace_writer *w;
	int err;

	if (argc < 5)
		return 2;
	o.events = strtoull(argv[2], NULL, 10);
	o.lose = strtoull(argv[3], NULL, 10);
	o.loops = (unsigned int)strtoul(argv[4], NULL, 10);
	err = trace_file_create(argv[1], SYNTHETIC_START, UINT64_C(1700000000000000000), &file);
	if (err)
		return 1;
	err = trace_writer_new(file, &options, &w);
	if (err)
		return 1;
	err = synthetic_make(&s, &o, w);
	if (!err && argc > 5)
		err = add_hostile(w, s.end - 10000, argv[5]);
	if (!err)
		err = trace_writer_finish(w, s.end);
	trace_writer_free(w);
	if (trace_file_close(file) || err)
		return 1;
	print_answers(&s);
	return 0;
}
