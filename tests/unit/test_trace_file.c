/* SPDX-License-Identifier: MIT */
/* Trace files: what is written is read back, in order, with its losses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bpf/target.h"
#include "bpf/unwind.h"
#include "lib/symbolizer.h"
#include "lib/util.h"
#include "trace_fixture.h"

/* One of each kind, every field another number, signed ones negative. */
static struct event one_of(uint8_t kind, uint64_t time, uint32_t name, const struct event_arg *args,
			   uint8_t nr_args)
{
	const struct event_kind_info *k = &event_kinds[kind];
	struct event e = { .time = time, .tid = 4000 + kind % 3, .cpu = kind % 4, .kind = kind };

	for (unsigned int i = 0; i < k->nr_fields; i++) {
		switch (k->fields[i].type) {
		case EVENT_FIELD_INT:
			e.v[i] = (uint64_t) - (int64_t)(kind * 1000 + i);
			break;
		case EVENT_FIELD_NAME:
			e.v[i] = name;
			break;
		case EVENT_FIELD_TIME:
			e.v[i] = FIXTURE_START + time - i;
			break;
		case EVENT_FIELD_LATER:
			e.v[i] = FIXTURE_START + time + 77;
			break;
		case EVENT_FIELD_STACK:
			e.v[i] = UINT64_C(0xfedcba9876543210) + kind;
			break;
		case EVENT_FIELD_TID:
			e.v[i] = i ? 1 : UINT32_MAX;
			break;
		case EVENT_FIELD_REQUEST:
			e.v[i] = (UINT64_C(1) << 56) + kind;
			break;
		case EVENT_FIELD_HEX:
			e.v[i] = UINT64_MAX - i;
			break;
		default:
			e.v[i] = 1 + i * 200;
		}
	}
	if (k->args) {
		e.args = args;
		e.nr_args = nr_args;
	}
	return e;
}

static void expect_same(const struct trace *t, const struct event *is, const struct event *was)
{
	const struct event_kind_info *k = &event_kinds[was->kind];

	assert_int_equal(is->kind, was->kind);
	assert_int_equal(is->time, was->time + FIXTURE_START);
	assert_int_equal(is->cpu, was->cpu);
	assert_int_equal(is->tid, was->tid);
	assert_int_equal(is->nr_args, was->nr_args);
	for (unsigned int i = 0; i < k->nr_fields; i++) {
		if (k->fields[i].type == EVENT_FIELD_NAME)
			assert_string_equal(trace_string(t, is->v[i]), "a name");
		else if (k->fields[i].type == EVENT_FIELD_STACK)
			assert_true(is->v[i] > 0 && is->v[i] < 100);
		else
			assert_int_equal(is->v[i], was->v[i]);
	}
	for (unsigned int i = 0; i < was->nr_args; i++) {
		assert_int_equal(is->args[i].type, was->args[i].type);
		assert_string_equal(trace_string(t, is->args[i].name), "a name");
		if (was->args[i].type == EVENT_ARG_TEXT)
			assert_string_equal(is->args[i].text, was->args[i].text);
		else
			assert_int_equal(is->args[i].u, was->args[i].u);
	}
}

static void test_all_kinds(void **state)
{
	static char big[EVENT_MAX_TEXT + 1];
	struct event_arg args[] = {
		{ .type = EVENT_ARG_INT, .i = INT64_MIN },
		{ .type = EVENT_ARG_UINT, .u = UINT64_MAX },
		{ .type = EVENT_ARG_HEX, .u = 0x7fffdeadbeef },
		{ .type = EVENT_ARG_TEXT, .text = "SELECT \"\n\xff\" FROM t" },
		{ .type = EVENT_ARG_TEXT, .text = "" },
		{ .type = EVENT_ARG_TEXT, .text = big },
	};
	struct fixture_trace f = { 0 };
	struct trace_cursor *c;
	const struct event *e;
	struct trace *t;
	uint32_t name;

	(void)state;
	memset(big, 'x', EVENT_MAX_TEXT);
	fixture_trace_new(&f, NULL);
	name = trace_writer_string(f.w, "a name");
	for (size_t i = 0; i < ARRAY_SIZE(args); i++)
		args[i].name = name;
	for (uint8_t kind = 1; kind < EVT_NR; kind++)
		if (kind != EVT_LOST)
			fixture_put(&f, one_of(kind, kind * 10, name, args, ARRAY_SIZE(args)), 0);
	fixture_trace_finish(&f, 1000);
	t = fixture_trace_open(&f);
	assert_true(t->complete);
	assert_int_equal(t->nr_events, EVT_NR - 2);
	assert_int_equal(t->header.start, FIXTURE_START);
	/* It begins with its first event. */
	assert_int_equal(t->start, FIXTURE_START + 10);
	assert_int_equal(t->realtime, t->header.realtime + 10);
	assert_int_equal(t->end, FIXTURE_START + 1000);
	assert_int_equal(trace_cursor_new(t, 0, 0, &c), 0);
	for (uint8_t kind = 1; kind < EVT_NR; kind++) {
		struct event was = one_of(kind, kind * 10, name, args, ARRAY_SIZE(args));

		if (kind == EVT_LOST)
			continue;
		assert_int_equal(trace_next(c, &e), 0);
		assert_non_null(e);
		expect_same(t, e, &was);
	}
	assert_int_equal(trace_next(c, &e), 0);
	assert_null(e);
	assert_int_equal(trace_next(c, &e), 0);
	assert_null(e);
	assert_memory_equal(&t->damage, (&(struct trace_damage){ 0 }), sizeof(t->damage));
	trace_cursor_free(c);
	trace_close(t);
	unlink(f.path);
}

