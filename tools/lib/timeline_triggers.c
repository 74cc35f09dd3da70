/* SPDX-License-Identifier: MIT */
#include "timeline_triggers.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "id_map.h"
#include "util.h"

struct thread {
	uint64_t blocked, runnable; /* since; 0: not */
	uint32_t pid;
	uint64_t request;
	uint64_t blocked_request; /* that it worked on when it blocked */
	bool idle;		  /* it waits for events */
};

struct request {
	uint64_t begin;
	char what[TRIGGER_WHAT];
};

/* Threads that were met lately, by the low bits of their TIDs: a look instead of a search. */
#define RECENT 64

struct triggers {
	struct trigger *items;
	size_t nr;
	uint64_t kinds;			     /* of events that matter */
	uint64_t of_kind[TRIGGER_PROBE + 1]; /* which of the items */
	struct id_map threads, requests;
	struct {
		uint32_t tid;
		struct thread *thread;
	} recent[RECENT];
	bool has_requests; /* the target tells of requests */
	struct {
		uint32_t pid;
		uint64_t above; /* items that hold */
	} * rss;		/* processes whose memory is known */
	size_t nr_rss, cap_rss;
};

/* ---------------------------------------------------------------- conditions ---- */

static const struct {
	const char *text;
	enum timeline_op op;
} ops[] = {
	{ ">=", TIMELINE_GE }, { "<=", TIMELINE_LE }, { "==", TIMELINE_EQ },
	{ "!=", TIMELINE_NE }, { ">", TIMELINE_GT },  { "<", TIMELINE_LT },
};

static const struct {
	const char *name;
	enum trigger_kind kind;
	int (*parse)(const char *text, uint64_t *ret); /* NULL: takes no value */
	const char *wants;
} conditions[] = {
	{ "latency", TRIGGER_LATENCY, parse_duration, "wants a time, as in latency>50ms" },
	{ "status", TRIGGER_STATUS, NULL, "wants a number, as in status>=500" },
	{ "blocked", TRIGGER_BLOCKED, parse_duration, "wants a time, as in blocked>100ms" },
	{ "runqueue", TRIGGER_RUNQUEUE, parse_duration, "wants a time, as in runqueue>20ms" },
	{ "rss", TRIGGER_RSS, parse_size, "wants a size, as in rss>512MB" },
	{ "signal", TRIGGER_SIGNAL, NULL, NULL },
	{ "exit", TRIGGER_EXIT, NULL, NULL },
	{ "oom", TRIGGER_OOM, NULL, NULL },
};

static const char *parse_op(const char *at, uint8_t *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		if (!strncmp(at, ops[i].text, strlen(ops[i].text))) {
			*ret = ops[i].op;
			return at + strlen(ops[i].text);
		}
	}
	return NULL;
}

/* A number of C's kinds with a sign; all of the text up to `end`. */
static int parse_number(const char *text, const char *end, __s64 *ret)
{
	char *stop;
	long long value;

	if (!isdigit((unsigned char)text[*text == '-']))
		return -EINVAL;
	errno = 0;
	value = strtoll(text, &stop, 0);
	if (errno || stop != end)
		return -EINVAL;
	*ret = value;
	return 0;
}

/* `NAME(argN OP VALUE)`, `NAME()` or `NAME` alone. */
static int parse_probe(const char *text, struct trigger *t, const char **ret_why)
{
	const char *open = strchr(text, '('), *at, *end = text + strlen(text);
	uint64_t arg;
	char *stop;

	t->kind = TRIGGER_PROBE;
	t->probe = open ? strndup(text, open - text) : strdup(text);
	if (!t->probe)
		return -ENOMEM;
	t->usdt = strchr(t->probe, ':') && !strstr(t->probe, "::");
	*ret_why = "is no condition: latency>50ms, status>=500, blocked>100ms, runqueue>20ms, "
		   "rss>512MB, signal, exit, oom, provider:probe(arg2>=500) or function(arg1==0)";
	if (!*t->probe || strpbrk(t->probe, " <>=!"))
		return -EINVAL;
	if (!open || !strcmp(open, "()"))
		return 0;
	*ret_why = "wants an argument from arg1 to arg6 compared with a number in its parentheses";
	if (strncmp(open + 1, "arg", 3) || end[-1] != ')' || !isdigit((unsigned char)open[4]))
		return -EINVAL;
	arg = strtoul(open + 4, &stop, 10);
	at = arg >= 1 && arg <= 6 ? parse_op(stop, &t->when.op) : NULL;
	t->when.arg = arg - 1;
	if (!at || parse_number(at, end - 1, &t->when.value))
		return -EINVAL;
	/* Who asks for less than 0 means an int's, whose register has zeros above it. */
	t->when.narrow = !t->usdt &&
			 (t->when.value < 0 || (!t->when.value && (t->when.op == TIMELINE_LT ||
								   t->when.op == TIMELINE_LE)));
	return 0;
}

