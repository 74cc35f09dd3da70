/* SPDX-License-Identifier: MIT */
/* Trace files that were not finished, are damaged, or were made by a later version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>

#include "bpf/target.h"
#include "lib/elf.h"
#include "lib/symbolizer.h"
#include "lib/trace_file_codec.h"
#include "lib/util.h"
#include "tests/fuzz/trace_input.h"
#include "trace_fixture.h"

/* -------- files that are not whole -------- */

/* How many events there are, and what is lost; every name must be right. */
static uint64_t count(struct trace *t, uint64_t *ret_lost)
{
	struct trace_cursor *c;
	const struct event *e;
	uint64_t n = 0;

	*ret_lost = 0;
	assert_int_equal(trace_cursor_new(t, 0, 0, &c), 0);
	while (!trace_next(c, &e) && e) {
		char text[32];

		if (e->kind == EVT_LOST) {
			assert_int_equal(e->cpu, EVENT_NO_CPU);
			*ret_lost += e->lost.count;
			continue;
		}
		if (e->kind != EVT_NAME)
			continue;
		snprintf(text, sizeof(text), "name %d", (int)((e->time - FIXTURE_START) / 1000));
		assert_string_equal(trace_string(t, e->name.name), text);
		n++;
	}
	trace_cursor_free(c);
	return n;
}

static void test_killed(void **state)
{
	struct fixture_trace f = { 0 };
	uint64_t events, lost;
	struct trace *t;

	(void)state;
	fixture_trace_new(&f, NULL);
	fixture_put_many(&f, 10, 100);
	fixture_put(&f, FIXTURE_EVENT(.time = 99999, .kind = EVT_NAME), 0); /* not flushed */
	fixture_trace_kill(&f);
	t = fixture_trace_open(&f);
	assert_false(t->complete);
	events = count(t, &lost);
	assert_int_equal(events, 1000);
	assert_int_equal(lost, 0);
	assert_int_equal(t->end, FIXTURE_START + 9099);
	assert_int_equal(t->damage.bytes, 0);
	trace_close(t);
	unlink(f.path);
}

/* However short it is cut, what is before the cut is there. */
static void test_truncated(void **state)
{
	uint64_t events, lost, last = 0;
	struct fixture_trace f = { 0 };
	struct read_error error;
	struct trace *t;
	uint8_t *data;
	size_t size;

	(void)state;
	fixture_trace_new(&f, NULL);
	fixture_put_many(&f, 10, 100);
	fixture_trace_finish(&f, 10000);
	size = fixture_trace_read(&f, &data);
	for (size_t len = 0; len <= size; len += len < 200 ? 1 : 37) {
		fixture_trace_write(&f, data, len);
		if (len < sizeof(struct trace_header)) {
			assert_int_equal(trace_open(f.path, &t, &error), -EINVAL);
			continue;
		}
		t = fixture_trace_open(&f);
		events = count(t, &lost);
		assert_int_equal(events % 100, 0);
		assert_true(events >= last);
		assert_int_equal(lost, 0);
		last = events;
		trace_close(t);
	}
	assert_true(last >= 900);
	free(data);
	unlink(f.path);
}

