/* SPDX-License-Identifier: MIT */
/* The growing string, and UTF-8 by two independent ways: ours and the C library's iconv. */
#include <errno.h>
#include <iconv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/sink.h"
#include "lib/strbuf.h"

static void test_appends(void **state)
{
	struct strbuf b = { 0 };
	char *text;

	(void)state;
	assert_string_equal(strbuf_str(&b), "");
	strbuf_puts(&b, "one");
	strbuf_putc(&b, ' ');
	strbuf_printf(&b, "%d-%s", 23, "x");
	strbuf_fill(&b, '=', 3);
	strbuf_add(&b, "a\0b", 3);
	assert_int_equal(b.len, 14);
	assert_memory_equal(strbuf_str(&b), "one 23-x===a\0b", 15);
	assert_int_equal(strbuf_error(&b), 0);
	text = strbuf_detach(&b);
	assert_memory_equal(text, "one 23-x===a\0b", 15);
	free(text);
	assert_int_equal(b.len, 0);
	text = strbuf_detach(&b);
	assert_string_equal(text, "");
	free(text);
}

static void test_growth(void **state)
{
	struct strbuf b = { 0 };

	(void)state;
	for (int i = 0; i < 100000; i++) {
		strbuf_putc(&b, (char)('a' + i % 26));
		assert_int_equal(b.data[b.len], '\0');
	}
	for (int i = 0; i < 100000; i++)
		assert_int_equal(b.data[i], 'a' + i % 26);
	strbuf_release(&b);
}

/* Memory that cannot be had: the text before it stays, nothing after it is added. */
static void test_no_memory(void **state)
{
	struct strbuf b = { 0 };

	(void)state;
	strbuf_puts(&b, "kept");
	strbuf_fill(&b, 'x', SIZE_MAX - 2);
	strbuf_puts(&b, "lost");
	assert_int_equal(strbuf_error(&b), -ENOMEM);
	assert_string_equal(strbuf_str(&b), "kept");
	errno = 0;
	assert_null(strbuf_detach(&b));
	assert_int_equal(errno, ENOMEM);
	strbuf_puts(&b, "again");
	assert_int_equal(strbuf_error(&b), 0);
	strbuf_fill(&b, 'x', SIZE_MAX / 2);
	assert_int_equal(strbuf_error(&b), -ENOMEM);
	strbuf_reset(&b);
	assert_int_equal(strbuf_error(&b), 0);
	strbuf_release(&b);
}

static void test_encode_as_iconv(void **state)
{
	iconv_t cd = iconv_open("UTF-8", "UTF-32LE");
	struct strbuf b = { 0 };

	(void)state;
	assert_true(cd != (iconv_t)-1);
	for (uint32_t c = 1; c <= 0x10ffff; c++) {
		char want[8], *in = (char *)&c, *out = want;
		size_t in_left = 4, out_left = sizeof(want);
		const char *s;

		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		assert_int_equal(iconv(cd, &in, &in_left, &out, &out_left), 0);
		strbuf_reset(&b);
		strbuf_put_utf8(&b, c);
		assert_int_equal(b.len, out - want);
		assert_memory_equal(b.data, want, b.len);
		s = b.data;
		assert_int_equal(utf8_next(&s), c);
		assert_ptr_equal(s, b.data + b.len);
		assert_int_equal(utf8_next(&s), 0);
		assert_ptr_equal(s, b.data + b.len);
	}
	strbuf_release(&b);
	iconv_close(cd);
}

/* Random bytes, most of them of the kinds that sequences are made of. */
static void test_decode_as_iconv(void **state)
{
	static const unsigned char kinds[] = { 'a',  0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
					       0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1,
					       0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff };
	iconv_t cd = iconv_open("UTF-32LE", "UTF-8");
	unsigned int seed = 1;
	int valid = 0;

	(void)state;
	for (int round = 0; round < 300000; round++) {
		char bytes[5] = "", *in = bytes;
		uint32_t c = 0, got;
		char *out = (char *)&c;
		size_t in_left, out_left = 4;
		const char *s = bytes;

		for (int i = 0; i < 4; i++)
			bytes[i] = (char)kinds[(size_t)rand_r(&seed) % sizeof(kinds)];
		in_left = 4;
		iconv(cd, NULL, NULL, NULL, NULL);
		iconv(cd, &in, &in_left, &out, &out_left); /* stops after one: out is full */
		got = utf8_next(&s);
		if (out_left == 0) {
			valid++;
			assert_int_equal(got, c);
			assert_int_equal(s - bytes, in - bytes);
		} else {
			assert_int_equal(got, UTF8_REPLACEMENT);
			assert_int_equal(s - bytes, 1);
		}
	}
	assert_true(valid > 1000);
	iconv_close(cd);
}

static void assert_clipped(const char *s, size_t columns, const char *want, size_t want_columns)
{
	struct strbuf b = { 0 };

	strbuf_puts(&b, "|");
	assert_int_equal(strbuf_puts_clipped(&b, s, columns), want_columns);
	assert_string_equal(strbuf_str(&b) + 1, want);
	strbuf_release(&b);
}