/* Also those that are refused are counted, and leave no trace. */
static void test_refused(void **state)
{
	struct event_arg many[EVENT_MAX_ARGS + 1] = { { 0 } };
	struct trace_writer_stats stats;
	struct fixture_trace f = { 0 };
	struct trace *t;

	(void)state;
	fixture_trace_new(&f, NULL);
	fixture_put(&f, FIXTURE_EVENT(.kind = EVT_NONE), 0);
	fixture_put(&f, FIXTURE_EVENT(.kind = EVT_LOST), 0);
	fixture_put(&f, FIXTURE_EVENT(.kind = EVT_NR), 0);
	fixture_put(&f, FIXTURE_EVENT(.kind = EVT_NAME, .nr_args = 1, .args = many), 0);
	fixture_put(&f,
		    FIXTURE_EVENT(.kind = EVT_INSTANT, .nr_args = EVENT_MAX_ARGS + 1, .args = many),
		    0);
	many[0].type = EVENT_ARG_TEXT + 1;
	fixture_put(&f, FIXTURE_EVENT(.kind = EVT_INSTANT, .nr_args = 1, .args = many), 0);
	trace_writer_stats(f.w, &stats);
	assert_int_equal(stats.refused, 6);
	assert_int_equal(stats.events, 0);
	fixture_trace_finish(&f, 5);
	t = fixture_trace_open(&f);
	assert_int_equal(t->nr_events, 0);
	assert_int_equal(t->end, FIXTURE_START + 5);
	trace_close(t);
	unlink(f.path);
}

static const uint64_t deep[] = {
	UINT64_C(0xffffffff81000123),		      /* the kernel's */
	(UINT64_C(7) << FRAME_OBJECT_SHIFT) | 0x4711, /* of object 7 */
	(UINT64_C(7) << FRAME_OBJECT_SHIFT) | 0x4000, /* its caller */
	0x7f1234567890,				      /* of no object */
};

