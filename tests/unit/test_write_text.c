/* SPDX-License-Identifier: MIT */
/*
 * The text report: numbers known by hand, the same numbers as pprof's, and lines that stay within
 * the terminal whatever is in them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/measure.h"
#include "lib/write_pprof.h"
#include "lib/write_text.h"
#include "profile_fixture.h"

static void assert_has(const struct strbuf *text, const char *part)
{
	if (!strstr(strbuf_str(text), part))
		fail_msg("no \"%s\" in:\n%s", part, strbuf_str(text));
}

static void assert_lacks(const struct strbuf *text, const char *part)
{
	if (strstr(strbuf_str(text), part))
		fail_msg("\"%s\" in:\n%s", part, strbuf_str(text));
}

static void test_known(void **state)
{
	static const struct write_field fields[] = { { "command", "prog -x" }, { "lost", "0" } };
	struct write_options o = { .type = PROFILE_NONE, .fields = fields, .nr_fields = 2 };
	struct profile *p = fixture_known();
	struct strbuf out;
	const char *cum;

	(void)state;
	fixture_write(write_text, p, &o, &out);
	assert_has(&out, "command  prog -x\nlost     0\n");
	assert_has(&out, "top 6 of 6, 390ms in all\n");
	/* By themselves: 11, 11, 8, 6, 2 and 0 of 39. */
	assert_has(&out, " 110ms 28.21% 28.21%  110ms 28.21%  libx.so+0x2234 [libx.so]\n"
			 " 110ms 28.21% 56.41%  110ms 28.21%  malloc [libc.so.6]\n"
			 "  80ms 20.51% 76.92%  210ms 53.85%  work [prog]\n"
			 "  60ms 15.38% 92.31%   60ms 15.38%  helper (inline) [prog]\n"
			 "  20ms  5.13% 97.44%   20ms  5.13%  do_sys [kernel]\n"
			 "     0     0% 97.44%  340ms 87.18%  main [prog]\n");
	cum = strstr(strbuf_str(&out), "with all they called");
	assert_non_null(cum);
	assert_non_null(strstr(cum, "     0     0%     0%  340ms 87.18%  main [prog]\n"
				    "  80ms 20.51% 20.51%  210ms 53.85%  work [prog]\n"));
	assert_has(&out, "   1. 28.21%  110ms  thread worker\n"
			 "        libx.so+0x2234  [libx.so]\n"
			 "        main  main.c:10\n");
	assert_has(&out, "   3. 15.38%  60ms  thread prog\n"
			 "        helper (inline)  work.h:3\n"
			 "        work  work.c:22\n"
			 "        main  main.c:10\n");
	assert_has(&out, "4 of 39 samples, 10.26%\n");
	assert_has(&out, "\n       4  no rows\n");
	assert_lacks(&out, "\033");
	strbuf_release(&out);
	profile_free(p);
}

/* Every row of pprof's -top, spaces aside, is a row of ours. */
static void test_as_pprof(void **state)
{
	struct profile *p = fixture_known();
	struct strbuf report, file, out = { 0 };
	char *line, *rest;
	int rows = 0;

	(void)state;
	fixture_need("go");
	fixture_write(write_text, p, NULL, &report);
	fixture_write(write_pprof, p, NULL, &file);
	assert_int_equal(fixture_run(FIXTURE_PPROF("-top"), &file, &out), 0);
	for (line = strtok_r(out.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char flat[16], flat_share[16], sum[16], cum[16], cum_share[16], name[64];
		char want[128];

		if (sscanf(line, "%15s %15s %15s %15s %15s %63s", flat, flat_share, sum, cum,
			   cum_share, name) != 6 ||
		    !strchr(cum_share, '%') || !strcmp(flat, "flat"))
			continue;
		if (!strcmp(name, "[libx.so]")) /* ours has its address too */
			strcpy(name, "libx.so+0x2234");
		snprintf(want, sizeof(want), "%6s %6s", flat, flat_share);
		assert_has(&report, want);
		snprintf(want, sizeof(want), " %6s %6s  %s", cum, cum_share, name);
		assert_has(&report, want);
		rows++;
	}
	assert_int_equal(rows, 6);
	strbuf_release(&report);
	strbuf_release(&file);
	strbuf_release(&out);
	profile_free(p);
}

static void test_other_type(void **state)
{
	struct write_options o = { .type = 0, .top = 2 };
	struct profile *p = fixture_known();
	struct strbuf out;

	(void)state;
	fixture_write(write_text, p, &o, &out);
	assert_has(&out, "top 2 of 6, 39 in all\n");
	assert_has(&out, "\n    11 28.21% 56.41%     11 28.21%  malloc [libc.so.6]\n\n");
	strbuf_release(&out);
	profile_free(p);
}

/* Columns by python's count of characters; the hostile names have no narrower ones. */
static void assert_widths(const struct strbuf *text, int most, int least_longest)
{
	struct strbuf out = { 0 };
	int longest = 0;

	assert_int_equal(fixture_run("python3 -c 'import sys,unicodedata as u\n"
				     "t=open(sys.argv[1],encoding=\"utf-8\",newline=\"\").read()\n"
				     "assert not [c for c in t if c != \"\\n\" and "
				     "u.category(c) in (\"Cc\",\"Cs\",\"Zl\",\"Zp\")]\n"
				     "w=lambda c: 2 if u.east_asian_width(c) in \"WF\" else 1\n"
				     "print(max(sum(map(w,l)) for l in t.split(\"\\n\")))' $1",
				     text, &out),
			 0);
	assert_int_equal(sscanf(strbuf_str(&out), "%d", &longest), 1);
	assert_in_range(longest, least_longest, most);
	strbuf_release(&out);
}

static void test_widths(void **state)
{
	static const unsigned int widths[] = { 0, 72, 80, 100, 237 };
	struct write_field field = { "command", NULL };
	struct profile *p = fixture_hostile();
	char *longest = malloc(5001);

	(void)state;
	fixture_need("python3");
	memset(longest, 'x', 5000);
	longest[5000] = '\0';
	field.value = longest;
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		struct write_options o = { .type = i % 2, .width = widths[i], .top = 100 };
		struct strbuf out;
		int width = widths[i] ? (int)widths[i] : 80;

		o.fields = &field;
		o.nr_fields = 1;
		fixture_write(write_text, p, &o, &out);
		assert_widths(&out, width, width);
		strbuf_release(&out);
	}
	free(longest);
	profile_free(p);
}

