/* SPDX-License-Identifier: MIT */
/*
 * CPUs, as ftrace's events in their compact form: columns of numbers, some hundred rows in a packet.
 * Perfetto makes the slices of CPUs and its own states of threads of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pftrace_impl.h"
#include "sink.h"
#include "util.h"

#define ROWS 512 /* in a packet */

/* The thread that is none of the target's: no PID is that large (PID_MAX_LIMIT is 2^22). */
#define OTHERS_TID  0x7ffffffe
#define OTHERS_COMM "(not the target)"

/* FtraceEventBundle and its CompactSched. */
enum {
	BUNDLE_CPU = 1,
	BUNDLE_LOST = 3,
	BUNDLE_COMPACT = 4,
	SWITCH_TIMESTAMP = 1,
	SWITCH_PREV_STATE = 2,
	SWITCH_NEXT_PID = 3,
	SWITCH_NEXT_PRIO = 4,
	INTERN_TABLE = 5,
	SWITCH_COMM_INDEX = 6,
	WAKING_TIMESTAMP = 7,
	WAKING_PID = 8,
	WAKING_CPU = 9,
	WAKING_PRIO = 10,
	WAKING_COMM_INDEX = 11,
	WAKING_FLAGS = 12,
};

/* The kernel's, as sched_switch shows them (include/trace/events/sched.h). */
enum {
	TASK_RUNNING = 0,
	TASK_INTERRUPTIBLE = 1,
	TASK_UNINTERRUPTIBLE = 2,
	EXIT_DEAD = 0x10,
	TASK_REPORT_MAX = 0x100, /* preempted */
	TASK_NONE = 0x1000,	 /* none of them: shown as unknown */
};

#define FLAG_HARDIRQ 0x08 /* TRACE_FLAG_HARDIRQ, include/linux/trace_events.h */

#define PRIO_DEFAULT 120

struct pftrace_switch {
	uint64_t time;
	uint32_t next;
	uint32_t comm; /* string; 0 and OTHERS_TID: its own */
	uint16_t prev_state;
};

struct pftrace_waking {
	uint64_t time;
	uint32_t tid, comm;
	uint16_t cpu, flags;
};

static uint16_t raw_state(unsigned int state)
{
	switch (state) {
	case THREAD_USER:
	case THREAD_SYSCALL:
	case THREAD_RUNNABLE:
		return TASK_RUNNING;
	case THREAD_PREEMPTED:
		return TASK_REPORT_MAX;
	case THREAD_DISK:
	case THREAD_FAULT:
		return TASK_UNINTERRUPTIBLE;
	case THREAD_DEAD:
		return EXIT_DEAD;
	case THREAD_UNKNOWN:
		return TASK_NONE;
	default:
		return TASK_INTERRUPTIBLE;
	}
}

static struct pftrace_cpu *cpu_of(struct pftrace *p, uint16_t cpu)
{
	struct pftrace_cpu *c;

	while (p->nr_cpus <= cpu) {
		if (array_grow((void **)&p->cpus, p->nr_cpus, &p->cap_cpus, sizeof(*p->cpus))) {
			p->err = -ENOMEM;
			return NULL;
		}
		p->cpus[p->nr_cpus++] = (struct pftrace_cpu){ 0 };
	}
	c = &p->cpus[cpu];
	if (!c->switches) {
		c->switches = calloc(ROWS, sizeof(*c->switches));
		c->wakings = calloc(ROWS, sizeof(*c->wakings));
	}
	if (c->switches && c->wakings)
		return c;
	p->err = -ENOMEM;
	return NULL;
}

/* -------- columns -------- */

/* The strings of a packet: those of its rows, each once. */
struct comms {
	uint32_t strings[2 * ROWS];
	unsigned int nr;
};

static unsigned int comm_index(struct comms *c, uint32_t comm)
{
	/* Mostly the same few. */
	for (unsigned int i = 0; i < c->nr; i++)
		if (c->strings[i] == comm)
			return i;
	c->strings[c->nr] = comm;
	return c->nr++;
}

#define OTHERS UINT32_MAX /* as a string: OTHERS_COMM */

static void put_switches(struct pb *pb, const struct pftrace_switch *rows, size_t nr,
			 struct comms *comms)
{
	uint64_t last = 0;
	size_t at = pb_begin(pb, SWITCH_TIMESTAMP);

	for (size_t i = 0; i < nr; last = rows[i++].time)
		pb_varint(pb, rows[i].time - last);
	pb_end(pb, at);
	at = pb_begin(pb, SWITCH_PREV_STATE);
	for (size_t i = 0; i < nr; i++)
		pb_varint(pb, rows[i].prev_state);
	pb_end(pb, at);
	at = pb_begin(pb, SWITCH_NEXT_PID);
	for (size_t i = 0; i < nr; i++)
		pb_varint(pb, rows[i].next);
	pb_end(pb, at);
	at = pb_begin(pb, SWITCH_NEXT_PRIO);
	for (size_t i = 0; i < nr; i++)
		pb_varint(pb, PRIO_DEFAULT);
	pb_end(pb, at);
	at = pb_begin(pb, SWITCH_COMM_INDEX);
	for (size_t i = 0; i < nr; i++)
		pb_varint(pb, comm_index(comms, rows[i].comm));
	pb_end(pb, at);
}

static void put_wakings(struct pb *pb, const struct pftrace_waking *rows, size_t nr,
			struct comms *comms)
{
	uint64_t last = 0;
	size_t at = pb_begin(pb, WAKING_TIMESTAMP);

