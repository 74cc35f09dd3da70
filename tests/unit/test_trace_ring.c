/* SPDX-License-Identifier: MIT */
/*
 * The ring of a flight recorder: what is kept is the newest, within both limits, and a dump of it is
 * a whole trace file. Events are numbered by a counter's value, so that a gap would show.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flight.h"
#include "timeline.h"
#include "trace_file_reader.h"
#include "trace_ring.h"

#define START	 UINT64_C(1000000000000)
#define MS	 UINT64_C(1000000)
#define REALTIME UINT64_C(1700000000000000000)

struct fixture {
	struct trace_ring *ring;
	struct trace_writer *writer;
	uint64_t next; /* number of the next event */
	char path[64];
};

static void begin(struct fixture *f, size_t bytes, uint64_t ns)
{
	struct trace_writer_options o = { .start = START, .flush_ns = 10 * MS, .key_ns = 50 * MS };

	f->next = 0;
	snprintf(f->path, sizeof(f->path), "/tmp/test_trace_ring.%d.periscope", getpid());
	f->ring = trace_ring_new(bytes, ns);
	assert_non_null(f->ring);
	assert_int_equal(trace_writer_new(trace_ring_chunks(f->ring), &o, &f->writer), 0);
}

static void end(struct fixture *f)
{
	trace_writer_free(f->writer);
	trace_ring_free(f->ring);
	unlink(f->path);
}

/* n events, one a millisecond, flushed as a capture would. */
static void record(struct fixture *f, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct event e = { .time = START + f->next * MS, .tid = 7, .kind = EVT_COUNTER };

		e.counter.counter = COUNTER_RSS;
		e.counter.value = f->next++;
		assert_int_equal(trace_writer_event(f->writer, &e, f->next), 0);
		if (f->next % 20 == 0)
			assert_int_equal(trace_writer_flush(f->writer), 0);
	}
	assert_int_equal(trace_writer_flush(f->writer), 0);
}

static void dump(struct fixture *f, uint64_t from)
{
	struct trace_dump d = { .path = f->path,
				.from = from,
				.end = START + f->next * MS,
				.start = START + f->next * MS,
				.realtime = REALTIME };
	struct trace_dumped done = { .err = 1 };
	uint64_t most = trace_ring_dump_size(f->ring);

	unlink(f->path);
	assert_int_equal(trace_ring_dump(f->ring, &d), 0);
	assert_int_equal(trace_ring_dump(f->ring, &d), -EBUSY);
	assert_int_equal(trace_ring_dumped(f->ring, true, &done), 1);
	assert_int_equal(done.err, 0);
	assert_string_equal(done.path, f->path);
	assert_in_range(done.bytes, 1, most);
	free(done.path);
	assert_int_equal(trace_ring_dumped(f->ring, true, &done), 0);
}

/* The dump's counters run without a gap up to the last. Returns the first. */
static uint64_t read_back(struct fixture *f)
{
	struct read_error error;
	struct trace_cursor *cursor;
	const struct event *e;
	uint64_t first = UINT64_MAX, want = 0;
	struct trace *t;

	assert_int_equal(trace_open(f->path, &t, &error), 0);
	assert_true(t->complete);
	assert_int_equal(t->damage.missing + t->damage.chunks + t->damage.bytes, 0);
	assert_int_equal(trace_cursor_new(t, 0, 0, &cursor), 0);
	while (!trace_next(cursor, &e) && e) {
		assert_int_not_equal(e->kind, EVT_LOST);
		if (e->kind != EVT_COUNTER)
			continue;
		if (first == UINT64_MAX)
			first = want = e->counter.value;
		assert_int_equal(e->counter.value, want);
		assert_int_equal(e->time, START + want * MS);
		want++;
	}
	assert_int_equal(want, f->next);
	trace_cursor_free(cursor);
	trace_close(t);
	return first;
}

static void test_keeps_all_that_fits(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, 0, 0);
	record(&f, 500);
	dump(&f, 0);
	assert_int_equal(read_back(&f), 0);
	/* And goes on. */
	record(&f, 500);
	dump(&f, 0);
	assert_int_equal(read_back(&f), 0);
	end(&f);
}

