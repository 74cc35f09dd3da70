/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_SUMMARY_H
#define PERISCOPE_TIMELINE_SUMMARY_H

/*
 * What a timeline comes to: its threads, its requests by route, the slowest of them in full, and the
 * highest counters. Every figure that is shown of a whole timeline comes from here.
 *
 * Requests whose begin or end is not in the trace, or of which events may be missing, are counted,
 * but nothing is concluded from them: not percentiles, nor sums of states.
 */

#include "hist.h"
#include "timeline_view.h"

#define TIMELINE_MAX_ROWS   65536 /* of threads; further ones are added up in the last */
#define TIMELINE_MAX_ROUTES 1024  /* likewise */

struct timeline_thread_row {
	uint32_t tid, pid, name, process; /* strings; tid 0: further ones together */
	uint64_t serial;
	uint64_t born, died; /* times; died 0: it is still there */
	uint64_t total[THREAD_NR_STATES];
	uint64_t runs, preemptions, wakeups, syscalls, faults, samples, lost;
	uint64_t allocs, alloc_bytes;
	uint64_t threads; /* that this row stands for */
};

struct timeline_route_row {
	uint32_t route;			/* string; 0: unknown, or further ones together */
	uint64_t partial, lost, failed; /* left out; status of 500 or more, of those that count */
	struct hist latency;		/* of those that count */
	uint64_t by_state[REQUEST_NR_STATES], by_phase[TIMELINE_MAX_PHASES];
	uint64_t syscalls, faults, switches, pieces, allocs, alloc_bytes;
};

/* One of the slowest requests, with all that was told of it. */
struct timeline_slow {
	struct timeline_request request;  /* its pointers are NULL */
	struct timeline_interval *states; /* what it waited for; their pointers are NULL, too */
	size_t nr_states, cap_states;
	struct timeline_stretch *phases;
	size_t nr_phases, cap_phases;
	unsigned int depth; /* of phases that are open */
	bool cut;	    /* there was more than is here */
};

struct timeline_stretch {
	uint64_t start, end;
	uint32_t name; /* string */
	unsigned int depth;
};

#define TIMELINE_MAX_MARKS 128

struct timeline_register {
	uint32_t name; /* string */
	uint64_t value;
};

/* A trigger of a flight recorder, or a signal that was delivered. */
struct timeline_mark {
	uint64_t time, lasted; /* lasted: ns, of what took too long; 0: it is a moment */
	uint64_t request;      /* 0: none */
	uint32_t tid, thread;  /* thread: its name, a string */
	uint32_t name;	       /* of a trigger: string */
	uint32_t signo, stack; /* of a signal */
	int32_t code;	       /* of it: si_code */
	uint64_t address;
	struct timeline_register *registers; /* of the thread that got it; nr 0: not recorded */
	size_t nr_registers;
	char what[TIMELINE_WHAT]; /* of a trigger: its request, for people */
};

struct timeline_summary {
	struct timeline_totals totals;
	struct timeline_thread_row *threads; /* most time on a CPU first */
	size_t nr_threads, cap_threads;
	struct timeline_route_row *routes; /* most requests first */
	size_t nr_routes, cap_routes;
	struct timeline_route_row all;
	struct timeline_slow *slowest; /* slowest first; complete ones only */
	size_t nr_slowest, max_slowest;
	uint64_t states[THREAD_NR_STATES]; /* of all threads */
	uint64_t samples, signals, triggers, ios, io_bytes;
	uint64_t allocs, alloc_bytes; /* of all threads */
	/* Of the samples, if the recording tells of an allocator: ns in it, in probes, and all. */
	uint64_t allocator_samples, allocator_ns, probe_ns, sampled_ns;
	/* The first of them, in order of time: signo 0 is a trigger. */
	struct timeline_mark *marks;
	size_t nr_marks, cap_marks;
	/* Of each counter: how often it was told, its highest, its first and its last value, summed
	 * over processes for totals. */
	struct timeline_gauge {
		uint64_t told;
		int64_t max, growth;
	} counters[COUNTER_NR];
	uint64_t in_flight_max;
};

/*
 * Returns 0, -ENOMEM or what timeline_run() returned; then there is nothing to release. `slowest`:
 * how many requests to keep in full.
 */
int timeline_summary_init(struct timeline_summary *s, const struct timeline_view *v,
			  size_t slowest);
void timeline_summary_release(struct timeline_summary *s);

#endif
