/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TRACE_FILE_H
#define PERISCOPE_TRACE_FILE_H

/*
 * The trace file, `.periscope`: a timeline that was recorded, to be read on any machine, by this
 * version or a later one. This is the whole of the format, to the field.
 *
 * Numbers of fixed size are little endian. A `varint` is unsigned LEB128 (7 bits a byte, the lowest
 * first, bit 7 set on all but the last; at most 10 bytes), `signed` a varint of the zigzag form
 * (n << 1) ^ (n >> 63), `text` a varint and as many bytes. Times are ns of CLOCK_MONOTONIC.
 *
 *   file		header, chunk, chunk, ...
 *   header		struct trace_header
 *   chunk		struct trace_chunk_header, then its payload as the header describes it
 *
 * A chunk is written at once and whole; a recorder that is killed leaves all but its last one. The
 * header is marked TRACE_INCOMPLETE until the recorder has finished; then it tells where the index
 * is, the last chunk, which lists all others. Without an index a reader goes from chunk to chunk,
 * and where one is damaged it looks for the next that begins with the magic number and has a header
 * whose checksum is right.
 *
 * Versions. A reader refuses another major version, and skips what it does not know of a newer minor
 * one: chunks of other types, entries of dictionaries of other types, kinds of events, fields at the
 * end of an entry or an event. Each kind of event is described in the file by an entry KIND.
 *
 * Payload of TRACE_CHUNK_DICTIONARY: entries, each
 *
 *   varint type	enum trace_entry
 *   varint size	of what follows
 *   KIND		varint kind, text name, varint flags (1: takes arguments), varint nr_fields, then
 *			nr_fields times: text name, varint type (enum event_field_type)
 *   STRINGS		varint first, then to the end: text. They are the strings first, first + 1, ...;
 *			string 0 is "" and not in the file
 *   OBJECT		varint object, text path, text build_id (its bytes), varint flags (1: the vDSO),
 *			varint start, varint end, varint offset (of the mapping it was first seen in),
 *			varint bias (of that: address = virtual address in the file + bias, modulo 2^64)
 *   MAPPING		varint pid, varint time, varint start, varint end, varint offset, varint object:
 *			the process maps it since time, as far as known
 *   FRAMES		varint first, then to the end: varint where, varint address, and if where is 0
 *			varint pid. where 0: an address of process pid; 1: of the kernel; n + 2: a
 *			virtual address in the file of object n. Frame 0 is none and not in the file
 *   NODES		varint first, then to the end: varint up, varint frame. Node n is the frame and its
 *			callers: node n - up, none if up is 0. Node 0 is none
 *   STACKS		to the end: varint stack, varint node (of the innermost frame), varint end (enum
 *			unwind_end: why the walk ended), varint guessed (frames found by frame pointers).
 *			Stack 0 is none. One that events name and no entry has was lost
 *   SYMBOL		varint frame, then to the end: varint function, varint linkage, varint file
 *			(strings), varint line, varint start_line, varint flags (enum trace_symbol_flags):
 *			the functions at that frame, innermost first. A frame without is shown as its
 *			object and address
 *   SYSCALL		varint nr, text name
 *   BEGIN		varint time: the recording is of what happened from then on. What is older is there
 *			so that it is known what every thread was at that moment (since version 1.1)
 *   INFO		text key, text value: facts about the recording ("host", "kernel", "command", "pid",
 *			"hz", ...), for people
 *
 * A reader takes all dictionaries before the first event; so it does not matter when an entry comes,
 * but SYMBOL comes after its frame.
 * A recorder writes strings and stacks before the events that name them, and symbols when it knows
 * them: at the latest before it finishes.
 *
 * Payload of TRACE_CHUNK_EVENTS: what happened on all CPUs in a stretch of time.
 *
 *   varint nr_texts, then nr_texts times: text	the texts of arguments in this chunk, from 0
 *   to the end, sections, one for a CPU:
 *     varint cpu + 1				0: on none
 *     varint nr_events
 *     varint size				of the events
 *     events, in order of time:
 *       u8 code				kind (1 to 127), 128: the thread is another one
 *       varint size				of what follows
 *       varint dt				since the event before; the first since the chunk's `first`
 *       signed dtid				if 128: tid less that of the event before; the first less 0
 *       fields					as the kind's entry lists them. Of a kind that takes
 *						arguments all, else those at the end that are 0 are left
 *						out
 *       arguments, to the end:
 *         varint name * 8 + type		enum event_arg_type
 *         value				signed for INT, else varint; of TEXT its number
 *
 * Fields are varints but these: INT is signed; TID signed, less the event's tid; REQUEST signed, less
 * the field of that type before it in the section (0 at its begin); TIME the event's time less the
 * field, plus 1, or 0 for none; LATER the field less the event's time. Differences are modulo 2^64
 * (of tids, 2^32).
 *
 * Stretches of chunks may overlap a little, since CPUs are heard one after the other: `first` and
 * `last` of the chunk's header tell. A section's events are sorted, and a reader merges sections.
 *
 * Payload of TRACE_CHUNK_INDEX: for each other chunk in the order of the file
 *
 *   varint size (of the chunk, header included), varint type, varint flags, varint events,
 *   signed first (less that of the chunk before), varint last - first
 */

