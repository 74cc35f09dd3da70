/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TRACE_FILE_IMPL_H
#define PERISCOPE_TRACE_FILE_IMPL_H

/* What the parts of the writer of trace files share; nobody else includes it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#include "arena.h"
#include "bytes.h"
#include "dedup.h"
#include "trace_file_codec.h"
#include "trace_file_writer.h"

/* -------- a chunk (trace_file_pack.c) -------- */

struct packer {
	z_stream z;
	bool ready;
	struct bytes out;
};

/*
 * Pack a payload into p->out, and fill in what the header tells of it; type, flags, times, number of
 * events and serial are the caller's. Returns 0 or a negative errno.
 */
int packer_pack(struct packer *p, int level, struct trace_chunk_header *header,
		const struct bytes *payload);
void packer_release(struct packer *p);

/* -------- strings, stacks and what they are made of (trace_file_intern.c) -------- */

struct intern_frame {
	uint64_t frame;
	uint32_t pid; /* 0 unless it is of no object */
};

struct intern_node {
	uint32_t up, frame;
};

struct intern_stack {
	uint64_t hash;
	bool defined;
};

#define INTERN_SYSCALLS 1024 /* numbers whose names are remembered as written */

struct intern {
	size_t max_strings, max_stacks;
	struct bytes text; /* of all strings, each with its NUL */
	size_t *strings;   /* where they begin; [0] is "" */
	size_t nr_strings, cap_strings;
	struct intern_frame *frames;
	size_t nr_frames, cap_frames;
	struct intern_node *nodes;
	size_t nr_nodes, cap_nodes;
	struct intern_stack *stacks;
	size_t nr_stacks, cap_stacks;
	struct dedup by_text, by_frame, by_node, by_hash;
	size_t strings_done, frames_done, nodes_done; /* that are in `entries` */
	struct bytes stack_entries;		      /* bodies of STACKS to come */
	struct bytes entries;			      /* of the next dictionary, whole ones */
	struct bytes scratch;
	uint64_t stacks_dropped, strings_dropped;
	uint8_t syscalls[INTERN_SYSCALLS / 8];
};

/* All return 0, a number, or -ENOMEM, but for what is told. */
int intern_init(struct intern *d, size_t max_strings, size_t max_stacks);
void intern_release(struct intern *d);
/* The number of a string. */
int intern_string(struct intern *d, const char *s, uint32_t *ret);
/* The number of a stack, which may not be defined yet. */
int intern_stack(struct intern *d, uint64_t hash, uint32_t *ret);
int intern_define_stack(struct intern *d, const struct trace_stack *s);
int intern_syscall(struct intern *d, uint64_t nr);
/* An entry whose body is in d->scratch. */
int intern_entry(struct intern *d, enum trace_entry type);
/* Put all that is new into d->entries. */
int intern_collect(struct intern *d);

/* -------- what every thread is (trace_file_keys.c) -------- */

struct key_thread {
	uint64_t since, entered, worked; /* times of state, syscall and request */
	uint64_t taken; /* when it took over its number from another (EVT_EXEC); 0: it did not */
	uint64_t stack; /* its number, not its hash */
	uint64_t request;
	uint32_t tid, pid, name;
	uint32_t syscall; /* + 1 */
	uint8_t state, flags;
};

struct key_process {
	uint32_t pid, parent, name;
};

#define KEYS_MAX 65536 /* threads and processes that are followed */

struct keys {
	struct key_thread *threads;
	uint32_t *slots; /* of threads, by tid: index + 1, 0 free */
	size_t nr, cap, nr_slots;
	struct key_process *processes;
	size_t nr_processes, cap_processes;
	struct key_thread *last; /* of the event before */
};

void keys_release(struct keys *k);
/* Take notice of an event whose stack is a number. Returns 0 or -ENOMEM. */
int keys_event(struct keys *k, const struct event *e);
/* What a thread is, as an EVT_STATE without a time. False: nothing is known. */
bool keys_state(const struct key_thread *t, struct event *ret);

/* -------- events on their way into a chunk (trace_file_queue.c) -------- */

struct queued {
	struct event e;
	uint64_t seq;	/* 0: none, or settled */
	uint32_t order; /* of arrival, since the last flush */
};