/* Of a damaged chunk the events are lost, and nothing else. */
static void test_damaged_chunk(void **state)
{
	struct trace_chunk victim = { 0 };
	struct fixture_trace f = { 0 };
	uint64_t events, lost;
	struct trace *t;
	uint8_t *data;
	size_t size;

	(void)state;
	fixture_trace_new(&f, NULL);
	fixture_put_many(&f, 10, 100);
	fixture_trace_finish(&f, 10000);
	size = fixture_trace_read(&f, &data);
	t = fixture_trace_open(&f);
	for (size_t i = 0; i < t->nr_chunks; i++)
		if (t->chunks[i].type == TRACE_CHUNK_EVENTS &&
		    t->chunks[i].first >= FIXTURE_START + 5000 && !victim.size)
			victim = t->chunks[i];
	trace_close(t);
	/* The payload; then the header, with an index and without. */
	for (int what = 0; what < 3; what++) {
		size_t at = victim.offset + (what ? 20 : victim.size - 3);

		data[at] ^= 0x55;
		if (what == 2)
			((struct trace_header *)data)->index = 0;
		((struct trace_header *)data)->crc = (uint32_t)crc32(0, data, 60);
		fixture_trace_write(&f, data, size);
		t = fixture_trace_open(&f);
		events = count(t, &lost);
		assert_int_equal(events, 900);
		assert_int_equal(t->damage.chunks + t->damage.missing, 1);
		/* Without index and header nobody knows how many they were. */
		assert_int_equal(lost, what == 2 ? 0 : 100);
		events = count(t, &lost);
		assert_int_equal(events, 900);
		assert_int_equal(t->damage.chunks + t->damage.missing, 1);
		trace_close(t);
		data[at] ^= 0x55;
	}
	free(data);
	unlink(f.path);
}

/* What cannot be written any more does not spoil what was. */
static void test_full_disk(void **state)
{
	struct rlimit unlimited, limit = { 3000, 3000 };
	struct trace_writer_stats stats;
	struct fixture_trace f = { 0 };
	uint64_t events, lost;
	struct trace *t;
	int err = 0;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &unlimited);
	limit.rlim_max = unlimited.rlim_max;
	fixture_trace_new(&f, NULL);
	setrlimit(RLIMIT_FSIZE, &limit);
	for (uint64_t i = 0; i < 1000 && !err; i++) {
		struct event e = { .time = FIXTURE_START + i * 1000, .tid = 7, .kind = EVT_NAME };
		char text[32];

		snprintf(text, sizeof(text), "name %d", (int)i);
		e.name.name = trace_writer_string(f.w, text);
		trace_writer_event(f.w, &e, 0);
		err = trace_writer_flush(f.w);
	}
	setrlimit(RLIMIT_FSIZE, &unlimited);
	assert_int_equal(err, -EFBIG);
	/* It stays so, whatever is asked. */
	assert_int_equal(trace_writer_poll(f.w, UINT64_MAX), -EFBIG);
	assert_int_equal(trace_writer_info(f.w, "a", "b"), -EFBIG);
	assert_int_equal(trace_writer_finish(f.w, FIXTURE_START), -EFBIG);
	trace_writer_stats(f.w, &stats);
	trace_writer_free(f.w);
	assert_true(trace_file_bytes(f.file) <= 3000);
	assert_int_equal(trace_file_close(f.file), -EFBIG);
	t = fixture_trace_open(&f);
	events = count(t, &lost);
	assert_true(events > 5);
	assert_int_equal(events, stats.events - 1);
	assert_int_equal(t->damage.bytes, 0);
	trace_close(t);
	unlink(f.path);
}

/* -------- other versions -------- */

static void expect_refused(const struct fixture_trace *f, const uint8_t *data, size_t size,
			   const char *reason)
{
	struct read_error error = { "" };
	struct trace *t;

	fixture_trace_write(f, data, size);
	assert_int_equal(trace_open(f->path, &t, &error), -EINVAL);
	if (!strstr(error.text, reason))
		fail_msg("'%s' does not say '%s'", error.text, reason);
}

static void test_versions(void **state)
{
	struct trace_header *h;
	struct fixture_trace f = { 0 };
	struct read_error error;
	struct trace *t;
	uint8_t *data;
	size_t size;

	(void)state;
	fixture_trace_new(&f, NULL);
	fixture_put_many(&f, 1, 10);
	fixture_trace_finish(&f, 1000);
	size = fixture_trace_read(&f, &data);
	h = (struct trace_header *)data;
	h->minor = 77;
	h->crc = (uint32_t)crc32(0, data, 60);
	fixture_trace_write(&f, data, size);
	t = fixture_trace_open(&f);
	assert_int_equal(t->nr_events, 10);
	trace_close(t);
	h->start++;
	expect_refused(&f, data, size, "header is damaged");
	h->major = 2;
	expect_refused(&f, data, size, "version 2.77");
	data[3] = 'X';
	expect_refused(&f, data, size, "no trace file");
	expect_refused(&f, data, 0, "no trace file");
	assert_int_equal(trace_open("/tmp", &t, &error), -EINVAL);
	assert_int_equal(trace_open("/dev/zero", &t, &error), -EINVAL);
	assert_int_equal(trace_open("/nonexistent", &t, &error), -ENOENT);
	free(data);
	unlink(f.path);
}

