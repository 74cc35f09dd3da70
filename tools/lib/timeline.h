/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_H
#define PERISCOPE_TIMELINE_H

/*
 * What the events of a trace say: what every thread and every request was doing at every moment.
 * This is worked out here, once, for all writers, which are told of it piece by piece.
 *
 * A thread is always in exactly one state (enum thread_state), so its times add up to the time that
 * it was there. Where events are missing it is UNKNOWN, from the last one that is sure until the
 * next; what cannot be known is not guessed.
 *
 * A request is always in exactly one state and in exactly one phase; both add up to its latency.
 * While a thread works on it, its state is that thread's. Otherwise it is one of the below. Its
 * phase is the innermost that is open; without any it is phase 0.
 *
 * A run that began and ended within a loss is not seen. Requests that were open during a loss are
 * marked; so are those that began before the recording, or have not ended.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eventlog.h"
#include "trace_file_reader.h"

#define TIMELINE_MAX_QUEUES  8
#define TIMELINE_MAX_PHASES  16
#define TIMELINE_MAX_RUNNERS 4	 /* threads that work on a request at once */
#define TIMELINE_MAX_DEPTH   256 /* spans in one another, on a thread */
#define TIMELINE_PHASE_DEPTH 8
#define TIMELINE_WAITS	     4 /* the longest of a request, kept */
#define TIMELINE_WHAT	     96

/* Besides those of threads, up to THREAD_OTHER. */
enum request_state {
	REQUEST_LOOP = THREAD_NR_STATES, /* nobody works on it, and its thread is busy otherwise */
	REQUEST_WAIT,	/* nobody works on it, and its thread waits for events: it is outside */
	REQUEST_COMMIT, /* what it shares with others is under way */
	REQUEST_REPLY,	/* done elsewhere, waits for its own thread's turn */
	REQUEST_QUEUED, /* + number of the queue (timeline_totals.names) */
	REQUEST_NR_STATES = REQUEST_QUEUED + TIMELINE_MAX_QUEUES,
};

/*
 * Queues and phases get numbers as they come; those beyond the last share it, whose name is then that
 * of the first of them. Strings of the trace.
 */
struct timeline_names {
	uint32_t queues[TIMELINE_MAX_QUEUES], phases[TIMELINE_MAX_PHASES];
	unsigned int nr_queues, nr_phases; /* phase 0 is no phase, and has no string */
};

enum timeline_span_kind {
	TIMELINE_SPAN,	  /* name, category: strings */
	TIMELINE_SYSCALL, /* number */
	TIMELINE_FAULT,	  /* number: the address */
	TIMELINE_COMMIT,  /* number: its id */
};

struct timeline_span {
	uint64_t start; /* not before the window */
	uint64_t number;
	uint32_t name, category, stack;
	uint8_t kind;	/* enum timeline_span_kind */
	uint8_t flags;	/* of a fault */
	bool inherited; /* began before the window or the recording */
	bool cut;	/* ended by what is missing, not by its own end */
	bool shown;
};

struct timeline_request;

struct timeline_thread {
	uint32_t tid, pid;
	uint32_t name, process; /* strings; process 0: not known */
	uint64_t serial;	/* no two threads have the same, though they have the same TID */
	uint64_t born, died;	/* within the window; died 0: alive */
	bool foreign;		/* only its name and whom it wakes is known */
	bool before;		/* it was there when the recording began */
	bool chosen;		/* by the filter */
	/* Now. `since` is not before the window. */
	uint64_t since;
	uint8_t state;
	uint16_t cpu;	/* of the last run */
	uint32_t stack; /* where it left the CPU */
	uint32_t waker; /* TID */
	uint64_t waker_time;
	uint32_t syscall; /* number + 1, or 0 */
	struct timeline_request *request;
	/* Sums, as far as shown. */
	uint64_t total[THREAD_NR_STATES];
	uint64_t runs, preemptions, wakeups, syscalls, faults, samples, lost;
	uint64_t allocs, alloc_bytes;
	void *data; /* the visitor's; it frees it at thread_end */
};

/* A stretch of time in one state. */
struct timeline_interval {
	uint64_t start, end;
	uint8_t state;	  /* enum thread_state or request_state */
	uint8_t phase;	  /* of a request */
	uint16_t cpu;	  /* while on a CPU, or of the run before */
	uint32_t stack;	  /* off CPU: where */
	uint32_t waker;	  /* RUNNABLE: who woke it, TID, or 0 */
	uint32_t syscall; /* number + 1, or 0 */
	uint32_t queue;	  /* of a request that is QUEUED: string */
	uint64_t loop;	  /* of REQUEST_LOOP and REQUEST_WAIT: ns of it that are LOOP */
	const struct timeline_thread *thread;	/* of a request: who works on it, or NULL */
	const struct timeline_request *request; /* of a thread: that it works on, or NULL */
};

struct timeline_wait {
	uint64_t start, end;
	uint32_t stack;
	uint8_t state, phase;
};

struct timeline_request {
	uint64_t id, serial; /* serial: in the order of their begins in the trace */
	uint32_t pid, route; /* route: string */
	uint32_t home;	     /* TID of the thread whose turn it waits for */
	uint64_t begin, end; /* true ones, also outside of the window; end 0: open */
	int64_t status;
	uint64_t bytes;
	uint32_t flags;		  /* of its end */
	bool partial;		  /* its begin was not seen */
	bool lost;		  /* events of it may be missing */
	bool chosen;		  /* by the filter */
	bool announced;		  /* the visitor knows it */
	uint32_t trigger;	  /* string: that kept the log because of it; 0: none */
	bool summed;		  /* its events were left out: sums were told, not worked out */
	char what[TIMELINE_WHAT]; /* method and path, for people; "" unknown */
	/* Now. */
	uint64_t since;
	uint8_t state, phase;
	/* Sums from its begin on; both partitions add up to end - begin. */
	uint64_t by_state[REQUEST_NR_STATES], by_phase[TIMELINE_MAX_PHASES];
	struct timeline_wait waits[TIMELINE_WAITS]; /* the longest first; not on a CPU */
	uint32_t pieces, syscalls, faults, switches, commit_items;
	uint64_t allocs, alloc_bytes;
	void *data; /* the visitor's; it frees it at request_end */
};

