/* SPDX-License-Identifier: MIT */
/* What changed between two profiles, by function: against sums worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/diff_report.h"
#include "lib/merge.h"
#include "lib/read.h"
#include "lib/report.h"
#include "lib/util.h"
#include "profile_fixture.h"

/* f recurses: its cumulative part counts once. 40 in all, then 20. */
#define BEFORE "p;main;f;g 10\np;main;f;f;g 20\np;main;h 10\n"
#define AFTER  "p;main;f;g 5\np;main;f 5\np;main;h 5\np;main;new 5\n"

struct want {
	const char *function;
	double change, before, after;
};

static struct profile *read_text(const char *text)
{
	struct profile *p = profile_new();
	struct read_error error;

	assert_non_null(p);
	assert_int_equal(read_folded(p, text, strlen(text), &error), 0);
	return p;
}

static double number(const struct report_table *t, size_t row, size_t column)
{
	const struct report_value *v = report_cell(t, row, column);

	assert_true(v->known);
	return report_is_real(t->columns[column].unit) ? v->real : (double)v->number;
}

static void assert_table(const struct report_table *t, const struct want *want, size_t n)
{
	assert_int_equal(report_rows(t), n);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(report_cell(t, i, 0)->text, want[i].function);
		assert_true(number(t, i, 1) == want[i].change);
		assert_true(number(t, i, 2) == want[i].before);
		assert_true(number(t, i, 3) == want[i].after);
	}
}

static void check(bool absolute, const struct want *own, size_t nr_own, const struct want *cum,
		  size_t nr_cum)
{
	struct profile *a = read_text(BEFORE), *b = read_text(AFTER), *d;
	struct report *r = report_new();

	assert_int_equal(merge_difference(a, b, NULL, &d), 0);
	assert_int_equal(diff_report(r, d, absolute), 0);
	assert_int_equal(report_error(r), 0);
	assert_int_equal(r->sections[0]->nr_parts, 2);
	assert_table(r->sections[0]->parts[0].table, own, nr_own);
	assert_table(r->sections[0]->parts[1].table, cum, nr_cum);
	report_free(r);
	profile_free(a);
	profile_free(b);
	profile_free(d);
}

/* The greatest change first, whichever its sign; equal ones by name. */
static void test_values(void **state)
{
	static const struct want own[] = {
		{ "g", -25, 30, 5 }, { "f", 5, 0, 5 }, { "h", -5, 10, 5 }, { "new", 5, 0, 5 }
	};
	static const struct want cum[] = { { "g", -25, 30, 5 },
					   { "f", -20, 30, 10 },
					   { "main", -20, 40, 20 },
					   { "h", -5, 10, 5 },
					   { "new", 5, 0, 5 } };

	(void)state;
	check(true, own, ARRAY_SIZE(own), cum, ARRAY_SIZE(cum));
}

/* h is a quarter of either, main all of it: no change. */
static void test_shares(void **state)
{
	static const struct want own[] = { { "g", -50, 75, 25 },
					   { "f", 25, 0, 25 },
					   { "new", 25, 0, 25 } };
	static const struct want cum[] = { { "g", -50, 75, 25 },
					   { "f", -25, 75, 50 },
					   { "new", 25, 0, 25 } };

	(void)state;
	check(false, own, ARRAY_SIZE(own), cum, ARRAY_SIZE(cum));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_shares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