/* -------- what a later minor version may bring -------- */

struct made {
	uint8_t data[4096];
	size_t len;
};

static void put(struct made *m, uint64_t n)
{
	m->len = (size_t)(varint_put(m->data + m->len, n) - m->data);
}

static void put_text(struct made *m, const char *s)
{
	put(m, strlen(s));
	memcpy(m->data + m->len, s, strlen(s));
	m->len += strlen(s);
}

static void put_entry(struct made *m, uint64_t type, const struct made *body)
{
	put(m, type);
	put(m, body->len);
	memcpy(m->data + m->len, body->data, body->len);
	m->len += body->len;
}

/* A kind with these fields, all unsigned but the first, whose type is told. */
static void put_kind(struct made *m, uint64_t kind, const char *name, uint64_t fields,
		     uint64_t type)
{
	struct made body = { .len = 0 };

	put(&body, kind);
	put_text(&body, name);
	put(&body, 0);
	put(&body, fields);
	for (uint64_t i = 0; i < fields; i++) {
		put_text(&body, "field");
		put(&body, i ? 99 : type);
	}
	put_entry(m, TRACE_KIND, &body);
}

static void put_event(struct made *m, uint8_t kind, const uint64_t *fields, size_t nr)
{
	struct made body = { .len = 0 };

	put(&body, 10); /* after the last */
	for (size_t i = 0; i < nr; i++)
		put(&body, fields[i]);
	m->data[m->len++] = kind;
	put(m, body.len);
	memcpy(m->data + m->len, body.data, body.len);
	m->len += body.len;
}

