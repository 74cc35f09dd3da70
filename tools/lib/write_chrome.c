/* SPDX-License-Identifier: MIT */
#include "write_chrome.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chrome_impl.h"
#include "json.h"
#include "util.h"

/* -------- names of rows -------- */

static int name_row(struct chrome *c, const char *what, uint32_t pid, uint32_t tid,
		    const char *name)
{
	chrome_begin(c, 'M', pid, tid, c->trace->start);
	strbuf_printf(&c->b, ",\"name\":\"%s\",\"args\":{\"name\":%s}", what, name);
	return chrome_end(c);
}

static void sort_row(struct chrome *c, uint32_t pid, uint32_t tid, uint32_t place)
{
	chrome_begin(c, 'M', pid, tid, c->trace->start);
	strbuf_printf(&c->b, ",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%u}", place);
	chrome_end(c);
}

static struct chrome_row *row_of(struct chrome *c, uint16_t cpu)
{
	/* EVENT_NO_CPU, the last, stands for all of them. */
	size_t i = cpu == EVENT_NO_CPU ? 0 : cpu + (size_t)1;

	while (c->nr_rows <= i) {
		if (array_grow((void **)&c->rows, c->nr_rows, &c->cap_rows, sizeof(*c->rows))) {
			c->err = -ENOMEM;
			return NULL;
		}
		c->rows[c->nr_rows++] = (struct chrome_row){ 0 };
	}
	return &c->rows[i];
}

/* -------- threads -------- */

static int on_thread(void *ctx, struct timeline_thread *t)
{
	struct chrome *c = ctx;

	if (!t->data) {
		t->data = calloc(1, sizeof(struct chrome_thread));
		if (!t->data)
			return -ENOMEM;
	}
	if (t->process)
		name_row(c, "process_name", t->pid, t->tid, chrome_name(c, t->process));
	return name_row(c, "thread_name", t->pid, t->tid, chrome_name(c, t->name));
}

static int on_thread_end(void *ctx, struct timeline_thread *t)
{
	struct chrome_thread *mine = t->data;

	(void)ctx;
	if (mine)
		strbuf_release(&mine->args);
	free(mine);
	t->data = NULL;
	return 0;
}

static int on_run(void *ctx, struct timeline_thread *t, uint16_t cpu, uint64_t start, uint64_t end,
		  unsigned int then)
{
	struct chrome *c = ctx;
	struct chrome_row *row = row_of(c, cpu);
	char name[32];

	if (!row)
		return c->err;
	if (!row->named) {
		snprintf(name, sizeof(name), "\"CPU %u\"", cpu);
		name_row(c, "process_name", CHROME_CPUS, cpu, "\"CPUs\"");
		name_row(c, "thread_name", CHROME_CPUS, cpu, name);
		sort_row(c, CHROME_CPUS, cpu, 2U * cpu);
		row->named = true;
	}
	chrome_slice(c, CHROME_CPUS, cpu, start, end);
	chrome_what(c, chrome_name(c, t->name), "run");
	strbuf_puts(&c->b, ",\"args\":{\"tid\":");
	chrome_number(&c->b, t->tid);
	strbuf_puts(&c->b, ",\"then\":\"");
	strbuf_puts(&c->b, thread_state_name(then));
	strbuf_puts(&c->b, "\"}");
	return chrome_end(c);
}

/* Its wakeup leads here. */
static int end_flow(struct chrome *c, const struct timeline_thread *t, uint64_t time)
{
	struct chrome_thread *mine = t->data;

	if (!mine->flow)
		return 0;
	chrome_begin(c, 'f', t->pid, t->tid, time);
	chrome_what(c, "\"wakes\"", "wakes");
	strbuf_puts(&c->b, ",\"bp\":\"e\"");
	chrome_key(c, "id");
	chrome_number(&c->b, mine->flow);
	mine->flow = 0;
	return chrome_end(c);
}