	for (size_t i = 0; i < nr; last = rows[i++].time)
		pb_varint(pb, rows[i].time - last);
	pb_end(pb, at);
	at = pb_begin(pb, WAKING_PID);
	for (size_t i = 0; i < nr; i++)
		pb_varint(pb, rows[i].tid);
	pb_end(pb, at);
	at = pb_begin(pb, WAKING_CPU);
	for (size_t i = 0; i < nr; i++)
		pb_varint(pb, rows[i].cpu);
	pb_end(pb, at);
	at = pb_begin(pb, WAKING_PRIO);
	for (size_t i = 0; i < nr; i++)
		pb_varint(pb, PRIO_DEFAULT);
	pb_end(pb, at);
	at = pb_begin(pb, WAKING_COMM_INDEX);
	for (size_t i = 0; i < nr; i++)
		pb_varint(pb, comm_index(comms, rows[i].comm));
	pb_end(pb, at);
	at = pb_begin(pb, WAKING_FLAGS);
	for (size_t i = 0; i < nr; i++)
		pb_varint(pb, rows[i].flags);
	pb_end(pb, at);
}

/* What waits of a CPU, in one packet. */
static void bundle(struct pftrace *p, uint16_t cpu)
{
	struct pftrace_cpu *c = &p->cpus[cpu];
	struct comms comms = { .nr = 0 };
	struct pb *pb = &p->pb;
	size_t packet, inner, compact;

	if (!c->nr_switches && !c->nr_wakings)
		return;
	packet = pb_begin(pb, TRACE_PACKET);
	inner = pb_begin(pb, PACKET_FTRACE_EVENTS);
	pb_uint(pb, BUNDLE_CPU, cpu);
	if (c->lost)
		pb_uint(pb, BUNDLE_LOST, 1);
	compact = pb_begin(pb, BUNDLE_COMPACT);
	if (c->nr_switches)
		put_switches(pb, c->switches, c->nr_switches, &comms);
	if (c->nr_wakings)
		put_wakings(pb, c->wakings, c->nr_wakings, &comms);
	for (unsigned int i = 0; i < comms.nr; i++)
		pb_string(pb, INTERN_TABLE,
			  comms.strings[i] == OTHERS ? OTHERS_COMM
						     : trace_string(p->trace, comms.strings[i]));
	pb_end(pb, compact);
	pb_end(pb, inner);
	pb_uint(pb, PACKET_SEQUENCE_ID, SEQUENCE_MAIN);
	pb_end(pb, packet);
	c->nr_switches = c->nr_wakings = 0;
	c->lost = false;
}

static void add_switch(struct pftrace *p, uint16_t cpu, uint64_t time, uint32_t next, uint32_t comm,
		       uint16_t prev_state)
{
	struct pftrace_cpu *c = &p->cpus[cpu];

	c->switches[c->nr_switches++] =
		(struct pftrace_switch){ time - p->trace->start, next, comm, prev_state };
	c->last = time;
	if (c->nr_switches == ROWS)
		bundle(p, cpu);
}

/* The first switch of a CPU tells nothing to Perfetto, which does not know who ran before. */
static bool start_cpu(struct pftrace *p, uint16_t cpu)
{
	struct pftrace_cpu *c = cpu_of(p, cpu);

	if (!c)
		return false;
	if (!c->started) {
		c->started = true;
		add_switch(p, cpu, p->trace->start, OTHERS_TID, OTHERS, TASK_RUNNING);
		add_switch(p, cpu, p->trace->start, OTHERS_TID, OTHERS, TASK_RUNNING);
	}
	return true;
}

void pftrace_run(struct pftrace *p, const struct timeline_thread *t, uint16_t cpu, uint64_t start,
		 uint64_t end, unsigned int then)
{
	if (!start_cpu(p, cpu))
		return;
	add_switch(p, cpu, start, t->tid, t->name, TASK_RUNNING);
	add_switch(p, cpu, end, OTHERS_TID, OTHERS, raw_state(then));
}

void pftrace_waking(struct pftrace *p, const struct timeline_thread *wakee, const struct event *e)
{
	struct pftrace_cpu *c;

	if (e->cpu == EVENT_NO_CPU || !start_cpu(p, e->cpu))
		return;
	c = &p->cpus[e->cpu];
	c->wakings[c->nr_wakings++] = (struct pftrace_waking){
		.time = e->time - p->trace->start,
		.tid = wakee->tid,
		.comm = wakee->name,
		.cpu = (uint16_t)e->waking.cpu,
		.flags = e->waking.flags & EVENT_WAKING_IRQ ? FLAG_HARDIRQ : 0,
	};
	if (c->nr_wakings == ROWS)
		bundle(p, e->cpu);
}

void pftrace_lost(struct pftrace *p, const struct event *e)
{
	for (size_t i = 0; i < p->nr_cpus; i++) {
		if (e->cpu != EVENT_NO_CPU && e->cpu != i)
			continue;
		bundle(p, (uint16_t)i);
		p->cpus[i].lost = true;
	}
}

void pftrace_sched_end(struct pftrace *p)
{
	for (size_t i = 0; i < p->nr_cpus; i++)
		bundle(p, (uint16_t)i);
}

void pftrace_sched_release(struct pftrace *p)
{
	for (size_t i = 0; i < p->nr_cpus; i++) {
		free(p->cpus[i].switches);
		free(p->cpus[i].wakings);
	}
	free(p->cpus);
}
