/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_CHROME_IMPL_H
#define PERISCOPE_CHROME_IMPL_H

/* What the parts of write_chrome share; nobody else includes it. */

#include "arena.h"
#include "strbuf.h"
#include "timeline_rates.h"
#include "timeline_view.h"

struct sink;

#define CHROME_CPUS	0     /* PID of the process that stands for the machine */
#define CHROME_LOST	65536 /* TIDs there: CPUs, and from here on what was lost on them */
#define CHROME_LEFT_OUT (CHROME_LOST + 65536)
#define CHROME_DEPTH	(TIMELINE_MAX_DEPTH + 1)

/* The visitor's part of a thread: the arguments of its open spans, each after the other. */
struct chrome_thread {
	struct strbuf args;
	size_t begin[CHROME_DEPTH];
	size_t depth;
	uint64_t flow; /* that its last wakeup began */
};

/* Of a CPU: has its row a name, and until when is it full? */
struct chrome_row {
	bool named, lost_named;
	uint64_t lost_until;
};

struct chrome {
	struct trace *trace;
	struct sink *out;
	struct strbuf b;
	struct strbuf scratch; /* arguments in the making */
	int err;	       /* the first one */
	bool any, left_out_named;
	const char **names; /* strings of the trace, escaped and in quotes, as they are needed */
	size_t nr_names;
	const char **stacks; /* likewise, and only for this file */
	size_t nr_stacks;
	char states[REQUEST_NR_STATES][16]; /* in quotes */
	struct arena memory;
	struct chrome_row *rows;
	size_t nr_rows, cap_rows;
	struct timeline_rates rates;
	uint64_t window, flows, ios;
	int64_t in_flight;
};

/* -------- text -------- */

/* Hand on what is there if it is much. Returns c->err. */
int chrome_flush(struct chrome *c, size_t limit);
void chrome_number(struct strbuf *b, uint64_t n);
void chrome_signed(struct strbuf *b, int64_t n);
/* "0x1f", in quotes. */
void chrome_hex(struct strbuf *b, uint64_t n);
/* In quotes; lives as long as c. */
const char *chrome_name(struct chrome *c, uint32_t string);
/* The innermost functions of a stack, in quotes; NULL: it has none. */
const char *chrome_stack(struct chrome *c, uint32_t stack);

/* `{"ph":"X","pid":1,"tid":2,"ts":1.000`, after a comma if one is needed. */
void chrome_begin(struct chrome *c, char phase, uint32_t pid, uint32_t tid, uint64_t time);
/* The same of a slice, with its duration. */
void chrome_slice(struct chrome *c, uint32_t pid, uint32_t tid, uint64_t start, uint64_t end);
/* `,"name":NAME,"cat":"CATEGORY"`; name in quotes. */
void chrome_what(struct chrome *c, const char *name, const char *category);
/* `,"KEY":`, its value to follow. */
void chrome_key(struct chrome *c, const char *key);
/* `}` */
int chrome_end(struct chrome *c);

/* `,"args":{...}`, unless there are none. */
void chrome_put_args(struct chrome *c, const struct strbuf *args);
/* Empty. There is one. */
struct strbuf *chrome_scratch(struct chrome *c);
/* An event's arguments as members, each with a comma before it but the first if b is empty. */
void chrome_args(struct chrome *c, struct strbuf *b, const struct event *e);
/* `"KEY":`, with a comma before it unless b is empty. */
void chrome_arg(struct strbuf *b, const char *key);

/* -------- requests: a visitor's -------- */

int chrome_request_begin(void *ctx, struct timeline_request *r, const struct event *e);
int chrome_phase_begin(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time);
int chrome_phase_end(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time);
int chrome_request_state(void *ctx, struct timeline_request *r, const struct timeline_interval *i);
int chrome_request_end(void *ctx, struct timeline_request *r, const struct event *e);

#endif
