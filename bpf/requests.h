/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUESTS_H
#define PERISCOPE_REQUESTS_H

/*
 * What periscope requests' two sides say to each other.
 *
 * A request is always in exactly one state and in exactly one phase. Each of the two partitions is
 * kept as one 64-bit word, when and what, that is exchanged atomically at every change; the time
 * between two exchanges goes to what the first one said. So the times add up to the latency to the
 * nanosecond, whatever the order in which CPUs get there.
 */

#include "target.h"
#include "wait.h"

enum requests_state {
	STATE_ON_CPU,	/* a thread works on it, and runs */
	STATE_RUNNABLE, /* or would, but waits for a CPU */
	STATE_BLOCKED,	/* or waits: + enum wait_class */
	/* no thread works on it, since it is */
	STATE_QUEUE_WRITER = STATE_BLOCKED + WAIT_NR, /* in the queue of the writer's thread */
	STATE_QUEUE_HASH,			      /* of the hashing thread */
	STATE_COMMIT, /* taken by the writer, with others: until all are committed */
	STATE_REPLY,  /* done elsewhere: until its result is sent back */
	STATE_LOOP,   /* back, but its loop is at other things */
	STATE_SEND,   /* answered: until the answer is with the socket */
	STATE_NR,
};

enum requests_phase {
	PHASE_OTHER,
	PHASE_PARSE,
	PHASE_AUTH,
	PHASE_SQL,
	PHASE_HASH,
	PHASE_JSON,
	PHASE_SEND,
	PHASE_NR,
};

/* What a probe says. */
enum request_role {
	ROLE_NONE,
	ROLE_BEGIN, /* a request begins, and this thread works on it */
	ROLE_RUN,   /* a thread begins to work on it */
	ROLE_PAUSE, /* and stops */
	ROLE_END,   /* it is over */
	ROLE_ENQUEUE,
	ROLE_DEQUEUE,
	ROLE_REPLY,
	ROLE_STMT_BEGIN,
	ROLE_STMT_END,
	ROLE_STMT_OWN,	   /* a statement of no request has ended */
	ROLE_COMMIT,	   /* of `value` requests: all that this thread has taken */
	ROLE_PHASE_BEGIN,  /* phase */
	ROLE_PHASE_END,	   /* phase */
	ROLE_PHASE_SWITCH, /* phase, until its end */
	/*
	 * A thread tells what it works on from now on, by the name; NULL: nothing. The same name
	 * again is the same request, until it was executed.
	 */
	ROLE_STATUS,
	ROLE_EXECUTE, /* what the thread has told last is executed now */
};

enum request_name_kind {
	NAME_TEXT_OR_NUMBER, /* text if there is some at the address, else a number */
	NAME_TEXT,
	NAME_NUMBER,
};

#define REQUEST_NO_ARG	     0xff
#define REQUEST_MAX_ARGS     6
#define REQUEST_MAX_PROBES   1024
#define REQUEST_BUCKET_BITS  4
#define REQUEST_BUCKETS	     (1 << REQUEST_BUCKET_BITS)
#define REQUEST_WAYS	     4
#define REQUEST_TAG_USED     2
#define REQUEST_MAX_MORE     16384 /* requests, and threads, that find no room in the arrays */
#define REQUEST_STMTS	     8	   /* statements that one request's record tells apart */
#define REQUEST_PAST	     8	   /* a power of two */
#define REQUEST_TEXT	     512   /* bytes of a statement's text, its NUL included */
#define REQUEST_NAME	     64	   /* bytes of a name that most fit in */
#define REQUEST_LONG_NAME    192
#define REQUEST_SEGMENTS     96
#define REQUEST_RECORDS_SIZE (16 << 20)

/* A probe's role, beside its operands: an element of `roles`, by the id in the site's cookie. */
struct request_probe {
	__u8 role;
	__u8 phase;	  /* of the PHASE roles */
	__u8 is_function; /* arguments are a function's, in registers by the cookie */
	__u8 name_kind;
	/* Numbers of arguments, from 0; REQUEST_NO_ARG: it has none. */
	__u8 key; /* the request's id; none: the thread is the request's */
	__u8 name;
	__u8 route, method;
	__u8 status, flags;
	__u8 value; /* queue, statement, number of requests */
	__u8 text;  /* a statement's */
	__u8 rows, steps;
	__u8 time;    /* that it took, in ns; of STMT_OWN */
	__u8 account; /* of END: a struct request_account; and its last piece has no PAUSE */
	__u8 nests; /* of BEGIN: a function and its return; calls inside are of the same request */
	__u8 pending; /* of STATUS: what is told is to be executed (EXECUTE), or else never was */
	__u8 reserved[2];
};

/* A request is known by this. */
struct request_key {
	__u64 id; /* its argument, or the thread's number */
	__u32 tgid;
	__u32 by_thread;
};

/* Where open requests are: which there are, four in a cache line. */
struct request_tag {
	__u64 id;
	__u32 tgid;
	__u32 used; /* from REQUEST_TAG_USED on: yes */
};

struct request_bucket {
	struct request_tag tags[REQUEST_WAYS];
};

struct request_stmt {
	__u32 stmt;
	__u32 count;
	__u64 ns, max_ns;
	__u32 rows, steps; /* saturating */
};

/*
 * What a program says at a request's end of all that was done for it: coworkingd's struct
 * probe_account (server/probes.h).
 */
struct request_account_head {
	__u32 size, nr_stmts; /* size: of a struct request_account */
	__u64 sending_ns;     /* since its last piece ended */
	__u64 loop_sql_ns;    /* SQL in pieces that are of no phase else */
	__u32 lost_stmts, reserved;
};