static int parse_condition(size_t i, const char *rest, struct trigger *t, const char **ret_why)
{
	uint64_t value;
	const char *at;

	t->kind = conditions[i].kind;
	*ret_why = conditions[i].wants ? conditions[i].wants : "takes no value";
	if (!conditions[i].wants)
		return *rest ? -EINVAL : 0;
	at = parse_op(rest, &t->when.op);
	if (!at)
		return -EINVAL;
	if (!conditions[i].parse)
		return parse_number(at, at + strlen(at), &t->when.value);
	if (conditions[i].parse(at, &value) || value > INT64_MAX)
		return -EINVAL;
	t->when.value = (int64_t)value;
	return 0;
}

int trigger_parse(const char *text, struct trigger *ret, const char **ret_why)
{
	struct trigger t = { .text = text };
	size_t len = strcspn(text, "<>=!"), i = 0;
	int err;

	while (i < ARRAY_SIZE(conditions) &&
	       (strlen(conditions[i].name) != len || strncmp(conditions[i].name, text, len)))
		i++;
	err = i < ARRAY_SIZE(conditions) ? parse_condition(i, text + len, &t, ret_why)
					 : parse_probe(text, &t, ret_why);
	if (err)
		trigger_release(&t);
	else
		*ret = t;
	return err;
}

void trigger_release(struct trigger *t)
{
	free(t->probe);
	t->probe = NULL;
}

/* ---------------------------------------------------------------- events ---- */

#define KIND(kind) (UINT64_C(1) << (kind))

_Static_assert(EVT_NR <= 64, "a bit for each kind");

/* Whatever fires, the mark tells the thread's request. */
#define KINDS_ALWAYS                                                                           \
	(KIND(EVT_THREAD) | KIND(EVT_EXIT) | KIND(EVT_REQUEST_BEGIN) | KIND(EVT_REQUEST_END) | \
	 KIND(EVT_REQUEST_RUN) | KIND(EVT_REQUEST_PAUSE))

static uint64_t kinds_for(enum trigger_kind kind)
{
	switch (kind) {
	case TRIGGER_BLOCKED:
	case TRIGGER_RUNQUEUE:
		return KIND(EVT_SWITCH_IN) | KIND(EVT_SWITCH_OUT) | KIND(EVT_WAKING);
	case TRIGGER_RSS:
		return KIND(EVT_COUNTER);
	case TRIGGER_SIGNAL:
		return KIND(EVT_SIGNAL);
	default:
		return 0;
	}
}

struct triggers *triggers_new(struct trigger *items, size_t nr)
{
	struct triggers *t = calloc(1, sizeof(*t));

	if (!t) {
		errno = ENOMEM;
		return NULL;
	}
	t->items = items;
	t->nr = nr;
	t->kinds = KINDS_ALWAYS;
	for (size_t i = 0; i < nr; i++) {
		t->of_kind[items[i].kind] |= UINT64_C(1) << i;
		t->kinds |= kinds_for(items[i].kind);
	}
	return t;
}

uint64_t triggers_kinds(const struct triggers *t)
{
	return t->kinds;
}

static void map_free(struct id_map *m)
{
	size_t at = 0;
	void *value;

	while ((value = id_map_each(m, &at)))
		free(value);
	id_map_release(m);
}

void triggers_free(struct triggers *t)
{
	if (!t)
		return;
	map_free(&t->threads);
	map_free(&t->requests);
	free(t->rss);
	free(t);
}

/* What is known of a, made if need be; NULL for lack of memory. */
static void *get(struct id_map *m, uint64_t a, uint32_t b, size_t size)
{
	void *value = id_map_find(m, a, b);

	if (value)
		return value;
	value = calloc(1, size);
	if (!value || id_map_reserve(m)) {
		free(value);
		return NULL;
	}
	id_map_add(m, a, b, value);
	return value;
}

/* A thread, made if need be; NULL for lack of memory. */
static struct thread *thread_of(struct triggers *t, uint32_t tid)
{
	size_t at = tid % RECENT;

	if (t->recent[at].tid != tid || !t->recent[at].thread) {
		t->recent[at].tid = tid;
		t->recent[at].thread = get(&t->threads, tid, 0, sizeof(struct thread));
	}
	return t->recent[at].thread;
}

