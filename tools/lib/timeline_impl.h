/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_IMPL_H
#define PERISCOPE_TIMELINE_IMPL_H

/* What the parts of the analysis share; nobody else includes it. */

#include "id_map.h"
#include "timeline.h"

struct request;

struct thread {
	struct timeline_thread pub; /* first: visitors have a pointer to it */
	struct timeline_span *spans;
	size_t depth, cap_spans;
	/* Clocks: ns in states in which a loop is at work, and in UNKNOWN. */
	uint64_t busy, unknown;
	uint64_t exit_time; /* 0: has not exited */
	/* Woken while it was still on its CPU: if it sleeps nevertheless, it is runnable at once. */
	bool early;
	uint32_t early_waker;
	uint64_t early_time;
	bool seen;	/* it has done something itself */
	bool known;	/* to the visitor */
	bool announced; /* and so is its name */
	bool in_commit;
	struct request *taken; /* requests it has taken out of a queue, not yet replied to */
};

/* What EVT_REQUEST_SUM told of it. */
struct request_sums {
	uint64_t by_state[REQUEST_NR_STATES], by_phase[TIMELINE_MAX_PHASES];
	uint32_t pieces, syscalls, faults, switches, commit_items;
	uint64_t allocs, alloc_bytes;
};

struct request {
	struct timeline_request pub;		      /* first */
	struct request_sums *sums;		      /* NULL: nothing was told */
	struct thread *runners[TIMELINE_MAX_RUNNERS]; /* the last is the one that counts */
	unsigned int nr_runners;
	uint8_t phases[TIMELINE_PHASE_DEPTH]; /* numbers */
	uint32_t phase_names[TIMELINE_PHASE_DEPTH];
	unsigned int nr_phases;
	bool queued, replied;
	uint8_t queue; /* number */
	uint32_t queue_name;
	struct thread *taker;
	struct request *next_taken;
	uint64_t busy_mark, unknown_mark; /* clocks of the thread it waits for, at `since` */
	uint64_t losses;		  /* seen before its begin */
	struct timeline_interval open;	  /* not told yet, since it may go on; end 0: none */
	struct request *next_free;
};

struct cpu {
	struct thread *current;
	uint64_t since;
};

struct process_name {
	uint32_t pid, name;
};

struct loss {
	uint64_t from, until;
	uint64_t max_until; /* of this and all before */
};

struct analysis {
	struct trace *trace;
	const struct timeline_filter *filter;
	const struct timeline_visitor *v;
	void *ctx;
	int err; /* the first one */
	struct timeline_totals totals;
	uint64_t now;
	bool inside; /* the window has begun */
	bool by_request;
	bool left_out; /* events are, on purpose: since then, so many */
	uint64_t left_out_since, left_out_count;
	bool no_sched;		 /* not recorded: states stay UNKNOWN */
	struct id_map threads;	 /* by TID */
	struct id_map requests;	 /* by process and id */
	struct id_map processes; /* by PID: struct process_name */
	struct request *free_requests;
	struct cpu *cpus;
	size_t nr_cpus, cap_cpus;
	struct loss *losses;
	size_t nr_losses, cap_losses;
	uint64_t all_losses; /* also those forgotten */
	struct timeline_io *ios;
	size_t nr_ios, cap_ios;
	uint64_t threads_made, requests_made;
	uint8_t *chosen; /* bits, by a request's serial: the first pass makes them */
	size_t chosen_bytes;
	bool choosing; /* this is the first pass */
};

#define TELL(a, call, ...)                                              \
	do {                                                            \
		if ((a)->v->call && !(a)->err)                          \
			(a)->err = (a)->v->call((a)->ctx, __VA_ARGS__); \
	} while (0)

/* -------- threads (timeline_threads.c) -------- */

