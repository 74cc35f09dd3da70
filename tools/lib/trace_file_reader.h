/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TRACE_FILE_READER_H
#define PERISCOPE_TRACE_FILE_READER_H

/*
 * Reads a trace file (trace_file.h): all dictionaries at once, the events in order of time, as many
 * at a time as are in a few chunks. Files are other people's: nothing in them is believed before it
 * is checked, and what is damaged is passed over, counted, and told as lost events.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eventlog.h"
#include "read.h"
#include "trace_file.h"

struct trace_object_info {
	const char *path;     /* "" : no such object */
	const char *build_id; /* hex, or "" */
	bool vdso;
	uint64_t start, end, offset, bias;
};

/* A mapping as it was seen. */
struct trace_mapping {
	uint32_t pid, object;
	uint64_t time, start, end, offset;
};

enum trace_frame_where {
	TRACE_FRAME_PROCESS, /* an address of process pid that no file covers */
	TRACE_FRAME_KERNEL,
	TRACE_FRAME_OBJECT, /* a virtual address in the file */
};

struct trace_frame {
	uint64_t address;
	uint8_t where;		       /* enum trace_frame_where */
	uint32_t object;	       /* or, of a process, its PID */
	uint32_t first_line, nr_lines; /* into lines; none: not symbolized */
};

/* One of the functions at a frame, innermost first. Strings of the trace. */
struct trace_line {
	uint32_t function, linkage, file;
	uint32_t line, start_line;
	uint32_t flags; /* enum trace_symbol_flags */
};

struct trace_stack_info {
	uint32_t node; /* of the innermost frame; 0: it has none */
	uint8_t end;   /* enum unwind_end */
	uint8_t guessed;
	bool known; /* false: named by events, but its entry was lost */
};

struct trace_info {
	const char *key, *value;
};

struct trace_chunk {
	uint64_t offset; /* in the file */
	uint64_t first, last;
	uint32_t size, events; /* size with its header */
	uint8_t type;
	bool read; /* once at least */
	uint16_t flags;
};

/* What is wrong with a file, as far as it was read. All 0: nothing. */
struct trace_damage {
	uint64_t chunks;  /* damaged */
	uint64_t bytes;	  /* passed over between chunks */
	uint64_t entries; /* of dictionaries, that made no sense */
	uint64_t events;  /* that made no sense, besides those of damaged chunks */
	uint64_t missing; /* chunks, by their numbers */
	uint64_t unknown; /* chunks, entries and events that a newer version made: no damage */
};

struct trace {
	struct trace_header header;
	uint64_t size; /* of the file */
	bool complete; /* finished, and its index is whole */
	/*
	 * From its first event, since recorders open their file before they are ready, or from where
	 * its recorder says that it begins, to its end; and the wall clock at start. `first`: the
	 * first event there is, at or before start.
	 */
	uint64_t first, start, end, realtime;
	uint64_t nr_events; /* as the chunks' headers tell */
	int err;	    /* why reading events ended before their end, if it did */
	struct trace_damage damage;
	/* Dictionaries; element 0 is none. */
	const char **strings;
	size_t nr_strings;
	struct trace_object_info *objects;
	size_t nr_objects;
	struct trace_mapping *mappings;
	size_t nr_mappings;
	struct trace_frame *frames;
	size_t nr_frames;
	struct trace_line *lines;
	size_t nr_lines;
	struct trace_stack_info *stacks;
	size_t nr_stacks;
	struct trace_info *infos;
	size_t nr_infos;
	/* All chunks, in the order of the file. */
	struct trace_chunk *chunks;
	size_t nr_chunks;
	struct trace_private *private;
};

/*
 * Open a file. Returns 0, or a negative errno and the reason: -EINVAL for what is no trace file, or
 * one of a newer major version. A file that was not finished, or is damaged, is opened as far as it
 * goes.
 */
int trace_open(const char *path, struct trace **ret, struct read_error *error);
/* NULL is fine. Cursors end before. */
void trace_close(struct trace *t);

/* Never NULL: "" for what there is not. */
const char *trace_string(const struct trace *t, uint64_t string);
/* A fact about the recording, or NULL. */
const char *trace_info(const struct trace *t, const char *key);
/* Name of a system call, as the recording machine has it; NULL unknown. */
const char *trace_syscall(const struct trace *t, uint64_t nr);

/*
 * The frames of a stack, innermost first, at most `max` of them. Returns their number. A stack that
 * was lost has none.
 */
size_t trace_stack_frames(const struct trace *t, uint64_t stack, uint32_t *ret, size_t max);
/* Never NULL: node 0, an unknown stack, for what there is not. */
const struct trace_stack_info *trace_stack(const struct trace *t, uint64_t stack);
/* Names a frame that has no lines: "libc.so.6+0x1234", "[kernel 0x...]". Returns buf. */
const char *trace_frame_name(const struct trace *t, uint32_t frame, char *buf, size_t size);

/*
 * Name frames that have no lines from files that are on this machine, at the paths where they were
 * recorded and with the same build ID. Returns how many were named, or -ENOMEM.
 */
int trace_symbolize(struct trace *t);

struct trace_cursor;

/*
 * Events from `from` on: from the last place before it where the state of every thread is told, that
 * is at least `before` older; so events may be older than `from`. 0, 0: all. Returns 0 or -ENOMEM.
 */
int trace_cursor_new(struct trace *t, uint64_t from, uint64_t before, struct trace_cursor **ret);
void trace_cursor_free(struct trace_cursor *c);

/*
 * The next event; NULL at the end. It lives until the next call. Where a chunk is damaged or missing
 * there is an EVT_LOST on EVENT_NO_CPU: of all CPUs; count 0: nobody knows how many. Kinds that this
 * version does not know are left out and counted. Returns 0, -ENOMEM, -EIO and the like, or -EFBIG
 * for a file whose chunks overlap too much to be merged.
 */
int trace_next(struct trace_cursor *c, const struct event **ret);

#endif