static void forget_thread(struct triggers *t, uint32_t tid)
{
	free(id_map_remove(&t->threads, tid, 0));
	if (t->recent[tid % RECENT].tid == tid)
		t->recent[tid % RECENT].thread = NULL;
}

/* The words for a request of a hit. */
static void name_request(const struct triggers *t, uint32_t pid, struct trigger_hit *hit)
{
	const struct request *r = hit->request ? id_map_find(&t->requests, hit->request, pid)
					       : NULL;

	if (r)
		memcpy(hit->what, r->what, sizeof(hit->what));
}

/* Who it is about, should a condition hold. */
struct cause {
	uint64_t begin, request;
	uint32_t pid;
};

/* The first trigger of these whose condition holds for a value. */
static int fire(struct triggers *t, uint64_t items, uint64_t value, const struct event *e,
		const struct cause *c, struct trigger_hit *ret)
{
	for (uint64_t left = items; left; left &= left - 1) {
		struct trigger *item = &t->items[__builtin_ctzll(left)];

		if (!timeline_holds(&item->when, value))
			continue;
		item->fired++;
		*ret = (struct trigger_hit){ .trigger = item,
					     .time = e->time,
					     .begin = c->begin,
					     .request = c->request,
					     .tid = e->tid };
		name_request(t, c->pid, ret);
		return 1;
	}
	return 0;
}

/* Its texts, one behind the other: method and path. */
static void describe(struct request *r, const struct event *e)
{
	size_t len = 0;

	r->what[0] = '\0';
	for (unsigned int i = 0; i < e->nr_args && len < sizeof(r->what) - 1; i++)
		if (e->args[i].type == EVENT_ARG_TEXT)
			len += (size_t)snprintf(r->what + len, sizeof(r->what) - len, "%s%s",
						len ? " " : "", e->args[i].text);
}

