/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_HTML_IMPL_H
#define PERISCOPE_HTML_IMPL_H

/*
 * What the parts of write_html share; nobody else includes it. tools/web/timeline_data.js reads what
 * is described here.
 *
 * `u` is a varint, `s` one in zigzag form, `text` a varint and so many bytes. Times are ns since the
 * trace's start. A name is its place in NAMES, a stack its place in STACKS, both + 1; 0: none.
 */

#include "html_pack.h"
#include "timeline_view.h"

#define HTML_BUFFER (16 * 1024)
#define HTML_DEPTH  (TIMELINE_MAX_DEPTH + 1)

enum html_column {
	HTML_META = 1, /* JSON */
	HTML_NAMES,    /* text */
	/* text name, u name of its file, u name of its module, u line, a letter for its origin */
	HTML_FUNCTIONS,
	HTML_STACKS, /* u parent stack, u function, u inlined: the innermost function of the stack */
	/*
	 * u thread (its track), u tid, u pid, u name, u process, s born, u died - born + 1 or 0,
	 * u before, u times by state, and how often: runs, preemptions, wakeups, syscalls, faults,
	 * samples, lost
	 */
	HTML_THREADS,
	/* Of a thread: a byte of state and enum html_state_flags; u length; u of what flags say */
	HTML_STATES,
	HTML_LENGTHS,
	HTML_STATE_MORE,
	/* A byte of kind and enum html_span_flags, one of its depth; s start since last, u length */
	HTML_SPANS,
	HTML_SPAN_TIMES,
	/*
	 * SPAN: u name, u category. SYSCALL: u number, s result, u three arguments. FAULT: u address,
	 * u flags. COMMIT: u id. Then, by the flags, u stack, and text: arguments.
	 */
	HTML_SPAN_MORE,
	/* s time since last, u thread + 1, u kind, u name, u stack, u weight, text: arguments */
	HTML_INSTANTS,
	HTML_REQUESTS, /* html_requests.c */
	HTML_PIECES,   /* u 2 * what + gap, [u gap], u length; what: a state, or 64 + thread */
	HTML_PHASES,   /* u name, u depth, u start since the request's begin, u length */
	HTML_COUNTERS, /* s time since last, u counter, u 1 + CPU or 0, u process, s value */
	/* s start since last, u length, u dev, u sector, u bytes, u flags, u tid, s error */
	HTML_IOS,
	HTML_LOST,     /* s time since last, u 1 + CPU or 0, u count, u length */
	HTML_SYSCALLS, /* u number, text */
	HTML_NR_COLUMNS,
};

enum html_state_flags {
	HTML_STATE_GAP = 1 << 4,   /* s from the end of the one before to its start */
	HTML_STATE_CPU = 1 << 5,   /* u another CPU than before */
	HTML_STATE_STACK = 1 << 6, /* u stack */
	HTML_STATE_WAKER = 1 << 7, /* u tid, u its name, u stack of its */
};

enum html_span_flags {
	HTML_SPAN_INHERITED = 1 << 2,
	HTML_SPAN_CUT = 1 << 3,
	HTML_SPAN_ARGS = 1 << 4,
	HTML_SPAN_STACK = 1 << 5,
};

/* Numbers of the trace to those of the page, which holds only what is used; 0: not yet. */
struct html_numbers {
	uint32_t *by; /* by that of the trace */
	size_t size;
	uint32_t nr;
};

struct html {
	struct trace *trace;
	struct html_pack pack;
	struct strbuf columns[HTML_NR_COLUMNS]; /* that are not of a thread */
	struct html_numbers names, stacks, frames, syscalls;
	struct html_nodes *nodes;
	uint64_t threads;
	uint64_t last_instant, last_counter, last_io, last_lost, last_request, last_id;
	struct strbuf scratch;
	int err; /* the first one */
};

/* The visitor's part of a thread. */
struct html_thread {
	uint64_t number;
	uint64_t end; /* of its last state, since the trace's start */
	uint64_t last_span;
	uint16_t cpu;
	uint32_t waker, waker_name, waker_stack;
	struct strbuf states, lengths, state_more, spans, span_times, span_more;
	/* Of open spans. */
	struct strbuf args;
	size_t begin[HTML_DEPTH];
	uint64_t arg[HTML_DEPTH][3];
	unsigned int depth;
};

/* Since the trace's start. */
static inline uint64_t html_time(const struct html *h, uint64_t time)
{
	return time - h->trace->start;
}

/* Hand on a column once it is long. */
int html_flush(struct html *h, unsigned int column, uint64_t track, struct strbuf *b, size_t limit);

/* -------- names and stacks -------- */

int html_tables_init(struct html *h);
void html_tables_release(struct html *h);
/* A string of the trace. */
uint32_t html_name(struct html *h, uint32_t string);
uint32_t html_stack(struct html *h, uint64_t stack);
void html_syscall(struct html *h, uint64_t number);
/* An event's arguments, "name=value" apart by 0x1f, after what is in b. */
void html_args(struct html *h, struct strbuf *b, const struct event *e);

/* -------- requests: a visitor's -------- */

int html_request_begin(void *ctx, struct timeline_request *r, const struct event *e);
int html_phase_begin(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time);
int html_phase_end(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time);
int html_request_state(void *ctx, struct timeline_request *r, const struct timeline_interval *i);
int html_request_end(void *ctx, struct timeline_request *r, const struct event *e);

#endif
