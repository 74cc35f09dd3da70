/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_PROFILE_FIXTURE_H
#define PERISCOPE_PROFILE_FIXTURE_H

/*
 * Profiles for the tests of writers: a small one whose every number is known by hand, and a hostile
 * one. Include after cmocka.h.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/profile.h"
#include "lib/sink.h"
#include "lib/strbuf.h"
#include "lib/write.h"

#define FIXTURE_PERIOD 10000000 /* ns */

static inline uint32_t fixture_string(struct profile *p, const char *s)
{
	uint32_t i;

	assert_int_equal(profile_string(p, s, &i), 0);
	return i;
}

static inline uint32_t fixture_mapping(struct profile *p, uint64_t start, const char *file)
{
	char build_id[17];
	uint32_t i;

	/* Each its own: pprof takes mappings of one build ID for one file. */
	snprintf(build_id, sizeof(build_id), "%016llx", (unsigned long long)start);
	assert_int_equal(profile_mapping(p, start, start + 0x100000, 0x1000, file, build_id, &i),
			 0);
	p->mappings[i].has_functions = true;
	p->mappings[i].has_filenames = true;
	p->mappings[i].has_line_numbers = true;
	p->mappings[i].has_inline_frames = true;
	return i;
}

static inline uint32_t fixture_function(struct profile *p, const char *name, const char *file,
					bool kernel)
{
	struct profile_function f = {
		.name = fixture_string(p, name),
		.system_name = fixture_string(p, name),
		.file = fixture_string(p, file),
		.kernel = kernel,
	};
	uint32_t i;

	assert_int_equal(profile_function(p, &f, &i), 0);
	return i;
}

static inline uint32_t fixture_location(struct profile *p, uint32_t mapping, uint64_t address,
					const char *name, const char *file, uint32_t line)
{
	bool kernel = mapping != PROFILE_NONE &&
		      !strncmp(profile_str(p, p->mappings[mapping].file), "[kernel", 7);
	struct profile_line l = { .line = line };
	uint32_t i;

	if (name)
		l.function = fixture_function(p, name, file, kernel);
	assert_int_equal(profile_location(p, address, mapping, &l, name ? 1 : 0, &i), 0);
	return i;
}

/* A stack, leaf first, with `count` samples. */
static inline void fixture_add(struct profile *p, const char *comm, const char *truncated,
			       int64_t count, const uint32_t *locations, size_t n)
{
	struct profile_label tid = { .key = fixture_string(p, "tid"), .num = 4711 };
	struct profile_sample_key key = {
		.locations = locations,
		.nr_locations = n,
		.labels = &tid,
		.nr_labels = 1,
		.comm = fixture_string(p, comm),
		.truncated = fixture_string(p, truncated),
	};
	int64_t values[] = { count, count > INT64_MAX / FIXTURE_PERIOD ? INT64_MAX
								       : count * FIXTURE_PERIOD };

	assert_int_equal(profile_add(p, &key, values), 0);
}
#define FIXTURE_ADD(p, comm, truncated, count, ...)                         \
	fixture_add(p, comm, truncated, count, (uint32_t[]){ __VA_ARGS__ }, \
		    sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

static inline struct profile *fixture_empty(void)
{
	struct profile *p = profile_new();
	uint32_t type;

	assert_non_null(p);
	assert_int_equal(profile_type(p, "samples", "count", &type), 0);
	assert_int_equal(profile_type(p, "cpu", "nanoseconds", &type), 0);
	p->default_type = type;
	p->period_type = p->types[type];
	p->period = FIXTURE_PERIOD;
	p->time_ns = 1700000000123456789;
	p->duration_ns = 2500000000;
	return p;
}

/*
 * 39 samples, 390 ms. By themselves and with what they called: main 0, 34; work 8, 21; malloc 11,
 * 11; helper 6, 6; do_sys 2, 2; libx.so+0x2234 11, 11. One sample has no stack.
 */
static inline struct profile *fixture_known(void)
{
	struct profile *p = fixture_empty();
	uint32_t prog = fixture_mapping(p, 0x400000, "/usr/bin/prog");
	uint32_t libc = fixture_mapping(p, 0x7f0000000000, "/lib/libc.so.6");
	uint32_t libx = fixture_mapping(p, 0x7f1000000000, "/opt/libx.so");
	uint32_t kernel = fixture_mapping(p, 0xffffffff80000000, "[kernel.kallsyms]");
	uint32_t in_main = fixture_location(p, prog, 0x400100, "main", "/src/main.c", 10);
	uint32_t work = fixture_location(p, prog, 0x400200, "work", "/src/work.c", 20);
	uint32_t work2 = fixture_location(p, prog, 0x400210, "work", "/src/work.c", 21);
	uint32_t alloc = fixture_location(p, libc, 0x7f0000000300, "malloc", "", 0);
	uint32_t do_sys = fixture_location(p, kernel, 0xffffffff80000400, "do_sys", "", 0);
	uint32_t unnamed = fixture_location(p, libx, 0x7f1000001234, NULL, NULL, 0);
	struct profile_line lines[] = {
		{ fixture_function(p, "helper", "/src/work.h", false), 3 },
		{ fixture_function(p, "work", "/src/work.c", false), 22 },
	};
	uint32_t inlined;

	assert_int_equal(profile_location(p, 0x400220, prog, lines, 2, &inlined), 0);
	FIXTURE_ADD(p, "prog", NULL, 7, alloc, work, in_main);
	FIXTURE_ADD(p, "prog", NULL, 5, work, in_main);
	FIXTURE_ADD(p, "prog", NULL, 3, work2, work, work2, in_main);
	FIXTURE_ADD(p, "worker", NULL, 2, do_sys, in_main);
	FIXTURE_ADD(p, "prog", "no rows", 4, alloc);
	FIXTURE_ADD(p, "prog", NULL, 6, inlined, in_main);
	FIXTURE_ADD(p, "worker", NULL, 11, unnamed, in_main);
	fixture_add(p, "prog", NULL, 1, NULL, 0);
	assert_int_equal(profile_comment(p, "first remark"), 0);
	assert_int_equal(profile_comment(p, "second remark"), 0);
	return p;
}

#define HOSTILE_DEPTH 1000
#define HOSTILE_NAME  10000

/* Names of every bad kind, stacks of 1,000 frames, values near the end of the range. */
static inline struct profile *fixture_hostile(void)
{
	static const char *const names[] = {
		"",
		"]]>",
		"a;b\nc\td",
		"<script>alert(\"x\")</script>",
		"&amp; 'q' \"q\"",
		"\xff\xfe\xc0\x80 bad",
		"\xed\xa0\x80 surrogate",
		"cut \xe2\x82",
		"\xef\xbf\xbe\xef\xbf\xbf",
		"esc\033[31mred\a\x7f\xc2\x9b",
		"\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d",		    /* Hebrew */
		"\xe2\x80\xaeright to left\xe2\x80\xac",	    /* an override */
		"\xe5\x87\xbd\xe6\x95\xb0\xe5\x90\x8d\xe5\xad\x97", /* wide */
		"%s%n%d",
		" 12 ",
	};
	struct profile *p = fixture_empty();
	uint32_t mapping = fixture_mapping(p, 0x400000, "/tmp/a;b<&\"\n\xff.so");
	uint32_t deep[HOSTILE_DEPTH], one;
	char *longest = malloc(HOSTILE_NAME + 1);

	assert_non_null(longest);
	memset(longest, 'N', HOSTILE_NAME);
	longest[HOSTILE_NAME] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		one = fixture_location(p, mapping, 0x400000 + i, names[i], names[i], 1);
		FIXTURE_ADD(p, names[i], i % 2 ? names[i] : NULL, INT64_C(1) << 40, one);
	}
	one = fixture_location(p, mapping, 0x401000, longest, longest, 1);
	FIXTURE_ADD(p, longest, longest, INT64_C(1) << 41, one);
	for (uint32_t i = 0; i < HOSTILE_DEPTH; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		deep[i] = fixture_location(p, i % 7 ? mapping : PROFILE_NONE, 0x402000 + i,
					   i % 5 ? name : NULL, "", 0);
	}
	fixture_add(p, "deep", NULL, INT64_C(1) << 62, deep, HOSTILE_DEPTH);
	fixture_add(p, "deep", "cut", INT64_C(1) << 62, deep, HOSTILE_DEPTH - 1);
	fixture_add(p, "deep", "cut", INT64_C(1) << 62, deep, HOSTILE_DEPTH - 1);
	free(longest);
	return p;
}

