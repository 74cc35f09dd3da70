/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TRACE_FILE_WRITER_H
#define PERISCOPE_TRACE_FILE_WRITER_H

/*
 * Writes a trace file (trace_file.h) while the events come in. Memory is bounded by what is told in
 * the options and by the number of distinct strings and stacks. Events of one CPU may come a little
 * out of order, CPUs one after the other: they are sorted before they are written, and where a
 * sequence number is missing for good an EVT_LOST is put in its place.
 *
 * How a capture uses it:
 *
 *   trace_file_create()		the file, under its name at once: killed, it leaves what is there
 *   trace_writer_new()
 *   trace_writer_info(), _object(), _mapping(), EVT_PROCESS, EVT_THREAD, EVT_STATE as found
 *   for each record of the kernel:	fill a struct event; trace_writer_event()
 *   for each new stack:		trace_writer_stack()
 *   each 100 ms or so:			trace_writer_poll()
 *   at the end:			trace_writer_lost() with each CPU's last number; symbols
 *					(trace_file_symbols.h); trace_writer_finish()
 *
 * Not for several threads at once. Errors of memory and of the disk are remembered: the first is
 * returned by every later call, so a capture may look at trace_writer_poll()'s answer alone. Then
 * the file ends with the last chunk that was written whole.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eventlog.h"
#include "trace_file.h"

struct sym_frame;
struct trace_writer;

/*
 * Where chunks go: a file, or a ring in memory. `header` is as it is to be in the file, but for
 * `serial`, which the receiver sets (and with it `crc`, by trace_chunk_seal) if it leaves chunks out.
 */
struct trace_chunks {
	/* Take a chunk. Returns 0 or a negative errno, which the writer remembers. */
	int (*chunk)(struct trace_chunks *c, const struct trace_chunk_header *header,
		     const void *payload);
	/* The recording is over, at `end` on the log's clock. NULL: nothing to do. */
	int (*finish)(struct trace_chunks *c, uint64_t end);
};

void trace_chunk_seal(struct trace_chunk_header *header);

/*
 * The receiver that writes a file. Opens `path` for writing, empty, and owned as by lib/output; a
 * pipe or device will do, but stays marked incomplete. The header is written at once: `start` is the
 * time of the log's begin and `realtime` the wall clock then. Returns 0 or a negative errno.
 */
int trace_file_create(const char *path, uint64_t start, uint64_t realtime,
		      struct trace_chunks **ret);
/* The same for an open descriptor, which stays the caller's. */
int trace_file_attach(int fd, uint64_t start, uint64_t realtime, struct trace_chunks **ret);
/*
 * The recording in the file is of what happens from `begin` on (trace_file.h, BEGIN); chunks with what
 * is older follow. Before the first chunk, which then has the number 1. Returns 0 or a negative errno.
 */
int trace_file_begin(struct trace_chunks *file, uint64_t begin);
/* Bytes written so far. */
uint64_t trace_file_bytes(const struct trace_chunks *file);
/*
 * Closes. Without trace_writer_finish() the file stays marked incomplete. Returns 0 or the first
 * error, which may be that of closing.
 */
int trace_file_close(struct trace_chunks *file);

/* Why it is to be decided now. */
enum trace_urge {
	TRACE_URGE_NONE,
	TRACE_URGE_CROWDED, /* too much waits: the oldest */
	TRACE_URGE_ALL,	    /* a dump, or the end: everything */
};

/* What becomes of an event. */
struct trace_pass {
	bool keep;
	bool bare;  /* without its arguments */
	bool whole; /* everything is kept here; where that begins every thread's state is told */
	bool whole_after; /* and after it */
	/* To be put before it, EVT_REQUEST_SUM; borrowed until the next call. */
	const struct event *sums;
	size_t nr_sums;
};

/*
 * Who decides which events are written. Each is seen once, in order of time as far as that is
 * known, then it waits; those before decided() are passed, once, in the same order. What is not
 * kept is counted in EVT_LEFT_OUT. see and pass return 0 or a negative errno.
 */
struct trace_sieve {
	/* *ret_tag: what pass gets, NULL unless set. */
	int (*see)(struct trace_sieve *s, const struct event *e, void **ret_tag);
	uint64_t (*decided)(struct trace_sieve *s, uint64_t newest, enum trace_urge urge);
	int (*pass)(struct trace_sieve *s, const struct event *e, void *tag,
		    struct trace_pass *ret);
};

