/* SPDX-License-Identifier: MIT */
/* The profile model: deduplication, refusals that leave no trace, saturation. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/dedup.h"
#include "profile_fixture.h"

static void test_strings(void **state)
{
	struct profile *p = profile_new();
	uint32_t i, j;
	char name[16];

	(void)state;
	assert_int_equal(profile_string(p, "", &i), 0);
	assert_int_equal(i, 0);
	assert_int_equal(profile_string(p, NULL, &i), 0);
	assert_int_equal(i, 0);
	for (uint32_t n = 0; n < 50000; n++) {
		snprintf(name, sizeof(name), "s%u", n);
		assert_int_equal(profile_string(p, name, &i), 0);
		assert_int_equal(i, n + 1);
	}
	for (uint32_t n = 0; n < 50000; n += 7) {
		snprintf(name, sizeof(name), "s%u", n);
		assert_int_equal(profile_string(p, name, &j), 0);
		assert_int_equal(j, n + 1);
		assert_string_equal(profile_str(p, j), name);
	}
	assert_int_equal(p->nr_strings, 50001);
	assert_string_equal(profile_str(p, 50001), "");
	assert_string_equal(profile_str(p, PROFILE_NONE), "");
	profile_free(p);
	profile_free(NULL);
}

static void test_types(void **state)
{
	struct profile *p = profile_new();
	uint32_t i = 99;
	char name[16];

	(void)state;
	for (uint32_t n = 0; n < PROFILE_MAX_TYPES; n++) {
		snprintf(name, sizeof(name), "t%u", n);
		assert_int_equal(profile_type(p, name, "count", &i), 0);
		assert_int_equal(i, n);
	}
	assert_int_equal(profile_type(p, "t3", "count", &i), 0);
	assert_int_equal(i, 3);
	assert_int_equal(profile_type(p, "t3", "bytes", &i), -E2BIG);
	assert_int_equal(i, 3);
	assert_int_equal(p->nr_types, PROFILE_MAX_TYPES);
	profile_free(p);
}

static void test_mappings(void **state)
{
	struct profile *p = profile_new();
	uint32_t a, b;

	(void)state;
	assert_int_equal(profile_mapping(p, 1, 2, 3, "/a", "id", &a), 0);
	assert_int_equal(profile_mapping(p, 1, 9, 9, "/a", "id", &b), 0);
	assert_int_equal(a, b);
	assert_int_equal(p->mappings[a].limit, 2);
	assert_int_equal(profile_mapping(p, 2, 9, 9, "/a", "id", &b), 0);
	assert_int_not_equal(a, b);
	assert_int_equal(profile_mapping(p, 1, 2, 3, "/b", "id", &b), 0);
	assert_int_equal(b, 2);
	assert_int_equal(profile_mapping(p, 1, 2, 3, "/a", NULL, &b), 0);
	assert_int_equal(b, 3);
	assert_int_equal(p->nr_mappings, 4);
	profile_free(p);
}

static void test_locations(void **state)
{
	struct profile *p = profile_new();
	uint32_t m = fixture_mapping(p, 0x1000, "/a");
	uint32_t f = fixture_function(p, "f", "", false), g = fixture_function(p, "g", "", false);
	struct profile_line lines[] = { { f, 1 }, { g, 2 } }, bad = { 17, 1 };
	uint32_t a, b;

	(void)state;
	assert_int_not_equal(f, g);
	assert_int_equal(fixture_function(p, "f", "", false), f);
	assert_int_not_equal(fixture_function(p, "f", "", true), f);
	assert_int_equal(profile_location(p, 0x1001, m, lines, 2, &a), 0);
	assert_int_equal(profile_location(p, 0x1001, m, lines, 2, &b), 0);
	assert_int_equal(a, b);
	assert_int_equal(p->nr_lines, 2);
	lines[1].line = 3;
	assert_int_equal(profile_location(p, 0x1001, m, lines, 2, &b), 0);
	assert_int_equal(b, 1);
	assert_int_equal(profile_location(p, 0x1001, m, lines, 1, &b), 0);
	assert_int_equal(b, 2);
	assert_int_equal(profile_location(p, 0x1001, PROFILE_NONE, lines, 1, &b), 0);
	assert_int_equal(b, 3);
	assert_int_equal(profile_location(p, 0x1001, m, NULL, 0, &b), 0);
	assert_int_equal(b, 4);
	assert_int_equal(p->lines[p->locations[1].first_line + 1].line, 3);
	/* What points nowhere is refused, and nothing of it stays. */
	assert_int_equal(profile_location(p, 7, m, &bad, 1, &b), -EINVAL);
	assert_int_equal(profile_location(p, 7, 5, lines, 1, &b), -EINVAL);
	assert_int_equal(b, 4);
	assert_int_equal(p->nr_locations, 5);
	assert_int_equal(p->nr_lines, 2 + 2 + 1 + 1);
	profile_free(p);
}