static void test_clipped(void **state)
{
	(void)state;
	assert_clipped("", 0, "", 0);
	assert_clipped("abc", 3, "abc", 3);
	assert_clipped("abcd", 3, "ab…", 3);
	assert_clipped("abc", 1, "…", 1);
	assert_clipped("abc", 0, "", 0);
	/* Two columns each: an ellipsis takes the place of a character, not of half of one. */
	assert_clipped("函数名", 6, "函数名", 6);
	assert_clipped("函数名", 5, "函数…", 5);
	assert_clipped("函数名", 4, "函…", 3);
	/* A combining acute accent goes with its letter and takes no column. */
	assert_clipped("e\xcc\x81t\xcc\x81", 2, "e\xcc\x81t\xcc\x81", 2);
	/* Nothing that a terminal acts on comes through: CSI as escape and as one byte, an override. */
	assert_clipped("a\033[1m", 10, "a\xef\xbf\xbd[1m", 5);
	assert_clipped("a\xc2\x9b", 10, "a\xef\xbf\xbd", 2);
	assert_clipped("\xe2\x80\xaex", 10, "\xef\xbf\xbdx", 2);
	assert_clipped("\xff", 10, "\xef\xbf\xbd", 1);
}

static void assert_middle(const char *s, size_t columns, const char *want)
{
	struct strbuf b = { 0 };

	assert_int_equal(strbuf_puts_middle(&b, s, columns), utf8_columns(want));
	assert_string_equal(strbuf_str(&b), want);
	strbuf_release(&b);
}

static void test_middle(void **state)
{
	(void)state;
	assert_middle("", 0, "");
	assert_middle("abcdef", 6, "abcdef");
	assert_middle("abcdefg", 6, "abc…fg");
	assert_middle("abcdefg", 5, "ab…fg");
	assert_middle("abcdefg", 3, "a…g");
	assert_middle("abcdefg", 2, "a…"); /* no room for both ends */
	assert_middle("abcdefg", 0, "");
	/* Wide characters whole or not at all. */
	assert_middle("函数名函数名", 7, "函…名");
	assert_middle("函数名函数名", 8, "函数…名");
	assert_middle("a\033b\nc", 10,
		      "a\xef\xbf\xbd"
		      "b\xef\xbf\xbd"
		      "c");
	assert_int_equal(utf8_columns("a函\xcc\x81\xff"), 4);
}

static void test_chop(void **state)
{
	struct strbuf b = { 0 };

	(void)state;
	assert_false(strbuf_chop(&b, 'x'));
	strbuf_puts(&b, "ax");
	assert_false(strbuf_chop(&b, 'a'));
	assert_true(strbuf_chop(&b, 'x'));
	assert_string_equal(strbuf_str(&b), "a");
	strbuf_release(&b);
}

static int count_writes(struct sink *s, const void *data, size_t len)
{
	(void)s;
	(void)data;
	assert_int_not_equal(len, 0);
	return -EPIPE;
}

static void test_flush(void **state)
{
	struct sink broken = { .write = count_writes };
	struct strbuf b = { 0 }, out = { 0 };
	struct strbuf_sink sink;

	(void)state;
	strbuf_sink_init(&sink, &out);
	strbuf_puts(&b, "12345");
	assert_int_equal(sink_flush(&sink.sink, &b, 6), 0);
	assert_int_equal(out.len, 0);
	assert_int_equal(sink_flush(&sink.sink, &b, 5), 0);
	assert_string_equal(strbuf_str(&out), "12345");
	assert_int_equal(b.len, 0);
	assert_int_equal(sink_flush(&broken, &b, 0), 0);
	assert_int_equal(sink_puts(&broken, "x"), -EPIPE);
	strbuf_fill(&b, 'x', SIZE_MAX - 2);
	assert_int_equal(sink_flush(&sink.sink, &b, 0), -ENOMEM);
	strbuf_release(&b);
	strbuf_release(&out);
}

/* Bytes that are no text, or that a terminal obeys, are told apart; whole characters stay. */
static void test_escaped(void **state)
{
	struct strbuf b = { 0 };

	(void)state;
	strbuf_puts_escaped(&b, "a\\b\n\t\x1b[0m\xff\xc3");
	assert_string_equal(strbuf_str(&b), "a\\\\b\\n\\t\\x1b[0m\\xff\\xc3");
	strbuf_reset(&b);
	/* German, a genuine replacement character, and one that turns the line around. */
	strbuf_puts_escaped(&b, "gr\xc3\xbc\xc3\x9f \xef\xbf\xbd \xe2\x80\xae");
	assert_string_equal(strbuf_str(&b), "gr\xc3\xbc\xc3\x9f \xef\xbf\xbd \\xe2\\x80\\xae");
	strbuf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends),		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_no_memory),	cmocka_unit_test(test_encode_as_iconv),
		cmocka_unit_test(test_decode_as_iconv), cmocka_unit_test(test_clipped),
		cmocka_unit_test(test_middle),		cmocka_unit_test(test_chop),
		cmocka_unit_test(test_flush),		cmocka_unit_test(test_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
