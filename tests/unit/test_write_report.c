/* SPDX-License-Identifier: MIT */
/*
 * The writers of reports: figures known by hand in the text, every value unrounded in JSON as
 * Python reads it, well-formed pictures, and the worst of names in all of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "lib/formats.h"
#include "profile_fixture.h"
#include "report_fixture.h"

static const struct write_field fields[] = { { "command", "prog \"x\"" }, { "pid", "4711" } };
static const struct write_options plain = { .title = "Everything",
					    .fields = fields,
					    .nr_fields = ARRAY_SIZE(fields) };

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

/* Runs Python on the file in $1 and compares what it prints. */
static void assert_python(const char *script, const struct strbuf *file, const char *want)
{
	struct strbuf command = { 0 }, out = { 0 };

	strbuf_printf(&command, "python3 -c '%s' $1", script);
	if (fixture_run(strbuf_str(&command), file, &out))
		fail_msg("python3: %s", strbuf_str(&out));
	assert_string_equal(strbuf_str(&out), want);
	strbuf_release(&command);
	strbuf_release(&out);
}

/* ---------------------------------------------------------------- text ---- */

static void test_text(void **state)
{
	struct report *r = fixture_report();
	struct strbuf out;

	(void)state;
	fixture_write_report(write_report_text, r, &plain, &out);
	assert_has(&out, "command  prog \"x\"\npid      4711\n\nRequests by route\n");
	assert_has(&out, "\nrate        499.5/s\nstill open  3\n");
	/* Sorted by requests, greatest first; as many names as fit. */
	assert_has(&out, "\nGET /health                      5000  500.0/s  1.00%  ");
	assert_has(&out, "\nGET /rooms                       1000  100.0/s  0.00%  ");
	/* Numbers give way before a name is cut below 24 columns. */
	assert_has(&out, "\nGET /bookings\u2026{participant}  ");
	/* They are below, in the same order. */
	assert_has(&out, "  p99\nGET /health ");
	assert_has(
		&out,
		"\n\nroute                                            p99.9      max  allocated\n"
		"GET /health                                    12.91ms  12.98ms          -\n");
	assert_lacks(&out, "not shown");
	/* 600 of 1000 are from 2 to 3.8 ms, so the median is; the greatest is 100 + 399 * 0.4 ms. */
	assert_has(&out, "1000 requests   p50 3.49ms  p90 ");
	assert_has(&out, "max 260ms\n");
	assert_has(&out, "[  16B,   32B)        50000   25.19%  ########  ");
	assert_has(&out, "[  2MB,   ...)            2   <0.01%  .  ");
	assert_has(&out, "\n   ...\n[ 32kB,  64kB)  ");
	assert_lacks(&out, "kB)            0 ");
	assert_has(&out, "cache_insert  cache.c:120\n");
	assert_has(&out, "on_request  http.c:301\n");
	assert_has(&out, "  1. 182ms  POST /bookings  at 1.23s  status 201, thread loop/1\n");
	assert_has(&out, " unixSync  [libsqlite3.so.0]\n");
	assert_has(&out, "    ... and 60 shorter ones, ");
	assert_lacks(&out, "\033");
	for (size_t i = 0; i < out.len; i++)
		if ((unsigned char)out.data[i] >= 0x80 && (unsigned char)out.data[i] != 0xe2 &&
		    (unsigned char)out.data[i] != 0xa6)
			assert_int_equal((unsigned char)out.data[i], 0x80); /* ellipses only */
	strbuf_release(&out);
	report_free(r);
}

/* Where the height is what lacks: the columns that have no room are named. */
static void test_short_tables(void **state)
{
	struct write_options o = plain;
	struct report *r = fixture_report();
	struct strbuf out;

	(void)state;
	o.short_tables = true;
	fixture_write_report(write_report_text, r, &o, &out);
	assert_has(&out, "not shown for lack of width: p99.9, max, allocated\n");
	assert_lacks(&out, "12.98ms");
	strbuf_release(&out);
	/* However narrow, all is there else. */
	o.short_tables = false;
	o.width = 20;
	fixture_write_report(write_report_text, r, &o, &out);
	assert_lacks(&out, "not shown");
	assert_has(&out, "  allocated\n");
	strbuf_release(&out);
	report_free(r);
}

