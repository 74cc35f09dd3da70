/* SPDX-License-Identifier: MIT */
/*
 * The flame graph, as an XML parser that is not ours reads it: widths known by hand, boxes within
 * their parents, labels within their boxes, nothing lost, and well-formed whatever the names are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/write_svg.h"
#include "profile_fixture.h"

/*
 * Reads the picture's boxes into B: (first line of the tooltip, all of it, x, y, width, label or
 * None, class). What a test adds prints its findings.
 */
#define READ_BOXES                                                                            \
	"python3 -c 'import sys, re, xml.etree.ElementTree as E\n"                            \
	"n = \"{http://www.w3.org/2000/svg}\"\n"                                              \
	"r = E.parse(sys.argv[1]).getroot()\n"                                                \
	"assert r.tag == n + \"svg\" and len(list(r.iter(n + \"script\"))) == 1\n"            \
	"B = []\n"                                                                            \
	"for g in r.findall(n + \"g\")[0].findall(n + \"g\"):\n"                              \
	" t, b, l = g.find(n + \"title\").text, g.find(n + \"rect\"), g.find(n + \"text\")\n" \
	" B.append((t.split(\"\\n\")[0], t, float(b.get(\"x\")), float(b.get(\"y\")),\n"      \
	"  float(b.get(\"width\")), None if l is None else l.text, b.get(\"class\")))\n"

#define END_BOXES "' $1"

static void run_python(const char *command, const struct strbuf *svg, const char *want)
{
	struct strbuf out = { 0 };

	assert_int_equal(fixture_run(command, svg, &out), 0);
	assert_string_equal(strbuf_str(&out), want);
	strbuf_release(&out);
}

/* Each box stands on one that is at least as wide, and its label is its name or the start of it. */
static void assert_consistent(const struct strbuf *svg)
{
	run_python(READ_BOXES
		   "H = sorted(set(b[3] for b in B))\n"
		   "assert H == [H[0] + 17 * i for i in range(len(H))], H\n"
		   "assert H[-1] + 17 <= float(r.get(\"height\"))\n"
		   "rows = {}\n"
		   "for b in B: rows.setdefault(b[3], []).append(b)\n"
		   "for b in B:\n"
		   " assert b[2] >= 11.9 and b[2] + b[4] <= 1188.1, b\n"
		   " up = rows.get(b[3] - 17, [])\n"
		   " assert b[3] == H[0] or any(u[2] - .2 <= b[2] and\n"
		   "  b[2] + b[4] <= u[2] + u[4] + .6 for u in up), b\n"
		   " if b[5] is not None:\n"
		   "  assert b[5] == b[0].replace(\" (inlined)\", \"\") or\\\n"
		   "   b[5][-1] == \"…\" and b[0].startswith(b[5][:-1]), b\n"
		   "  assert len(b[5]) * 6.6 < b[4], b\n"
		   "for row in rows.values():\n"
		   " row.sort(key=lambda b: b[2])\n"
		   " for a, b in zip(row, row[1:]): assert a[2] + a[4] <= b[2] + .2, (a, b)\n"
		   "print(\"fine\")" END_BOXES,
		   svg, "fine\n");
}

static void test_known(void **state)
{
	static const struct write_field fields[] = { { "command", "a <b> & c" }, { "lost", "0" } };
	struct write_options o = { .type = PROFILE_NONE, .fields = fields, .nr_fields = 2 };
	struct profile *p = fixture_known();
	struct strbuf svg;

	(void)state;
	fixture_need("python3");
	o.title = "CPU of <prog>";
	fixture_write(write_svg, p, &o, &svg);
	assert_consistent(&svg);
	/* Widths in samples: of 39, in 1176 pixels; the gap between boxes is half a pixel. */
	run_python(READ_BOXES "for b in sorted(B, key=lambda b: (b[3], b[2])):\n"
			      " print(round((b[4] + .5) * 39 / 1176, 1), b[0], b[6][0])" END_BOXES,
		   &svg,
		   "39.0 all n\n"
		   "26.0 prog n\n"
		   "13.0 worker n\n"
		   "4.0 [truncated: no rows] n\n"
		   "21.0 main p\n"
		   "13.0 main p\n"
		   "4.0 malloc c\n"
		   "21.0 work p\n"
		   "2.0 do_sys k\n"
		   "11.0 libx.so+0x2234 l\n"
		   "6.0 helper (inlined) i\n"
		   "7.0 malloc c\n"
		   "3.0 work p\n"
		   "3.0 work p\n");
	run_python(READ_BOXES "print([b[1] for b in B if b[0] == \"work\" and b[4] > 600])\n"
			      "t = [\"\".join(e.itertext()) for e in r.iter(n + \"text\")]\n"
			      "print(t[0], t[1], r.find(n + \"title\").text, sep=\"|\")" END_BOXES,
		   &svg,
		   "['work\\nprog\\n210ms, 53.85%, 21 samples\\nitself: 50ms, 12.82%']\n"
		   "CPU of <prog>|command a <b> & c   lost 0|CPU of <prog>\n");
	strbuf_release(&svg);
	profile_free(p);
}