static void test_samples(void **state)
{
	struct profile *p = fixture_known();
	size_t samples = p->nr_samples, stack = p->nr_stack_locations, labels = p->nr_labels;
	uint32_t here[] = { 0, 1 }, nowhere[] = { 0, 1000 };
	struct profile_label label = { .key = 1, .str = 1 };
	struct profile_sample_key key = { .locations = here, .nr_locations = 2 };
	int64_t values[] = { 1, 10 };

	(void)state;
	assert_int_equal(samples, 8);
	assert_int_equal(profile_total(p, 0), 39);
	assert_int_equal(profile_total(p, 1), 39 * INT64_C(10000000));
	assert_int_equal(profile_total(p, 2), 0);
	key.locations = nowhere;
	assert_int_equal(profile_add(p, &key, values), -EINVAL);
	key.locations = here;
	key.comm = 100000;
	assert_int_equal(profile_add(p, &key, values), -EINVAL);
	key.comm = 0;
	label.unit = 100000;
	key.labels = &label;
	key.nr_labels = 1;
	assert_int_equal(profile_add(p, &key, values), -EINVAL);
	assert_int_equal(p->nr_samples, samples);
	assert_int_equal(p->nr_stack_locations, stack);
	assert_int_equal(p->nr_labels, labels);
	assert_int_equal(profile_total(p, 0), 39);

	/* Each part of the key makes another sample; the same key again does not. */
	key.nr_labels = 0;
	for (int i = 0; i < 3; i++)
		assert_int_equal(profile_add(p, &key, values), 0);
	assert_int_equal(p->nr_samples, samples + 1);
	assert_int_equal(p->samples[samples].values[0], 3);
	assert_int_equal(p->samples[samples].values[1], 30);
	label.unit = 0;
	key.nr_labels = 1;
	assert_int_equal(profile_add(p, &key, values), 0);
	label.num = 1;
	assert_int_equal(profile_add(p, &key, values), 0);
	key.truncated = 1;
	assert_int_equal(profile_add(p, &key, values), 0);
	key.comm = 1;
	assert_int_equal(profile_add(p, &key, values), 0);
	key.nr_locations = 1;
	assert_int_equal(profile_add(p, &key, values), 0);
	key.nr_locations = 0;
	assert_int_equal(profile_add(p, &key, values), 0);
	assert_int_equal(p->nr_samples, samples + 7);
	profile_free(p);
}

static void test_saturation(void **state)
{
	struct profile *p = fixture_empty();
	struct profile_sample_key key = { 0 };
	int64_t values[] = { INT64_C(1) << 62, INT64_MIN };

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(profile_add(p, &key, values), 0);
	assert_int_equal(p->nr_samples, 1);
	assert_true(p->samples[0].values[0] == INT64_MAX);
	assert_true(p->samples[0].values[1] == INT64_MIN);
	key.comm = fixture_string(p, "other");
	assert_int_equal(profile_add(p, &key, values), 0);
	assert_true(profile_total(p, 0) == INT64_MAX);
	assert_true(profile_total(p, 1) == INT64_MIN);
	assert_true(profile_sum(INT64_MAX, -1) == INT64_MAX - 1);
	profile_free(p);
}

/* Stacks drawn at random from a small set, counted here by a plain table as well. */
static void test_many_samples(void **state)
{
	struct profile *p = fixture_empty();
	static int64_t counted[4][4][4];
	uint32_t locations[4];
	unsigned int seed = 3;
	size_t distinct = 0;

	(void)state;
	memset(counted, 0, sizeof(counted));
	for (uint32_t i = 0; i < 4; i++)
		locations[i] = fixture_location(p, PROFILE_NONE, i, NULL, NULL, 0);
	for (int n = 0; n < 20000; n++) {
		int a = rand_r(&seed) % 4, b = rand_r(&seed) % 4, c = rand_r(&seed) % 3;

		FIXTURE_ADD(p, "", NULL, n, locations[a], locations[b], locations[c]);
		counted[a][b][c] += n;
	}
	for (size_t i = 0; i < p->nr_samples; i++) {
		const uint32_t *l = p->stack_locations + p->samples[i].first_location;

		assert_int_equal(p->samples[i].values[0], counted[l[0]][l[1]][l[2]]);
		distinct++;
	}
	assert_int_equal(distinct, 4 * 4 * 3);
	profile_free(p);
}

static bool key_equal(const void *ctx, uint32_t index)
{
	return *(const uint32_t *)ctx == index;
}

/* Every element under one hash: slow, and right. */
static void test_colliding_hashes(void **state)
{
	struct dedup d;

	(void)state;
	dedup_init(&d);
	for (uint32_t i = 0; i < 500; i++) {
		assert_int_equal(dedup_find(&d, 42, key_equal, &i), DEDUP_NONE);
		assert_int_equal(dedup_reserve(&d), 0);
		dedup_insert(&d, 42, i);
	}
	for (uint32_t i = 0; i < 500; i++)
		assert_int_equal(dedup_find(&d, 42, key_equal, &i), i);
	dedup_release(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),	     cmocka_unit_test(test_types),
		cmocka_unit_test(test_mappings),     cmocka_unit_test(test_locations),
		cmocka_unit_test(test_samples),	     cmocka_unit_test(test_saturation),
		cmocka_unit_test(test_many_samples), cmocka_unit_test(test_colliding_hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
