/* SPDX-License-Identifier: MIT */
/* Recordings of the heap as heaptrack's data: read as heaptrack's own reader does its sums. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/sink.h"
#include "lib/strbuf.h"
#include "lib/util.h"
#include "lib/write_heaptrack.h"

#include "trace_fixture.h"

#define MAX_BLOCKS 64

/* The sums of a file. */
struct sums {
	int64_t sizes[MAX_BLOCKS]; /* by name, of what is in use; -1: nothing is */
	unsigned int allocs, frees, temporary, comments, nodes, instructions;
	int64_t held, peak;
	size_t last; /* was given out by the line before; 0: that was another */
	char command[256];
	unsigned int resident;
};

static void read_end(struct sums *s, size_t block)
{
	assert_true(block < MAX_BLOCKS && s->sizes[block] >= 0);
	s->frees++;
	s->temporary += block == s->last;
	s->last = 0;
	s->held -= s->sizes[block];
	s->sizes[block] = -1;
	assert_true(s->held >= 0);
}

static void read_begin(struct sums *s, size_t size, size_t node, size_t block)
{
	assert_true(node > 0 && node <= s->nodes);
	/* heaptrack's reader takes 0 for nothing, and a name that is in use for a block that is lost. */
	assert_true(block > 0 && block < MAX_BLOCKS && s->sizes[block] < 0);
	s->allocs++;
	s->last = block;
	s->sizes[block] = (int64_t)size;
	s->held += s->sizes[block];
	s->peak = MAX(s->peak, s->held);
}

static void read_line(struct sums *s, const char *line)
{
	unsigned long a = 0, b = 0, c = 0;
	int n = sscanf(line + 1, " %lx %lx %lx", &a, &b, &c);

	switch (*line) {
	case 'v':
		assert_true(n == 2 && b == 0);
		break;
	case 't':
		assert_true(n == 2 && a > 0 && a <= s->instructions && b <= s->nodes);
		s->nodes++;
		break;
	case 'i':
		s->instructions++;
		break;
	case '+':
		assert_int_equal(n, 3);
		read_begin(s, a, b, c);
		break;
	case '-':
		assert_int_equal(n, 1);
		read_end(s, a);
		break;
	case '#':
		s->comments++;
		break;
	case 'R':
		s->resident = a;
		break;
	case 'X':
		snprintf(s->command, sizeof(s->command), "%s", line + 2);
		break;
	default:
		assert_non_null(strchr("Ics", *line));
	}
}

static void unpack(const struct strbuf *packed, char *text, size_t size)
{
	z_stream z = { .next_in = (void *)packed->data, .avail_in = (unsigned int)packed->len };

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_out = (void *)text;
	z.avail_out = (unsigned int)size - 1;
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	text[z.total_out] = '\0';
	inflateEnd(&z);
}

/* Writes and reads the fixture's trace, and closes it. */
static struct sums convert(struct fixture_trace *f, struct timeline_filter filter)
{
	struct timeline_view v = { .trace = fixture_trace_open(f), .filter = filter };
	const struct write_options o = WRITE_OPTIONS_DEFAULT;
	struct sums s = { 0 };
	struct strbuf packed;
	struct strbuf_sink sink;
	char text[65536], *save = NULL;

	memset(s.sizes, -1, sizeof(s.sizes));
	strbuf_init(&packed);
	strbuf_sink_init(&sink, &packed);
	assert_int_equal(write_heaptrack(&v, &o, &sink.sink), 0);
	unpack(&packed, text, sizeof(text));
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		read_line(&s, line);
	strbuf_release(&packed);
	trace_close(v.trace);
	unlink(f->path);
	return s;
}

static void put_alloc(struct fixture_trace *f, uint64_t time, uint16_t cpu, uint64_t block,
		      uint64_t size)
{
	fixture_put(f,
		    FIXTURE_EVENT(.time = time, .cpu = cpu, .tid = 70 + cpu, .kind = EVT_ALLOC,
				  .alloc = { .block = block, .size = size }),
		    0);
}

