/* SPDX-License-Identifier: MIT */
/* The page of a timeline, as far as it is written here: its data unpacked again, its markup. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/synthetic/synthetic.h"
#include "lib/html_impl.h"
#include "lib/sink.h"
#include "lib/write_html.h"
#include "trace_fixture.h"

static unsigned int digit(char c)
{
	const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = strchr(digits, c);

	assert_non_null(at);
	return (unsigned int)(at - digits);
}

/* What is between two texts of a page, decoded and inflated. */
static unsigned char *unpack(const char *text, size_t len, size_t *ret_len)
{
	unsigned char *bytes = malloc(len), *out = malloc(64U << 20);
	uLongf size = 64U << 20;
	size_t n = 0;

	assert_int_equal(len % 4, 0);
	for (size_t i = 0; i < len; i += 4) {
		unsigned int pad = (text[i + 3] == '=') + (text[i + 2] == '=');
		unsigned int bits = digit(text[i]) << 18 | digit(text[i + 1]) << 12;

		bits |= pad > 1 ? 0 : digit(text[i + 2]) << 6;
		bits |= pad > 0 ? 0 : digit(text[i + 3]);
		bytes[n++] = (unsigned char)(bits >> 16);
		if (pad < 2)
			bytes[n++] = (unsigned char)(bits >> 8);
		if (pad < 1)
			bytes[n++] = (unsigned char)bits;
	}
	assert_int_equal(uncompress(out, &size, bytes, n), Z_OK);
	free(bytes);
	*ret_len = size;
	return out;
}

static uint64_t get(const unsigned char **p, const unsigned char *end)
{
	uint64_t n = 0;

	for (unsigned int shift = 0;; shift += 7) {
		assert_true(*p < end && shift < 64);
		n |= (uint64_t)(**p & 0x7f) << shift;
		if (*(*p)++ < 0x80)
			return n;
	}
}

/* The page of a trace, and how many bytes each column has in it. */
static struct strbuf write_page(const struct synthetic_options *o, const char *title,
				struct synthetic *s, uint64_t *sizes)
{
	struct fixture_trace f;
	struct timeline_view v = { 0 };
	struct write_options options = WRITE_OPTIONS_DEFAULT;
	struct strbuf page = { 0 };
	struct strbuf_sink sink;
	const char *begin, *end;
	unsigned char *data;
	const unsigned char *p;
	size_t len;

	fixture_trace_new(&f, &(struct trace_writer_options){ 0 });
	assert_int_equal(synthetic_make(s, o, f.w), 0);
	fixture_trace_finish(&f, s->end - FIXTURE_START);
	v.trace = fixture_trace_open(&f);
	options.title = title;
	strbuf_sink_init(&sink, &page);
	assert_int_equal(write_html(&v, &options, &sink.sink), 0);
	begin = strstr(strbuf_str(&page), "id=\"data\">");
	assert_non_null(begin);
	begin += strlen("id=\"data\">");
	end = strchr(begin, '<');
	data = unpack(begin, (size_t)(end - begin), &len);
	memset(sizes, 0, HTML_NR_COLUMNS * sizeof(*sizes));
	for (p = data; p < data + len;) {
		uint64_t column = get(&p, data + len), size;

		get(&p, data + len);
		size = get(&p, data + len);
		assert_true(column > 0 && column < HTML_NR_COLUMNS);
		assert_true(size <= (uint64_t)(data + len - p));
		sizes[column] += size;
		p += size;
	}
	free(data);
	trace_close(v.trace);
	unlink(f.path);
	return page;
}

/* One byte of head for each state, two for each span: their numbers are known. */
static void test_columns(void **state)
{
	struct synthetic_options o = { .events = 60000, .loops = 2, .seed = 7 };
	static struct synthetic s;
	uint64_t sizes[HTML_NR_COLUMNS], switches = 0;
	struct strbuf page = write_page(&o, "t", &s, sizes);

	(void)state;
	for (unsigned int i = 0; i < 2; i++)
		switches += s.loops[i].runs + s.writers[i].runs;
	/* A run has at least the states before it, in it and after its wakeup. */
	assert_true(sizes[HTML_STATES] > 3 * switches);
	assert_true(sizes[HTML_LENGTHS] >= sizes[HTML_STATES]);
	assert_true(sizes[HTML_SPANS] % 2 == 0);
	assert_true(sizes[HTML_REQUESTS] > 10 * s.requests);
	assert_int_equal(sizes[HTML_LOST], 0);
	assert_true(page.len < 12 * s.emitted);
	strbuf_release(&page);
}

static void test_losses_are_in_the_page(void **state)
{
	struct synthetic_options o = { .events = 5000, .loops = 2, .seed = 7, .lose = 499 };
	static struct synthetic s;
	uint64_t sizes[HTML_NR_COLUMNS];
	struct strbuf page = write_page(&o, "t", &s, sizes);

	(void)state;
	assert_true(s.lost > 0);
	assert_true(sizes[HTML_LOST] >= 4 * s.lost);
	strbuf_release(&page);
}

/* What people call things does not become markup. */
static void test_hostile_title(void **state)
{
	struct synthetic_options o = { .events = 10, .loops = 1, .seed = 7 };
	static struct synthetic s;
	uint64_t sizes[HTML_NR_COLUMNS];
	struct strbuf page = write_page(&o, "</title><script>alert(1)</script>\x01\xff", &s, sizes);

	(void)state;
	assert_null(strstr(strbuf_str(&page), "<script>alert"));
	assert_non_null(strstr(strbuf_str(&page), "&lt;/title&gt;"));
	assert_int_equal(strlen(strbuf_str(&page)), page.len);
	strbuf_release(&page);
}

/* A full disk, at whichever write. */
struct full {
	struct sink sink;
	unsigned int left;
};

static int fill(struct sink *s, const void *data, size_t len)
{
	struct full *f = (struct full *)s;

	(void)data;
	(void)len;
	return f->left-- ? 0 : -ENOSPC;
}

static void test_numbers(void **state)
{
	struct strbuf b = { 0 };

	(void)state;
	html_put(&b, 300);
	html_put_signed(&b, -1);
	html_put_signed(&b, INT64_MIN);
	assert_int_equal(b.len, 2 + 1 + 10);
	assert_memory_equal(strbuf_str(&b), "\xac\x02\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
			    13);
	strbuf_release(&b);
}

static void test_full_disk(void **state)
{
	struct synthetic_options o = { .events = 300, .loops = 1, .seed = 7 };
	struct write_options options = WRITE_OPTIONS_DEFAULT;
	static struct synthetic s;
	struct timeline_view v = { 0 };
	struct fixture_trace f;

	(void)state;
	fixture_trace_new(&f, &(struct trace_writer_options){ 0 });
	assert_int_equal(synthetic_make(&s, &o, f.w), 0);
	fixture_trace_finish(&f, s.end - FIXTURE_START);
	v.trace = fixture_trace_open(&f);
	for (unsigned int i = 0; i < 3; i++) {
		struct full full = { .sink = { fill }, .left = i };

		assert_int_equal(write_html(&v, &options, &full.sink), -ENOSPC);
	}
	trace_close(v.trace);
	unlink(f.path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns),	      cmocka_unit_test(test_losses_are_in_the_page),
		cmocka_unit_test(test_hostile_title), cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