static void test_unicode_and_colour(void **state)
{
	struct write_options o = plain;
	struct report *r = fixture_report();
	struct strbuf out;

	(void)state;
	o.unicode = true;
	o.color = true;
	o.width = 200;
	fixture_write_report(write_report_text, r, &o, &out);
	assert_has(&out, "\u2588\u2588");
	assert_has(&out, "\u258f");
	assert_has(&out, "\u2582");
	assert_has(&out, "\033[1m");
	assert_has(&out, "GET /bookings/{id}/participants/{participant} ");
	assert_lacks(&out, "not shown");
	assert_lacks(&out, "##");
	strbuf_release(&out);
	report_free(r);
}

static void test_top(void **state)
{
	struct write_options o = plain;
	struct report *r = fixture_report();
	struct strbuf out;

	(void)state;
	o.top = 2;
	fixture_write_report(write_report_text, r, &o, &out);
	assert_has(&out, "DELETE /b");
	assert_lacks(&out, "GET /rooms    ");
	assert_has(&out, "... and 3 more\n");
	strbuf_release(&out);
	report_free(r);
}

/* A bar's length is its share of the longest, to half a character. */
static void test_bars(void **state)
{
	struct report *r = report_new();
	struct report_histogram *h =
		report_histogram(report_section(r, "s", "S"), "h", NULL, REPORT_COUNT, "things");
	struct strbuf out;
	const char *line;

	(void)state;
	for (uint64_t i = 0; i <= 40; i++)
		report_bucket(h, i * 2, i * 2 + 1, 25 * i, 0);
	fixture_write_report(write_report_text, r, &plain, &out);
	line = strstr(strbuf_str(&out), "share\n") + strlen("share\n");
	for (size_t i = 1; i <= 40; i++) {
		size_t marks = 0, longest = 80 - strlen("[80, 82)  things   12.34%  ");
		double want = (double)longest * (double)i / 40;

		line = strchr(line, '%') + 3;
		marks = strspn(line, "#");
		if (fabs((double)marks - want) > 0.51)
			fail_msg("%zu marks for %g in\n%s", marks, want, strbuf_str(&out));
		line = strchr(line, '\n') + 1;
	}
	strbuf_release(&out);
	report_free(r);
}

/* Every width, every style: no line is wider than the page, nothing harmful comes through. */
static void test_hostile_text(void **state)
{
	static const char check[] =
		"import sys, unicodedata as u\n"
		"t = open(sys.argv[1], encoding=\"utf-8\").read()\n"
		"w = lambda c: 0 if u.combining(c) else 2 if u.east_asian_width(c) in \"WF\" else 1\n"
		"print(max(sum(map(w, l)) for l in t.split(\"\\n\")) <= %u,\n"
		"      sorted({hex(ord(c)) for c in t if u.category(c) in (\"Cc\", \"Cf\", \"Zl\")}))";
	static const unsigned int widths[] = { 60, 61, 79, 80, 120, 200 };
	struct report *reports[] = { fixture_report(), fixture_bad_report() };
	struct write_options o = plain;
	char script[1024];

	(void)state;
	fixture_need("python3");
	for (size_t i = 0; i < ARRAY_SIZE(widths) * 4; i++) {
		struct strbuf out;

		o.width = widths[i / 4];
		o.unicode = i & 1;
		fixture_write_report(write_report_text, reports[i / 2 % 2], &o, &out);
		snprintf(script, sizeof(script), check, o.width);
		assert_python(script, &out, "True ['0xa']\n");
		strbuf_release(&out);
	}
	report_free(reports[0]);
	report_free(reports[1]);
}

/* ---------------------------------------------------------------- JSON ---- */