/* The thread that did e, made if it is new; NULL with a->err. */
struct thread *thread_of(struct analysis *a, const struct event *e);
/* NULL: not known. */
struct thread *thread_find(const struct analysis *a, uint32_t tid);
/* Is it to be told now? Introduces it if so. */
bool thread_shown(struct analysis *a, struct thread *t);
/* It is in this state from `time` on, which is not after a->now. */
void thread_set(struct analysis *a, struct thread *t, uint64_t time, unsigned int state);
/* It has just done something: so it is on a CPU. */
void thread_runs(struct analysis *a, struct thread *t, uint16_t cpu);
/* It works on r, or on nothing, from now on. */
void thread_works(struct analysis *a, struct thread *t, struct request *r);
/* Nothing is known of it from `time` on. */
void thread_doubt(struct analysis *a, struct thread *t, uint64_t time);
/* The same where nothing was lost. */
void thread_forget(struct analysis *a, struct thread *t, uint64_t time);
void thread_lost(struct analysis *a, const struct event *e);
/* The window begins; all ends. */
void threads_begin(struct analysis *a);
void threads_end(struct analysis *a);
void threads_release(struct analysis *a);
/* The clocks of a thread, now. Both 0 for NULL. */
void thread_clocks(const struct analysis *a, const struct thread *t, uint64_t *ret_busy,
		   uint64_t *ret_unknown);

/* For timeline_sched.c. */
struct thread *thread_new(struct analysis *a, uint32_t tid);
struct thread *thread_get(struct analysis *a, uint32_t tid);
/* The state so far ends at `time`. */
void thread_close(struct analysis *a, struct thread *t, uint64_t time);
void thread_leave_cpu(struct analysis *a, struct thread *t, uint64_t time, unsigned int then);
void thread_take_cpu(struct analysis *a, struct thread *t, uint16_t cpu);
unsigned int thread_running_state(const struct thread *t);
/* The begin of the first loss since the thread's state began, or 0. */
uint64_t thread_first_loss(const struct analysis *a, const struct thread *t);
/* What should have been told before now was not. */
void thread_missed(struct analysis *a, struct thread *t);
/* Frees t. */
void thread_die(struct analysis *a, struct thread *t, uint64_t time);

/* What the scheduler did, and threads that come and go (timeline_sched.c). */
void thread_event(struct analysis *a, const struct event *e);

/*
 * Before e is looked at: a thread that runs another program, and is not its process's first, takes over
 * that one's number some time before EVT_EXEC tells (timeline_exec.c).
 */
void exec_before(struct analysis *a, const struct event *e);
/* EVT_EXEC: the thread that calls has the number of the first by now. */
void exec_told(struct analysis *a, const struct event *e);

/* -------- spans (timeline_spans.c) -------- */

void span_push(struct analysis *a, struct thread *t, const struct timeline_span *s,
	       const struct event *e);
void span_event(struct analysis *a, struct thread *t, const struct event *e);
/* End all that are open at `time`. */
void spans_cut(struct analysis *a, struct thread *t, uint64_t time);
/* Tell of all that are open: the window begins. */
void spans_begin(struct analysis *a, struct thread *t);
void io_event(struct analysis *a, const struct event *e);

/* -------- requests (timeline_requests.c) -------- */

/* Account for the time since the last call. */
void request_account(struct analysis *a, struct request *r, uint64_t time);
/* Tell of the interval that is over by now. */
void request_tell(struct analysis *a, struct request *r);
/* A thread that works on r has another state. Only that of the one that counts matters. */
void request_follow(struct analysis *a, struct request *r, struct thread *t, uint64_t time);
/* What state it is in, now that somebody has begun or ended something. */
void request_settle(struct analysis *a, struct request *r);
void request_event(struct analysis *a, struct thread *t, const struct event *e);
/* The open request of t's process with this id; made as partial if `make`. NULL: none, or a->err. */
struct request *request_find(struct analysis *a, const struct thread *t, uint64_t id, bool make);
void request_add_runner(struct analysis *a, struct request *r, struct thread *t);
void request_remove_runner(struct analysis *a, struct request *r, struct thread *t);
/* A thread is gone that had taken requests. */
void requests_untake(struct analysis *a, struct thread *t);
void requests_begin(struct analysis *a);
void requests_end(struct analysis *a);
void requests_release(struct analysis *a);
/* The number of a queue's or a phase's name: a new one if need be. */
uint8_t queue_number(struct analysis *a, uint32_t name);
uint8_t phase_number(struct analysis *a, uint32_t name);

/* -------- what was left out (timeline_left_out.c) -------- */

void left_out_event(struct analysis *a, const struct event *e);
/* The window ends. */
void left_out_end(struct analysis *a);
void sum_event(struct analysis *a, struct request *r, const struct event *e);
/* It has ended: what was told of it counts. */
void sums_apply(struct analysis *a, struct request *r);

/* Does the filter leave it? Once it has ended. */
bool timeline_matches(const struct analysis *a, const struct timeline_request *r);

#endif