static void test_time_limit(void **state)
{
	struct trace_ring_stats st;
	struct fixture f;
	uint64_t first;

	(void)state;
	begin(&f, 0, 300 * MS);
	record(&f, 1000);
	dump(&f, 0);
	first = read_back(&f);
	/* Whole chunks of 20 events: what is 300 ms old, and at most one chunk more. */
	assert_in_range(first, 1000 - 300 - 21, 1000 - 300);
	trace_ring_stats(f.ring, &st);
	assert_true(st.dropped >= first);
	assert_int_equal(st.oldest, START + first * MS);
	/* Time goes by, and nothing happens. */
	trace_ring_time(f.ring, START + 1250 * MS);
	trace_ring_stats(f.ring, &st);
	assert_in_range(st.oldest, START + (1250 - 300 - 21) * MS, START + (1250 - 300) * MS);
	trace_ring_time(f.ring, START + 5000 * MS);
	trace_ring_stats(f.ring, &st);
	assert_int_equal(st.oldest, 0);
	assert_int_equal(st.bytes, 0);
	end(&f);
}

static void test_size_limit_and_another(void **state)
{
	struct trace_ring_stats before, after;
	struct fixture f;
	uint64_t first;

	(void)state;
	begin(&f, 4096, 0);
	record(&f, 2000);
	trace_ring_stats(f.ring, &before);
	assert_in_range(before.bytes, 1, 4096);
	assert_true(before.dropped > 0);
	dump(&f, 0);
	first = read_back(&f);
	assert_true(first > 0);
	trace_ring_limit(f.ring, 2048, 0);
	trace_ring_stats(f.ring, &after);
	assert_in_range(after.bytes, 1, 2048);
	dump(&f, 0);
	assert_true(read_back(&f) > first);
	end(&f);
}

static void test_from(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, 0, 0);
	record(&f, 400);
	dump(&f, START + 300 * MS);
	assert_in_range(read_back(&f), 300 - 21, 300);
	end(&f);
}

static int count_counters(void *ctx, const struct event *e)
{
	unsigned int *n = ctx;

	*n += e->counter.counter == COUNTER_RSS;
	return 0;
}

/* The file has whole chunks; what is shown of it begins at the very moment. */
static void begins_at(struct fixture *f, uint64_t first)
{
	static const struct timeline_visitor visitor = { .counter = count_counters };
	struct timeline_filter filter = { 0 };
	struct timeline_totals totals;
	struct read_error error;
	unsigned int told = 0;
	struct trace *t;

	assert_in_range(read_back(f), first - 20, first);
	assert_int_equal(trace_open(f->path, &t, &error), 0);
	assert_int_equal(t->start, START + first * MS);
	assert_true(t->first <= t->start);
	assert_int_equal(t->realtime, REALTIME - (f->next - first) * MS);
	assert_int_equal(timeline_run(t, &filter, &visitor, &told, &totals), 0);
	assert_int_equal(totals.start, t->start);
	assert_int_equal(told, f->next - first);
	trace_close(t);
}

static void test_begins_at_the_moment(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, 0, 0);
	record(&f, 400);
	dump(&f, START + 311 * MS);
	begins_at(&f, 311);
	end(&f);
	/* Of both limits the later. */
	begin(&f, 0, 100 * MS);
	record(&f, 413);
	dump(&f, START + 300 * MS);
	begins_at(&f, 312);
	dump(&f, START + 355 * MS);
	begins_at(&f, 355);
	end(&f);
}

/* A dump that cannot be written leaves nothing, and the ring works on. */
static void test_no_such_folder(void **state)
{
	struct trace_dump d = { .path = "/nonexistent/x.periscope", .end = START + 1 };
	struct trace_dumped done;
	struct fixture f;

	(void)state;
	begin(&f, 0, 0);
	record(&f, 40);
	assert_int_equal(trace_ring_dump(f.ring, &d), 0);
	assert_int_equal(trace_ring_dumped(f.ring, true, &done), 1);
	assert_int_equal(done.err, -ENOENT);
	assert_null(done.path);
	dump(&f, 0);
	assert_int_equal(read_back(&f), 0);
	end(&f);
}

/* ---------------------------------------------------------------- who may have one, and when ---- */

static struct trigger slow = { .kind = TRIGGER_LATENCY, .text = "latency>5ms" };
static struct trigger fatal = { .kind = TRIGGER_SIGNAL, .text = "signal" };

static bool hit(struct flight *f, const struct trigger *t, uint64_t time)
{
	struct trigger_hit h = { .trigger = t, .time = time, .begin = time };

	return flight_hit(f, &h);
}

/* Theirs alone: the names of dumps are the same in each run. */
static char folder[] = "/tmp/test_trace_ring.XXXXXX";

