/* SPDX-License-Identifier: MIT */
#include "timeline_records.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process.h"
#include "timeline_registers.h"
#include "util.h"

int timeline_records_init(struct timeline_records *r, struct trace_writer *w,
			  const struct timeline_probes *p)
{
	*r = (struct timeline_records){ .writer = w, .probes = p };
	r->seqs = calloc(TIMELINE_MAX_CPUS, sizeof(*r->seqs));
	r->known_slots = 1024;
	r->known = calloc(r->known_slots, sizeof(*r->known));
	if (!r->seqs || !r->known)
		return -ENOMEM;
	r->sql = trace_writer_string(w, "sql");
	r->function = trace_writer_string(w, "function");
	r->handler = trace_writer_string(w, "handler");
	r->send = trace_writer_string(w, "send");
	return 0;
}

void timeline_records_release(struct timeline_records *r)
{
	free(r->seqs);
	free(r->known);
	free(r->handlers.items);
	free(r->statements.items);
	*r = (struct timeline_records){ 0 };
}

/* ---------------------------------------------------------------- names ---- */

static int learn(struct timeline_learned *n, uint64_t number, uint32_t name)
{
	for (size_t i = 0; i < n->nr; i++) {
		if (n->items[i].number == number) {
			n->items[i].name = name;
			return 0;
		}
	}
	if (array_grow((void **)&n->items, n->nr, &n->cap, sizeof(*n->items)))
		return -ENOMEM;
	n->items[n->nr].number = number;
	n->items[n->nr++].name = name;
	return 0;
}

static uint32_t learned(const struct timeline_learned *n, uint64_t number)
{
	for (size_t i = 0; i < n->nr; i++)
		if (n->items[i].number == number)
			return n->items[i].name;
	return 0;
}

/* ---------------------------------------------------------------- threads ---- */

static uint32_t *find_known(const struct timeline_records *r, uint32_t tid)
{
	size_t at = hash_bytes(&tid, sizeof(tid)) & (r->known_slots - 1);

	while (r->known[at] && r->known[at] != tid)
		at = (at + 1) & (r->known_slots - 1);
	return &r->known[at];
}

static int grow_known(struct timeline_records *r)
{
	uint32_t *old = r->known;
	size_t n = r->known_slots;

	if (r->nr_known * 2 < n)
		return 0;
	r->known = calloc(n * 2, sizeof(*r->known));
	if (!r->known) {
		r->known = old;
		return -ENOMEM;
	}
	r->known_slots = n * 2;
	for (size_t i = 0; i < n; i++)
		if (old[i])
			*find_known(r, old[i]) = old[i];
	free(old);
	return 0;
}

/* Is this the first that is heard of tid? Then it is known from now on. */
static bool is_new(struct timeline_records *r, uint32_t tid)
{
	uint32_t *slot;

	if (!tid || grow_known(r))
		return false;
	slot = find_known(r, tid);
	if (*slot)
		return false;
	*slot = tid;
	r->nr_known++;
	return true;
}

static int put(struct timeline_records *r, struct event *e, uint64_t seq)
{
	/* First who is told of it: what he marks is open when the mark is read. */
	bool told = e->kind < EVT_NR && r->told_kinds >> e->kind & 1;
	int err = told ? r->on_event(r->arg, e) : 0;

	r->nr_events++;
	return err ? err : trace_writer_event(r->writer, e, seq);
}

int timeline_event(struct timeline_records *r, struct event *e)
{
	return put(r, e, 0);
}

static int put_thread(struct timeline_records *r, uint64_t time, uint32_t tid, uint32_t pid,
		      const char *name, uint32_t flags)
{
	struct event e = { .time = time, .tid = tid, .cpu = EVENT_NO_CPU, .kind = EVT_THREAD };

	e.thread.pid = pid;
	e.thread.name = trace_writer_string(r->writer, name);
	e.thread.flags = flags;
	return put(r, &e, 0);
}