struct timeline_io {
	uint64_t start, end, dev, sector, bytes;
	uint32_t flags, tid; /* who sent it */
	int64_t error;
};

/*
 * Whom writers are told by. Any may be NULL. Each returns 0 or a negative errno, which ends it all: but
 * thread_end and request_end still come, for what is held to be freed. Times are CLOCK_MONOTONIC,
 * within the window. For one thread or one request calls come in order of time, and an interval is
 * told when it ends; spans nest, and each that begins ends.
 */
struct timeline_visitor {
	/* Before all else of it, and when its name has changed. Not for foreign ones. */
	int (*thread)(void *ctx, struct timeline_thread *t);
	int (*thread_end)(void *ctx, struct timeline_thread *t);
	int (*state)(void *ctx, struct timeline_thread *t, const struct timeline_interval *i);
	/*
	 * It was on a CPU, and then in state `then`: THREAD_UNKNOWN after a loss, THREAD_USER if it
	 * stays there, but the window ends, or what the filter leaves of it.
	 */
	int (*run)(void *ctx, struct timeline_thread *t, uint16_t cpu, uint64_t start, uint64_t end,
		   unsigned int then);
	/* e: the event of its begin or end, with its arguments; NULL at the window's ends. */
	int (*span_begin)(void *ctx, struct timeline_thread *t, const struct timeline_span *s,
			  const struct event *e);
	int (*span_end)(void *ctx, struct timeline_thread *t, const struct timeline_span *s,
			uint64_t end, const struct event *e);
	/* INSTANT, SAMPLE, SIGNAL, TRIGGER, EXEC, EXIT, FAULT_BEGIN without an end. t may be NULL. */
	int (*instant)(void *ctx, struct timeline_thread *t, const struct event *e);
	/* A thread of the target was woken. waker NULL: nobody known. */
	int (*waking)(void *ctx, struct timeline_thread *waker, struct timeline_thread *wakee,
		      const struct event *e);
	/* The request is open now, or has been since before the window (e NULL). */
	int (*request_begin)(void *ctx, struct timeline_request *r, const struct event *e);
	int (*phase_begin)(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time);
	int (*phase_end)(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time);
	int (*request_state)(void *ctx, struct timeline_request *r,
			     const struct timeline_interval *i);
	/* e NULL: it is open at the window's end; r->end is that, then, and r->partial is set. */
	int (*request_end)(void *ctx, struct timeline_request *r, const struct event *e);
	int (*io)(void *ctx, const struct timeline_io *io);
	int (*counter)(void *ctx, const struct event *e);
	int (*lost)(void *ctx, const struct event *e);
	/* Between these moments count events were left out on purpose. */
	int (*left_out)(void *ctx, uint64_t start, uint64_t end, uint64_t count);
	/* Every event of the window, before it is worked on; whatever the filter. */
	int (*event)(void *ctx, const struct event *e);
};

/* All 0: everything. */
struct timeline_filter {
	uint64_t from, to;    /* ns since the trace's start; to 0: its end */
	const char *route;    /* requests whose route matches this pattern (fnmatch) */
	uint64_t slower;      /* requests that took at least so many ns */
	const uint32_t *tids; /* threads */
	size_t nr_tids;
};

/* What the whole of it came to. */
struct timeline_totals {
	uint64_t start, end;   /* of the window */
	uint64_t events;       /* in it */
	uint64_t losses, lost; /* number of EVT_LOST, and sum of their counts */
	bool lost_more;	       /* and an unknown number besides */
	uint64_t threads;
	uint64_t requests; /* that began or ended in the window */
	uint64_t unchosen; /* requests left out by the filter */
	uint64_t left_out; /* events that the recording left out on purpose */
	uint64_t summed;   /* requests of which it has their sums alone */
	struct timeline_names names;
	bool allocs;  /* calls of the allocator were counted */
	uint64_t odd; /* events that did not fit the ones before, without a loss between */
};

/*
 * Go through a trace. With filter->route or ->slower twice. Returns 0, -ENOMEM, what a visitor
 * returned, -EFBIG for a trace with more threads or open requests at once than is believable, or
 * what trace_next() returned.
 *
 * What a filter does: from and to cut everything at the window's ends. tids leaves out other threads;
 * requests stay whole. route and slower leave out other requests, and of threads what they did while
 * they did not work on one that is left.
 */
int timeline_run(struct trace *t, const struct timeline_filter *filter,
		 const struct timeline_visitor *v, void *ctx, struct timeline_totals *ret);

/*
 * The same for events as they come, in order of time, without a file: there are no strings, and what
 * is open at the end is told as if it ended. Returns 0 or a negative errno, as timeline_run().
 */
struct timeline_stream;

int timeline_stream_new(const struct timeline_visitor *v, void *ctx, uint64_t start,
			struct timeline_stream **ret);
int timeline_stream_event(struct timeline_stream *s, const struct event *e);
/* The strings of queues and phases, so far. */
const struct timeline_names *timeline_stream_names(const struct timeline_stream *s);
/* NULL is fine. Of what is open the visitor hears request_end and thread_end. */
void timeline_stream_free(struct timeline_stream *s);

/* "user", "futex", ..., "loop", "commit", "queued". */
const char *request_state_name(unsigned int state);

#endif
