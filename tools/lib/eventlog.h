/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_EVENTLOG_H
#define PERISCOPE_EVENTLOG_H

/*
 * The event of a timeline, as a capture hands it to a writer of trace files and a reader hands it
 * to an analysis: one struct for all kinds, so that neither needs a switch to pass it on. What each
 * kind means and when it is to be sent is in eventlog_kinds.h.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eventlog_kinds.h"

#define EVENT_NO_CPU   UINT16_MAX
#define EVENT_MAX_ARGS 40    /* a reader of version 1.0 keeps the first 12 */
#define EVENT_MAX_TEXT 65535 /* bytes of a text */

enum event_arg_type {
	EVENT_ARG_INT = 0,
	EVENT_ARG_UINT = 1,
	EVENT_ARG_HEX = 2, /* unsigned: an address, a mask */
	EVENT_ARG_TEXT = 3,
};

struct event_arg {
	uint32_t name; /* string of the log */
	uint32_t type; /* enum event_arg_type */
	union {
		int64_t i;
		uint64_t u;
		/*
		 * UTF-8 or whatever the program had, ends in NUL. A writer copies it. A reader's lives
		 * until its next event.
		 */
		const char *text;
	};
};

/*
 * The fields of a kind by name, in the order of event_kinds[]; v[] is all of them. Signed values are
 * stored as their two's complement: read them through (int64_t).
 */
struct event {
	uint64_t time; /* ns of CLOCK_MONOTONIC */
	uint32_t tid;  /* 0: none */
	uint16_t cpu;  /* or EVENT_NO_CPU */
	uint8_t kind;  /* enum event_kind, or a later version's */
	uint8_t nr_args;
	union {
		uint64_t v[EVENT_MAX_FIELDS];
		struct {
			uint64_t parent, name;
		} process;
		struct {
			uint64_t pid, name, flags;
		} thread;
		struct {
			uint64_t name;
		} name;
		struct {
			uint64_t name, old_tid;
		} exec;
		struct {
			uint64_t code, flags;
		} exit;
		struct {
			uint64_t state, since, stack, syscall, entered, request;
		} state;
		struct {
			uint64_t prev;
		} in;
		struct {
			uint64_t state, stack, next;
		} out;
		struct {
			uint64_t wakee, cpu, flags, stack;
		} waking;
		struct {
			uint64_t nr, arg0, arg1, arg2;
		} enter;
		struct {
			uint64_t nr, ret;
		} leave;
		struct {
			uint64_t address, flags;
		} fault;
		struct {
			uint64_t flags;
		} fault_end;
		struct {
			uint64_t dev, sector, bytes, flags;
		} issue;
		struct {
			uint64_t dev, sector, bytes, error;
		} complete;
		struct {
			uint64_t name, category, stack;
		} span; /* SPAN_BEGIN, SPAN_END (name alone), INSTANT */
		struct {
			uint64_t request, route, flags;
		} begin;
		struct {
			uint64_t request, status, bytes, flags;
		} end;
		struct {
			uint64_t request;
		} run; /* REQUEST_RUN, REQUEST_PAUSE */
		struct {
			uint64_t request, phase;
		} phase;
		struct {
			uint64_t request, queue, depth;
		} queue; /* ENQUEUE, DEQUEUE and REPLY (no depth) */
		struct {
			uint64_t commit, items, result;
		} commit; /* COMMIT_BEGIN (commit alone), COMMIT_END */
		struct {
			uint64_t stack, weight, why;
		} sample;
		struct {
			uint64_t counter, value;
		} counter;
		struct {
			uint64_t count, until;
		} lost;
		struct {
			uint64_t name, request;
		} trigger;
		struct {
			uint64_t signo, code, address, stack, flags;
		} signal;
		struct {
			uint64_t realtime;
		} clock;
		struct {
			uint64_t count, flags;
		} left_out;
		struct {
			uint64_t request, what;
		} sum;
		struct {
			uint64_t block, size, stack, old, called;
		} alloc;
		struct {
			uint64_t block, called;
		} free;
		struct {
			uint64_t allocs, bytes;
		} allocated;
	};
	/*
	 * Of kinds that take arguments, nr_args of them, each name once. Borrowed by a writer during
	 * the call; a reader's live until its next event.
	 */
	const struct event_arg *args;
};

/* How a field is stored and shown. Numbers are in files: append only. */
enum event_field_type {
	EVENT_FIELD_UINT = 0,
	EVENT_FIELD_INT = 1,   /* signed */
	EVENT_FIELD_HEX = 2,   /* unsigned, for people in hexadecimal */
	EVENT_FIELD_NAME = 3,  /* string of the log */
	EVENT_FIELD_STACK = 4, /* for a writer the stack's hash, for a reader its number; 0 none */
	EVENT_FIELD_TID = 5,
	EVENT_FIELD_REQUEST = 6,
	EVENT_FIELD_TIME = 7,	  /* at or before the event's; 0 none */
	EVENT_FIELD_LATER = 8,	  /* a time at or after the event's */
	EVENT_FIELD_STATE = 9,	  /* enum thread_state */
	EVENT_FIELD_COUNTER = 10, /* enum event_counter */
	EVENT_FIELD_FLAGS = 11,
	EVENT_FIELD_NR_TYPES,
};

struct event_field {
	const char *name;
	uint8_t type; /* enum event_field_type */
};

struct event_kind_info {
	const char *name; /* "switch_in" */
	bool args;	  /* takes arguments */
	uint8_t nr_fields;
	struct event_field fields[EVENT_MAX_FIELDS];
};

/* By enum event_kind. */
extern const struct event_kind_info event_kinds[EVT_NR];

/* For people: "user", "futex", "epoll", ...; "?" beyond. */
const char *thread_state_name(unsigned int state);
/* On a CPU: USER, SYSCALL. */
bool thread_state_running(unsigned int state);
/* Blocked, whatever on: FUTEX to OTHER. */
bool thread_state_blocked(unsigned int state);

struct event_counter_info {
	const char *name; /* "rss" */
	const char *what; /* for people: "resident memory" */
	const char *unit; /* "bytes", "count", "nanoseconds" */
	bool total;	  /* only grows: what is worth showing is its rate */
};

/* Never NULL: an unknown counter is "counter". */
const struct event_counter_info *event_counter_info(unsigned int counter);

/*
 * The name of a system call of this machine's table, NULL if unknown. A trace file holds the names
 * of those that occur in it.
 */
const char *syscall_name(unsigned int nr);

#endif