struct request_account {
	struct request_account_head head;
	struct request_stmt stmts[REQUEST_STMTS];
	__u64 sql[REQUEST_STMTS]; /* addresses of their texts */
};

/* A state that a request was in. */
struct request_past {
	__u64 word;
	__u64 till;
};

/* How a request came to its end. */
enum request_end {
	END_DONE,
	END_REUSED, /* its id began anew: nobody saw its end */
	END_THREAD, /* its thread exited */
	END_OPEN,   /* it had not ended when the capture did */
};

enum {
	REQUEST_SPLIT =
		1, /* it left the thread that began it, or shared it, and no probe tells when */
	REQUEST_NAME_CUT = 2,	 /* the name was even longer */
	REQUEST_NAME_NUMBER = 4, /* the name is a number, 8 bytes */
	REQUEST_NO_NAME = 8,	 /* it could not be read */
	REQUEST_NAME_LONG = 16,	 /* it is in long_name */
};

enum request_event_type {
	/* struct request_record; without REQUEST_NAME_LONG cut behind its last statement */
	EVENT_REQUEST = EVENT_ENGINE,
	EVENT_REQUEST_DETAIL, /* struct request_detail, cut behind its last segment */
	EVENT_REQUEST_TEXT,   /* struct request_text */
};

/*
 * Of `told`, a hash of what a thread told: it was not executed so far. Other requests have 0 there, or
 * an address, which is even.
 */
#define REQUEST_PENDING 1

/* A request while it lasts, and the record that is sent at its end. */
struct request_record {
	struct event_header header; /* arg: the id */
	__u64 word;		    /* state, and since when */
	__u64 phase_word;
	__u64 start; /* CLOCK_MONOTONIC; the end is in word */
	__u32 owner; /* the thread that works on it, 0: none */
	__u32 where; /* enum requests_state, for when none does */
	__u64 nest;  /* phases inside of each other, 4 bits each, the innermost lowest */
	union {
		__u64 cfa;  /* of the function that began it, by_thread */
		__u64 told; /* of one that STATUS began */
	};
	__u32 depth;	   /* calls of that function inside of it */
	__u32 piece_phase; /* of this piece, where no probe says otherwise */
	__u64 states[STATE_NR];
	__u64 phases[PHASE_NR];
	__u64 method;
	__s64 route;
	__s64 status;
	__u64 end_flags; /* of the probe that ended it */
	__u64 alloc_bytes;
	__u32 first_tid, last_tid;
	__u32 pieces, moves; /* pieces of work, and those on another thread than the one before */
	__u32 waits;	     /* times that its thread blocked */
	__u32 faults, device_faults;
	__u32 syscalls;
	__u32 allocs;
	__u32 shared;	  /* requests in the commit that it was in */
	__u32 lost_stmts; /* executions of statements that had no room */
	__u32 hits;	  /* of probes on its behalf */
	__u32 slot;	  /* among `requests`, + 1; 0: it is in `more_requests` */
	__u32 nr_past;
	__u8 end; /* enum request_end */
	__u8 flags;
	__u8 nr_stmts;
	__u8 reserved;
	char name[REQUEST_NAME];
	struct request_stmt stmts[REQUEST_STMTS];
	char long_name[REQUEST_LONG_NAME];
	/* Of an open request only: its last states, where its account will correct them. */
	struct request_past past[REQUEST_PAST];
};

/* What a request was doing from `at` on. */
struct request_segment {
	__u64 at;
	__u64 stack; /* where it began to wait; 0 none */
	__u32 tid;
	__u8 state, phase;
	__u8 reserved[2];
};

struct request_detail {
	struct event_header header; /* arg: the request's id; its record comes next */
	__u32 nr, lost;
	struct request_segment segments[REQUEST_SEGMENTS];
};

/* The text of a statement; arg of the header: its number. */
struct request_text {
	struct event_header header;
	char text[REQUEST_TEXT];
};

/* Statements that belong to no request, the server's own, by process and number. */
struct request_stmt_key {
	__u32 tgid;
	__u32 stmt;
};

struct request_own_stmt {
	__u64 count, ns, max_ns, rows, steps;
};

/* Elements of `request_stats`. */
enum request_stat {
	REQUESTS_NO_START,  /* ends without a start: in flight when the capture began */
	REQUESTS_LOST_OPEN, /* starts without room */
	REQUESTS_LOST_RING, /* records that did not fit */
	REQUESTS_LOST_THREADS,
	REQUESTS_LOST_DETAILS, /* details that had no room in the ring or the table */
	REQUESTS_LOST_OWN,     /* statements of the server's own without room */
	REQUESTS_STRAY_END,    /* ends of functions that were not begun */
	REQUESTS_UNSETTLED,    /* that changed state too often after their last piece */
	REQUESTS_UNREPORTED,   /* switches that the scheduler's notes stood in for */
	REQUESTS_STATS,
};

#define REQUEST_WORD_BITS     5
#define REQUEST_WORD(t, what) ((t) << REQUEST_WORD_BITS | (what))
#define REQUEST_WORD_WHAT(w)  ((__u32)((w) & ((1U << REQUEST_WORD_BITS) - 1)))
#define REQUEST_WORD_TIME(w)  ((w) >> REQUEST_WORD_BITS)

_Static_assert(STATE_NR <= 1 << REQUEST_WORD_BITS, "fits in the word");
_Static_assert(PHASE_NR <= 16, "fits in 4 bits of nest");

#endif
