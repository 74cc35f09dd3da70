/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CAPTURE_FUNCS_H
#define PERISCOPE_CAPTURE_FUNCS_H

/*
 * The capture of function calls: probes at the functions that are asked for, and where that is safe
 * at their returns, count and time every call, on CPU and off it.
 *
 * Driven through capture_funcs_ops. Nothing stays in the kernel after free, or after the process is
 * killed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/funcs.h"
#include "capture.h"
#include "function_sites.h"
#include "hist.h"
#include "probe_budget.h"
#include "stacks.h"
#include "strbuf.h"
#include "target.h"

struct capture_funcs_options {
	const char *const *specs; /* `function`, `lib:function`, with globs; borrowed */
	size_t nr_specs;
	size_t max_funcs; /* more are refused */
	bool stacks;	  /* who calls */
	bool entries;	  /* no returns are probed */
	bool allocs;	  /* allocations in calls that return */
	bool force_returns;
	struct func_arg args[FUNCS_MAX_ARGS];
	size_t nr_args;
	bool children;
	pid_t only;	   /* the one process that will ever be added; 0: there may be more */
	const pid_t *tids; /* only these threads; nr 0: all */
	size_t nr_tids;
	/*
	 * Make the work of a process that runs take at most so many per cent longer: calls that
	 * were to be timed are only counted, or it refuses to start. 0: cost what it may.
	 */
	double max_overhead;
	/* Told what was found out, before the first probe is placed; NULL: not. */
	void (*tell)(void *arg, const struct probe_budget_verdict *v);
	void *tell_arg;
};

struct capture_funcs_stats {
	uint64_t calls, returns, missing;
	uint64_t open;	     /* calls whose return had not come at the end */
	uint64_t unreported; /* switches that the scheduler's own notes stood in for */
	uint64_t stray;	     /* returns of calls from before the capture */
	uint64_t lost;	     /* calls that could not be timed, for lack of room */
	uint64_t lost_buckets, lost_stacks, lost_values, lost_args;
	uint64_t lost_events;	 /* notices of fork, exec or exit */
	size_t functions, timed; /* probed; with their returns */
	size_t unmatched;	 /* names that no function has */
};

struct func_result {
	const struct function_site *site;
	bool timed;
	bool late; /* probed once the target ran with it: earlier calls are missing */
	struct func_stat sum;
	struct hist latency;
};

/* How often argument `arg` of a function had a value. */
struct func_value_count {
	struct func_value key;
	uint64_t count;
};

struct func_caller {
	struct stack_key key;
	struct func_callers sum;
};

struct capture_funcs;

/*
 * Load the BPF side. Returns NULL and errno; capture_funcs_ops.error(NULL) then says why.
 */
struct capture_funcs *capture_funcs_new(const struct capture_funcs_options *o);
void capture_funcs_free(struct capture_funcs *c);

extern const struct capture_ops capture_funcs_ops;

/* Complete after stop. Valid until free. */
void capture_funcs_stats(struct capture_funcs *c, struct capture_funcs_stats *ret);
const struct func_result *capture_funcs_results(const struct capture_funcs *c, size_t *ret_n);
const struct func_value_count *capture_funcs_values(const struct capture_funcs *c, size_t *ret_n);
const struct func_caller *capture_funcs_callers(const struct capture_funcs *c, size_t *ret_n);
/* The text with this hash; NULL for one that never came. */
const char *capture_funcs_text(const struct capture_funcs *c, uint64_t hash);
const struct stacks *capture_funcs_stacks(const struct capture_funcs *c);
/* As they became: what was given up to stay within max_overhead is not in them. */
const struct capture_funcs_options *capture_funcs_options(const struct capture_funcs *c);
const struct probe_budget_verdict *capture_funcs_verdict(const struct capture_funcs *c);
const struct target *capture_funcs_target(const struct capture_funcs *c);
/* Append the names that no function has, in quotes, separated by ", ". */
void capture_funcs_unmatched(const struct capture_funcs *c, struct strbuf *b);
/* Lines that say what could not be probed, and why; "" nothing. */
const char *capture_funcs_notes(const struct capture_funcs *c);

/*
 * What has come since the last call, or the start: a result for each function, in the order of
 * capture_funcs_results, freed by func_results_free. min_ns and max_ns are then those of buckets.
 * Returns 0 or a negative errno.
 */
int capture_funcs_interval(struct capture_funcs *c, struct func_result **ret, size_t *ret_n);
void func_results_free(struct func_result *results, size_t n);

#endif