static int request_begins(struct triggers *t, const struct event *e)
{
	struct thread *th = thread_of(t, e->tid);
	struct request *r;

	if (!th)
		return -ENOMEM;
	t->has_requests = true;
	if (e->begin.flags & EVENT_REQUEST_RUNS)
		th->request = e->begin.request;
	r = get(&t->requests, e->begin.request, th->pid, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->begin = e->time;
	describe(r, e);
	return 0;
}

static int request_ends(struct triggers *t, const struct event *e, struct trigger_hit *ret)
{
	struct thread *th = id_map_find(&t->threads, e->tid, 0);
	struct cause c = { e->time, e->end.request, th ? th->pid : 0 };
	struct request *r = id_map_find(&t->requests, c.request, c.pid);
	int fired = 0;

	t->has_requests = true;
	if (r) {
		c.begin = r->begin;
		fired = fire(t, t->of_kind[TRIGGER_LATENCY], e->time - r->begin, e, &c, ret);
	}
	if (!fired)
		fired = fire(t, t->of_kind[TRIGGER_STATUS], e->end.status, e, &c, ret);
	free(id_map_remove(&t->requests, c.request, c.pid));
	return fired;
}

static int came_back(struct triggers *t, struct thread *th, const struct event *e,
		     struct trigger_hit *ret)
{
	struct cause c = { .request = th->blocked_request, .pid = th->pid };
	uint64_t runnable = th->runnable, blocked = th->blocked;
	uint64_t until = runnable ? runnable : e->time;
	int fired = 0;

	th->runnable = th->blocked = 0;
	if (blocked && until > blocked && (t->has_requests ? c.request != 0 : !th->idle)) {
		c.begin = blocked;
		fired = fire(t, t->of_kind[TRIGGER_BLOCKED], until - blocked, e, &c, ret);
	}
	if (!fired && runnable) {
		c.begin = runnable;
		fired = fire(t, t->of_kind[TRIGGER_RUNQUEUE], e->time - runnable, e, &c, ret);
	}
	return fired;
}

static int thread_event(struct triggers *t, const struct event *e, struct trigger_hit *ret)
{
	uint32_t tid = e->kind == EVT_WAKING ? e->waking.wakee : e->tid;
	struct thread *th = thread_of(t, tid);

	if (!th)
		return -ENOMEM;
	switch (e->kind) {
	case EVT_REQUEST_RUN:
		th->request = e->run.request;
		t->has_requests = true;
		return 0;
	case EVT_REQUEST_PAUSE:
		th->request = 0;
		return 0;
	case EVT_WAKING:
		if (th->blocked && !th->runnable)
			th->runnable = e->time;
		return 0;
	case EVT_SWITCH_OUT:
		th->blocked_request = th->request;
		th->idle = e->out.state == THREAD_EPOLL;
		th->blocked = th->runnable = 0;
		if (e->out.state == THREAD_RUNNABLE || e->out.state == THREAD_PREEMPTED)
			th->runnable = e->time;
		else if (e->out.state != THREAD_DEAD)
			th->blocked = e->time;
		return 0;
	default:
		return came_back(t, th, e, ret);
	}
}

/* Fires when a line is crossed, not for as long as it is. */
static int rss_event(struct triggers *t, const struct event *e, struct trigger_hit *ret)
{
	struct cause c = { .begin = e->time };
	uint64_t above = 0, news;
	size_t at = 0;

	if (e->counter.counter != COUNTER_RSS)
		return 0;
	while (at < t->nr_rss && t->rss[at].pid != e->tid)
		at++;
	if (at == t->nr_rss) {
		if (array_grow((void **)&t->rss, t->nr_rss, &t->cap_rss, sizeof(*t->rss)))
			return -ENOMEM;
		t->rss[t->nr_rss].above = 0;
		t->rss[t->nr_rss++].pid = e->tid;
	}
	for (uint64_t left = t->of_kind[TRIGGER_RSS]; left; left &= left - 1)
		if (timeline_holds(&t->items[__builtin_ctzll(left)].when, e->counter.value))
			above |= left & -left;
	news = above & ~t->rss[at].above;
	t->rss[at].above = above;
	return fire(t, news, e->counter.value, e, &c, ret);
}

/*
 * signal(7): does it end the process by default? When one of several threads is killed or calls
 * exit_group the others get a SIGKILL: that is no cause.
 */
static bool is_fatal(const struct event *e)
{
	switch (e->signal.signo) {
	case SIGCHLD:
	case SIGCONT:
	case SIGKILL:
	case SIGSTOP:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
	case SIGURG:
	case SIGWINCH:
		return false;
	default:
		return !(e->signal.flags & EVENT_SIGNAL_HANDLED);
	}
}

static int signal_event(struct triggers *t, const struct event *e, struct trigger_hit *ret)
{
	struct thread *th = id_map_find(&t->threads, e->tid, 0);
	struct cause c = { e->time, th ? th->request : 0, th ? th->pid : 0 };

	return is_fatal(e) ? fire(t, t->of_kind[TRIGGER_SIGNAL], 0, e, &c, ret) : 0;
}

/* Of the process, once: with its last thread. */
static int exit_event(struct triggers *t, const struct event *e, struct trigger_hit *ret)
{
	struct cause c = { .begin = e->time };
	int fired = 0;

	forget_thread(t, e->tid);
	if (!(e->exit.flags & EVENT_EXIT_GROUP))
		return 0;
	if (e->exit.flags & EVENT_EXIT_OOM)
		fired = fire(t, t->of_kind[TRIGGER_OOM], 0, e, &c, ret);
	return fired ? fired : fire(t, t->of_kind[TRIGGER_EXIT], 0, e, &c, ret);
}

int triggers_event(struct triggers *t, const struct event *e, struct trigger_hit *ret)
{
	struct thread *th;

	switch (e->kind) {
	case EVT_THREAD:
		th = thread_of(t, e->tid);
		if (th)
			th->pid = e->thread.pid;
		return th ? 0 : -ENOMEM;
	case EVT_REQUEST_BEGIN:
		return request_begins(t, e);
	case EVT_REQUEST_END:
		return request_ends(t, e, ret);
	case EVT_REQUEST_RUN:
	case EVT_REQUEST_PAUSE:
	case EVT_WAKING:
	case EVT_SWITCH_OUT:
	case EVT_SWITCH_IN:
		return thread_event(t, e, ret);
	case EVT_COUNTER:
		return rss_event(t, e, ret);
	case EVT_SIGNAL:
		return signal_event(t, e, ret);
	case EVT_EXIT:
		return exit_event(t, e, ret);
	default:
		return 0;
	}
}

int triggers_probe(struct triggers *t, uint64_t which, const uint64_t *args, unsigned int nr,
		   uint64_t time, uint32_t tid, struct trigger_hit *ret)
{
	struct thread *th = id_map_find(&t->threads, tid, 0);

	for (size_t i = 0; i < t->nr && which; i++) {
		struct trigger *item = &t->items[i];
		uint64_t arg = item->when.arg < nr ? args[item->when.arg] : 0;
		bool wants = which & 1;

		if (item->kind != TRIGGER_PROBE)
			continue;
		which >>= 1;
		if (!wants || !timeline_holds(&item->when, arg))
			continue;
		item->fired++;
		*ret = (struct trigger_hit){ .trigger = item,
					     .time = time,
					     .begin = time,
					     .request = th ? th->request : 0,
					     .tid = tid };
		name_request(t, th ? th->pid : 0, ret);
		return 1;
	}
	return 0;
}
