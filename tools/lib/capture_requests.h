/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CAPTURE_REQUESTS_H
#define PERISCOPE_CAPTURE_REQUESTS_H

/*
 * The capture of requests: probes tell which request each thread of the target works on, the
 * scheduler tells what becomes of the thread, and each request's record comes at its end. Collected
 * is what request_table.h adds up, the SQL statements, and of slow or failed requests the details.
 *
 * Driven through capture_requests_ops. Nothing stays in the kernel after free, or after the process
 * is killed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture.h"
#include "probe_budget.h"
#include "request_spec.h"
#include "request_table.h"
#include "stacks.h"
#include "target.h"

struct capture_requests_options {
	/* The user's points, moved into the engine; empty: those of a program that we know. */
	struct request_points points;
	bool phases;	    /* probe what only tells phases apart, too */
	bool syscalls;	    /* count system calls: felt by every process of the machine */
	bool allocs;	    /* count allocations: each call of malloc costs as much as a probe */
	bool force_returns; /* probe returns although exceptions or coroutines might break them */
	bool children;	    /* follow forks */
	pid_t only;	    /* the one process that will ever be added; 0: there may be more */
	/* Details of requests that last that long and have such a status; all 0: none are kept. */
	size_t nr_details; /* of so many, the slowest */
	uint64_t slow_ns;
	int64_t status_min, status_max; /* max 0: any */
	/*
	 * Refuse `allocs` if that would make the work of a process that runs take more than so many
	 * per cent longer; 0: cost what it may.
	 */
	double max_overhead;
	/* Told what was found out, before an allocator is probed; NULL: not. */
	void (*tell)(void *arg, const struct probe_budget_verdict *v);
	void *tell_arg;
};

struct capture_requests_stats {
	uint64_t requests;   /* seen from beginning to end */
	uint64_t unreported; /* switches and wake-ups that the scheduler's own notes stood in for */
	uint64_t unsettled;  /* some of whose sending counts as work */
	uint64_t no_start;   /* ended, but began before the capture */
	uint64_t open;	     /* begun and not ended when the capture was */
	uint64_t reused;     /* whose id began anew before an end was seen */
	uint64_t thread_gone;  /* whose thread exited first */
	uint64_t helpers;      /* likewise, which it had told and not executed */
	uint64_t not_executed; /* of `requests`: told, and not executed */
	uint64_t hits;	       /* of probes */
	uint64_t lost;	       /* requests without a record: the next two */
	uint64_t lost_open, lost_ring;
	uint64_t lost_threads, lost_details, lost_statements, bad_arguments, stray_ends;
	uint64_t lost_events; /* notices of fork, exec or exit */
	uint64_t lost_stacks; /* of waits */
	uint64_t inconsistent, damaged, matched;
	size_t sites;
};

/* A request that was still open at the end. */
struct request_open {
	struct request_record request;
	uint64_t age_ns;
};

/* A request that matched: its record, and what it did when. */
struct request_slow {
	struct request_record request;
	struct request_detail detail;
};

/* The text of a statement, by process and the program's number for it. */
struct request_sql {
	uint32_t tgid, stmt;
	char *text;
	struct request_own_stmt own; /* executions that belong to no request */
};

struct capture_requests;

/*
 * Load the BPF side. Returns NULL and errno; capture_requests_ops.error(NULL) then says why. The
 * points are released with the capture, also on failure.
 */
struct capture_requests *capture_requests_new(struct capture_requests_options *o);
void capture_requests_free(struct capture_requests *c);

extern const struct capture_ops capture_requests_ops;

/* What is seen so far; complete after stop. Valid until free or the next poll. */
void capture_requests_stats(struct capture_requests *c, struct capture_requests_stats *ret);
const struct request_table *capture_requests_table(const struct capture_requests *c);
const struct request_points *capture_requests_points(const struct capture_requests *c);
const struct stacks *capture_requests_stacks(const struct capture_requests *c);
const struct target *capture_requests_target(const struct capture_requests *c);
/* CLOCK_MONOTONIC when the probes were there. */
uint64_t capture_requests_epoch(const struct capture_requests *c);
const struct capture_requests_options *
capture_requests_options(const struct capture_requests *c); /* without the points */
/* Lines that say what could not be probed, and why; "" nothing. */
const char *capture_requests_notes(const struct capture_requests *c);
/* The statement's text and own executions; NULL for one never seen. */
const struct request_sql *capture_requests_sql(const struct capture_requests *c, uint32_t tgid,
					       uint32_t stmt);
const struct request_sql *capture_requests_all_sql(const struct capture_requests *c, size_t *ret_n);
/* After stop. Slowest first; oldest first. */
const struct request_slow *capture_requests_slow(const struct capture_requests *c, size_t *ret_n);
const struct request_open *capture_requests_open(const struct capture_requests *c, size_t *ret_n);

/*
 * The requests since the last call, or the start, into ret, which is initialised; they count in
 * the capture's table all the same. Returns 0 or -ENOMEM. The caller releases ret.
 */
int capture_requests_interval(struct capture_requests *c, struct request_table *ret);

#endif