static void test_hostile(void **state)
{
	struct write_options o = { .type = PROFILE_NONE };
	struct profile *p = fixture_hostile();
	struct write_field fields[2] = { { "]]>", "<!-- \033 \xff" }, { "long", NULL } };
	char *longest = malloc(20001);
	struct strbuf svg;

	(void)state;
	fixture_need("python3");
	memset(longest, '&', 20000);
	longest[20000] = '\0';
	fields[1].value = longest;
	o.fields = fields;
	o.nr_fields = 2;
	o.title = longest;
	for (o.type = 0; o.type < 2; o.type++) {
		fixture_write(write_svg, p, &o, &svg);
		/* In nanoseconds every sample is at the limit, and the first takes all. */
		run_python(READ_BOXES "print(max(b[3] for b in B) // 17000)" END_BOXES, &svg,
			   o.type ? "0.0\n" : "1.0\n");
		assert_null(strstr(strbuf_str(&svg), "<!--"));
		/* Only style sheet and script end a section of character data. */
		run_python(
			"python3 -c 'import sys\nprint(open(sys.argv[1]).read().count(\"]]>\"))' $1",
			&svg, "2\n");
		strbuf_release(&svg);
	}
	free(longest);
	/* All of one size, so that every name is drawn. */
	for (size_t i = 0; i < p->nr_samples; i++)
		p->samples[i].values[0] = 1;
	o = (struct write_options){ .type = 0 };
	fixture_write(write_svg, p, &o, &svg);
	assert_consistent(&svg);
	run_python(READ_BOXES "N = [b[0] for b in B]\n"
			      "print([x in N for x in (\"]]>\", \"%s%n%d\", \"&amp; \\x27q\\x27 "
			      "\\\"q\\\"\", \"<script>alert(\\\"x\\\")</script>\", \"N\" * 10000,\n"
			      " \"esc\\ufffd[31mred\\ufffd\\ufffd\\ufffd\", \"\\u05e9\\u05dc\\u05d5"
			      "\\u05dd\", \"a;b\\ufffdc\\ufffdd\")])" END_BOXES,
		   &svg, "[True, True, True, True, True, True, True, True]\n");
	strbuf_release(&svg);
	profile_free(p);
}

/*
 * 5,000 stacks of two functions and one sample each, between two of a million: what is not drawn
 * is in a box of many, and counted.
 */
static void test_narrow(void **state)
{
	struct profile *p = fixture_empty();
	struct strbuf svg;
	uint32_t at;
	char name[16];

	(void)state;
	fixture_need("python3");
	for (uint32_t i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "m%04u", i);
		at = fixture_location(p, PROFILE_NONE, i + 1, name, "", 0);
		FIXTURE_ADD(p, "", NULL, 1, at, at);
	}
	at = fixture_location(p, PROFILE_NONE, 8000, "a", "", 0);
	FIXTURE_ADD(p, "", NULL, 1000000, at);
	at = fixture_location(p, PROFILE_NONE, 8001, "z", "", 0);
	FIXTURE_ADD(p, "", NULL, 1000000, at);
	fixture_write(write_svg, p, NULL, &svg);
	assert_consistent(&svg);
	run_python(READ_BOXES "for b in B: print(b[1].split(\",\")[0], b[6][0], b[4] > 2)\n"
			      "t = [\"\".join(e.itertext()) for e in r.iter(n + \"text\")]\n"
			      "print([x for x in t if \"narrow\" in x][0])" END_BOXES,
		   &svg,
		   "all\n5.57hrs n True\na\n2.78hrs p True\nz\n2.78hrs p True\n"
		   "10000 frames too narrow to draw\n50s m True\n"
		   "10000 frames narrower than 0.2 px are not drawn one by one (50s, 0.25%).\n");
	strbuf_release(&svg);
	profile_free(p);
}

