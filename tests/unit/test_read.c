/* SPDX-License-Identifier: MIT */
/*
 * Profiles from files: what our writers wrote comes back the same, perf script's text as written
 * down by hand, and every kind of damage is refused with a reason, never with a crash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/fields.h"
#include "lib/merge.h"
#include "lib/read.h"
#include "lib/util.h"
#include "lib/write_folded.h"
#include "lib/write_pprof.h"
#include "lib/write_speedscope.h"
#include "profile_fixture.h"

/* Through a file, as the commands read. */
static int read_bytes(const void *data, size_t len, struct profile **ret, struct read_error *error)
{
	char name[] = "/tmp/periscope-test.XXXXXX";
	int fd = mkstemp(name), err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
	err = read_profile(name, ret, error);
	unlink(name);
	return err;
}

static struct profile *read_text(const char *text)
{
	struct read_error error;
	struct profile *p = NULL;

	if (read_bytes(text, strlen(text), &p, &error))
		fail_msg("%s", error.text);
	return p;
}

static void assert_folded(const struct profile *p, uint32_t type, const char *want)
{
	struct write_options o = { .type = type };
	struct strbuf out;

	fixture_write(write_folded, p, &o, &out);
	assert_string_equal(strbuf_str(&out), want);
	strbuf_release(&out);
}

static void assert_refused(const char *text, const char *reason)
{
	struct read_error error;
	struct profile *p;

	assert_int_equal(read_bytes(text, strlen(text), &p, &error), -22);
	assert_string_equal(error.text, reason);
}

static void test_folded(void **state)
{
	struct profile *p;

	(void)state;
	p = read_text("# a remark\n\nprog;main;work 5\nprog;main;work;in_[i];ner_[i] 2\r\n"
		      "prog;main;read_[k] 3\nprog;[truncated: no rows];malloc 4\nprog 1\n"
		      "prog;zero 0\nprog;a b;libx.so.1+0x2234 1152921504606846976");
	assert_folded(p, 0,
		      "prog 1\nprog;[truncated: no rows];malloc 4\n"
		      "prog;a b;libx.so.1+0x2234 1152921504606846976\nprog;main;read_[k] 3\n"
		      "prog;main;work 5\nprog;main;work;in;ner 2\n");
	/* The two inlined functions share the location of the one that holds them. */
	assert_int_equal(p->samples[1].nr_locations, 2);
	assert_string_equal(profile_str(p, p->samples[3].truncated), "no rows");
	profile_free(p);
}

static void test_folded_bad(void **state)
{
	(void)state;
	assert_refused("a;b 1\na;c\n", "line 2: no count at its end");
	assert_refused("a;b 1\n\n# x\na;c x\n", "line 4: 'x' is no count (a whole number)");
	assert_refused("a;b 2.5\n", "line 1: '2.5' is no count (a whole number)");
	assert_refused("a;b -1\n", "line 1: '-1' is no count (a whole number)");
	assert_refused("a;b 9223372036854775808\n",
		       "line 1: '9223372036854775808' is no count (a whole number)");
	assert_refused("<html>\n", "line 1: no count at its end");
}

static void test_written_comes_back(void **state)
{
	struct profile *made[] = { fixture_known(), fixture_hostile() };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
		struct strbuf file, folded;
		struct read_error error;
		struct profile *p;

		fixture_write(write_folded, made[i], NULL, &folded);
		fixture_write(write_pprof, made[i], NULL, &file);
		assert_int_equal(read_bytes(file.data, file.len, &p, &error), 0);
		assert_int_equal(p->nr_types, 2);
		assert_int_equal(p->default_type, 1);
		assert_int_equal(p->nr_samples, made[i]->nr_samples);
		assert_int_equal(p->nr_mappings, made[i]->nr_mappings);
		assert_int_equal(p->nr_comments, made[i]->nr_comments);
		assert_int_equal(p->duration_ns, made[i]->duration_ns);
		if (!i)
			assert_folded(p, 0, strbuf_str(&folded));
		else /* bytes that are no text were mended on the way */
			assert_int_equal(profile_total(p, 0), profile_total(made[i], 0));
		profile_free(p);
		p = read_text(strbuf_str(&folded));
		assert_folded(p, 0, strbuf_str(&folded));
		profile_free(p);
		strbuf_release(&file);
		strbuf_release(&folded);
		profile_free(made[i]);
	}
}

/* Cut anywhere, and with any byte changed: an error or a profile, and nothing that sanitizers see. */
static void test_pprof_damaged(void **state)
{
	struct profile *known = fixture_known(), *p = NULL;
	struct read_error error;
	struct strbuf file;
	size_t cuts = 0, len;
	char *plain, copy[64 * 1024];
	struct strbuf out = { 0 };

	(void)state;
	fixture_write(write_pprof, known, NULL, &file);
	for (size_t n = 3; n < file.len; n += 7, cuts++)
		assert_int_equal(read_bytes(file.data, n, &p, &error), -22);
	assert_true(cuts > 20);
	assert_int_equal(fixture_run("zcat $1", &file, &out), 0);
	plain = out.data;
	len = out.len;
	assert_true(len < sizeof(copy));
	for (size_t i = 0; i < len; i++) {
		memcpy(copy, plain, len);
		copy[i] ^= (char)(1 << i % 8);
		p = profile_new();
		assert_non_null(p);
		(void)read_pprof(p, copy, i % 5 ? len : i, &error);
		profile_free(p);
	}
	strbuf_release(&out);
	strbuf_release(&file);
	profile_free(known);
}

static char *golden(const char *name)
{
	char path[128];
	size_t len;
	char *text;

	snprintf(path, sizeof(path), "tests/golden/%s", name);
	text = read_file_at(-100, path, 1 << 20, &len); /* AT_FDCWD */
	assert_non_null(text);
	return text;
}