static void test_deep(void **state)
{
	struct write_options o = { .type = 0 };
	struct profile *p = fixture_hostile();
	struct strbuf out;

	(void)state;
	fixture_write(write_text, p, &o, &out);
	/* 999 frames and a mark, less 16 and 4. */
	assert_has(
		&out,
		"\n        ... 980 more ...\n        f996  [a;b<&\"\xef\xbf\xbd\xef\xbf\xbd.so]\n"
		"        f997");
	strbuf_release(&out);
	o.color = true;
	fixture_write(write_text, p, &o, &out);
	assert_has(&out, "\033[1m");
	assert_lacks(&out, "\033[31mred"); /* a name's own */
	strbuf_release(&out);
	profile_free(p);
}

/* One frame too many for a gap is shown: 21 frames, 16 + 4 + 1. */
static void test_gap(void **state)
{
	for (uint32_t n = 21; n <= 22; n++) {
		struct profile *p = fixture_empty();
		uint32_t stack[22];
		struct strbuf out;

		(void)state;
		for (uint32_t i = 0; i < n; i++)
			stack[i] = fixture_location(p, PROFILE_NONE, 0x100 + i, NULL, NULL, 0);
		fixture_add(p, "c", NULL, 1, stack, n);
		fixture_write(write_text, p, NULL, &out);
		if (n == 21)
			assert_has(&out, "\n        0x10f\n        0x110\n        0x111\n");
		else
			assert_has(&out,
				   "\n        0x10f\n        ... 2 more ...\n        0x112\n");
		assert_has(&out, n == 21 ? "        0x114\n" : "        0x115\n");
		strbuf_release(&out);
		profile_free(p);
	}
}

static void test_empty(void **state)
{
	struct profile *p = fixture_empty(), *bare = profile_new();
	struct strbuf out;

	(void)state;
	fixture_write(write_text, bare, NULL, &out);
	assert_has(&out, "No samples.");
	strbuf_release(&out);
	fixture_write(write_text, p, NULL, &out);
	assert_has(&out, "No samples.");
	strbuf_release(&out);
	fixture_add(p, "c", NULL, 1, NULL, 0);
	fixture_write(write_text, p, NULL, &out);
	assert_has(&out, "top 0 of 0, 10ms in all");
	strbuf_release(&out);
	profile_free(p);
	profile_free(bare);
}

static void assert_measure(int64_t value, int64_t scale_of, const char *unit, const char *want)
{
	char buf[MEASURE_LEN];

	assert_string_equal(measure_value(measure_for(scale_of, unit), value, buf), want);
}

static void test_measures(void **state)
{
	char buf[MEASURE_LEN];
	struct measure m;

	(void)state;
	assert_measure(1230000000, 1230000000, "nanoseconds", "1.23s");
	assert_measure(40000000, 40000000, "nanoseconds", "40ms");
	assert_measure(999, 999, "nanoseconds", "999ns");
	assert_measure(90, 90, "seconds", "1.50mins");
	assert_measure(0, 1000000000, "nanoseconds", "0");
	assert_measure(-2500, -2500, "milliseconds", "-2.50s");
	assert_measure(1536, 1536, "bytes", "1.50kB");
	assert_measure(INT64_MAX, INT64_MAX, "bytes", "8192PB");
	assert_measure(17, 17, "count", "17");
	assert_measure(17, 17, "GC runs", "17GC runs");
	assert_measure(INT64_MIN, INT64_MIN, "count", "-9223372036854775808");
	m = measure_range(10000000, 100000000000, "nanoseconds");
	assert_string_equal(measure_value(m, 10000000, buf), "0.01s");
	m = measure_range(9000000, 20000000000, "nanoseconds");
	assert_string_equal(measure_value(m, 9000000, buf), "9ms");
	m = measure_range(INT64_MAX / 2, INT64_MAX, "count");
	assert_string_equal(measure_value(m, 5, buf), "5");
	assert_string_equal(measure_percent(1, 8, buf), "12.50%");
	assert_string_equal(measure_percent(1, 1, buf), "100%");
	assert_string_equal(measure_percent(0, 1, buf), "0%");
	assert_string_equal(measure_percent(1, 0, buf), "0%");
	assert_string_equal(measure_percent(1, 2000, buf), "0.05%");
	assert_string_equal(measure_percent(1, 20000, buf), "<0.01%");
}

static void test_errors(void **state)
{
	(void)state;
	fixture_expect_errors(write_text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),	   cmocka_unit_test(test_as_pprof),
		cmocka_unit_test(test_other_type), cmocka_unit_test(test_widths),
		cmocka_unit_test(test_deep),	   cmocka_unit_test(test_empty),
		cmocka_unit_test(test_gap),	   cmocka_unit_test(test_measures),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