typedef int (*fixture_writer)(const struct profile *, const struct write_options *, struct sink *);

/* What a writer makes of p; the caller releases *out. */
static inline void fixture_write(fixture_writer write, const struct profile *p,
				 const struct write_options *o, struct strbuf *out)
{
	struct write_options defaults = WRITE_OPTIONS_DEFAULT;
	struct strbuf_sink sink;

	strbuf_init(out);
	strbuf_sink_init(&sink, out);
	assert_int_equal(write(p, o ? o : &defaults, &sink.sink), 0);
}

/* A sink that fails after some bytes: every writer hands the error on. */
struct failing_sink {
	struct sink sink;
	size_t left;
};

static inline int failing_write(struct sink *sink, const void *data, size_t len)
{
	struct failing_sink *f = (struct failing_sink *)sink;

	(void)data;
	if (len > f->left)
		return -28; /* ENOSPC */
	f->left -= len;
	return 0;
}

static inline void fixture_expect_errors(fixture_writer write)
{
	struct write_options o = WRITE_OPTIONS_DEFAULT;
	struct profile *p = fixture_hostile();

	for (size_t left = 0; left < 100; left += 30) {
		struct failing_sink f = { .sink.write = failing_write, .left = left };

		assert_int_equal(write(p, &o, &f.sink), -28);
	}
	o.type = 2; /* there are types 0 and 1 */
	for (int i = 0; i < 2; i++, o.type = PROFILE_MAX_TYPES) {
		struct failing_sink f = { .sink.write = failing_write, .left = SIZE_MAX };

		assert_int_equal(write(p, &o, &f.sink), -22); /* EINVAL */
	}
	profile_free(p);
}

/* Run a shell command on text in a file ($1) and return its standard output and status. */
static inline int fixture_run(const char *command, const struct strbuf *input, struct strbuf *out)
{
	char name[] = "/tmp/periscope-test.XXXXXX";
	char script[8192], buf[4096];
	int fd = mkstemp(name);
	size_t n;
	FILE *pipe;
	int status;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, strbuf_str(input), input->len), input->len);
	close(fd);
	snprintf(script, sizeof(script), "set -- %s; %s", name, command);
	pipe = popen(script, "r");
	assert_non_null(pipe);
	strbuf_reset(out);
	while ((n = fread(buf, 1, sizeof(buf), pipe)))
		strbuf_add(out, buf, n);
	status = pclose(pipe);
	unlink(name);
	return status;
}

/* `go tool pprof` on a file, in a folder of its own: it would keep copies in the user's home. */
#define FIXTURE_PPROF(options)                                              \
	"(d=$(mktemp -d) && HOME=$d PPROF_TMPDIR=$d go tool pprof " options \
	" $1 2>&1; s=$?; rm -rf $d; exit $s)"

static inline void fixture_need(const char *program)
{
	char command[128];

	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", program);
	if (system(command))
		skip();
}

#endif