/* A share too small for its digits is written with a "<". */
static void test_small_share(void **state)
{
	struct profile *p = fixture_empty();
	uint32_t a = fixture_location(p, PROFILE_NONE, 1, "a", "", 0);
	uint32_t b = fixture_location(p, PROFILE_NONE, 2, "b", "", 0);
	struct strbuf svg;

	(void)state;
	fixture_need("python3");
	FIXTURE_ADD(p, "", NULL, 1, a);
	FIXTURE_ADD(p, "", NULL, 1000000, b, a);
	fixture_write(write_svg, p, NULL, &svg);
	run_python(READ_BOXES "print([b[1] for b in B if b[0] == \"a\"])" END_BOXES, &svg,
		   "['a\\n2.78hrs, 100%, 1000001 samples\\nitself: 10ms, <0.01%']\n");
	strbuf_release(&svg);
	profile_free(p);
}

/* What was before and is now: as wide as now, coloured by the change, what is gone left out. */
static void test_difference(void **state)
{
	static const struct {
		const char *name;
		int64_t values[2];
	} known[] = { { "same", { 100, 200 } },
		      { "grew", { 50, 300 } },
		      { "gone", { 100, 0 } },
		      { "new", { 0, 50 } },
		      { "less", { 50, 50 } } };
	struct write_options o = { .type = PROFILE_NONE, .diff = WRITE_DIFF_NORMALIZED };
	struct profile *p = profile_new();
	struct strbuf svg;
	uint32_t at;

	(void)state;
	fixture_need("python3");
	assert_int_equal(profile_type(p, "before", "count", &at), 0);
	assert_int_equal(profile_type(p, "after", "count", &at), 0);
	for (uint32_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		uint32_t l = fixture_location(p, PROFILE_NONE, i + 1, known[i].name, "", 0);
		struct profile_sample_key key = { .locations = &l, .nr_locations = 1 };

		assert_int_equal(profile_add(p, &key, known[i].values), 0);
	}
	fixture_write(write_svg, p, &o, &svg);
	/* 300 before and 600 now: twice as much is as before. */
	run_python(READ_BOXES
		   "for b in B: print(b[0], b[6], round((b[4] + .5) * 600 / 1176))" END_BOXES,
		   &svg, "all d4 600\ngrew d7 300\nless d1 50\nnew d8 50\nsame d4 200\n");
	strbuf_release(&svg);
	o.diff = WRITE_DIFF_ABSOLUTE;
	fixture_write(write_svg, p, &o, &svg);
	run_python(READ_BOXES "print([b[6] for b in B])\nprint(B[1][1])" END_BOXES, &svg,
		   "['d7', 'd8', 'd4', 'd8', 'd7']\ngrew\n300, 50.00%\nbefore: 50, 16.67%\n");
	strbuf_release(&svg);
	profile_free(p);
}

static void test_empty(void **state)
{
	struct profile *p = fixture_empty(), *bare = profile_new();
	struct strbuf svg;

	(void)state;
	fixture_need("python3");
	fixture_write(write_svg, bare, NULL, &svg);
	run_python(READ_BOXES "print(B)" END_BOXES, &svg, "[]\n");
	strbuf_release(&svg);
	fixture_add(p, "c", NULL, 1, NULL, 0);
	fixture_write(write_svg, p, NULL, &svg);
	run_python(READ_BOXES "print([b[0] for b in B])" END_BOXES, &svg, "['all', 'c']\n");
	strbuf_release(&svg);
	profile_free(p);
	profile_free(bare);
}

/* The same samples met in another order are the same picture, byte for byte. */
static void test_stable(void **state)
{
	static const char *const names[] = { "alpha", "beta", "gamma", "delta" };
	struct strbuf svg[2];

	(void)state;
	for (int run = 0; run < 2; run++) {
		struct profile *p = fixture_empty();

		for (int i = 0; i < 16; i++) {
			int n = run ? 15 - i : i;
			uint32_t leaf =
				fixture_location(p, PROFILE_NONE, (uint64_t)n, names[n % 4], "", 0);
			uint32_t root = fixture_location(p, PROFILE_NONE, (uint64_t)n + 100,
							 names[n / 4], "", 0);

			FIXTURE_ADD(p, n % 3 ? "one" : "two", NULL, n + 1, leaf, root);
		}
		fixture_write(write_svg, p, NULL, &svg[run]);
		profile_free(p);
	}
	assert_string_equal(strbuf_str(&svg[0]), strbuf_str(&svg[1]));
	strbuf_release(&svg[0]);
	strbuf_release(&svg[1]);
}

static void test_errors(void **state)
{
	(void)state;
	fixture_expect_errors(write_svg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),	    cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_narrow),	    cmocka_unit_test(test_empty),
		cmocka_unit_test(test_stable),	    cmocka_unit_test(test_errors),
		cmocka_unit_test(test_small_share), cmocka_unit_test(test_difference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