static void test_json(void **state)
{
	struct report *r = fixture_report();
	struct strbuf out;

	(void)state;
	fixture_need("python3");
	fixture_write_report(write_report_json, r, &plain, &out);
	assert_python(
		"import json, sys\n"
		"d = json.load(open(sys.argv[1]))\n"
		"s = d[\"sections\"]\n"
		"print(d[\"periscope_report\"], d[\"title\"], d[\"facts\"])\n"
		"print(list(s), s[\"routes\"][\"facts\"])\n"
		"t = s[\"routes\"][\"tables\"][0]\n"
		"print(t[\"key\"], [c[\"key\"] for c in t[\"columns\"]])\n"
		"print(len(t[\"rows\"]), t[\"rows\"][4][\"route\"], t[\"rows\"][4][\"max_ns\"],\n"
		"      t[\"rows\"][4][\"allocated_bytes\"], t[\"rows\"][0][\"allocated_bytes\"])\n"
		"h = s[\"heap\"][\"histograms\"][0]\n"
		"print(h[\"unit\"], h[\"counts\"], h[\"buckets\"][0], h[\"buckets\"][-1])\n"
		"h = s[\"routes\"][\"histograms\"][0]\n"
		"print(sum(b[\"count\"] for b in h[\"buckets\"]), h[\"marks\"][\"max_ns\"],\n"
		"      sorted(h[\"marks\"]))\n"
		"print(s[\"heap\"][\"tables\"][0][\"rows\"][1][\"stack\"])\n"
		"p = s[\"heap\"][\"series\"][0][\"points\"]\n"
		"print(len(p), p[60])\n"
		"w = s[\"slow\"][\"waterfalls\"][0]\n"
		"print(w[\"classes\"], [len(t[\"spans\"]) for t in w[\"traces\"]])\n"
		"x = w[\"traces\"][0][\"spans\"][4]\n"
		"print(x[\"name\"], x[\"class\"], x[\"start_ns\"], x[\"depth\"], x[\"detail\"][1])",
		&out,
		"1 Everything {'command': 'prog \"x\"', 'pid': '4711'}\n"
		"['routes', 'heap', 'slow'] {'requests': 5000, 'rate_per_s': 499.5, "
		"'open': 3, 'server': 'coworkingd'}\n"
		"routes ['route', 'requests', 'rate_per_s', 'errors_percent', 'p50_ns', "
		"'p90_ns', 'p99_ns', 'p999_ns', 'max_ns', 'allocated_bytes']\n"
		/* 10 * (100000 + 399 * 400) */
		"5 GET /rooms 2596000 4711 None\n"
		"bytes allocations {'low_bytes': 8, 'high_bytes': 15, 'count': 100000, "
		"'sum_bytes': 1200000} {'low_bytes': 2097152, 'high_bytes': None, 'count': "
		"2, 'sum_bytes': 5242880}\n"
		"1000 259600000 ['max_ns', 'p50_ns', 'p90_ns', 'p999_ns', 'p99_ns']\n"
		"['sqlite3MemMalloc  [libsqlite3.so.0]']\n"
		"61 {'time_ns': 60000000000, 'in_use_bytes': 24885760, 'rss_bytes': "
		"73457280}\n"
		"['running', 'runnable', 'blocked', 'queued'] [7, 90]\n"
		"disk blocked 130000000 1 unixSync  [libsqlite3.so.0]\n");
	strbuf_release(&out);
	report_free(r);
}

