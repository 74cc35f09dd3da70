/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SYNTHETIC_NAMES_H
#define PERISCOPE_SYNTHETIC_NAMES_H

/* What the server that never was is called: its types, and its strings, objects, stacks and symbols. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/target.h"
#include "bpf/unwind.h"
#include "lib/eventlog.h"
#include "lib/symbolizer.h"
#include "lib/timeline.h"
#include "lib/trace_file_writer.h"

#define SYNTHETIC_START UINT64_C(5000000000000)
#define SYNTHETIC_PID	1000
#define SYNTHETIC_LOOPS 8 /* at most */

/* The program's system calls, by their numbers on x86-64. */
enum {
	SYNTHETIC_READ = 0,
	SYNTHETIC_WRITE = 1,
	SYNTHETIC_PREAD = 17,
	SYNTHETIC_FSYNC = 74,
	SYNTHETIC_FUTEX = 202,
	SYNTHETIC_EPOLL = 232,
};

enum { SYNTHETIC_ROUTE_ROOMS, SYNTHETIC_ROUTE_BOOK, SYNTHETIC_ROUTE_PAUSE, SYNTHETIC_NR_ROUTES };

enum {
	SYNTHETIC_PHASE_NONE,
	SYNTHETIC_PHASE_PARSE,
	SYNTHETIC_PHASE_SQL,
	SYNTHETIC_PHASE_JSON,
	SYNTHETIC_PHASE_SEND,
	SYNTHETIC_NR_PHASES,
};

static const char *const synthetic_routes[] = { "GET /rooms", "POST /bookings", "GET /rooms/:id" };
static const char *const synthetic_phases[] = { "", "parse", "sql", "json", "send" };

struct synthetic_options {
	uint64_t events; /* about that many */
	unsigned int loops;
	uint64_t seed;
	uint64_t lose; /* every so manieth event is lost; 0: none */
};

/* What happened to requests of a route, or to one. */
struct synthetic_sums {
	uint64_t count, latency;
	uint64_t by_state[REQUEST_NR_STATES], by_phase[SYNTHETIC_NR_PHASES];
	uint64_t syscalls, pieces, switches;
};

struct synthetic_thread {
	uint32_t tid;
	uint16_t cpu;
	uint64_t now, seq;
	uint64_t total[THREAD_NR_STATES];
	uint64_t runs, syscalls, preemptions, wakeups, faults, samples;
	unsigned int syscall; /* + 1 */
	struct synthetic_request *request;
};

struct synthetic_request {
	uint64_t id, begin;
	unsigned int route, phase;
	struct synthetic_sums sums;
};

struct synthetic {
	struct synthetic_options o;
	struct trace_writer *w;
	struct synthetic_thread loops[SYNTHETIC_LOOPS], writers[SYNTHETIC_LOOPS];
	struct synthetic_sums routes[SYNTHETIC_NR_ROUTES];
	uint64_t random, events, emitted, lost, requests, slowest, end;
	uint32_t route_names[SYNTHETIC_NR_ROUTES], phase_names[SYNTHETIC_NR_PHASES];
	uint32_t sql, sql_category, statement, rows, method, path, queue, queue_name;
	char path_text[32];
	int err;
};

static inline void synthetic_stack(struct synthetic *s, uint64_t hash, const uint64_t *frames,
				   size_t n)
{
	struct trace_stack stack = {
		.hash = hash,
		.frames = frames,
		.nr_frames = n,
		.pid = SYNTHETIC_PID,
		.end = UNWIND_COMPLETE,
	};

	if (!s->err)
		s->err = trace_writer_stack(s->w, &stack);
}

#define SYNTHETIC_AT(object, address) (((uint64_t)(object) << FRAME_OBJECT_SHIFT) | (address))