static void test_dictionaries(void **state)
{
	const uint8_t build_id[] = { 0xde, 0xad, 0xbe, 0xef };
	struct trace_object o = { .object = 7,
				  .path = "/usr/lib/libx.so",
				  .build_id = build_id,
				  .build_id_len = 4,
				  .start = 0x7f0000000000,
				  .end = 0x7f0000100000,
				  .offset = 0x1000,
				  .bias = UINT64_MAX - 0xfff };
	struct sym_frame lines[] = {
		{ .function = "inner()",
		  .linkage = "_Z5innerv",
		  .file = "/x.h",
		  .line = 3,
		  .start_line = 1,
		  .inlined = true },
		{ .function = "outer", .linkage = "outer", .file = NULL, .guessed = true },
	};
	struct trace_stack s = { .hash = 0xabcdef,
				 .frames = deep,
				 .nr_frames = 4,
				 .pid = 99,
				 .end = UNWIND_COMPLETE,
				 .guessed = 2 };
	struct trace_stack shorter = { .hash = 0x1234, .frames = deep + 1, .nr_frames = 2 };
	struct trace_stack empty = { .hash = 0x5678 };
	uint32_t frames[10], pid;
	struct fixture_trace f = { 0 };
	struct trace *t;
	char name[64];

	(void)state;
	fixture_trace_new(&f, NULL);
	assert_int_equal(trace_writer_info(f.w, "host", "here"), 0);
	assert_int_equal(trace_writer_object(f.w, &o), 0);
	assert_int_equal(trace_writer_mapping(f.w, 99, 5, 1, 2, 3, 7), 0);
	/* Named by an event before it is told. */
	fixture_put(&f,
		    FIXTURE_EVENT(.time = 1, .tid = 1, .kind = EVT_SAMPLE, .sample = { 0x1234 }),
		    0);
	fixture_put(&f,
		    FIXTURE_EVENT(.time = 2, .tid = 1, .kind = EVT_SAMPLE, .sample = { 0xabcdef }),
		    0);
	fixture_put(&f, FIXTURE_EVENT(.time = 3, .tid = 1, .kind = EVT_SAMPLE, .sample = { 0x999 }),
		    0);
	fixture_put(&f,
		    FIXTURE_EVENT(.time = 4, .tid = 1, .kind = EVT_SYSCALL_ENTER, .enter = { 0 }),
		    0);
	assert_int_equal(trace_writer_flush(f.w), 0);
	assert_int_equal(trace_writer_stack(f.w, &s), 0);
	assert_int_equal(trace_writer_stack(f.w, &s), 0);
	assert_int_equal(trace_writer_stack(f.w, &shorter), 0);
	assert_int_equal(trace_writer_stack(f.w, &empty), 0);
	assert_int_equal(trace_writer_nr_frames(f.w), 4);
	for (uint32_t i = 1; i <= 4; i++) {
		uint64_t frame = trace_writer_frame(f.w, i, &pid);

		assert_int_equal(pid, frame == deep[3] ? 99 : 0);
		if (frame == deep[1])
			assert_int_equal(trace_writer_symbol(f.w, i, lines, 2), 0);
	}
	fixture_trace_finish(&f, 10);

	t = fixture_trace_open(&f);
	assert_string_equal(trace_info(t, "host"), "here");
	assert_null(trace_info(t, "nothing"));
	assert_string_equal(trace_syscall(t, 0), syscall_name(0));
	assert_int_equal(t->nr_objects, 8);
	assert_null(t->objects[3].path);
	assert_string_equal(t->objects[7].path, "/usr/lib/libx.so");
	assert_string_equal(t->objects[7].build_id, "deadbeef");
	assert_int_equal(t->objects[7].bias, UINT64_MAX - 0xfff);
	assert_int_equal(t->nr_mappings, 1);
	assert_int_equal(t->mappings[0].object, 7);
	/* Numbers by first mention: 0x1234, 0xabcdef, 0x999 (never told), 0x5678. */
	assert_int_equal(trace_stack_frames(t, 1, frames, 10), 2);
	assert_int_equal(trace_stack_frames(t, 2, frames, 10), 4);
	assert_int_equal(trace_stack_frames(t, 2, frames, 3), 3);
	assert_int_equal(trace_stack_frames(t, 3, frames, 10), 0);
	assert_false(trace_stack(t, 3)->known);
	assert_true(trace_stack(t, 4)->known);
	assert_int_equal(trace_stack(t, 2)->end, UNWIND_COMPLETE);
	assert_int_equal(trace_stack(t, 2)->guessed, 2);
	trace_stack_frames(t, 2, frames, 10);
	assert_string_equal(trace_frame_name(t, frames[0], name, sizeof(name)),
			    "[kernel 0xffffffff81000123]");
	assert_string_equal(trace_frame_name(t, frames[2], name, sizeof(name)), "libx.so+0x4000");
	assert_string_equal(trace_frame_name(t, frames[3], name, sizeof(name)),
			    "[unknown 0x7f1234567890]");
	assert_int_equal(t->frames[frames[3]].object, 99);
	assert_int_equal(t->frames[frames[1]].nr_lines, 2);
	for (int i = 0; i < 2; i++) {
		const struct trace_line *l = &t->lines[t->frames[frames[1]].first_line + i];

		assert_string_equal(trace_string(t, l->function), lines[i].function);
		assert_string_equal(trace_string(t, l->linkage), lines[i].linkage);
		assert_string_equal(trace_string(t, l->file), lines[i].file ? lines[i].file : "");
		assert_int_equal(l->line, lines[i].line);
		assert_int_equal(l->flags, i ? TRACE_SYMBOL_GUESSED : TRACE_SYMBOL_INLINED);
	}
	trace_close(t);
	unlink(f.path);
}

/* -------- order -------- */

