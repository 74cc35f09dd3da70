/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

static void test_numbers(void **state)
{
	static const char *const bad[] = { "", " 5", "5 ", "+5", "-5", "0x5", "5a", "5.0", "five" };
	uint64_t n = 77;

	(void)state;
	assert_int_equal(parse_u64("0", 0, 9, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(parse_u64("18446744073709551615", 0, UINT64_MAX, &n), 0);
	assert_true(n == UINT64_MAX);
	n = 77;
	assert_int_equal(parse_u64("18446744073709551616", 0, UINT64_MAX, &n), -ERANGE);
	assert_int_equal(parse_u64("10", 0, 9, &n), -ERANGE);
	assert_int_equal(parse_u64("0", 1, 9, &n), -ERANGE);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_u64(bad[i], 0, 9, &n), -EINVAL);
	assert_int_equal(n, 77); /* untouched by all the failures */
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },	      { "4096", 4096 },	    { "7B", 7 },
		{ "64K", 65536 },     { "64kB", 65536 },    { "1MiB", 1048576 },
		{ "2G", 2147483648 }, { "1T", 1ULL << 40 }, { "16777215T", 16777215ULL << 40 },
	};
	static const char *const bad[] = { "",	   "K",	  "iB", "1iB",	"-1",  "1 K",
					   "1.5K", "1KK", "1X", "1KBx", "1bb", "0x1" };
	uint64_t n = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse_size(good[i].text, &n), 0);
		assert_true(n == good[i].bytes);
	}
	n = 77;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_size(bad[i], &n), -EINVAL);
	assert_int_equal(parse_size("16777216T", &n), -ERANGE);
	assert_int_equal(parse_size("18446744073709551616", &n), -ERANGE);
	assert_int_equal(n, 77);
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {
		{ "10", 10000000000 },	{ "10s", 10000000000 },	 { "500ms", 500000000 },
		{ "2m", 120000000000 }, { "0.5", 500000000 },	 { "1.25s", 1250000000 },
		{ "7us", 7000 },	{ "1h", 3600000000000 },
	};
	static const char *const bad[] = { "",	 "s",	".5", "5.",   "1.2.3", "-1",
					   "+1", "1 s", "1d", "10ss", "1e3",   "inf" };
	uint64_t ns = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse_duration(good[i].text, &ns), 0);
		assert_true(ns == good[i].ns);
	}
	ns = 77;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_duration(bad[i], &ns), -EINVAL);
	assert_int_equal(parse_duration("0", &ns), -ERANGE);
	assert_int_equal(parse_duration("0.0000000001s", &ns), -ERANGE);
	assert_int_equal(parse_duration("9000h", &ns), -ERANGE);
	assert_int_equal(ns, 77);
}

static void test_array_grows(void **state)
{
	size_t n = 0, cap = 0;
	int *items = NULL;

	(void)state;
	for (; n < 1000; n++) {
		assert_int_equal(array_grow((void **)&items, n, &cap, sizeof(*items)), 0);
		assert_true(cap > n);
		items[n] = n;
	}
	for (size_t i = 0; i < n; i++)
		assert_int_equal(items[i], i);
	free(items);
}

static void test_whole_files(void **state)
{
	size_t len;
	char *text;

	(void)state;
	/* A file without a size: /proc says 0 and has more than a buffer's worth. */
	text = read_file_at(AT_FDCWD, "/proc/self/smaps", 64 << 20, &len);
	assert_non_null(text);
	assert_int_equal(strlen(text), len);
	assert_true(len > 4096);
	free(text);
	assert_null(read_file_at(AT_FDCWD, "/proc/self/smaps", 4096, &len));
	assert_int_equal(errno, EFBIG);
	assert_null(read_file_at(AT_FDCWD, "/nonexistent", 4096, &len));
	assert_int_equal(errno, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),	    cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_durations),   cmocka_unit_test(test_array_grows),
		cmocka_unit_test(test_whole_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