struct trace_writer_options {
	uint64_t start;	    /* of the log */
	size_t max_events;  /* in memory at once; 0: 32768, about 4 MB */
	size_t max_stacks;  /* distinct ones; more are counted and written as none; 0: 1 << 20 */
	size_t max_strings; /* distinct ones; more are counted and written as ""; 0: 1 << 20 */
	uint64_t flush_ns;  /* written at the latest after that, by poll(); 0: 500 ms */
	uint64_t key_ns;    /* every thread's state is repeated after that; 0: 5 s */
	int level;	    /* of compression, 1 to 9; 0: 1 */
	struct trace_sieve *sieve; /* borrowed; NULL: all is written */
};

struct trace_writer_stats {
	uint64_t events;   /* written, left out or waiting, without LOST */
	uint64_t left_out; /* by the sieve */
	uint64_t lost;	   /* sum of all LOST */
	uint64_t losses;   /* number of LOST */
	uint64_t late;	   /* came after they were counted as lost; they are written, too */
	uint64_t refused; /* of an unknown kind, too long or with too many arguments: not written */
	uint64_t stacks_dropped, strings_dropped;
	uint64_t payload;    /* bytes of chunks of events, packed, with their headers */
	uint64_t dictionary; /* and of all others */
};

/* The receiver is borrowed. Returns 0 or -ENOMEM. */
int trace_writer_new(struct trace_chunks *to, const struct trace_writer_options *o,
		     struct trace_writer **ret);
/* Without trace_writer_finish() what was not flushed is gone. NULL is fine. */
void trace_writer_free(struct trace_writer *w);

/*
 * The number of a string, for fields of type name; 0 for "" and NULL, and after an error. Bytes after
 * EVENT_MAX_TEXT are cut. For names: texts that differ from request to request are arguments, which
 * cost no memory.
 */
uint32_t trace_writer_string(struct trace_writer *w, const char *s);

int trace_writer_info(struct trace_writer *w, const char *key, const char *value);

/* A file that is mapped, under the number that frames have for it (bpf/target.h, FRAME_OBJECT). */
struct trace_object {
	uint32_t object;
	const char *path;
	const uint8_t *build_id;
	size_t build_id_len;
	bool vdso;
	uint64_t start, end, offset, bias; /* of its first mapping */
};

/* The same number again replaces it. */
int trace_writer_object(struct trace_writer *w, const struct trace_object *o);
int trace_writer_mapping(struct trace_writer *w, uint32_t pid, uint64_t time, uint64_t start,
			 uint64_t end, uint64_t offset, uint32_t object);

/* A stack as the kernel sends it (bpf/stacks.h): frames innermost first, as in bpf/target.h. */
struct trace_stack {
	uint64_t hash; /* not 0: what events name it by */
	const uint64_t *frames;
	size_t nr_frames;
	uint32_t pid; /* whose frames of no object are */
	uint8_t end;  /* enum unwind_end */
	uint8_t guessed;
};

/*
 * May come after the events that name it. One that was told is not told again: the first counts.
 */
int trace_writer_stack(struct trace_writer *w, const struct trace_stack *s);

/*
 * Add an event. e->stack fields are hashes. `seq`: its number among those of e->cpu, which grow by 1
 * with each event that there was, recorded or dropped, from 1; events that were made of one record
 * have one number. 0: it has none, and nothing is concluded. Returns 0 or the first error.
 */
int trace_writer_event(struct trace_writer *w, const struct event *e, uint64_t seq);

/*
 * Events of `cpu` were counted up to number `seq` at `time`: those that did not come are lost. For
 * the end of a recording.
 */
int trace_writer_lost(struct trace_writer *w, uint16_t cpu, uint64_t seq, uint64_t time);

/* Write what is due. `now`: CLOCK_MONOTONIC. Returns 0 or the first error. */
int trace_writer_poll(struct trace_writer *w, uint64_t now);
/* Write all that can be, now; a sieve has to decide. */
int trace_writer_flush(struct trace_writer *w);

/* Frames told so far, from 1 to this; each as trace_writer_stack() got it. */
uint32_t trace_writer_nr_frames(const struct trace_writer *w);
uint64_t trace_writer_frame(const struct trace_writer *w, uint32_t frame, uint32_t *ret_pid);
/* Name a frame: its functions, innermost first. Once for each. */
int trace_writer_symbol(struct trace_writer *w, uint32_t frame, const struct sym_frame *lines,
			size_t nr_lines);

/*
 * Everything was told: write the rest, the index, and mark the file complete. `end`: time of the
 * log's end. Returns 0 or the first error.
 */
int trace_writer_finish(struct trace_writer *w, uint64_t end);

void trace_writer_stats(const struct trace_writer *w, struct trace_writer_stats *ret);

#endif
