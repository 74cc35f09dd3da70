/* SPDX-License-Identifier: MIT */
/*
 * Trace files that somebody has been at: every byte of a small one changed, parts cut out and doubled,
 * numbers that are too large, and what nobody would write. Under sanitizers nothing may happen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/fuzz/trace_input.h"
#include "tests/synthetic/synthetic.h"
#include "lib/trace_file_codec.h"
#include "trace_fixture.h"

/* A real file of about so many events, whose payloads are stored as they are if `plain`. */
static size_t make(uint64_t events, uint8_t **ret)
{
	const struct synthetic_options o = { .events = events, .loops = 2, .seed = 9, .lose = 31 };
	struct trace_writer_options options = { .start = SYNTHETIC_START, .max_events = 200 };
	static struct synthetic s;
	struct fixture_trace f = { 0 };
	size_t size;
	int fd;

	snprintf(f.path, sizeof(f.path), "/tmp/periscope-trace.XXXXXX");
	fd = mkstemp(f.path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(trace_file_create(f.path, SYNTHETIC_START, 1, &f.file), 0);
	assert_int_equal(trace_writer_new(f.file, &options, &f.w), 0);
	assert_int_equal(synthetic_make(&s, &o, f.w), 0);
	assert_int_equal(trace_writer_finish(f.w, s.end), 0);
	trace_writer_free(f.w);
	assert_int_equal(trace_file_close(f.file), 0);
	size = fixture_trace_read(&f, ret);
	unlink(f.path);
	return size;
}

/* The payloads of a file as input for input_chunks(). */
static size_t unpack_all(const uint8_t *file, size_t size, uint8_t **ret)
{
	uint8_t *out = malloc(16 << 20);
	size_t at = sizeof(struct trace_header), len = 0;

	assert_non_null(out);
	while (at + sizeof(struct trace_chunk_header) <= size) {
		struct trace_chunk_header h;
		uLongf unpacked;

		memcpy(&h, file + at, sizeof(h));
		unpacked = h.unpacked;
		if (h.type != TRACE_CHUNK_INDEX && h.unpacked < 65536) {
			out[len] = h.type;
			out[len + 1] = (uint8_t)h.unpacked;
			out[len + 2] = (uint8_t)(h.unpacked >> 8);
			out[len + 3] =
				(uint8_t)(h.first ? (h.first - SYNTHETIC_START) / 1000000 : 0);
			out[len + 4] = 200;
			assert_int_equal(
				uncompress(out + len + 5, &unpacked, file + at + sizeof(h), h.size),
				Z_OK);
			len += 5 + unpacked;
		}
		at += sizeof(h) + h.size;
	}
	*ret = out;
	return len;
}

static uint64_t seed = 1;

static uint64_t pick(uint64_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (seed >> 33) % n;
}

/* Some bytes changed, a part left out, doubled, or overwritten by a large number. */
static size_t mutate(uint8_t *data, size_t len, size_t cap)
{
	static const uint8_t large[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1 };

	for (uint64_t n = 1 + pick(4); n--;) {
		size_t at = pick(len), span = 1 + pick(40);

		span = span < len - at ? span : len - at;
		switch (pick(5)) {
		case 0:
			data[at] ^= (uint8_t)(1 << pick(8));
			break;
		case 1:
			data[at] = (uint8_t)pick(256);
			break;
		case 2:
			memmove(data + at, data + at + span, len - at - span);
			len -= span;
			break;
		case 3:
			if (len + span > cap)
				break;
			memmove(data + at + span, data + at, len - at);
			len += span;
			break;
		default:
			memcpy(data + at, large, span < sizeof(large) ? span : sizeof(large));
		}
		if (!len)
			return 0;
	}
	return len;
}

static void try_mutations(const uint8_t *good, size_t len, int times)
{
	size_t cap = len + 1024;
	uint8_t *bad = malloc(cap);

	assert_non_null(bad);
	for (int i = 0; i < times; i++) {
		memcpy(bad, good, len);
		input_try(bad, mutate(bad, len, cap));
	}
	free(bad);
}

static void test_mutated(void **state)
{
	uint8_t *file, *payloads;
	size_t size = make(400, &file), len = unpack_all(file, size, &payloads);

	(void)state;
	/* As they are, they are good. */
	input_try(file, size);
	input_try(payloads, len);
	try_mutations(file, size, 150);
	try_mutations(payloads, len, 400);
	free(file);
	free(payloads);
}

/* Each byte of a tiny file: headers, too. */
static void test_every_byte(void **state)
{
	uint8_t *file, *bad;
	size_t size;

	(void)state;
	size = make(12, &file);
	bad = malloc(size);
	assert_non_null(bad);
	for (size_t i = 0; i < size; i += i < 400 ? 1 : 7) {
		memcpy(bad, file, size);
		bad[i] ^= 0xff;
		input_try(bad, size);
	}
	free(bad);
	free(file);
}

/* -------- made by hand -------- */

struct hand {
	uint8_t data[4096];
	size_t len;
};

static void number(struct hand *h, uint64_t n)
{
	h->len = (size_t)(varint_put(h->data + h->len, n) - h->data);
}

/* Returns how many entries and events made no sense. */
static uint64_t open_hand(uint8_t type, const struct hand *h)
{
	struct read_error error;
	uint64_t nonsense = 0;
	struct trace *t;
	char path[64];
	int fd = memfd_create("hand", MFD_CLOEXEC);

	assert_true(fd >= 0);
	input_header(fd);
	input_chunk(fd, type, 0, INPUT_START, 1000, h->data, h->len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	input_open(path);
	if (!trace_open(path, &t, &error)) {
		nonsense = t->damage.entries;
		trace_close(t);
	}
	close(fd);
	return nonsense;
}

/* Numbers of a few bytes that ask for all memory. */
static void test_huge_numbers(void **state)
{
	static const uint64_t huge[] = { UINT32_MAX, UINT64_MAX, (uint64_t)1 << 62, 1 << 24 };

	(void)state;
	for (uint64_t entry = 0; entry < 20; entry++) {
		for (size_t i = 0; i < 4; i++) {
			struct hand h = { .len = 0 }, events = { .len = 0 };

			number(&h, entry);
			number(&h, 8);
			number(&h, huge[i]);
			number(&h, 1);
			number(&h, 1);
			open_hand(TRACE_CHUNK_DICTIONARY, &h);
			/* And an entry that says to be that long. */
			h.len = 0;
			number(&h, entry);
			number(&h, huge[i]);
			open_hand(TRACE_CHUNK_DICTIONARY, &h);
			/* Texts, sections, events, their sizes. */
			for (uint64_t at = 0; at < 6; at++) {
				events.len = 0;
				for (uint64_t n = 0; n < 6; n++)
					number(&events, n == at ? huge[i] : n > 3 ? 20 : n % 2);
				open_hand(TRACE_CHUNK_EVENTS, &events);
			}
		}
	}
}

/* Nodes that are their own callers, stacks of nodes that are not there. */
static void test_circles(void **state)
{
	(void)state;
	for (uint64_t up = 0; up < 4; up++) {
		struct hand h = { .len = 0 }, nodes = { .len = 0 };

		number(&nodes, 1);
		for (int i = 0; i < 5; i++) {
			number(&nodes, up);
			number(&nodes, UINT32_MAX);
		}
		number(&h, TRACE_NODES);
		number(&h, nodes.len);
		memcpy(h.data + h.len, nodes.data, nodes.len);
		h.len += nodes.len;
		number(&h, TRACE_STACKS);
		number(&h, 8);
		for (uint64_t i = 1; i < 3; i++) {
			number(&h, i);
			number(&h, i * 60);
			number(&h, 99);
			number(&h, 0);
		}
		/* Callers come before: a first node has none. */
		assert_int_equal(open_hand(TRACE_CHUNK_DICTIONARY, &h), up ? 1 : 0);
	}
}

/* A thousand chunks of one time: too many to merge, and said so. */
static void test_all_at_once(void **state)
{
	const uint8_t section[] = { 0, 1, 1, 4, EVT_SWITCH_IN, 2, 0, 0 };
	int fd = memfd_create("hand", MFD_CLOEXEC);
	struct timeline_totals totals;
	struct timeline_filter all = { 0 };
	struct timeline_visitor nobody = { 0 };
	struct read_error error;
	struct trace *t;
	char path[64];

	(void)state;
	assert_true(fd >= 0);
	input_header(fd);
	for (uint32_t i = 0; i < 1000; i++)
		input_chunk(fd, TRACE_CHUNK_EVENTS, i, INPUT_START, 1000, section, sizeof(section));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(trace_open(path, &t, &error), 0);
	assert_int_equal(timeline_run(t, &all, &nobody, NULL, &totals), -EFBIG);
	assert_int_equal(t->err, -EFBIG);
	trace_close(t);
	close(fd);
}

/* 64 KB that become 64 MB, many times. */
static void test_bomb(void **state)
{
	size_t size = 60 << 20;
	uint8_t *zeros = calloc(1, size), *packed = malloc(compressBound(size));
	uLongf len = compressBound(size);
	int fd = memfd_create("bomb", MFD_CLOEXEC);
	struct read_error error;
	struct trace *t;
	char path[64];

	(void)state;
	assert_non_null(zeros);
	assert_non_null(packed);
	assert_true(fd >= 0);
	assert_int_equal(compress(packed, &len, zeros, size), Z_OK);
	input_header(fd);
	for (uint32_t i = 0; i < 20; i++) {
		struct trace_chunk_header h = {
			.magic = TRACE_CHUNK_MAGIC,
			.type = TRACE_CHUNK_DICTIONARY,
			.packing = TRACE_ZLIB,
			.size = (uint32_t)len,
			.unpacked = (uint32_t)size,
			.serial = i,
			.payload = (uint32_t)crc32(0, packed, (uInt)len),
		};

		trace_chunk_seal(&h);
		input_put(fd, &h, sizeof(h));
		input_put(fd, packed, len);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(trace_open(path, &t, &error), -EFBIG);
	assert_non_null(strstr(error.text, "larger than 1 GB"));
	close(fd);
	free(zeros);
	free(packed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutated),	     cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_huge_numbers), cmocka_unit_test(test_circles),
		cmocka_unit_test(test_all_at_once),  cmocka_unit_test(test_bomb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