/* The name of a thread, "" when it is gone. */
static void read_comm(uint32_t pid, uint32_t tid, char *buf, size_t size)
{
	char path[64];
	FILE *f;
	size_t n = 0;

	snprintf(path, sizeof(path), "/proc/%u/task/%u/comm", pid, tid);
	f = fopen(path, "re");
	if (f) {
		n = fread(buf, 1, size - 1, f);
		fclose(f);
	}
	while (n && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
}

/* Tell who it is that wakes or follows a thread of ours. */
static int meet(struct timeline_records *r, uint64_t time, uint32_t tid)
{
	struct process p;
	char name[32];
	int err;

	if (!is_new(r, tid))
		return 0;
	if (process_init(&p, tid))
		return put_thread(r, time, tid, tid, "", EVENT_THREAD_FOREIGN);
	read_comm(p.pid, tid, name, sizeof(name));
	err = put_thread(r, time, tid, p.pid, name, EVENT_THREAD_FOREIGN);
	process_release(&p);
	return err;
}

static int put_process(struct timeline_records *r, const struct process *p, uint64_t time,
		       uint32_t parent)
{
	const char *base = p->exe ? strrchr(p->exe, '/') : NULL;
	struct event_arg *args = r->args;
	struct event e = {
		.time = time, .tid = p->pid, .cpu = EVENT_NO_CPU, .kind = EVT_PROCESS, .args = args
	};

	e.process.parent = parent;
	e.process.name = trace_writer_string(r->writer, base ? base + 1 : p->comm);
	if (p->exe)
		args[e.nr_args++] =
			(struct event_arg){ .name = trace_writer_string(r->writer, "exe"),
					    .type = EVENT_ARG_TEXT,
					    .text = p->exe };
	if (p->command)
		args[e.nr_args++] =
			(struct event_arg){ .name = trace_writer_string(r->writer, "command"),
					    .type = EVENT_ARG_TEXT,
					    .text = p->command };
	return put(r, &e, 0);
}

int timeline_process(struct timeline_records *r, pid_t pid, uint64_t time, bool before)
{
	struct process p;
	struct dirent *d;
	char path[64], name[32];
	DIR *dir;
	int err;

	if (process_init(&p, pid))
		return 0; /* gone already: its records still tell of it */
	err = put_process(r, &p, time, 0);
	process_release(&p);
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (!err && dir && (d = readdir(dir))) {
		uint32_t tid = strtoul(d->d_name, NULL, 10);

		if (!is_new(r, tid))
			continue;
		read_comm(pid, tid, name, sizeof(name));
		err = put_thread(r, time, tid, pid, name, before ? EVENT_THREAD_BEFORE : 0);
	}
	if (dir)
		closedir(dir);
	return err;
}

/* ---------------------------------------------------------------- probes ---- */

static void arg_int(struct event *e, struct event_arg *args, uint32_t name, bool is_signed,
		    uint64_t value)
{
	args[e->nr_args++] = (struct event_arg){ .name = name,
						 .type = is_signed ? EVENT_ARG_INT : EVENT_ARG_UINT,
						 .u = value };
}

static void arg_text(struct event *e, struct event_arg *args, uint32_t name, const char *text)
{
	args[e->nr_args++] =
		(struct event_arg){ .name = name, .type = EVENT_ARG_TEXT, .text = text };
}

static uint32_t name_of(struct timeline_records *r, const char *s)
{
	return trace_writer_string(r->writer, s);
}

/* All arguments that were recorded, as arg1, arg2, ..., the one that is a text as that. */
static void plain_args(struct timeline_records *r, const struct timeline_probe *p,
		       const struct timeline_record *rec, const char *text, struct event *e,
		       struct event_arg *args)
{
	char name[8];

	for (unsigned int i = 0; i < p->nr_args; i++) {
		snprintf(name, sizeof(name), "arg%u", i + 1);
		if (p->role.text == i + 1)
			arg_text(e, args, name_of(r, name), text);
		else
			arg_int(e, args, name_of(r, name), p->is_signed >> i & 1, rec->v[i]);
	}
}

static int request_start(struct timeline_records *r, const uint64_t *v, const char *path,
			 struct event *e, struct event_arg *args, uint64_t seq)
{
	const char *method = timeline_method(v[2]);
	char route[128];

	if ((int64_t)v[4] < 0)
		snprintf(route, sizeof(route), "%s (no route)", method);
	else
		timeline_route(method, path, route, sizeof(route));
	e->kind = EVT_REQUEST_BEGIN;
	e->begin.request = v[0];
	e->begin.route = name_of(r, route);
	e->begin.flags = EVENT_REQUEST_RUNS;
	arg_text(e, args, name_of(r, "method"), method);
	arg_text(e, args, name_of(r, "path"), path);
	return put(r, e, seq);
}

static int request_done(struct timeline_records *r, const uint64_t *v, struct event *e,
			uint64_t seq)
{
	e->kind = EVT_REQUEST_END;
	e->end.request = v[0];
	e->end.status = v[2];
	e->end.bytes = v[3];
	e->end.flags = v[5] & 1 ? EVENT_REQUEST_ABORTED : 0;
	return put(r, e, seq);
}

static int phase(struct timeline_records *r, uint32_t kind, uint64_t request, uint32_t name,
		 struct event *e, uint64_t seq)
{
	if (!request)
		return 0; /* the server's own work */
	e->kind = kind;
	e->nr_args = 0;
	e->phase.request = request;
	e->phase.phase = name;
	return put(r, e, seq);
}

static int span(struct timeline_records *r, uint32_t kind, uint32_t name, uint32_t category,
		struct event *e, uint64_t seq)
{
	memset(e->v, 0, sizeof(e->v));
	e->kind = kind;
	e->span.name = name;
	if (kind != EVT_SPAN_END)
		e->span.category = category;
	return put(r, e, seq);
}

/* A statement is a phase of its request and a span of its thread, named by its text. */
static int statement(struct timeline_records *r, bool begin, uint32_t label, const uint64_t *v,
		     const char *text, struct event *e, struct event_arg *args, uint64_t seq)
{
	uint32_t name;
	int err;

	if (begin) {
		name = name_of(r, text);
		if (learn(&r->statements, v[1], name))
			return -ENOMEM;
		err = phase(r, EVT_PHASE_BEGIN, v[0], label, e, seq);
		return err ? err : span(r, EVT_SPAN_BEGIN, name, r->sql, e, seq);
	}
	arg_int(e, args, name_of(r, "rc"), true, v[2]);
	arg_int(e, args, name_of(r, "rows"), false, v[3]);
	arg_int(e, args, name_of(r, "vm_steps"), false, v[4]);
	err = span(r, EVT_SPAN_END, learned(&r->statements, v[1]), 0, e, seq);
	return err ? err : phase(r, EVT_PHASE_END, v[0], label, e, seq);
}

static int queue(struct timeline_records *r, uint32_t kind, const uint64_t *v, struct event *e,
		 uint64_t seq)
{
	e->kind = kind;
	e->queue.request = v[0];
	e->queue.queue = name_of(r, timeline_queue(v[1]));
	if (kind == EVT_ENQUEUE)
		e->queue.depth = v[2];
	return v[0] ? put(r, e, seq) : 0;
}

static int transaction(struct timeline_records *r, bool begin, const uint64_t *v, struct event *e,
		       uint64_t seq)
{
	e->kind = begin ? EVT_COMMIT_BEGIN : EVT_COMMIT_END;
	e->commit.commit = v[0];
	if (!begin) {
		e->commit.items = v[1];
		e->commit.result = v[3];
	}
	return put(r, e, seq);
}

static int handler(struct timeline_records *r, bool begin, const uint64_t *v, const char *text,
		   struct event *e, uint64_t seq)
{
	uint32_t name;

	if (!begin)
		return span(r, EVT_SPAN_END, learned(&r->handlers, v[1]), 0, e, seq);
	name = name_of(r, text);
	if (learn(&r->handlers, v[1], name))
		return -ENOMEM;
	return span(r, EVT_SPAN_BEGIN, name, r->handler, e, seq);
}

static int usdt(struct timeline_records *r, const struct timeline_probe *p,
		const struct timeline_record *rec, const char *text, struct event *e, uint64_t seq)
{
	struct event_arg *args = r->args;
	uint32_t label = name_of(r, p->label);
	const uint64_t *v = (const uint64_t *)rec->v;

	e->args = args;
	switch (p->role.role) {
	case TELLS_REQUEST_START:
		return request_start(r, v, text, e, args, seq);
	case TELLS_REQUEST_RUN:
	case TELLS_REQUEST_PAUSE:
		e->kind = p->role.role == TELLS_REQUEST_RUN ? EVT_REQUEST_RUN : EVT_REQUEST_PAUSE;
		e->run.request = v[0];
		return put(r, e, seq);
	case TELLS_REQUEST_DONE:
		return request_done(r, v, e, seq);
	case TELLS_RESPONSE_START:
	case TELLS_PHASE_BEGIN:
		return phase(r, EVT_PHASE_BEGIN, v[0], label, e, seq);
	case TELLS_PHASE_END:
		return phase(r, EVT_PHASE_END, v[0], label, e, seq);
	case TELLS_HANDLER_ENTRY:
	case TELLS_HANDLER_RETURN:
		return handler(r, p->role.role == TELLS_HANDLER_ENTRY, v, text, e, seq);
	case TELLS_STMT_START:
	case TELLS_STMT_DONE:
		return statement(r, p->role.role == TELLS_STMT_START, label, v, text, e, args, seq);
	case TELLS_TXN_BEGIN:
	case TELLS_TXN_COMMIT:
		return transaction(r, p->role.role == TELLS_TXN_BEGIN, v, e, seq);
	case TELLS_ENQUEUE:
		return queue(r, EVT_ENQUEUE, v, e, seq);
	case TELLS_DEQUEUE:
		return queue(r, EVT_DEQUEUE, v, e, seq);
	case TELLS_REPLY:
		return queue(r, EVT_REPLY, v, e, seq);
	case TELLS_BEGIN:
	case TELLS_END:
	case TELLS_INSTANT:
	case TELLS_CALL:
		break;
	}
	plain_args(r, p, rec, text, e, args);
	return span(r,
		    p->role.role == TELLS_BEGIN ? EVT_SPAN_BEGIN
		    : p->role.role == TELLS_END ? EVT_SPAN_END
						: EVT_INSTANT,
		    label, name_of(r, p->provider), e, seq);
}

static int function(struct timeline_records *r, const struct timeline_probe *p,
		    const struct timeline_record *rec, struct event *e, uint64_t seq)
{
	struct event_arg *args = r->args;
	uint32_t label = name_of(r, p->label);

	e->args = args;
	if (rec->kind == EVT_SPAN_END) {
		arg_int(e, args, name_of(r, "result"), true, rec->v[0]);
		return span(r, EVT_SPAN_END, label, 0, e, seq);
	}
	return span(r, p->returns ? EVT_SPAN_BEGIN : EVT_INSTANT, label, r->function, e, seq);
}

/* ---------------------------------------------------------------- records ---- */

uint64_t timeline_seq(struct timeline_records *r, unsigned int cpu, uint32_t low)
{
	uint64_t *last = &r->seqs[cpu % TIMELINE_MAX_CPUS];
	uint64_t seq = *last + (int32_t)(low - (uint32_t)*last);

	if (seq > *last)
		*last = seq;
	return seq;
}

/* Records that carry the name of a thread. */
static int thread_event(struct timeline_records *r, const struct timeline_record *rec,
			const char *text, struct event *e, uint64_t seq)
{
	uint32_t name = name_of(r, text);
	struct process p;
	int err = 0;

	switch (rec->kind) {
	case EVT_THREAD:
		is_new(r, rec->tid);
		if (rec->v[0] == rec->tid && !process_init(&p, rec->tid)) {
			err = put_process(r, &p, rec->time, rec->v[1]);
			process_release(&p);
		}
		e->thread.pid = rec->v[0];
		e->thread.name = name;
		break;
	case EVT_NAME:
		e->name.name = name;
		break;
	case EVT_EXEC:
		e->exec.name = name;
		e->exec.old_tid = rec->v[1];
		break;
	}
	return err ? err : put(r, e, seq);
}

/* What a probe says of a request of its program (bpf/timeline_requests.bpf.h). */
static int point_event(struct timeline_records *r, const struct timeline_record *rec, char *text,
		       struct event *e, uint64_t seq)
{
	uint64_t kind = rec->v[2];
	char number[24];

	e->run.request = rec->v[0];
	if (rec->kind == EVT_REQUEST_END)
		e->end.status = rec->v[1];
	if (rec->kind != EVT_REQUEST_BEGIN)
		return put(r, e, seq);
	if (kind == TIMELINE_NAME_NUMBER || (kind == TIMELINE_NAME_TEXT_OR_NUMBER && !*text)) {
		snprintf(number, sizeof(number), "%" PRId64, (int64_t)rec->v[1]);
		text = number;
	} else if (rec->bytes == TIMELINE_TEXT) {
		strcpy(text + TIMELINE_TEXT - 4, "...");
	}
	for (char *at = text; *at; at++)
		if (isspace((unsigned char)*at))
			*at = ' ';
	e->begin.route = *text ? name_of(r, text) : 0;
	e->begin.flags = EVENT_REQUEST_RUNS;
	return put(r, e, seq);
}

static int simple_event(struct timeline_records *r, const struct timeline_record *rec,
			struct event *e, uint64_t seq)
{
	int err = 0;

	for (unsigned int i = 0; i < rec->words && i < EVENT_MAX_FIELDS; i++)
		e->v[i] = rec->v[i];
	switch (rec->kind) {
	case EVT_WAKING:
		err = meet(r, rec->time, rec->tid);
		break;
	case EVT_SWITCH_OUT:
		err = meet(r, rec->time, rec->v[2]);
		break;
	case EVT_SWITCH_IN:
		err = meet(r, rec->time, rec->v[0]);
		break;
	case EVT_STATE:
		e->state.since = rec->time;
		break;
	case EVT_ALLOCATED:
		e->v[2] = 0; /* of the record alone */
		break;
	}
	return err ? err : put(r, e, seq);
}

/* As long as it says, and about a probe that there is. */
static bool makes_sense(const struct timeline_records *r, const struct timeline_record *rec,
			size_t size)
{
	size_t most = rec->kind == EVT_SIGNAL ? REGISTERS_NR * sizeof(rec->v[0]) : TIMELINE_TEXT;
	bool probe = rec->kind == EVT_NONE || rec->kind == EVT_SPAN_BEGIN ||
		     rec->kind == EVT_SPAN_END;

	return size >= TIMELINE_HEAD && rec->words <= TIMELINE_WORDS && rec->bytes <= most &&
	       size >= TIMELINE_HEAD + rec->words * sizeof(rec->v[0]) + rec->bytes &&
	       (!probe || rec->site < r->probes->nr);
}

int timeline_record(struct timeline_records *r, const struct timeline_record *rec, size_t size)
{
	struct event e = { .time = rec->time, .tid = rec->tid, .cpu = rec->cpu, .kind = rec->kind };
	char text[TIMELINE_TEXT] = "";
	uint64_t seq;

	if (!makes_sense(r, rec, size)) {
		r->nr_bad++;
		return 0;
	}
	seq = timeline_seq(r, rec->cpu, rec->seq);
	if (rec->kind == EVT_SIGNAL) {
		e.nr_args = timeline_registers(r->writer, rec, r->args);
		e.args = r->args;
		return simple_event(r, rec, &e, seq);
	}
	memcpy(text, &rec->v[rec->words], rec->bytes);
	text[sizeof(text) - 1] = '\0';
	if (r->on_probe && (rec->kind == EVT_NONE || rec->kind == EVT_SPAN_BEGIN)) {
		int err = r->on_probe(r->arg, &r->probes->items[rec->site], rec);

		if (err)
			return err;
	}
	switch (rec->kind) {
	case EVT_NONE:
		return usdt(r, &r->probes->items[rec->site], rec, text, &e, seq);
	case EVT_SPAN_BEGIN:
	case EVT_SPAN_END:
		return function(r, &r->probes->items[rec->site], rec, &e, seq);
	case EVT_REQUEST_BEGIN:
	case EVT_REQUEST_RUN:
	case EVT_REQUEST_PAUSE:
	case EVT_REQUEST_END:
		return point_event(r, rec, text, &e, seq);
	case EVT_THREAD:
	case EVT_NAME:
	case EVT_EXEC:
		return thread_event(r, rec, text, &e, seq);
	default:
		return simple_event(r, rec, &e, seq);
	}
}
