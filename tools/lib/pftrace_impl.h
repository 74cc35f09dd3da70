/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_PFTRACE_IMPL_H
#define PERISCOPE_PFTRACE_IMPL_H

/* What the parts of write_pftrace share; nobody else includes it. */

#include "id_map.h"
#include "pb.h"
#include "timeline_rates.h"
#include "timeline_view.h"

struct sink;

/* Fields by their numbers; see write_pftrace.h for where they are from. */
enum {
	TRACE_PACKET = 1,

	PACKET_FTRACE_EVENTS = 1,
	PACKET_CLOCK_SNAPSHOT = 6,
	PACKET_TIMESTAMP = 8,
	PACKET_SEQUENCE_ID = 10,
	PACKET_TRACK_EVENT = 11,
	PACKET_INTERNED_DATA = 12,
	PACKET_SEQUENCE_FLAGS = 13,
	PACKET_PREVIOUS_DROPPED = 42,
	PACKET_SYSTEM_INFO = 45,
	PACKET_DEFAULTS = 59,
	PACKET_TRACK_DESCRIPTOR = 60,
	PACKET_STACK_SAMPLE = 135,

	FLAG_CLEARED = 1,
	FLAG_NEEDS_STATE = 2,

	EVENT_CATEGORY_IIDS = 3,
	EVENT_ANNOTATIONS = 4,
	EVENT_TYPE = 9,
	EVENT_NAME_IID = 10,
	EVENT_TRACK = 11,
	EVENT_NAME = 23,
	EVENT_CATEGORIES = 22,
	EVENT_COUNTER_VALUE = 30,
	EVENT_FLOW_IDS = 47,
	EVENT_TERMINATING_FLOW_IDS = 48,
	EVENT_CORRELATION_ID = 52,
	EVENT_CALLSTACK_IID = 56,

	TYPE_BEGIN = 1,
	TYPE_END = 2,
	TYPE_INSTANT = 3,
	TYPE_COUNTER = 4,

	ANNOTATION_NAME_IID = 1,
	ANNOTATION_UINT = 3,
	ANNOTATION_INT = 4,
	ANNOTATION_STRING = 6,
	ANNOTATION_POINTER = 7,

	INTERNED_CATEGORIES = 1,
	INTERNED_EVENT_NAMES = 2,
	INTERNED_ANNOTATION_NAMES = 3,
	INTERNED_FUNCTION_NAMES = 5,
	INTERNED_FRAMES = 6,
	INTERNED_CALLSTACKS = 7,
	INTERNED_BUILD_IDS = 16,
	INTERNED_MAPPING_PATHS = 17,
	INTERNED_SOURCE_PATHS = 18,
	INTERNED_MAPPINGS = 19,

	TRACK_UUID = 1,
	TRACK_NAME = 2,
	TRACK_PROCESS = 3,
	TRACK_THREAD = 4,
	TRACK_PARENT = 5,
	TRACK_COUNTER = 8,
	TRACK_ORDERING = 11,
	TRACK_RANK = 12,
	TRACK_DESCRIPTION = 14,
	ORDERING_EXPLICIT = 3,
};

/* The sequences of packets: that of nearly all, and one whose packets say that some are missing. */
enum { SEQUENCE_MAIN = 1, SEQUENCE_LOST = 2 };

/* Names of our own, besides the trace's strings; categories, too. */
enum pftrace_word {
	WORD_NONE,
	WORD_REQUEST,
	WORD_PHASE,
	WORD_STATE,
	WORD_SYSCALL,
	WORD_FAULT,
	WORD_COMMIT,
	WORD_SPAN,
	WORD_WAKES,
	WORD_LOST,
	WORD_IO,
	WORD_RET,
	WORD_STATUS,
	WORD_BYTES,
	WORD_ALLOCS,
	WORD_ALLOCATED,
	WORD_ID,
	WORD_WAKER,
	WORD_WAKEE,
	WORD_THREAD,
	WORD_CPU,
	WORD_ADDRESS,
	WORD_MAJOR,
	WORD_ITEMS,
	WORD_RESULT,
	WORD_CUT,
	WORD_LOOP_NS,
	WORD_COUNT,
	WORD_SECTOR,
	WORD_ERROR,
	WORD_ARG0,
	WORD_EXEC,
	WORD_EXIT,
	WORD_SIGNAL,
	WORD_TRIGGER,
	WORD_CODE,
	WORD_PARTIAL,
	WORD_READ,
	WORD_QUEUE,
	WORD_WRITE,
	WORD_STATES, /* the names of states follow, in their order */
	WORD_NR = WORD_STATES + 32,
};

/* Which numbers of a table the file has already. */
struct seen {
	uint8_t *bits;
	size_t nr;
};

struct pftrace_cpu {
	/* Switches and wakeups to come, in the order of time each. */
	struct pftrace_switch *switches;
	struct pftrace_waking *wakings;
	size_t nr_switches, nr_wakings;
	uint64_t last; /* time of the last switch */
	bool started;  /* the first one, which Perfetto passes over, is there */
	bool lost;     /* events are missing before the next bundle */
	bool named;    /* the track of losses is there */
};

/* A track that one request, or one transfer, at a time is on. */
struct pftrace_lane {
	uint64_t uuid;
	uint32_t route;
	uint64_t until; /* of block I/O: the end of the last */
	struct pftrace_lane *next_free;
};