static void test_newer(void **state)
{
	struct made dict = { .len = 0 }, events = { .len = 0 }, payload = { .len = 0 };
	const uint64_t fields[] = { 5, 6, 7, 8 };
	int fd = memfd_create("newer", MFD_CLOEXEC);
	struct read_error error;
	struct trace_cursor *c;
	const struct event *e;
	struct trace *t;
	char path[64];

	(void)state;
	assert_true(fd >= 0);
	put_kind(&dict, EVT_NAME, "name", 3, EVENT_FIELD_NAME);		/* has two fields more */
	put_kind(&dict, EVT_EXIT, "exit", 1, EVENT_FIELD_UINT);		/* had one less */
	put_kind(&dict, EVT_SYSCALL_EXIT, "other", 2, EVENT_FIELD_HEX); /* is something else */
	put_kind(&dict, 100, "later", 2, 77);
	put(&dict, 55); /* an entry that nobody knows */
	put_text(&dict, "whatever");
	put_event(&events, EVT_NAME, fields, 3);
	put_event(&events, 100, fields, 2);
	put_event(&events, EVT_EXIT, fields, 1);
	put_event(&events, EVT_SYSCALL_EXIT, fields, 2);
	put_event(&events, 90, fields, 4);	      /* nobody says what that is */
	put_event(&events, EVT_SWITCH_IN, fields, 0); /* nothing of it is told: all 0 */
	put(&payload, 0);
	put(&payload, 1);
	put(&payload, 6);
	put(&payload, events.len);
	memcpy(payload.data + payload.len, events.data, events.len);
	payload.len += events.len;
	input_header(fd);
	input_chunk(fd, TRACE_CHUNK_DICTIONARY, 0, 0, 0, dict.data, dict.len);
	input_chunk(fd, 77, 1, 0, 0, "later", 5);
	input_chunk(fd, TRACE_CHUNK_EVENTS, 2, INPUT_START, 1000, payload.data, payload.len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(trace_open(path, &t, &error), 0);
	assert_int_equal(trace_cursor_new(t, 0, 0, &c), 0);
	assert_int_equal(trace_next(c, &e), 0);
	assert_int_equal(e->kind, EVT_NAME);
	assert_int_equal(e->name.name, 5);
	assert_int_equal(e->time, INPUT_START + 10);
	assert_int_equal(trace_next(c, &e), 0);
	assert_int_equal(e->kind, EVT_EXIT);
	assert_int_equal(e->exit.code, 5);
	assert_int_equal(e->exit.flags, 0);
	assert_int_equal(e->time, INPUT_START + 30);
	assert_int_equal(trace_next(c, &e), 0);
	assert_int_equal(e->kind, EVT_SWITCH_IN);
	assert_int_equal(e->time, INPUT_START + 60);
	assert_int_equal(trace_next(c, &e), 0);
	assert_null(e);
	/* The entry, the chunk, three events: none of them is damage. */
	assert_int_equal(t->damage.unknown, 5);
	assert_int_equal(t->damage.events + t->damage.entries + t->damage.chunks, 0);
	trace_cursor_free(c);
	trace_close(t);
	close(fd);
}

/* -------- names for what was cut off before it had any -------- */

/* A function of this program, of which a killed recording has only object and address. */
static void test_symbolized_later(void **state)
{
	char exe[256];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	struct trace_object o = { .object = 1, .path = exe };
	struct trace_stack s = { .hash = 1, .nr_frames = 1 };
	uint64_t offset, vaddr, frame;
	struct fixture_trace f = { 0 };
	struct elf_file *elf;
	uint32_t found;
	struct trace *t;
	char line[512];
	FILE *maps;

	(void)state;
	assert_true(len > 0);
	exe[len] = '\0';
	elf = elf_open_fd(open(exe, O_RDONLY | O_CLOEXEC));
	assert_non_null(elf);
	assert_true(elf->build_id_len > 0);
	o.build_id = elf->build_id;
	o.build_id_len = elf->build_id_len;
	/* Where in the file is this function? */
	offset = 0;
	maps = fopen("/proc/self/maps", "re");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long start, end, at;
		uintptr_t here = (uintptr_t)test_symbolized_later;

		if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &at) == 3 && here >= start &&
		    here < end)
			offset = here - start + at;
	}
	fclose(maps);
	assert_int_equal(elf_offset_to_vaddr(elf, offset, &vaddr), 0);
	frame = (UINT64_C(1) << FRAME_OBJECT_SHIFT) | vaddr;
	s.frames = &frame;
	for (int same = 1; same >= 0; same--) {
		uint8_t id[ELF_BUILD_ID_MAX];

		/* Another build of the file is another file. */
		memcpy(id, elf->build_id, elf->build_id_len);
		id[0] ^= same ? 0 : 1;
		o.build_id = id;
		fixture_trace_new(&f, NULL);
		assert_int_equal(trace_writer_object(f.w, &o), 0);
		assert_int_equal(trace_writer_stack(f.w, &s), 0);
		fixture_put(&f, FIXTURE_EVENT(.tid = 1, .kind = EVT_SAMPLE, .sample = { 1 }), 0);
		assert_int_equal(trace_writer_flush(f.w), 0);
		fixture_trace_kill(&f);
		t = fixture_trace_open(&f);
		assert_int_equal(trace_stack_frames(t, 1, &found, 1), 1);
		assert_int_equal(t->frames[found].nr_lines, 0);
		assert_int_equal(trace_symbolize(t), same);
		assert_int_equal(t->frames[found].nr_lines, same);
		if (same)
			assert_string_equal(
				trace_string(t, t->lines[t->frames[found].first_line].function),
				"test_symbolized_later");
		trace_close(t);
		unlink(f.path);
	}
	elf_close(elf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed),		 cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_damaged_chunk),	 cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_versions),	 cmocka_unit_test(test_newer),
		cmocka_unit_test(test_symbolized_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