/* CPUs that are heard one after the other, in chunks of their own, and disorder within a CPU. */
static void test_order(void **state)
{
	enum { CPUS = 5, EVENTS = 4000 };
	struct trace_writer_options o = { .max_events = 700 };
	struct fixture_trace f = { 0 };
	struct trace_cursor *c;
	const struct event *e;
	struct trace *t;
	uint64_t last = 0, seen = 0, sum = 0;

	(void)state;
	fixture_trace_new(&f, &o);
	for (uint64_t block = 0; block < EVENTS; block += 500)
		for (uint16_t cpu = 0; cpu < CPUS; cpu++)
			for (uint64_t i = block; i < block + 500; i++) {
				/* Every seventh is overtaken by the next two. */
				uint64_t time = (i % 7 == 2 ? i - 2 : i) * 100 + cpu;

				fixture_put(&f,
					    FIXTURE_EVENT(.time = time, .cpu = cpu, .tid = cpu + 1,
							  .kind = EVT_SYSCALL_EXIT,
							  .leave = { 1, i }),
					    0);
			}
	fixture_trace_finish(&f, 1000000);
	t = fixture_trace_open(&f);
	assert_int_equal(t->nr_events, CPUS * EVENTS);
	assert_int_equal(trace_cursor_new(t, 0, 0, &c), 0);
	while (!trace_next(c, &e) && e) {
		assert_true(e->time >= last);
		assert_int_equal(e->tid, e->cpu + 1);
		last = e->time;
		sum += e->leave.ret;
		seen++;
	}
	assert_int_equal(seen, CPUS * EVENTS);
	assert_int_equal(sum, (uint64_t)CPUS * EVENTS * (EVENTS - 1) / 2);
	trace_cursor_free(c);
	trace_close(t);
	unlink(f.path);
}

/* -------- losses -------- */

struct expected_loss {
	uint16_t cpu;
	uint64_t from, until, count;
};

static void expect_losses(const struct fixture_trace *f, const struct expected_loss *losses,
			  size_t nr, uint64_t events)
{
	struct trace *t = fixture_trace_open(f);
	uint64_t seen = 0, last = 0;
	struct trace_cursor *c;
	const struct event *e;
	size_t found = 0;

	assert_int_equal(trace_cursor_new(t, 0, 0, &c), 0);
	while (!trace_next(c, &e) && e) {
		assert_true(e->time >= last);
		last = e->time;
		if (e->kind != EVT_LOST) {
			seen++;
			continue;
		}
		assert_true(found < nr);
		assert_int_equal(e->cpu, losses[found].cpu);
		assert_int_equal(e->time, FIXTURE_START + losses[found].from);
		assert_int_equal(e->lost.until, FIXTURE_START + losses[found].until);
		assert_int_equal(e->lost.count, losses[found].count);
		found++;
	}
	assert_int_equal(found, nr);
	assert_int_equal(seen, events);
	trace_cursor_free(c);
	trace_close(t);
}

static void put_numbered(struct fixture_trace *f, uint16_t cpu, uint64_t time, uint64_t seq)
{
	fixture_put(f, FIXTURE_EVENT(.time = time, .cpu = cpu, .tid = 5, .kind = EVT_SWITCH_IN),
		    seq);
}

static void test_losses(void **state)
{
	static const struct expected_loss losses[] = {
		{ 1, 0, 20, 3 },    /* from the very begin */
		{ 0, 30, 50, 2 },   /* in the middle */
		{ 1, 60, 1000, 5 }, /* at the end */
	};
	struct trace_writer_stats stats;
	struct fixture_trace f = { 0 };

	(void)state;
	fixture_trace_new(&f, NULL);
	put_numbered(&f, 0, 10, 1);
	put_numbered(&f, 0, 30, 3); /* overtook the next */
	put_numbered(&f, 0, 20, 2);
	put_numbered(&f, 0, 50, 6);
	put_numbered(&f, 0, 50, 6); /* two of one record */
	put_numbered(&f, 0, 60, 7);
	put_numbered(&f, 1, 20, 4);
	put_numbered(&f, 1, 60, 5);
	assert_int_equal(trace_writer_lost(f.w, 0, 7, FIXTURE_START + 1000), 0);
	assert_int_equal(trace_writer_lost(f.w, 1, 10, FIXTURE_START + 1000), 0);
	trace_writer_stats(f.w, &stats);
	assert_int_equal(stats.lost, 10);
	fixture_trace_finish(&f, 1000);
	expect_losses(&f, losses, ARRAY_SIZE(losses), 8);
	unlink(f.path);
}