/* Whole and valid whatever the names are: what cannot be shown is replaced, the rest is as it was. */
static void test_hostile_json(void **state)
{
	struct report *r = fixture_bad_report();
	struct strbuf out;

	(void)state;
	fixture_need("python3");
	fixture_write_report(write_report_json, r, &plain, &out);
	assert_python("import json, sys, unicodedata as u\n"
		      "t = open(sys.argv[1], encoding=\"utf-8\").read()\n"
		      "print(sorted({c for c in t if u.category(c) in (\"Cc\", \"Cf\", \"Zl\")}))\n"
		      "s = json.loads(t)[\"sections\"][\"bad\"]\n"
		      "rows = s[\"tables\"][0][\"rows\"]\n"
		      "print(rows[4][\"route\"], rows[5][\"route\"], rows[6][\"route\"],\n"
		      "      len(rows[8][\"route\"]))\n"
		      "print(rows[0][\"requests\"], rows[0][\"p90_ns\"], rows[0][\"rate_per_s\"],\n"
		      "      rows[1][\"rate_per_s\"], rows[0][\"errors_percent\"])\n"
		      "print(s[\"tables\"][1][\"rows\"][2][\"stack\"][0])\n"
		      "x = s[\"waterfalls\"][0][\"traces\"][0]\n"
		      "print(x[\"start_ns\"], len(x[\"spans\"]), max(y[\"duration_ns\"] for y in "
		      "x[\"spans\"]))",
		      &out,
		      "['\\n']\n"
		      "<script>alert(1)</script>&amp;\"' ]]>--><![CDATA[ \\\"\\u0000{}[],: 20000\n"
		      "9223372036854775807 -9223372036854775808 1e+300 None None\n"
		      "two\n"
		      "18446744073709551615 9 18446744073709551615\n");
	strbuf_release(&out);
	report_free(r);
}

/* ---------------------------------------------------------------- SVG ---- */

#define READ_SVG                                                                                 \
	"import sys, xml.etree.ElementTree as E\n"                                               \
	"N = \"{http://www.w3.org/2000/svg}\"\n"                                                 \
	"root = E.parse(sys.argv[1]).getroot()\n"                                                \
	"B = [(g.find(N + \"title\").text, g.find(N + \"rect\").attrib) for g in root.iter(N + " \
	"\"g\")]\n"                                                                              \
	"T = [t.text or \"\" for t in root.iter(N + \"text\")]\n"

/* Bars as high as their counts, spans as wide as their times, and said in words, too. */
static void test_svg(void **state)
{
	struct report *r = fixture_report();
	struct strbuf out;

	(void)state;
	fixture_need("python3");
	fixture_write_report(write_report_svg, r, &plain, &out);
	assert_python(
		READ_SVG
		"bars = {t: float(a[\"height\"]) for t, a in B if \" requests, \" in t}\n"
		"print(len(bars), [t for t in bars if t.startswith(\"[2.10ms, 3.15ms): 349\")])\n"
		"top = max(bars.values())\n"
		"print(all(abs(h / top - int(t.split(\": \")[1].split()[0]) / 349) < 0.01\n"
		"      for t, h in bars.items()))\n"
		"spans = {t.split(\"\\n\")[0]: float(a[\"width\"]) for t, a in B if \", from \" in t}\n"
		"print(round(spans[\"waiting for the writer\"] / spans[\"disk\"], 1))\n"
		"print([t.split(\"\\n\")[2:] for t, a in B if t.startswith(\"disk\")][0])\n"
		"print([t for t in T if t.startswith(\"p\")],\n"
		"      len([p for p in root.iter(N + \"polyline\")]))\n"
		"right = float(root.get(\"width\"))\n"
		"print(all(0 <= float(a[\"x\"]) and float(a[\"x\"]) + float(a[\"width\"]) <= right "
		"for t, a in B))\n"
		"print(all(0 < float(a[\"y\"]) and float(a[\"y\"]) + float(a[\"height\"]) <= "
		"float(root.get(\"height\")) for t, a in B))",
		&out,
		"7 ['[2.10ms, 3.15ms): 349 requests, 34.90%']\n"
		"True\n"
		"3.3\n"
		"['  fdatasync  [libc.so.6]', '  unixSync  [libsqlite3.so.0]', '  writer_run  "
		"db_writer.c:77']\n"
		"['p50 3.49ms', 'p90 219ms', 'p99 255ms', 'p99.9 259ms'] 2\n"
		"True\nTrue\n");
	assert_has(&out, "prefers-color-scheme:dark");
	assert_lacks(&out, "<script");
	assert_lacks(&out, "href");
	strbuf_release(&out);
	report_free(r);
}