static void remove_dumps(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -f %s/*.periscope", folder);
	assert_int_equal(system(command), 0);
}

static bool is_there(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return !access(path, F_OK);
}

static void finish(struct flight *f, const char *why)
{
	struct flight_dump d;

	assert_int_equal(flight_write(f, 0, REALTIME), 0);
	assert_int_equal(flight_done(f, true, &d), 1);
	assert_int_equal(d.err, 0);
	assert_string_equal(d.why, why);
	assert_int_equal(access(d.path, F_OK), 0);
}

static void test_cooldown_and_last_words(void **state)
{
	const uint64_t far = UINT64_MAX / 2, now = 1;
	struct flight_options o = { .dir = folder, .after_ns = 10, .cooldown_ns = far, .keep = 2 };
	struct flight_stats st;
	struct flight *f = flight_new(&o);

	(void)state;
	assert_non_null(f);
	assert_false(flight_due(f, far, true));
	assert_true(hit(f, &slow, now));
	assert_false(hit(f, &slow, now + 1)); /* one is on its way */
	assert_false(flight_due(f, now + 9, false));
	assert_true(flight_due(f, now + 10, false));
	finish(f, "latency>5ms");
	assert_false(hit(f, &slow, now + 100)); /* the cool-down */
	assert_int_not_equal(flight_ask(f, "asked", now + 100), 0);
	assert_true(flight_due(f, now + 100, false));
	finish(f, "asked");
	assert_true(hit(f, &fatal, now + 200));
	assert_false(hit(f, &fatal, now + 200)); /* once */
	finish(f, "signal");
	flight_stats(f, &st);
	assert_int_equal(st.dumps, 3);
	assert_int_equal(st.suppressed, 3);
	assert_int_equal(st.removed, 1); /* two stay */
	flight_free(f);
	remove_dumps();
}

/* Asking is not what a cool-down is about; a trigger that comes then marks what was asked for. */
static void test_asked_meanwhile(void **state)
{
	struct flight_options o = { .dir = folder, .cooldown_ns = UINT64_MAX / 2 };
	struct flight *f = flight_new(&o);

	(void)state;
	assert_int_not_equal(flight_ask(f, "asked", 1), 0);
	finish(f, "asked");
	assert_int_not_equal(flight_ask(f, "asked", 2), 0);
	assert_true(hit(f, &slow, 2));
	finish(f, "latency>5ms");
	assert_false(hit(f, &slow, 3));
	flight_free(f);
	remove_dumps();
}

/* All at one moment, for one cause: none replaces another; and no more bytes than allowed. */
static void test_names_and_room(void **state)
{
	struct flight_options o = { .dir = folder };
	struct flight *f = flight_new(&o);
	struct flight_dump d;
	struct flight_stats st;
	uint64_t size;

	(void)state;
	remove_dumps();
	for (int i = 0; i < 3; i++) {
		flight_ask(f, "asked", 1);
		finish(f, "asked");
	}
	assert_true(is_there("0-20231114T221320.000Z-asked.periscope"));
	assert_true(is_there("0-20231114T221320.000Z-asked-3.periscope"));
	size = trace_ring_dump_size(flight_ring(f));
	flight_free(f);
	remove_dumps();

	o.max_disk = size * 2;
	f = flight_new(&o);
	for (int i = 0; i < 5; i++) {
		flight_ask(f, "asked", 1);
		finish(f, "asked");
	}
	flight_stats(f, &st);
	assert_in_range(st.removed, 1, 3);
	assert_int_equal(st.dumps, 5);
	assert_true((5 - st.removed) * (st.bytes / 5) <= o.max_disk);
	flight_free(f);
	o.max_disk = size - 1;
	f = flight_new(&o);
	flight_ask(f, "asked", 1);
	assert_int_equal(flight_write(f, 0, REALTIME), -EDQUOT);
	assert_int_equal(flight_done(f, true, &d), 1);
	assert_int_equal(d.err, -EDQUOT);
	flight_free(f);
	remove_dumps();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keeps_all_that_fits),
		cmocka_unit_test(test_time_limit),
		cmocka_unit_test(test_size_limit_and_another),
		cmocka_unit_test(test_from),
		cmocka_unit_test(test_begins_at_the_moment),
		cmocka_unit_test(test_no_such_folder),
		cmocka_unit_test(test_cooldown_and_last_words),
		cmocka_unit_test(test_asked_meanwhile),
		cmocka_unit_test(test_names_and_room),
	};

	int failed;

	if (!mkdtemp(folder))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(folder);
	return failed;
}
