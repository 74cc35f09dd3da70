/* SPDX-License-Identifier: MIT */
/* Folded stacks: a known profile line by line, and names that would break the format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/write_folded.h"
#include "profile_fixture.h"

static void assert_folded(const struct profile *p, const struct write_options *o, const char *want)
{
	struct strbuf out;

	fixture_write(write_folded, p, o, &out);
	assert_string_equal(strbuf_str(&out), want);
	strbuf_release(&out);
}

static void test_known(void **state)
{
	struct profile *p = fixture_known();

	(void)state;
	/* 0x7f1000001234 less the mapping's start, plus its offset in the file: 0x2234. */
	assert_folded(p, NULL,
		      "prog 1\n"
		      "prog;[truncated: no rows];malloc 4\n"
		      "prog;main;work 5\n"
		      "prog;main;work;helper 6\n"
		      "prog;main;work;malloc 7\n"
		      "prog;main;work;work;work 3\n"
		      "worker;main;do_sys_[k] 2\n"
		      "worker;main;libx.so+0x2234 11\n");
	profile_free(p);
}

static void test_type(void **state)
{
	struct write_options o = { .type = 1 };
	struct profile *p = fixture_empty();

	(void)state;
	assert_folded(p, &o, "");
	assert_folded(p, NULL, "");
	FIXTURE_ADD(p, "c", NULL, 3, fixture_location(p, PROFILE_NONE, 0x99, NULL, NULL, 0));
	assert_folded(p, &o, "c;0x99 30000000\n");
	profile_free(p);
}

/* Different samples with the same names are one line; other values are not. */
static void test_merge(void **state)
{
	struct profile *p = fixture_empty();
	uint32_t a = fixture_location(p, PROFILE_NONE, 1, "a", "", 1);
	uint32_t a2 = fixture_location(p, PROFILE_NONE, 2, "a", "other.c", 2);

	(void)state;
	FIXTURE_ADD(p, "c", NULL, 3, a, a);
	FIXTURE_ADD(p, "c", NULL, 4, a, a2);
	FIXTURE_ADD(p, "c", NULL, 0, a);
	FIXTURE_ADD(p, "", NULL, 5, a);
	fixture_add(p, "", NULL, 6, NULL, 0);
	fixture_add(p, "big", NULL, INT64_MAX, NULL, 0);
	FIXTURE_ADD(p, "c d", NULL, INT64_C(1) << 62, a);
	FIXTURE_ADD(p, "c d", NULL, INT64_C(1) << 62, a2);
	assert_folded(p, NULL,
		      "[unknown] 6\n"
		      "a 5\n"
		      "big 9223372036854775807\n"
		      "c d;a 9223372036854775807\n"
		      "c;a;a 7\n");
	profile_free(p);
}

static void test_separators(void **state)
{
	struct profile *p = fixture_empty();
	uint32_t f =
		fixture_location(p, PROFILE_NONE, 1, "a;b\nc\x01\x7f\xc2\x85\xe2\x80\xa8.", "", 0);

	(void)state;
	FIXTURE_ADD(p, "x;y\r", "why;not\n", 3, f);
	assert_folded(p, NULL, "x:y ;[truncated: why:not ];a:b c    . 3\n");
	profile_free(p);
}

/* awk, not we, splits the lines: every count is a number and they add up. */
static void test_sums(void **state)
{
	struct profile *p = fixture_hostile();
	struct strbuf folded, sum = { 0 };
	double total = 0, got;
	int lines, bad;

	(void)state;
	fixture_write(write_folded, p, NULL, &folded);
	assert_int_equal(fixture_run("LC_ALL=C awk '$NF !~ /^[0-9]+$/ {bad++} {s += $NF} "
				     "END {printf \"%.17g %d %d\", s, NR, bad}' $1",
				     &folded, &sum),
			 0);
	for (size_t i = 0; i < p->nr_samples; i++)
		total += (double)p->samples[i].values[0];
	assert_int_equal(sscanf(strbuf_str(&sum), "%lf %d %d", &got, &lines, &bad), 3);
	assert_true(got == total);
	assert_int_equal(bad, 0);
	assert_int_equal(lines, p->nr_samples);
	/* All of it is UTF-8, by iconv's word. */
	assert_int_equal(fixture_run("iconv -f UTF-8 -t UTF-8 $1", &folded, &sum), 0);
	assert_string_equal(strbuf_str(&sum), strbuf_str(&folded));
	strbuf_release(&folded);
	strbuf_release(&sum);
	profile_free(p);
}

static void test_errors(void **state)
{
	(void)state;
	fixture_expect_errors(write_folded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known), cmocka_unit_test(test_type),
		cmocka_unit_test(test_merge), cmocka_unit_test(test_separators),
		cmocka_unit_test(test_sums),  cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