/* Of one CPU. */
struct queue {
	struct queued *items;
	size_t nr, cap;
	uint64_t next;	    /* number that is due, as far as settled */
	uint64_t next_time; /* of the event before that number */
	uint64_t expected;  /* number that is due, as far as queued */
	uint64_t newest;
	bool disordered, gaps;
};

/* Returns 0 or -ENOMEM. */
int queue_add(struct queue *q, const struct event *e, uint64_t seq);
/*
 * Sort what is there, and put an EVT_LOST in where numbers are missing: those that have been so for
 * events older than `young`. *ret: how many of the first items are ready to be written. Returns 0 or
 * -ENOMEM. The rest waits for what is missing.
 */
int queue_settle(struct queue *q, uint16_t cpu, uint64_t young, struct trace_writer_stats *stats,
		 size_t *ret);
/* Forget the first n. */
void queue_drop(struct queue *q, size_t n);
/* By time; what is of one time stays as it came. */
void queue_sort(struct queue *q);

/* -------- a chunk of events (trace_file_encode.c) -------- */

struct encoder {
	struct bytes sections, texts, payload, section;
	const char **text_at; /* of this chunk */
	size_t nr_texts, cap_texts;
	struct dedup by_text;
	uint64_t first, last, events;
};

/* A chunk without anything; `first`: no event is older. */
void encoder_start(struct encoder *c, uint64_t first);
/* A section. Stacks of events are numbers. Returns 0 or -ENOMEM. */
int encoder_section(struct encoder *c, uint16_t cpu, const struct queued *items, size_t nr);
/* The payload, valid until the next start; NULL for lack of memory. */
const struct bytes *encoder_payload(struct encoder *c);
void encoder_release(struct encoder *c);

/* -------- what is not all written (trace_file_sieve.c) -------- */

struct sieve_held {
	struct event e;
	void *tag; /* the sieve's */
};

struct sieve_next;

struct sieving {
	struct sieve_held *items; /* by time: they wait for the decision */
	size_t nr, cap;
	struct arena args[2]; /* theirs */
	struct sieve_next *heap;
	struct queue *outs; /* as the writer's queues: what is written now */
	size_t nr_outs, cap_outs;
	bool whole;	   /* all is written at this point */
	uint64_t left_out; /* events, since it was last told */
};

struct trace_writer;

/* Take what is ready in the writer's queues. Returns 0 or a negative errno, as all of these. */
int sieve_take(struct trace_writer *w);
/* Write what is decided. */
int sieve_write(struct trace_writer *w, enum trace_urge urge);
void sieving_release(struct sieving *s);

/* -------- the writer itself -------- */

struct trace_writer {
	struct trace_chunks *to;
	struct trace_writer_options o;
	int err; /* the first one */
	struct intern dict;
	struct keys keys;
	struct packer packer;
	struct encoder encoder;
	struct queue *queues; /* [0]: on no CPU; [n + 1]: CPU n */
	size_t nr_queues, cap_queues, nr_queued;
	size_t *ready;		  /* of each queue, while it is written */
	struct arena args[2];	  /* of the events that wait, and of those that wait on */
	struct queued *key_items; /* the states of all threads */
	size_t cap_key_items;
	struct sieving sieving;
	uint64_t newest;	 /* time of an event */
	uint64_t written;	 /* time of the newest that was written */
	uint64_t flushed, keyed; /* when, on the caller's clock and the log's */
	uint32_t serial;
	bool any, finished;
	bool key; /* this chunk begins with all states */
	struct trace_writer_stats stats;
};

/* Remember the first error. Returns it. */
int writer_done(struct trace_writer *w, int err);
/* Pack and hand on; adds its size to *bytes. Returns 0 or a negative errno. */
int writer_chunk(struct trace_writer *w, struct trace_chunk_header *h, const struct bytes *payload,
		 uint64_t *bytes);
/* A chunk of events: what is at its begin, and when all sections are in the encoder. */
int writer_begin_events(struct trace_writer *w, uint64_t first);
int writer_end_events(struct trace_writer *w);
/* Move the arguments of an event to memory that lasts as long as the arena. Returns 0 or -ENOMEM. */
int writer_keep_args(struct arena *arena, struct event *e);
/* Describe every kind of event. */
int writer_kinds(struct intern *d);
/* Write a chunk of what is new in the dictionaries, if there is any. */
int writer_dictionary(struct trace_writer *w);

#endif
