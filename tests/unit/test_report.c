/* SPDX-License-Identifier: MIT */
/* The report model: what is put in comes out, and what does not fit is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "report_fixture.h"

static const struct report_column columns[] = {
	{ "name", "name", REPORT_TEXT },
	{ "n", "n", REPORT_COUNT },
	{ "share", "share", REPORT_PERCENT },
};

static struct report_table *new_table(struct report *r)
{
	return report_table(report_section(r, "s", "S"), "t", NULL, columns, ARRAY_SIZE(columns));
}

static void add_row(struct report_table *t, const char *name, int64_t n, double share)
{
	report_add_text(t, name);
	report_add(t, n);
	report_add_real(t, share);
}

static void assert_order(const struct report_table *t, const char *names)
{
	for (size_t i = 0; i < report_rows(t); i++) {
		const struct report_value *v = report_cell(t, i, 0);

		assert_int_equal(v->known ? v->text[0] : '-', names[i]);
	}
	assert_int_equal(report_rows(t), strlen(names));
}

static void test_sort(void **state)
{
	struct report *r = report_new();
	struct report_table *t = new_table(r);

	(void)state;
	add_row(t, "b", 5, 1);
	add_row(t, "a", -7, 3);
	add_row(t, NULL, 5, 2);
	add_row(t, "d", INT64_MAX, NAN);
	report_sort(t, "n");
	assert_order(t, "db-a"); /* equal ones as they were */
	report_sort(t, "share");
	assert_order(t, "a-bd"); /* unknown last */
	report_sort(t, "name");
	assert_order(t, "abd-");
	assert_int_equal(report_error(r), 0);
	report_sort(t, "no such");
	assert_int_equal(report_error(r), -EINVAL);
	report_free(r);
}

/* Each mistake alone makes the report an error, and nothing that follows crashes. */
static void test_mistakes(void **state)
{
	(void)state;
	for (int mistake = 0; mistake < 10; mistake++) {
		struct report *r = report_new();
		struct report_section *s = report_section(r, "first", "First");
		struct report_table *t = new_table(r);
		struct report_histogram *h = report_histogram(s, "h", NULL, REPORT_NS, "things");

		add_row(t, "a", 1, 1);
		report_bucket(h, 8, 15, 1, 0);
		report_fact(s, "f", "f", REPORT_COUNT, 1);
		assert_int_equal(report_error(r), 0);
		if (mistake == 0)
			report_add(t, 1); /* a number for a text */
		else if (mistake == 1)
			report_add_text(t, "x"); /* the rest of the row never comes */
		else if (mistake == 2)
			report_section(r, "first", "Twice");
		else if (mistake == 3)
			report_fact(s, "f", "f", REPORT_COUNT, 1);
		else if (mistake == 4)
			report_fact(s, "g", "g", REPORT_PERCENT, 1);
		else if (mistake == 5)
			report_bucket(h, 15, 16, 1, 0); /* overlaps */
		else if (mistake == 6)
			report_bucket(h, 20, 19, 1, 0);
		else if (mistake == 7)
			report_histogram(s, "i", NULL, REPORT_PERCENT, "things");
		else if (mistake == 8)
			report_second(h, "x", "x", REPORT_TEXT);
		else
			report_table(s, "empty", NULL, columns, 0);
		assert_int_equal(report_error(r), -EINVAL);
		add_row(t, "a", 1, 1);
		report_free(r);
	}
}

/* Buckets of any recorded histogram: none missed, none twice, readable in number, in order. */
static void test_recorded(void **state)
{
	static const uint64_t ranges[][2] = {
		{ 0, 0 },	{ 0, 3 },	   { 5, 5 },	      { 1000, 1030 },
		{ 1, 1 << 20 }, { 100, 10000000 }, { 0, UINT64_MAX }, { UINT64_MAX, UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		struct report *r = report_new();
		struct report_histogram *h;
		struct hist from;
		uint64_t sum = 0, v = ranges[i][0];

		hist_init(&from);
		for (int k = 0; k < 1000; k++) {
			assert_int_equal(hist_record(&from, v), 0);
			if (__builtin_add_overflow(v, (ranges[i][1] - ranges[i][0]) / 999, &v) ||
			    v > ranges[i][1])
				v = ranges[i][1];
		}
		h = report_histogram_of(report_section(r, "s", "S"), "h", NULL, REPORT_NS, "values",
					&from);
		assert_int_equal(report_error(r), 0);
		for (size_t k = 0; k < h->nr_buckets; k++) {
			const struct report_bucket *b = &h->buckets[k];

			sum += b->count;
			assert_int_equal(b->count, hist_count_between(&from, b->low, b->high));
			if (k)
				assert_true(b->low == b[-1].high + 1);
		}
		assert_int_equal(sum, 1000);
		assert_true(h->nr_buckets >= 1 && h->nr_buckets <= 65);
		assert_true(h->buckets[0].high >= from.min);
		assert_true(h->buckets[h->nr_buckets - 1].high >= from.max);
		assert_int_equal(h->nr_marks, 5);
		assert_true(h->marks[4].value == from.max);
		hist_release(&from);
		report_free(r);
	}
}

static void test_powers(void **state)
{
	struct report *r = report_new();
	struct report_histogram *h =
		report_histogram(report_section(r, "s", "S"), "h", NULL, REPORT_BYTES, "blocks");

	(void)state;
	for (unsigned int power = 0; power < 64; power++)
		report_bucket_log2(h, power, power, 2 * power);
	assert_int_equal(report_error(r), 0);
	for (unsigned int power = 0; power < 64; power++) {
		assert_int_equal(hist_log2(h->buckets[power].low), power);
		assert_int_equal(hist_log2(h->buckets[power].high), power);
		if (power)
			assert_true(h->buckets[power].low == h->buckets[power - 1].high + 1);
		assert_int_equal(h->buckets[power].second, 2 * power);
	}
	report_free(r);
}

static void test_latency_of_nothing(void **state)
{
	static const struct report_column latency[] = { REPORT_LATENCY_COLUMNS };
	struct report *r = report_new();
	struct report_table *t =
		report_table(report_section(r, "s", "S"), "t", NULL, latency, ARRAY_SIZE(latency));
	struct hist h;

	(void)state;
	hist_init(&h);
	report_add_latency(t, &h);
	assert_int_equal(report_rows(t), 1);
	assert_false(report_cell(t, 0, 0)->known);
	report_histogram_of(report_section(r, "e", "E"), "h", NULL, REPORT_NS, "values", &h);
	assert_int_equal(report_error(r), 0);
	hist_release(&h);
	report_free(r);
}

static void test_classes(void **state)
{
	struct report *r = report_new();
	struct report_waterfall *w = report_waterfall(report_section(r, "s", "S"), "w", NULL);
	struct report_trace *t;

	(void)state;
	report_class(w, "one");
	report_class(w, "two");
	t = report_trace(w, "t", 0, 10, NULL);
	report_span(t, "three", "x", 0, 5, 0, NULL);
	report_span(t, "one", "y", 5, 5, 0, NULL);
	assert_int_equal(w->nr_classes, 3);
	assert_int_equal(t->spans[0].class, 2);
	assert_int_equal(t->spans[1].class, 0);
	report_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sort),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_powers),
		cmocka_unit_test(test_latency_of_nothing),
		cmocka_unit_test(test_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