static void test_hostile_svg(void **state)
{
	struct report *r = fixture_bad_report();
	struct strbuf out;

	(void)state;
	fixture_need("python3");
	fixture_write_report(write_report_svg, r, &plain, &out);
	assert_python(READ_SVG
		      "print(len([t for t, a in B if \", from \" in t]), max(map(len, T)) <= 170)\n"
		      "print(any(t.startswith(\"<script>alert(1)\") for t in T),\n"
		      "      [e.tag for e in root.iter() if \"script\" in e.tag],\n"
		      "      any(\"]]>--><![CDATA[\" in t for t in T))",
		      &out, "8 True\nTrue [] True\n");
	strbuf_release(&out);
	report_free(r);
}

/* A report without pictures says so, one without anything is still a picture. */
static void test_empty(void **state)
{
	struct report *r = report_new();
	struct strbuf out;

	(void)state;
	fixture_write_report(write_report_svg, r, &plain, &out);
	assert_has(&out, "Nothing to draw");
	strbuf_release(&out);
	fixture_write_report(write_report_text, r, &plain, &out);
	assert_string_equal(strbuf_str(&out), "command  prog \"x\"\npid      4711\n");
	strbuf_release(&out);
	report_table(report_section(r, "s", "S"), "t", NULL, fixture_routes, 2);
	report_waterfall(report_section(r, "w", "W"), "w", NULL);
	report_histogram(report_section(r, "h", "H"), "h", NULL, REPORT_NS, "things");
	report_series(report_section(r, "o", "O"), "o", NULL, fixture_lines, 2);
	fixture_write_report(write_report_text, r, &plain, &out);
	assert_has(&out, "\nS\nnone\n\nW\nnone\n\nH\n0 things\n\nO\nnone\n");
	strbuf_release(&out);
	fixture_write_report(write_report_svg, r, &plain, &out);
	assert_has(&out, ">none</text>");
	strbuf_release(&out);
	fixture_write_report(write_report_json, r, &plain, &out);
	assert_python("import json, sys\nprint(list(json.load(open(sys.argv[1]))[\"sections\"]))",
		      &out, "['s', 'w', 'h', 'o']\n");
	strbuf_release(&out);
	report_free(r);
}

static int fail_write(struct sink *s, const void *data, size_t len)
{
	(void)s;
	(void)data;
	(void)len;
	return -ENOSPC;
}

/* What the sink says is returned; a report with a mistake is not written at all. */
static void test_errors(void **state)
{
	int (*const writers[])(const struct report *, const struct write_options *,
			       struct sink *) = { write_report_text, write_report_json,
						  write_report_svg };
	struct report *r = fixture_report();
	struct sink full = { .write = fail_write };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(writers); i++)
		assert_int_equal(writers[i](r, &plain, &full), -ENOSPC);
	report_section(r, "routes", "Twice");
	for (size_t i = 0; i < ARRAY_SIZE(writers); i++)
		assert_int_equal(writers[i](r, &plain, &full), -EINVAL);
	report_free(r);
}

static void test_formats(void **state)
{
	const struct format *f;

	(void)state;
	assert_int_equal(format_find(report_formats, "x.json", NULL, &f), 0);
	assert_ptr_equal(f->write_report, write_report_json);
	assert_int_equal(format_find(report_formats, "x.svg", NULL, &f), 0);
	assert_ptr_equal(f->write_report, write_report_svg);
	assert_int_equal(format_find(report_formats, "x", "text", &f), 0);
	assert_ptr_equal(f->write_report, write_report_text);
	assert_int_equal(format_find(report_formats, "x.pb.gz", NULL, &f), -EINVAL);
	/* A format of the model that is not there. */
	assert_int_equal(format_write(f, (struct write_model){ 0 }, &plain, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_short_tables),
		cmocka_unit_test(test_unicode_and_colour),
		cmocka_unit_test(test_top),
		cmocka_unit_test(test_bars),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_hostile_json),
		cmocka_unit_test(test_svg),
		cmocka_unit_test(test_hostile_svg),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_formats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
