/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TRACE_FILE_READ_IMPL_H
#define PERISCOPE_TRACE_FILE_READ_IMPL_H

/* What the parts of the reader of trace files share; nobody else includes it. */

#include "arena.h"
#include "trace_file_codec.h"
#include "trace_file_reader.h"

/* In struct trace_chunk.type: not in the file, but missing in it. */
#define TRACE_CHUNK_GAP	     0

#define TRACE_MAX_TIME	     ((UINT64_C(1) << 62) - 1) /* 146 years; sums of two do not overflow */
#define TRACE_MAX_DICTIONARY (UINT64_C(1) << 30)       /* bytes, unpacked, of all together */
#define TRACE_MAX_GAPS	     (UINT64_C(4) << 20) /* numbers left out, of all tables together */
#define TRACE_KINDS	     128
#define TRACE_KIND_FIELDS    32

struct trace_node {
	uint32_t up, frame; /* up is always smaller than the node's own number */
};

struct trace_syscall_name {
	uint32_t nr;
	const char *name;
};

/* A kind of events as the file has it. */
struct trace_kind {
	bool readable; /* what we know of it has the same fields in front */
	bool args;
	uint8_t nr_fields;		  /* in the file */
	uint8_t fields[EVENT_MAX_FIELDS]; /* types of those we know */
};

struct trace_private {
	int fd;
	struct arena text;
	struct trace_kind kinds[TRACE_KINDS];
	struct trace_node *nodes;
	size_t nr_nodes;
	struct trace_syscall_name *syscalls;
	size_t nr_syscalls, cap_syscalls;
	uint64_t begin; /* as the file says; 0: it does not */
	uint64_t gaps;	/* numbers that may still be left out in dictionaries */
	size_t cap_strings, cap_objects, cap_mappings, cap_frames, cap_lines, cap_stacks, cap_nodes;
	size_t cap_infos, cap_chunks;
};

/* -------- chunks (trace_file_chunks.c) -------- */

/* Find all chunks: by the index if there is one that is whole, else by looking. 0 or an errno. */
int chunks_find(struct trace *t);

/*
 * Read a chunk's payload, unpacked; *ret is to be freed. Returns 0, -EBADMSG for a damaged one,
 * -ENOMEM, or what the system said.
 */
int chunk_load(const struct trace *t, const struct trace_chunk *c, uint8_t **ret, size_t *ret_len);

/* Exactly len bytes. Returns 0, -EBADMSG for the end of the file, or what the system said. */
int read_at(int fd, uint64_t offset, void *data, size_t len);

/* -------- dictionaries (trace_file_dict.c) -------- */

void kinds_init(struct trace_kind *kinds);
/* Take all entries of a payload. Returns 0 or -ENOMEM. */
int dictionary_take(struct trace *t, const uint8_t *payload, size_t len);

#endif