struct pftrace {
	struct trace *trace;
	struct sink *out;
	struct pb pb;
	int err; /* the first one */
	/* What is interned: elements by their numbers in the trace. */
	struct seen names, categories, annotations, functions, sources, frames, objects, stacks;
	struct seen syscalls;
	struct pftrace_cpu *cpus;
	size_t nr_cpus, cap_cpus;
	struct id_map tracks;	  /* by what they are of: those that were described */
	struct id_map free_lanes; /* by route */
	struct pftrace_lane **lanes;
	size_t nr_lanes, cap_lanes;
	struct pftrace_lane **io_lanes;
	size_t nr_io_lanes, cap_io_lanes;
	uint64_t window; /* time of its begin */
	uint64_t flows;
	int64_t in_flight;
	struct timeline_rates rates;
};

/* -------- events (pftrace_event.c) -------- */

#define PFTRACE_CHUNK ((size_t)64 << 10)

/* Hand on what is there if it is much. Returns p->err. */
int pftrace_flush(struct pftrace *p, size_t limit);

/* What an event of a track has besides its annotations. 0: has none. */
struct pftrace_event {
	uint64_t time, track;
	uint64_t name, category; /* iids */
	uint64_t correlation, stack, flow, ended_flow;
	unsigned int type;
};

struct pftrace_nested {
	size_t packet, event;
};

struct pftrace_nested pftrace_begin(struct pftrace *p, const struct pftrace_event *e);
void pftrace_end(struct pftrace *p, struct pftrace_nested n);
/* One without annotations. */
void pftrace_put(struct pftrace *p, const struct pftrace_event *e);

/* Annotations, between the two; the iid of a name, or one of our words. */
void pftrace_note(struct pftrace *p, uint64_t name, unsigned int field, uint64_t value);
void pftrace_note_uint(struct pftrace *p, enum pftrace_word word, uint64_t value);
void pftrace_note_int(struct pftrace *p, enum pftrace_word word, int64_t value);
void pftrace_note_text(struct pftrace *p, uint64_t name, const char *text);
/* An event's arguments, if there are an event and arguments: their names, before the packet begins; */
void pftrace_intern_args(struct pftrace *p, const struct event *e);
/* and they themselves. */
void pftrace_note_args(struct pftrace *p, const struct event *e);

/* What all slices of a request have in common; 0 for none. */
uint64_t pftrace_correlation(const struct timeline_request *r);

/* -------- requests (pftrace_requests.c): a visitor's -------- */

int pftrace_request_begin(void *ctx, struct timeline_request *r, const struct event *event);
int pftrace_phase_begin(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time);
int pftrace_phase_end(void *ctx, struct timeline_request *r, uint32_t phase, uint64_t time);
int pftrace_request_state(void *ctx, struct timeline_request *r, const struct timeline_interval *i);
int pftrace_request_end(void *ctx, struct timeline_request *r, const struct event *event);

/* -------- interned data (pftrace_intern.c) -------- */

/* Each makes sure that it is in the file and returns its iid; not within a packet. */
uint64_t pftrace_name(struct pftrace *p, uint32_t string);
uint64_t pftrace_category(struct pftrace *p, uint32_t string);
uint64_t pftrace_annotation(struct pftrace *p, uint32_t string);
uint64_t pftrace_syscall(struct pftrace *p, uint64_t nr);
/* 0: it has no frames. */
uint64_t pftrace_stack(struct pftrace *p, uint32_t stack);
/* Words are there from the begin, under one number in all three tables. */
uint64_t pftrace_word(enum pftrace_word word);
void pftrace_words(struct pftrace *p);
void pftrace_intern_release(struct pftrace *p);

/* -------- CPUs (pftrace_sched.c) -------- */

void pftrace_run(struct pftrace *p, const struct timeline_thread *t, uint16_t cpu, uint64_t start,
		 uint64_t end, unsigned int then);
void pftrace_waking(struct pftrace *p, const struct timeline_thread *wakee, const struct event *e);
void pftrace_lost(struct pftrace *p, const struct event *e);
/* All that waits. */
void pftrace_sched_end(struct pftrace *p);
void pftrace_sched_release(struct pftrace *p);

/* -------- tracks (pftrace_tracks.c) -------- */

/* Each describes the track if it is new, and returns its uuid; not within a packet. */
uint64_t pftrace_thread_track(struct pftrace *p, const struct timeline_thread *t);
uint64_t pftrace_state_track(struct pftrace *p, const struct timeline_thread *t);
uint64_t pftrace_counter_track(struct pftrace *p, unsigned int counter, uint32_t pid, uint16_t cpu);
uint64_t pftrace_loss_track(struct pftrace *p, uint16_t cpu);
/* Where events were left out on purpose. */
uint64_t pftrace_left_out_track(struct pftrace *p);
struct pftrace_lane *pftrace_request_lane(struct pftrace *p, uint32_t route);
void pftrace_free_lane(struct pftrace *p, struct pftrace_lane *lane);
uint64_t pftrace_io_track(struct pftrace *p, const struct timeline_io *io);
/* The thread has its name, or a new one. */
void pftrace_describe_thread(struct pftrace *p, const struct timeline_thread *t);
/* It has ended. */
void pftrace_forget_thread(struct pftrace *p, const struct timeline_thread *t);
void pftrace_tracks_release(struct pftrace *p);

#endif
