/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TRACE_INPUT_H
#define PERISCOPE_TRACE_INPUT_H

/*
 * Hostile trace files, and everything that is done with one. Raw bytes are stopped by checksums;
 * so input is also taken for payloads, which are packed and sealed as a friendly writer would.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/profile.h"
#include "lib/sink.h"
#include "lib/timeline_profile.h"
#include "lib/timeline_report.h"
#include "lib/trace_file_writer.h"
#include "lib/write_chrome.h"
#include "lib/write_heaptrack.h"
#include "lib/write_pftrace.h"
#include "lib/write_report.h"

#define INPUT_START UINT64_C(1000000)

static inline int input_nowhere(struct sink *s, const void *data, size_t len)
{
	(void)s;
	/* Every byte is read, so that a sanitizer sees all of it. */
	return crc32(0, data, (uInt)len) == 0xdeadbeef && len == 12345 ? -1 : 0;
}

static inline void input_write(struct trace *t)
{
	struct timeline_view views[] = {
		{ .trace = t },
		{ .trace = t, .filter = { .from = 1000, .to = 100000000, .slower = 10 } },
	};
	struct write_options o = WRITE_OPTIONS_DEFAULT;
	struct sink nowhere = { .write = input_nowhere };
	struct timeline_report r;
	struct profile *p;

	for (int i = 0; i < 2; i++) {
		write_pftrace(&views[i], &o, &nowhere);
		write_chrome(&views[i], &o, &nowhere);
		write_heaptrack(&views[i], &o, &nowhere);
		if (!timeline_report_init(&r, &views[i], 3, i)) {
			write_report_text(r.report, &o, &nowhere);
			write_report_json(r.report, &o, &nowhere);
			timeline_report_release(&r);
		}
		for (int kind = 0; kind < TIMELINE_NR_PROFILES; kind++)
			if (!timeline_profile(&views[i], kind, &p))
				profile_free(p);
	}
}

/* What convert does with a file, whatever is in it. */
static inline void input_open(const char *path)
{
	struct read_error error;
	struct trace *t;

	if (trace_open(path, &t, &error))
		return;
	trace_symbolize(t);
	input_write(t);
	trace_close(t);
}

static inline void input_put(int fd, const void *data, size_t len)
{
	if (len && write(fd, data, len) != (ssize_t)len)
		abort();
}

static inline void input_header(int fd)
{
	struct trace_header h = {
		.magic = TRACE_MAGIC,
		.major = TRACE_MAJOR,
		.size = sizeof(h),
		.flags = TRACE_INCOMPLETE,
		.machine = 62,
		.start = INPUT_START,
	};

	h.crc = (uint32_t)crc32(0, (const void *)&h, offsetof(struct trace_header, crc));
	input_put(fd, &h, sizeof(h));
}

static inline void input_chunk(int fd, uint8_t type, uint32_t serial, uint64_t first, uint64_t span,
			       const void *payload, size_t len)
{
	struct trace_chunk_header h = {
		.magic = TRACE_CHUNK_MAGIC,
		.type = type,
		.packing = TRACE_STORED,
		.flags = serial % 2 ? TRACE_CHUNK_KEY : 0,
		.size = (uint32_t)len,
		.unpacked = (uint32_t)len,
		.first = first,
		.last = first + span,
		.events = 7,
		.serial = serial,
		.payload = (uint32_t)crc32(0, payload, (uInt)len),
	};

	trace_chunk_seal(&h);
	input_put(fd, &h, sizeof(h));
	input_put(fd, payload, len);
}

/*
 * The input as chunks: of each the first byte says what it is, the next two how long, two more when
 * it begins and how long it lasts.
 */
static inline void input_chunks(int fd, const uint8_t *data, size_t len)
{
	uint32_t serial = 0;

	input_header(fd);
	while (len >= 5) {
		size_t size = data[1] | (size_t)data[2] << 8;
		uint64_t first = INPUT_START + (uint64_t)data[3] * 1000000;
		uint64_t span = (uint64_t)data[4] * 2000000;
		uint8_t type = data[0] % 4 ? data[0] % 4 : data[0];

		if (size > len - 5)
			size = len - 5;
		/* Now and then one is missing. */
		serial += data[0] > 250;
		input_chunk(fd, type, serial++, first, span, data + 5, size);
		data += 5 + size;
		len -= 5 + size;
	}
}

/* Once as the file itself, once as what is in it. */
static inline void input_try(const uint8_t *data, size_t len)
{
	char path[64];

	for (int as_chunks = 0; as_chunks < 2; as_chunks++) {
		int fd = memfd_create("input", MFD_CLOEXEC);

		if (fd < 0)
			abort();
		if (as_chunks)
			input_chunks(fd, data, len);
		else
			input_put(fd, data, len);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		input_open(path);
		close(fd);
	}
}

#endif