/* main calls run_loop, which calls what waits in libc and the kernel. */
static inline void synthetic_stacks(struct synthetic *s)
{
	static const char *const kernel[] = { "?",
					      "?",
					      "?",
					      "?",
					      "?",
					      "futex_wait",
					      "do_epoll_wait",
					      "sock_wait",
					      "io_schedule",
					      "hrtimer_nanosleep",
					      "handle_fault",
					      "pipe_wait" };
	const uint64_t top = UINT64_C(0xffffffff81000000);
	uint32_t pid;

	for (unsigned int state = THREAD_FUTEX; state <= THREAD_OTHER; state++) {
		uint64_t frames[] = { top + state * 0x100, SYNTHETIC_AT(2, 0x1000 + state),
				      SYNTHETIC_AT(1, 0x2000), SYNTHETIC_AT(1, 0x3000) };

		synthetic_stack(s, 0x1000 + state, frames, 4);
	}
	synthetic_stack(s, 0x2000, (uint64_t[]){ SYNTHETIC_AT(2, 0x5000), SYNTHETIC_AT(1, 0x3000) },
			2);
	synthetic_stack(s, 0x3000, (uint64_t[]){ SYNTHETIC_AT(1, 0x2000), SYNTHETIC_AT(1, 0x3000) },
			2);
	synthetic_stack(s, 0x4000,
			(uint64_t[]){ SYNTHETIC_AT(1, 0x4000), SYNTHETIC_AT(1, 0x2000),
				      SYNTHETIC_AT(1, 0x3000) },
			3);
	for (uint32_t i = 1; i <= trace_writer_nr_frames(s->w) && !s->err; i++) {
		uint64_t f = trace_writer_frame(s->w, i, &pid);
		struct sym_frame lines[2] = { { .function = "wait_for_work",
						.file = "/src/libc.c" } };
		size_t n = 1;

		if (f >= top) {
			lines[0].function = kernel[(f - top) / 0x100];
			lines[0].file = NULL;
		} else if (f == SYNTHETIC_AT(1, 0x3000)) {
			lines[0] = (struct sym_frame){ .function = "main",
						       .file = "/src/main.c",
						       .line = 12,
						       .start_line = 3 };
		} else if (f == SYNTHETIC_AT(1, 0x2000)) {
			lines[0] = (struct sym_frame){ .function = "handle_one",
						       .file = "/src/loop.h",
						       .line = 7,
						       .inlined = true };
			lines[1] = (struct sym_frame){ .function = "run_loop",
						       .file = "/src/loop.c",
						       .line = 40,
						       .start_line = 30 };
			n = 2;
		} else if (f == SYNTHETIC_AT(1, 0x4000)) {
			lines[0].function = "sqlite3_step";
		} else if (f == SYNTHETIC_AT(2, 0x5000)) {
			continue; /* nobody knows it */
		}
		s->err = trace_writer_symbol(s->w, i, lines, n);
	}
}

static inline void synthetic_dictionaries(struct synthetic *s)
{
	static const uint8_t ids[2][20] = { { 0xaa, 1 }, { 0xbb, 2 } };
	static const char *const paths[] = { "/usr/bin/server", "/lib/libc.so.6" };
	static const char *const infos[][2] = {
		{ "command", "server --loops" },
		{ "host", "nowhere" },
		{ "hz", "999" },
	};

	for (size_t i = 0; i < 3 && !s->err; i++)
		s->err = trace_writer_info(s->w, infos[i][0], infos[i][1]);
	for (unsigned int i = 0; i < 2 && !s->err; i++) {
		struct trace_object o = { .object = i + 1,
					  .path = paths[i],
					  .build_id = ids[i],
					  .build_id_len = 20,
					  .start = 0x400000 + i * 0x100000,
					  .end = 0x500000 + i * 0x100000,
					  .bias = 0x400000 + i * 0x100000 };

		s->err = trace_writer_object(s->w, &o);
	}
	for (unsigned int i = 0; i < SYNTHETIC_NR_ROUTES; i++)
		s->route_names[i] = trace_writer_string(s->w, synthetic_routes[i]);
	for (unsigned int i = 0; i < SYNTHETIC_NR_PHASES; i++)
		s->phase_names[i] = trace_writer_string(s->w, synthetic_phases[i]);
	s->sql = trace_writer_string(s->w, "db.stmt");
	s->sql_category = trace_writer_string(s->w, "sql");
	s->statement = trace_writer_string(s->w, "sql");
	s->rows = trace_writer_string(s->w, "rows");
	s->method = trace_writer_string(s->w, "method");
	s->path = trace_writer_string(s->w, "path");
	s->queue_name = trace_writer_string(s->w, "writer");
	synthetic_stacks(s);
}

#endif