/* Waits are within the system call and the span that they happened in; running is what is left. */
static int on_state(void *ctx, struct timeline_thread *t, const struct timeline_interval *i)
{
	struct chrome *c = ctx;
	const char *stack = chrome_stack(c, i->stack);
	struct strbuf *args = chrome_scratch(c);

	if (i->state == THREAD_UNKNOWN || thread_state_running(i->state))
		return 0;
	chrome_slice(c, t->pid, t->tid, i->start, i->end);
	strbuf_puts(&c->b, ",\"name\":\"");
	strbuf_puts(&c->b, thread_state_name(i->state));
	strbuf_puts(&c->b, "\",\"cat\":\"state\"");
	if (stack) {
		chrome_arg(args, "stack");
		strbuf_puts(args, stack);
	}
	if (i->waker) {
		chrome_arg(args, "waker");
		chrome_number(args, i->waker);
	}
	chrome_put_args(c, args);
	chrome_end(c);
	return i->state == THREAD_RUNNABLE ? end_flow(c, t, i->start) : c->err;
}

static int on_waking(void *ctx, struct timeline_thread *waker, struct timeline_thread *wakee,
		     const struct event *e)
{
	struct chrome *c = ctx;
	struct chrome_thread *to = wakee->data;

	/* A flow begins within a slice of a row that is there. */
	if (!waker || !waker->data)
		return 0;
	to->flow = ++c->flows;
	chrome_slice(c, waker->pid, waker->tid, e->time, e->time);
	chrome_what(c, "\"wakes\"", "wakes");
	strbuf_puts(&c->b, ",\"args\":{\"wakee\":");
	chrome_number(&c->b, wakee->tid);
	strbuf_putc(&c->b, '}');
	chrome_end(c);
	chrome_begin(c, 's', waker->pid, waker->tid, e->time);
	chrome_what(c, "\"wakes\"", "wakes");
	chrome_key(c, "id");
	chrome_number(&c->b, to->flow);
	return chrome_end(c);
}

/* -------- spans -------- */

static int on_span_begin(void *ctx, struct timeline_thread *t, const struct timeline_span *s,
			 const struct event *e)
{
	struct chrome *c = ctx;
	struct chrome_thread *mine = t->data;
	struct strbuf *args = chrome_scratch(c);
	const char *stack = chrome_stack(c, s->stack);

	if (s->kind == TIMELINE_SYSCALL && e) {
		chrome_arg(args, "arg0");
		chrome_number(args, e->enter.arg0);
	} else if (s->kind == TIMELINE_FAULT) {
		chrome_arg(args, "address");
		chrome_hex(args, s->number);
	}
	if (stack) {
		chrome_arg(args, "stack");
		strbuf_puts(args, stack);
	}
	chrome_args(c, args, e);
	mine->begin[mine->depth++] = mine->args.len;
	strbuf_add(&mine->args, strbuf_str(args), args->len);
	c->err = c->err ? c->err : strbuf_error(&mine->args);
	return c->err;
}

/* What its end tells, besides what its begin did. */
static void end_args(struct chrome *c, const struct timeline_span *s, const struct event *e,
		     struct strbuf *args)
{
	if (s->cut) {
		chrome_arg(args, "cut");
		chrome_number(args, 1);
	} else if (s->kind == TIMELINE_SYSCALL) {
		chrome_arg(args, "ret");
		chrome_signed(args, (int64_t)e->leave.ret);
	} else if (s->kind == TIMELINE_COMMIT) {
		chrome_arg(args, "items");
		chrome_number(args, e->commit.items);
		chrome_arg(args, "result");
		chrome_signed(args, (int64_t)e->commit.result);
	}
	chrome_args(c, args, e);
}

static void put_span_name(struct chrome *c, const struct timeline_span *s)
{
	const char *name;

	switch (s->kind) {
	case TIMELINE_SYSCALL:
		name = trace_syscall(c->trace, s->number);
		strbuf_puts(&c->b, ",\"name\":");
		if (name)
			json_put_string(&c->b, name);
		else
			strbuf_printf(&c->b, "\"syscall %llu\"", (unsigned long long)s->number);
		strbuf_puts(&c->b, ",\"cat\":\"syscall\"");
		break;
	case TIMELINE_FAULT:
		chrome_what(c, "\"page fault\"", "fault");
		break;
	case TIMELINE_COMMIT:
		chrome_what(c, "\"commit\"", "commit");
		break;
	default:
		strbuf_puts(&c->b, ",\"name\":");
		strbuf_puts(&c->b, chrome_name(c, s->name));
		strbuf_puts(&c->b, ",\"cat\":");
		strbuf_puts(&c->b, s->category ? chrome_name(c, s->category) : "\"span\"");
	}
}