static void test_perf_script(void **state)
{
	char *text = golden("perf-script.txt"), *want = golden("perf-script.folded");
	struct profile *p = read_text(text);

	(void)state;
	assert_folded(p, 0, want);
	assert_int_equal(p->nr_types, 2);
	assert_string_equal(profile_str(p, p->types[1].name), "cpu");
	assert_int_equal(profile_total(p, 1), 2 * 10101010 + 2 * 20202020);
	/* inner was inlined into outer: one location. */
	assert_int_equal(p->samples[0].nr_locations, 4);
	assert_int_equal(p->labels[p->samples[0].first_label].num, 4713);
	profile_free(p);
	free(text);
	free(want);
}

static void test_perf_script_bad(void **state)
{
	char *text = golden("perf-script.txt");

	(void)state;
	assert_refused("\tffffffff81a0b2c3 f (x)\n", "line 1: a frame before any event");
	assert_refused("nonsense\n\tffffffff81a0b2c3 f (x)\n", "line 1: no event of perf script");
	for (size_t n = strlen(text); n > 0; n--) {
		struct read_error error;
		struct profile *p = profile_new();

		assert_non_null(p);
		text[n] = '\0';
		(void)read_perf_script(p, text, n, &error);
		profile_free(p);
	}
	free(text);
}

static void test_no_file(void **state)
{
	struct read_error error;
	struct profile *p;

	(void)state;
	assert_int_equal(read_profile("/nonexistent", &p, &error), -2);
	assert_string_equal(error.text, "No such file or directory");
	assert_refused("\x01\x02\x03\x04", "neither a pprof profile nor a text of stacks");
}

static void test_merge(void **state)
{
	struct profile *a = read_text("p;x 1\np;y 2\n"), *b = read_text("p;y 3\np;z 4\n"), *d;

	(void)state;
	assert_int_equal(merge_difference(a, b, NULL, &d), 0);
	assert_folded(d, 0, "p;x 1\np;y 2\n");
	assert_folded(d, 1, "p;y 3\np;z 4\n");
	assert_int_equal(d->nr_samples, 3);
	profile_free(d);
	assert_int_equal(merge_profile(a, b), 0);
	assert_folded(a, 0, "p;x 1\np;y 5\np;z 4\n");
	profile_free(b);
	b = fixture_known();
	assert_int_equal(merge_profile(a, b), -22);
	assert_int_equal(merge_difference(a, b, NULL, &d), -22);
	assert_int_equal(merge_difference(a, b, "samples", &d), 0);
	assert_int_equal(profile_total(d, 1), 39);
	profile_free(d);
	profile_free(a);
	profile_free(b);
}

static void test_fields(void **state)
{
	static const char *const want[][2] = { { "note", "plain" },
					       { "host", "h: x" },
					       { "rate", "99 Hz" },
					       { "duration", "5.002s" } };
	struct fields f = { 0 };
	struct profile *p = profile_new();

	(void)state;
	assert_int_equal(profile_comment(p, "plain"), 0);
	assert_int_equal(profile_comment(p, "host: h: x"), 0);
	assert_int_equal(profile_comment(p, "hz: 99"), 0);
	assert_int_equal(profile_comment(p, "seconds: 5.002"), 0);
	p->duration_ns = 5000000000; /* said already */
	assert_int_equal(fields_add_profile(&f, p), 0);
	assert_int_equal(f.nr, 4);
	for (size_t i = 0; i < f.nr; i++) {
		assert_string_equal(f.items[i].key, want[i][0]);
		assert_string_equal(f.items[i].value, want[i][1]);
	}
	fields_release(&f);
	profile_free(p);
}

/* As a reader of JSON sees it: sums, inlined frames, threads apart. */
static void test_speedscope(void **state)
{
	struct profile *p = fixture_known(), *hostile = fixture_hostile();
	struct strbuf file, out = { 0 };

	(void)state;
	fixture_need("python3");
	fixture_write(write_speedscope, p, NULL, &file);
	assert_int_equal(
		fixture_run(
			"python3 -c 'import json, sys\n"
			"d = json.load(open(sys.argv[1]))\n"
			"n = [f[\"name\"] for f in d[\"shared\"][\"frames\"]]\n"
			"for p in d[\"profiles\"]:\n"
			" assert sum(p[\"weights\"]) == p[\"endValue\"]\n"
			" print(p[\"name\"], p[\"unit\"], p[\"endValue\"], len(p[\"samples\"]))\n"
			"s = d[\"profiles\"][0]\n"
			"print(max(\";\".join(n[i] for i in s) for s in s[\"samples\"] if\n"
			" \"helper\" in [n[i] for i in s]))' $1",
			&file, &out),
		0);
	assert_string_equal(strbuf_str(&out), "all threads nanoseconds 390000000 8\n"
					      "prog 4711 nanoseconds 260000000 6\n"
					      "worker 4711 nanoseconds 130000000 2\n"
					      "prog;main;work;helper\n");
	strbuf_release(&file);
	fixture_write(write_speedscope, hostile, NULL, &file);
	assert_int_equal(
		fixture_run("python3 -c 'import json, sys\njson.load(open(sys.argv[1]))' $1", &file,
			    &out),
		0);
	strbuf_release(&file);
	strbuf_release(&out);
	fixture_expect_errors(write_speedscope);
	profile_free(hostile);
	profile_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folded),
		cmocka_unit_test(test_folded_bad),
		cmocka_unit_test(test_written_comes_back),
		cmocka_unit_test(test_pprof_damaged),
		cmocka_unit_test(test_perf_script),
		cmocka_unit_test(test_perf_script_bad),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_speedscope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