#include <stdint.h>

#define TRACE_MAGIC                                    \
	{                                              \
		0x89, 'P', 'S', 'C', 'O', 'P', 'E', 10 \
	}
#define TRACE_MAJOR 1
#define TRACE_MINOR 1

enum trace_header_flags {
	TRACE_INCOMPLETE = 1 << 0, /* being recorded, or its recorder was killed */
};

struct trace_header {
	uint8_t magic[8];
	uint16_t major, minor;
	uint32_t size;	   /* of the header: the first chunk is there */
	uint32_t flags;	   /* enum trace_header_flags */
	uint32_t machine;  /* ELF's e_machine: whose system calls and addresses these are */
	uint64_t start;	   /* a time not after the first event; since may be older */
	uint64_t realtime; /* ns since 1970 at start */
	uint64_t end;	   /* time of its end; 0 while incomplete */
	uint64_t index;	   /* offset of the index's chunk; 0 while incomplete */
	uint32_t reserved;
	uint32_t crc; /* CRC-32 (zlib's) of the header up to here */
};

#define TRACE_CHUNK_MAGIC 0x4b484350 /* "PCHK" */

enum trace_chunk_type {
	TRACE_CHUNK_DICTIONARY = 1,
	TRACE_CHUNK_EVENTS = 2,
	TRACE_CHUNK_INDEX = 3,
};

enum trace_chunk_packing {
	TRACE_STORED = 0,
	TRACE_ZLIB = 1, /* RFC 1950 */
};

enum trace_chunk_flags {
	TRACE_CHUNK_KEY =
		1 << 0, /* begins with a STATE of every thread: a place to start reading */
};

struct trace_chunk_header {
	uint32_t magic;
	uint8_t type;	 /* enum trace_chunk_type */
	uint8_t packing; /* enum trace_chunk_packing */
	uint16_t flags;	 /* enum trace_chunk_flags */
	uint32_t size;	 /* of the payload in the file */
	uint32_t unpacked;
	uint64_t first, last; /* times of the oldest and the newest event; 0 without any */
	uint32_t events;
	uint32_t serial;  /* number of the chunk, from 0 */
	uint32_t payload; /* CRC-32 of the payload in the file */
	uint32_t crc;	  /* CRC-32 of this header up to here */
};

_Static_assert(sizeof(struct trace_header) == 64, "as in files");
_Static_assert(sizeof(struct trace_chunk_header) == 48, "as in files");

enum trace_entry {
	TRACE_KIND = 1,
	TRACE_STRINGS = 2,
	TRACE_OBJECT = 3,
	TRACE_MAPPING = 4,
	TRACE_FRAMES = 5,
	TRACE_NODES = 6,
	TRACE_STACKS = 7,
	TRACE_SYMBOL = 8,
	TRACE_SYSCALL = 9,
	TRACE_INFO = 10,
	TRACE_BEGIN = 11,
};

enum trace_symbol_flags {
	TRACE_SYMBOL_INLINED = 1 << 0, /* into the next */
	TRACE_SYMBOL_GUESSED = 1 << 1, /* named after an address, not by a symbol */
};

/* What a reader accepts; a writer stays far below. */
#define TRACE_MAX_PAYLOAD (UINT32_C(64) << 20) /* bytes of a chunk, packed or not */
#define TRACE_MAX_FRAMES  1024		       /* of a stack, inlined functions of a frame */

#endif