static int on_span_end(void *ctx, struct timeline_thread *t, const struct timeline_span *s,
		       uint64_t end, const struct event *e)
{
	struct chrome *c = ctx;
	struct chrome_thread *mine = t->data;
	size_t begin = mine->begin[--mine->depth];
	struct strbuf *args = chrome_scratch(c);

	strbuf_add(args, strbuf_str(&mine->args) + begin, mine->args.len - begin);
	mine->args.len = begin;
	end_args(c, s, e, args);
	chrome_slice(c, t->pid, t->tid, s->start, end);
	put_span_name(c, s);
	chrome_put_args(c, args);
	return chrome_end(c);
}

/* -------- the rest -------- */

static const char *moment(struct chrome *c, const struct event *e)
{
	switch (e->kind) {
	case EVT_INSTANT:
	case EVT_TRIGGER:
		return chrome_name(c, (uint32_t)e->span.name);
	case EVT_SIGNAL:
		return "\"signal\"";
	case EVT_EXEC:
		return "\"exec\"";
	case EVT_EXIT:
		return "\"exit\"";
	default:
		return "\"page fault\"";
	}
}

static int on_instant(void *ctx, struct timeline_thread *t, const struct event *e)
{
	struct chrome *c = ctx;
	struct strbuf *args = chrome_scratch(c);

	if (e->kind == EVT_SAMPLE)
		return 0;
	chrome_begin(c, 'i', t ? t->pid : CHROME_CPUS, t ? t->tid : 0, e->time);
	chrome_what(c, moment(c, e), event_kinds[e->kind].name);
	strbuf_puts(&c->b, e->kind == EVT_TRIGGER ? ",\"s\":\"g\"" : ",\"s\":\"t\"");
	if (e->kind == EVT_SIGNAL) {
		chrome_arg(args, "signal");
		chrome_number(args, e->signal.signo);
	}
	chrome_args(c, args, e);
	chrome_put_args(c, args);
	return chrome_end(c);
}

static int on_io(void *ctx, const struct timeline_io *io)
{
	struct chrome *c = ctx;
	const char *name = io->flags & EVENT_IO_WRITE ? "\"write\"" : "\"read\"";
	struct strbuf *args = chrome_scratch(c);
	uint64_t id = ++c->ios;

	chrome_begin(c, 'b', CHROME_CPUS, 0, io->start);
	chrome_what(c, name, "io");
	chrome_key(c, "id");
	chrome_hex(&c->b, id);
	chrome_arg(args, "sector");
	chrome_number(args, io->sector);
	chrome_arg(args, "bytes");
	chrome_number(args, io->bytes);
	chrome_arg(args, "thread");
	chrome_number(args, io->tid);
	chrome_put_args(c, args);
	chrome_end(c);
	chrome_begin(c, 'e', CHROME_CPUS, 0, io->end);
	chrome_what(c, name, "io");
	chrome_key(c, "id");
	chrome_hex(&c->b, id);
	return chrome_end(c);
}

static int on_counter(void *ctx, const struct event *e)
{
	struct chrome *c = ctx;
	const struct event_counter_info *info =
		event_counter_info((unsigned int)e->counter.counter);
	bool of_cpu = !e->tid && e->cpu != EVENT_NO_CPU;
	const char *per = info->total ? " a second" : "";
	int64_t value;
	uint64_t from;
	char name[64];
	int any = timeline_rate(&c->rates, e, &from, &value);

	if (any <= 0)
		return any;
	if (of_cpu)
		snprintf(name, sizeof(name), "\"CPU %u: %s%s\"", e->cpu, info->what, per);
	else
		snprintf(name, sizeof(name), "\"%s%s\"", info->what, per);
	chrome_begin(c, 'C', e->tid, 0, from);
	chrome_what(c, name, "counter");
	strbuf_printf(&c->b, ",\"args\":{\"%s\":", info->unit);
	chrome_signed(&c->b, value);
	strbuf_putc(&c->b, '}');
	return chrome_end(c);
}

