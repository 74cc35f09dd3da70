/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TRACE_FIXTURE_H
#define PERISCOPE_TRACE_FIXTURE_H

/* Trace files for tests: written by the real writer into a file of its own. After cmocka.h. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/trace_file_reader.h"
#include "lib/trace_file_writer.h"

/* Events are written with those of their fields that matter; clang warns of all others. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wmissing-field-initializers"
#endif

#define FIXTURE_START UINT64_C(1000000000000)

struct fixture_trace {
	char path[64];
	struct trace_chunks *file;
	struct trace_writer *w;
};

static inline void fixture_trace_new(struct fixture_trace *f, const struct trace_writer_options *o)
{
	struct trace_writer_options options = { 0 };
	int fd;

	if (o)
		options = *o;
	options.start = FIXTURE_START;
	snprintf(f->path, sizeof(f->path), "/tmp/periscope-trace.XXXXXX");
	fd = mkstemp(f->path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(trace_file_create(f->path, FIXTURE_START, 1700000000123456789, &f->file),
			 0);
	assert_int_equal(trace_writer_new(f->file, &options, &f->w), 0);
}

static inline void fixture_trace_finish(struct fixture_trace *f, uint64_t end)
{
	assert_int_equal(trace_writer_finish(f->w, FIXTURE_START + end), 0);
	trace_writer_free(f->w);
	assert_int_equal(trace_file_close(f->file), 0);
}

/* As if the recorder had been killed now. */
static inline void fixture_trace_kill(struct fixture_trace *f)
{
	trace_writer_free(f->w);
	assert_int_equal(trace_file_close(f->file), 0);
}

static inline struct trace *fixture_trace_open(const struct fixture_trace *f)
{
	struct read_error error = { "" };
	struct trace *t = NULL;

	if (trace_open(f->path, &t, &error))
		fail_msg("%s", error.text);
	return t;
}

static inline size_t fixture_trace_read(const struct fixture_trace *f, uint8_t **ret)
{
	struct stat st;
	int fd = open(f->path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*ret = malloc((size_t)st.st_size + 1);
	assert_non_null(*ret);
	assert_int_equal(read(fd, *ret, (size_t)st.st_size), st.st_size);
	close(fd);
	return (size_t)st.st_size;
}

static inline void fixture_trace_write(const struct fixture_trace *f, const void *data, size_t len)
{
	int fd = open(f->path, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	close(fd);
}

/* An event: kind, time since the start, CPU, thread; its fields one by one. */
#define FIXTURE_EVENT(...)  \
	(struct event)      \
	{                   \
		__VA_ARGS__ \
	}

static inline void fixture_put(struct fixture_trace *f, struct event e, uint64_t seq)
{
	e.time += FIXTURE_START;
	assert_int_equal(trace_writer_event(f->w, &e, seq), 0);
}

/* Chunks of so many events: names by which each is told from the others. */
static inline void fixture_put_many(struct fixture_trace *f, uint64_t chunks, uint64_t events)
{
	for (uint64_t i = 0; i < chunks; i++) {
		char text[32];

		snprintf(text, sizeof(text), "name %d", (int)i);
		for (uint64_t j = 0; j < events; j++)
			fixture_put(f,
				    FIXTURE_EVENT(.time = i * 1000 + j, .cpu = j % 2, .tid = 7,
						  .kind = EVT_NAME,
						  .name = { trace_writer_string(f->w, text) }),
				    0);
		assert_int_equal(trace_writer_flush(f->w), 0);
	}
}

#endif