static void put_realloc(struct fixture_trace *f, uint64_t time, uint64_t called, uint64_t old,
			uint64_t block, uint64_t size)
{
	fixture_put(f,
		    FIXTURE_EVENT(.time = time, .tid = 70, .kind = EVT_ALLOC,
				  .alloc = { .block = block,
					     .size = size,
					     .old = old,
					     .called = FIXTURE_START + called }),
		    0);
}

static void put_free(struct fixture_trace *f, uint64_t time, uint64_t block)
{
	fixture_put(f,
		    FIXTURE_EVENT(.time = time, .tid = 70, .kind = EVT_FREE,
				  .free = { .block = block }),
		    0);
}

static void test_sums(void **state)
{
	struct fixture_trace f = { 0 };
	struct sums s;

	(void)state;
	fixture_trace_new(&f, NULL);
	put_alloc(&f, 10, 0, 0x1000, 101);
	put_alloc(&f, 20, 0, 0x2000, 103);
	put_alloc(&f, 30, 0, 0x3000, 103);
	put_free(&f, 40, 0x3000); /* temporary */
	put_free(&f, 50, 0x1000);
	/* Like the one before, of a size of which one was given out last, but not this one. */
	put_alloc(&f, 60, 0, 0x4000, 103);
	put_free(&f, 70, 0x2000);
	put_free(&f, 80, 0x9000);		       /* from before the capture */
	put_realloc(&f, 100, 90, 0x4000, 0x4000, 211); /* where it is */
	fixture_trace_finish(&f, 1000);
	s = convert(&f, (struct timeline_filter){ 0 });
	assert_int_equal(s.allocs, 5);
	assert_int_equal(s.frees, 4);
	assert_int_equal(s.temporary, 1);
	assert_int_equal(s.held, 211);
	assert_int_equal(s.peak, 101 + 103 + 103);
	assert_string_equal(s.command, "?");
}

/* As many names as there are blocks at once, however many there were. */
static void test_names(void **state)
{
	struct fixture_trace f = { 0 };
	struct sums s;

	(void)state;
	fixture_trace_new(&f, NULL);
	for (unsigned int i = 0; i < 3 * MAX_BLOCKS; i++) {
		put_alloc(&f, 10 * i, 0, 0x1000 + 16 * i, 7 + i % 3);
		if (i >= MAX_BLOCKS - 2)
			put_free(&f, 10 * i + 5, 0x1000 + 16 * (i - (MAX_BLOCKS - 2)));
	}
	fixture_trace_finish(&f, 10000);
	s = convert(&f, (struct timeline_filter){ 0 });
	assert_int_equal(s.allocs, 3 * MAX_BLOCKS);
	assert_int_equal(s.allocs - s.frees, MAX_BLOCKS - 2);
	assert_int_equal(s.temporary, 0);
}

/*
 * Between a realloc's call and its return its old block's address is given to somebody else, who
 * keeps it: the realloc's record, which comes later, does not mean that one.
 */
static void test_given_meanwhile(void **state)
{
	struct fixture_trace f = { 0 };
	struct sums s;

	(void)state;
	fixture_trace_new(&f, NULL);
	put_alloc(&f, 10, 0, 0x1000, 101);
	put_alloc(&f, 30, 1, 0x1000, 107); /* in the realloc from 20 to 40 */
	put_realloc(&f, 40, 20, 0x1000, 0x5000, 211);
	/* And the same with a realloc to nothing, which is a free from 60 to 80. */
	put_alloc(&f, 50, 0, 0x6000, 13);
	put_alloc(&f, 70, 1, 0x6000, 17);
	fixture_put(&f,
		    FIXTURE_EVENT(.time = 80, .tid = 70, .kind = EVT_FREE,
				  .free = { .block = 0x6000, .called = FIXTURE_START + 60 }),
		    0);
	fixture_trace_finish(&f, 1000);
	s = convert(&f, (struct timeline_filter){ 0 });
	assert_int_equal(s.allocs, 5);
	assert_int_equal(s.frees, 2);
	assert_int_equal(s.held, 107 + 211 + 17);
}