static int on_lost(void *ctx, const struct event *e)
{
	struct chrome *c = ctx;
	struct chrome_row *row = row_of(c, e->cpu);
	uint32_t tid = CHROME_LOST + (uint32_t)e->cpu;
	uint64_t start;
	char name[48];

	if (!row)
		return c->err;
	if (!row->lost_named) {
		snprintf(name, sizeof(name), "\"CPU %u lost\"", e->cpu);
		name_row(c, "thread_name", CHROME_CPUS, tid,
			 e->cpu == EVENT_NO_CPU ? "\"all CPUs lost\"" : name);
		sort_row(c, CHROME_CPUS, tid, 2U * e->cpu + 1);
		row->lost_named = true;
	}
	/* Of what came late some was lost before what was told already. */
	start = MAX(e->time, row->lost_until);
	row->lost_until = MAX(start, e->lost.until);
	snprintf(name, sizeof(name), "\"LOST %llu\"", (unsigned long long)e->lost.count);
	chrome_slice(c, CHROME_CPUS, tid, start, row->lost_until);
	chrome_what(c, e->lost.count ? name : "\"LOST some\"", "lost");
	strbuf_printf(&c->b, ",\"args\":{\"count\":%llu}", (unsigned long long)e->lost.count);
	return chrome_end(c);
}

static int on_left_out(void *ctx, uint64_t start, uint64_t end, uint64_t count)
{
	struct chrome *c = ctx;

	if (!c->left_out_named)
		name_row(c, "thread_name", CHROME_CPUS, CHROME_LEFT_OUT, "\"left out\"");
	c->left_out_named = true;
	chrome_slice(c, CHROME_CPUS, CHROME_LEFT_OUT, start, end);
	chrome_what(c, "\"left out\"", "left_out");
	strbuf_printf(&c->b, ",\"args\":{\"count\":%llu}", (unsigned long long)count);
	return chrome_end(c);
}

static const struct timeline_visitor visitor = {
	.thread = on_thread,
	.thread_end = on_thread_end,
	.state = on_state,
	.run = on_run,
	.span_begin = on_span_begin,
	.span_end = on_span_end,
	.instant = on_instant,
	.waking = on_waking,
	.request_begin = chrome_request_begin,
	.phase_begin = chrome_phase_begin,
	.phase_end = chrome_phase_end,
	.request_state = chrome_request_state,
	.request_end = chrome_request_end,
	.io = on_io,
	.counter = on_counter,
	.lost = on_lost,
	.left_out = on_left_out,
};

/* -------- the whole -------- */

static void put_head(struct chrome *c)
{
	const struct trace *t = c->trace;

	strbuf_puts(&c->b, "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"producer\":\"periscope\"");
	strbuf_printf(&c->b, ",\"realtime_ns\":\"%llu\"", (unsigned long long)t->realtime);
	for (size_t i = 0; i < t->nr_infos; i++) {
		strbuf_putc(&c->b, ',');
		json_put_string(&c->b, t->infos[i].key);
		strbuf_putc(&c->b, ':');
		json_put_string(&c->b, t->infos[i].value);
	}
	strbuf_puts(&c->b, "},\n\"traceEvents\":[\n");
}

int write_chrome(const struct timeline_view *v, const struct write_options *o, struct sink *out)
{
	struct chrome c = { .trace = v->trace, .out = out };
	struct timeline_totals totals;
	int err = -ENOMEM;

	(void)o;
	for (unsigned int i = 0; i < REQUEST_NR_STATES; i++)
		snprintf(c.states[i], sizeof(c.states[i]), "\"%s\"", request_state_name(i));
	c.window = v->trace->start + v->filter.from;
	c.nr_names = v->trace->nr_strings;
	c.nr_stacks = v->trace->nr_stacks;
	c.names = calloc(c.nr_names + 1, sizeof(*c.names));
	c.stacks = calloc(c.nr_stacks + 1, sizeof(*c.stacks));
	if (c.names && c.stacks) {
		put_head(&c);
		err = timeline_run(v->trace, &v->filter, &visitor, &c, &totals);
	}
	strbuf_puts(&c.b, "\n]}\n");
	if (!err)
		err = chrome_flush(&c, 0);
	strbuf_release(&c.b);
	strbuf_release(&c.scratch);
	timeline_rates_release(&c.rates);
	arena_release(&c.memory);
	free(c.names);
	free(c.stacks);
	free(c.rows);
	return err;
}