/* What may still come is waited for, as long as it may; what comes too late is there, too. */
static void test_late(void **state)
{
	static const struct expected_loss losses[] = { { 0, 20, 200000000, 1 } };
	struct trace_writer_stats stats;
	struct fixture_trace f = { 0 };

	(void)state;
	fixture_trace_new(&f, NULL);
	put_numbered(&f, 0, 10, 1);
	put_numbered(&f, 0, 30, 3);
	assert_int_equal(trace_writer_flush(f.w), 0);
	put_numbered(&f, 0, 20, 2); /* in time */
	put_numbered(&f, 0, 25, 4);
	assert_int_equal(trace_writer_flush(f.w), 0);
	trace_writer_stats(f.w, &stats);
	assert_int_equal(stats.losses, 0);
	unlink(f.path);
	fixture_trace_finish(&f, 1000);

	fixture_trace_new(&f, NULL);
	put_numbered(&f, 0, 20, 1);
	put_numbered(&f, 0, 200000000, 3);
	put_numbered(&f, 0, 400000000, 4);
	assert_int_equal(trace_writer_flush(f.w), 0);
	put_numbered(&f, 0, 100, 2); /* too late */
	trace_writer_stats(f.w, &stats);
	assert_int_equal(stats.losses, 1);
	fixture_trace_finish(&f, 500000000);
	expect_losses(&f, losses, 1, 4);
	unlink(f.path);
}

/* Waiting has a limit: memory. */
static void test_hold_is_bounded(void **state)
{
	struct trace_writer_options o = { .max_events = 100 };
	struct trace_writer_stats stats;
	struct fixture_trace f = { 0 };
	struct expected_loss loss = { 0, 1, 3, 1 };

	(void)state;
	fixture_trace_new(&f, &o);
	put_numbered(&f, 0, 1, 1);
	for (uint64_t seq = 3; seq < 200; seq++)
		put_numbered(&f, 0, seq, seq);
	trace_writer_stats(f.w, &stats);
	assert_int_equal(stats.losses, 1);
	fixture_trace_finish(&f, 1000);
	expect_losses(&f, &loss, 1, 198);
	unlink(f.path);
}

/* -------- places to start -------- */

/* A reader of the end knows what every thread is, without what came before. */
static void test_keys(void **state)
{
	struct trace_writer_options o = { .key_ns = 1000 };
	bool process = false, thread = false, blocked = false, gone = false;
	struct fixture_trace f = { 0 };
	struct trace_cursor *c;
	const struct event *e;
	struct trace *t;

	(void)state;
	fixture_trace_new(&f, &o);
	fixture_put(&f,
		    FIXTURE_EVENT(.tid = 50, .kind = EVT_PROCESS,
				  .process = { 1, trace_writer_string(f.w, "server") }),
		    0);
	fixture_put(&f,
		    FIXTURE_EVENT(.tid = 51, .kind = EVT_THREAD,
				  .thread = { 50, trace_writer_string(f.w, "worker") }),
		    0);
	fixture_put(&f, FIXTURE_EVENT(.tid = 52, .kind = EVT_THREAD, .thread = { 50 }), 0);
	fixture_put(
		&f,
		FIXTURE_EVENT(.tid = 51, .time = 10, .kind = EVT_SYSCALL_ENTER, .enter = { 202 }),
		0);
	fixture_put(&f,
		    FIXTURE_EVENT(.tid = 51, .time = 20, .kind = EVT_SWITCH_OUT,
				  .out = { THREAD_FUTEX, 0xabc }),
		    0);
	fixture_put(&f, FIXTURE_EVENT(.tid = 52, .time = 30, .kind = EVT_EXIT), 0);
	fixture_put_many(&f, 10, 10);
	fixture_trace_finish(&f, 10000);
	t = fixture_trace_open(&f);
	assert_int_equal(trace_cursor_new(t, FIXTURE_START + 9000, 2000, &c), 0);
	while (!trace_next(c, &e) && e) {
		assert_true(e->time >= FIXTURE_START + 4000);
		if (e->kind == EVT_PROCESS && e->tid == 50)
			process = !strcmp(trace_string(t, e->process.name), "server");
		if (e->kind == EVT_THREAD && e->tid == 51)
			thread = e->thread.pid == 50 &&
				 !strcmp(trace_string(t, e->thread.name), "worker");
		if (e->kind == EVT_STATE && e->tid == 51)
			blocked = e->state.state == THREAD_FUTEX && e->state.stack == 1 &&
				  e->state.since == FIXTURE_START + 20 && e->state.syscall == 203 &&
				  e->state.entered == FIXTURE_START + 10;
		gone = gone || e->tid == 52;
	}
	assert_true(process && thread && blocked && !gone);
	trace_cursor_free(c);
	trace_close(t);
	unlink(f.path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_kinds),	cmocka_unit_test(test_refused),
		cmocka_unit_test(test_dictionaries),	cmocka_unit_test(test_order),
		cmocka_unit_test(test_losses),		cmocka_unit_test(test_late),
		cmocka_unit_test(test_hold_is_bounded), cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
