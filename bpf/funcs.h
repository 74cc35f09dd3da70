/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_FUNCS_H
#define PERISCOPE_FUNCS_H

/* What periscope funcs' two sides say to each other. */

#include "stacks.h"

/*
 * Calls of probed functions that a thread can be inside of at once, all taken together: the kernel
 * follows no more returns of a thread (MAX_URETPROBE_DEPTH, linux/uprobes.h). A power of two.
 */
#define FUNCS_DEPTH	  64
#define FUNCS_MAX_THREADS 4096
#define FUNCS_MAX_BUCKETS 65536
#define FUNCS_MAX_VALUES  16384
#define FUNCS_TEXT	  128 /* bytes of a text that is told apart from others, its NUL included */
#define FUNCS_MAX_ARGS	  6

/* What is known of a function: an element of `func_infos`, by the id in the sites' cookies. */
enum {
	FUNC_RETURNS = 1, /* its return is probed, too */
};

/* Of one function, on one CPU. */
struct func_stat {
	__u64 calls;
	__u64 returns; /* of those */
	__u64 missing; /* never came: too deep, or the stack was left by a jump or an exception */
	__u64 ns;      /* from call to return, of all that returned */
	__u64 on_cpu_ns;
	__u64 outer_ns; /* the same of calls that were not inside of another one of the same function */
	__u64 allocs, alloc_bytes; /* in calls that returned, with what they call */
	__u64 min_ns, max_ns;	   /* of no returns: 0 and 0; min_ns is kept as its complement */
};

struct func_bucket {
	__u32 func;
	__u32 bucket; /* hist_bucket() of a call's ns */
};

/* What was done by the callers on a stack. */
struct func_callers {
	__u64 calls, returns, ns, on_cpu_ns;
	char comm[STACK_COMM_LEN];
};

/* How an argument is read. */
enum func_arg_kind {
	FUNC_ARG_LONG, /* 64 bits, signed */
	FUNC_ARG_ULONG,
	FUNC_ARG_INT, /* 32 bits, signed: what is above them is anything */
	FUNC_ARG_UINT,
	FUNC_ARG_POINTER,
	FUNC_ARG_TEXT,
};

struct func_arg {
	__u8 number; /* from 0 */
	__u8 kind;
};

/* How often an argument had a value. */
struct func_value {
	__u64 value; /* of a text: its hash */
	__u32 func;
	__u32 arg; /* into the list of arguments asked for */
};

enum func_event_type {
	EVENT_FUNC_TEXT = EVENT_ENGINE, /* struct func_text */
};

struct func_text {
	struct event_header header; /* arg: the hash */
	char text[FUNCS_TEXT];
};

/* Hashes of texts that could not be read, or were null. */
#define FUNC_TEXT_UNREADABLE 1
#define FUNC_TEXT_NULL	     2

/* Elements of `func_stats`. */
enum func_lost {
	FUNCS_LOST_THREADS, /* calls whose thread had no room: counted, not timed */
	FUNCS_LOST_BUCKETS, /* returns that are in no histogram */
	FUNCS_LOST_STACKS,  /* calls whose callers are not known */
	FUNCS_LOST_VALUES,  /* calls whose argument's value had no room */
	FUNCS_LOST_ARGS,    /* calls whose argument is not known where the function is probed */
	FUNCS_STRAY,	    /* returns of calls that nobody saw: from before the capture */
	FUNCS_UNREPORTED,   /* switches that the scheduler's notes stood in for */
	FUNCS_STATS,
};

#endif