/* Two processes' blocks at one address are two. */
static void test_spaces(void **state)
{
	struct fixture_trace f = { 0 };
	struct sums s;

	(void)state;
	fixture_trace_new(&f, NULL);
	put_alloc(&f, 10, 0, UINT64_C(1) << 47 | 0x1000, 101);
	put_alloc(&f, 20, 0, UINT64_C(2) << 47 | 0x1000, 103);
	put_free(&f, 30, UINT64_C(1) << 47 | 0x1000);
	fixture_trace_finish(&f, 1000);
	s = convert(&f, (struct timeline_filter){ 0 });
	assert_int_equal(s.allocs, 2);
	assert_int_equal(s.held, 103);
}

static void test_lost(void **state)
{
	struct fixture_trace f = { 0 };
	struct event e = { .tid = 70, .kind = EVT_ALLOC, .alloc = { .block = 1, .size = 7 } };
	struct sums s;

	(void)state;
	fixture_trace_new(&f, NULL);
	fixture_put(&f, e, 1);
	e.time = 50;
	e.alloc.block = 2;
	fixture_put(&f, e, 15); /* 13 are missing */
	assert_int_equal(trace_writer_lost(f.w, 0, 19, FIXTURE_START + 60), 0);
	fixture_trace_finish(&f, 1000);
	s = convert(&f, (struct timeline_filter){ 0 });
	assert_int_equal(s.allocs, 2);
	assert_int_equal(s.comments, 2);
	assert_non_null(strstr(s.command, "17 events lost"));
}

static void test_filter(void **state)
{
	const uint32_t tid = 71;
	struct fixture_trace f = { 0 };
	struct sums s;

	(void)state;
	fixture_trace_new(&f, NULL);
	put_alloc(&f, 0, 0, 0x9000, 1);
	put_alloc(&f, 10, 0, 0x1000, 101);
	put_alloc(&f, 20, 1, 0x2000, 103);
	put_free(&f, 30, 0x1000);
	put_free(&f, 40, 0x2000); /* by another thread */
	put_alloc(&f, 50, 1, 0x3000, 107);
	fixture_trace_finish(&f, 1000);
	s = convert(&f,
		    (struct timeline_filter){ .from = 15, .to = 45, .tids = &tid, .nr_tids = 1 });
	assert_int_equal(s.allocs, 1);
	assert_int_equal(s.frees, 1);
	assert_int_equal(s.peak, 103);
}

/* A timeline has no allocations. A recording of none is none. */
static void test_nothing(void **state)
{
	const struct write_options o = WRITE_OPTIONS_DEFAULT;
	struct fixture_trace f = { 0 };
	struct timeline_view v = { 0 };
	struct strbuf packed;
	struct strbuf_sink sink;
	struct sums s;

	(void)state;
	fixture_trace_new(&f, NULL);
	fixture_put(&f, FIXTURE_EVENT(.tid = 7, .kind = EVT_NAME), 0);
	fixture_trace_finish(&f, 1000);
	v.trace = fixture_trace_open(&f);
	strbuf_init(&packed);
	strbuf_sink_init(&sink, &packed);
	assert_int_equal(write_heaptrack(&v, &o, &sink.sink), -ENODATA);
	strbuf_release(&packed);
	trace_close(v.trace);
	unlink(f.path);

	fixture_trace_new(&f, NULL);
	trace_writer_info(f.w, "recording", "heap");
	fixture_trace_finish(&f, 1000);
	s = convert(&f, (struct timeline_filter){ 0 });
	assert_int_equal(s.allocs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_given_meanwhile),
		cmocka_unit_test(test_spaces),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
