/* SPDX-License-Identifier: MIT */
/* Maps of JITs: random overlapping entries against painting an array, and lines that are wrong. */
#include "symtest.h"

static int root = -1;

static int make_root(void **state)
{
	if (make_test_dir(state) || !run("mkdir tmp"))
		return -1;
	root = open(test_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root >= 0 ? 0 : -1;
}

static int remove_root(void **state)
{
	close(root);
	return remove_test_dir(state);
}

static FILE *create_map(int pid)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/tmp/perf-%d.map", test_dir, pid);
	f = fopen(path, "w");
	assert_non_null(f);
	return f;
}

static void test_overlaps(void **state)
{
	enum { SPACE = 3000 };
	unsigned int seed = 23;

	(void)state;
	for (int round = 0; round < 40; round++) {
		int painted[SPACE] = { 0 }, n = 1 + rand_r(&seed) % 300;
		struct perf_map *m;
		FILE *f = create_map(7);
		char want[32];

		for (int i = 1; i <= n; i++) {
			int start = rand_r(&seed) % SPACE,
			    size = 1 + rand_r(&seed) % (round * 10 + 2);

			fprintf(f, i & 1 ? "%x %x name %d\n" : "0x%X %x name %d\n", start, size, i);
			for (int at = start; at < start + size && at < SPACE; at++)
				painted[at] = i;
		}
		fclose(f);
		m = perf_map_read(root, 7);
		assert_non_null(m);
		assert_int_equal(perf_map_bad_lines(m), 0);
		for (int at = 0; at < SPACE; at++) {
			const char *got = perf_map_lookup(m, at);

			if (!painted[at]) {
				assert_null(got);
				continue;
			}
			snprintf(want, sizeof(want), "name %d", painted[at]);
			assert_non_null(got);
			assert_string_equal(got, want);
		}
		perf_map_free(m);
	}
}

static void test_bad_lines(void **state)
{
	FILE *f = create_map(8);
	struct perf_map *m;

	(void)state;
	fputs("1000 10 good\n\n2000\n2000 10\n2000 10 \nxyz 10 bad\n2000 -10 bad\n2000 0 empty\n"
	      "ffffffffffffff00 1000 wraps\n123456789abcdef01 10 too_long\n"
	      "3000 10 Lfoo/Bar;::baz(I)V with blanks\n4000 10 unfinished",
	      f);
	fclose(f);
	m = perf_map_read(root, 8);
	assert_non_null(m);
	assert_string_equal(perf_map_lookup(m, 0x1000), "good");
	assert_string_equal(perf_map_lookup(m, 0x100f), "good");
	assert_null(perf_map_lookup(m, 0x1010));
	assert_null(perf_map_lookup(m, 0xfff));
	assert_null(perf_map_lookup(m, 0x2000));
	assert_null(perf_map_lookup(m, 0x4000));
	assert_null(perf_map_lookup(m, UINT64_MAX - 5));
	assert_string_equal(perf_map_lookup(m, 0x3001), "Lfoo/Bar;::baz(I)V with blanks");
	assert_int_equal(perf_map_bad_lines(m), 10);
	perf_map_free(m);
}

static void test_none(void **state)
{
	struct perf_map *m;

	(void)state;
	errno = 0;
	assert_null(perf_map_read(root, 9));
	assert_int_equal(errno, ENOENT);
	must_run("mkfifo tmp/perf-10.map && ln -s /../../../../etc/passwd tmp/perf-11.map");
	alarm(10);
	assert_null(perf_map_read(root, 10));
	assert_int_equal(errno, ENOENT);
	assert_null(perf_map_read(root, 11));
	assert_int_equal(errno, ENOENT);
	alarm(0);
	fclose(create_map(12));
	m = perf_map_read(root, 12);
	assert_non_null(m);
	assert_null(perf_map_lookup(m, 0));
	perf_map_free(m);
	perf_map_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
