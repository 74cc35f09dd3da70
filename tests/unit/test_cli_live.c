/* SPDX-License-Identifier: MIT */
/*
 * A report redrawn in place, seen through a terminal: what the window shows after every step is
 * what a reader would see, by a small terminal of our own that knows scrolling, wrapping and the
 * sequences that are sent, and refuses all others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "lib/cli_live.h"
#include "lib/report.h"
#include "lib/util.h"
#include "lib/write.h"

#define MAX_ROWS 60
#define MAX_COLS 200

struct terminal {
	int master, slave;
	int rows, cols, row, col;
	bool wrap;
	char cells[MAX_ROWS][MAX_COLS + 1];
};

static void blank(struct terminal *t, int row, int col)
{
	memset(t->cells[row] + col, ' ', MAX_COLS - (size_t)col);
	t->cells[row][MAX_COLS] = '\0';
}

static void resize(struct terminal *t, int rows, int cols)
{
	struct winsize ws = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols };

	assert_int_equal(ioctl(t->slave, TIOCSWINSZ, &ws), 0);
	t->rows = rows;
	t->cols = cols;
	t->row = MIN(t->row, rows - 1);
}

static void terminal_init(struct terminal *t, int rows, int cols)
{
	struct termios raw;

	*t = (struct terminal){ .wrap = true };
	assert_int_equal(openpty(&t->master, &t->slave, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(t->slave, &raw), 0);
	raw.c_oflag &=
		~(tcflag_t)OPOST; /* \n stays alone: that it goes to column 0 is done below */
	assert_int_equal(tcsetattr(t->slave, TCSANOW, &raw), 0);
	for (int i = 0; i < MAX_ROWS; i++)
		blank(t, i, 0);
	resize(t, rows, cols);
}

static void terminal_release(struct terminal *t)
{
	close(t->master);
	close(t->slave);
}

static void new_line(struct terminal *t)
{
	t->col = 0;
	if (t->row + 1 < t->rows) {
		t->row++;
		return;
	}
	memmove(t->cells[0], t->cells[1], sizeof(t->cells[0]) * (size_t)(t->rows - 1));
	blank(t, t->rows - 1, 0);
}

static void put(struct terminal *t, char c)
{
	if (t->col == t->cols && t->wrap)
		new_line(t);
	if (t->col < t->cols)
		t->cells[t->row][t->col++] = c;
	else
		t->cells[t->row][t->cols - 1] = c;
}

/* The sequence behind ESC [. Returns what follows it. */
static const char *control(struct terminal *t, const char *s)
{
	int n = (int)strtol(s + (*s == '?'), (char **)&s, 10);

	switch (*s) {
	case 'A':
		t->row = MAX(t->row - n, 0);
		break;
	case 'H':
		t->row = t->col = 0;
		break;
	case 'J':
		for (int i = n == 2 ? 0 : t->row; i < t->rows; i++)
			blank(t, i, i == t->row && n != 2 ? t->col : 0);
		break;
	case 'K':
		blank(t, t->row, t->col);
		break;
	case 'h':
	case 'l':
		assert_int_equal(n, 7);
		t->wrap = *s == 'h';
		break;
	case 'm':
		break;
	default:
		fail_msg("unknown sequence: %c", *s);
	}
	return s + 1;
}

/* All that was written so far: the kernel passes it on in its own time, so a bell marks the end. */
static void receive(struct terminal *t)
{
	static char buf[1 << 16];
	size_t len = 0;

	assert_int_equal(write(t->slave, "\a", 1), 1);
	do {
		ssize_t n = read(t->master, buf + len, sizeof(buf) - 1 - len);

		assert_true(n > 0);
		len += (size_t)n;
	} while (buf[len - 1] != '\a');
	buf[len - 1] = '\0';
	for (const char *s = buf; *s;) {
		if (*s == '\033') {
			assert_int_equal(s[1], '[');
			s = control(t, s + 2);
		} else if (*s == '\n') {
			new_line(t);
			s++;
		} else if (*s == '\r') {
			t->col = 0;
			s++;
		} else {
			put(t, *s++);
		}
	}
}

static void assert_row(const struct terminal *t, int row, const char *want)
{
	char is[MAX_COLS + 1];
	size_t len = (size_t)t->cols;

	/* Numbers are set to the right: how far depends on the rows that are not seen. */
	memcpy(is, t->cells[row], sizeof(is));
	while (len && is[len - 1] == ' ')
		len--;
	is[len] = '\0';
	if (strcmp(is + strspn(is, " "), want) != 0) {
		for (int i = 0; i < t->rows; i++)
			print_message("%2d %.*s\n", i, t->cols, t->cells[i]);
		fail_msg("row %d is not \"%s\"", row, want);
	}
}

/* "S", then a row for each number from 1 to n. */
static void show(struct cli_live *l, int n)
{
	static const struct report_column columns[] = { { "n", "n", REPORT_COUNT } };
	struct write_options w = WRITE_OPTIONS_DEFAULT;
	struct report *r = report_new();
	struct report_table *t =
		report_table(report_section(r, "s", "S"), "t", NULL, columns, ARRAY_SIZE(columns));

	t->all_rows = true;
	for (int i = 1; i <= n; i++)
		report_add(t, i);
	assert_int_equal(cli_live_show(l, r, &w), 0);
	report_free(r);
}

/* The report begins with an empty row, its title and the column's name. */
static void assert_shown(const struct terminal *t, int from, int n)
{
	char number[16];

	assert_row(t, from, "");
	assert_row(t, from + 1, "S");
	for (int i = 1; i <= n; i++) {
		snprintf(number, sizeof(number), "%d", i);
		assert_row(t, from + 2 + i, number);
	}
}

static void test_in_place(void **state)
{
	static const int sizes[] = { 5, 12, 2, 2, 7 };
	struct terminal t;
	struct cli_live l;

	(void)state;
	terminal_init(&t, 30, 80);
	assert_int_equal(write(t.slave, "$ periscope\n", 12), 12);
	receive(&t);
	cli_live_init(&l, t.slave);
	assert_true(l.terminal);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		show(&l, sizes[i]);
		receive(&t);
		assert_row(&t, 0, "$ periscope");
		assert_shown(&t, 1, sizes[i]);
		for (int row = sizes[i] + 4; row < t.rows; row++)
			assert_row(&t, row, "");
	}
	cli_live_clear(&l);
	receive(&t);
	assert_row(&t, 0, "$ periscope");
	assert_int_equal(t.row, 1);
	for (int row = 1; row < t.rows; row++)
		assert_row(&t, row, "");
	assert_true(t.wrap);
	terminal_release(&t);
}

/* At the window's bottom it scrolls once and stays there. */
static void test_at_the_bottom(void **state)
{
	struct terminal t;
	struct cli_live l;

	(void)state;
	terminal_init(&t, 12, 80);
	for (int i = 0; i < 20; i++)
		assert_int_equal(write(t.slave, "before\n", 7), 7);
	receive(&t);
	cli_live_init(&l, t.slave);
	for (int i = 0; i < 4; i++) {
		show(&l, 3);
		receive(&t);
		assert_row(&t, 4, "before");
		assert_shown(&t, 5, 3);
		assert_int_equal(t.row, 11);
	}
	terminal_release(&t);
}

/* What does not fit is counted; the window never scrolls away what is on top. */
static void test_too_high(void **state)
{
	struct terminal t;
	struct cli_live l;

	(void)state;
	terminal_init(&t, 10, 80);
	cli_live_init(&l, t.slave);
	for (int i = 0; i < 3; i++) {
		show(&l, 40);
		receive(&t);
		assert_shown(&t, 0, 5);
		/* 43 rows, of which 8 and this one are to be seen. */
		assert_row(&t, 8, "... 35 rows more than the window has");
	}
	terminal_release(&t);
}

static void test_resized(void **state)
{
	struct terminal t;
	struct cli_live l;

	(void)state;
	terminal_init(&t, 30, 80);
	cli_live_init(&l, t.slave);
	show(&l, 9);
	receive(&t);
	for (int i = 0; i < 2; i++) {
		resize(&t, 20 - i * 5, 40 + i * 30);
		/* What a terminal makes of what it showed is its own affair. */
		for (int row = 0; row < t.rows; row++)
			memset(t.cells[row], '?', (size_t)t.cols);
		t.row = t.rows - 1;
		show(&l, 4);
		receive(&t);
		assert_shown(&t, 0, 4);
		for (int row = 8; row < t.rows; row++)
			assert_row(&t, row, "");
		show(&l, 6);
		receive(&t);
		assert_shown(&t, 0, 6);
	}
	terminal_release(&t);
}

/* In a pipe there is text and nothing else. */
static void test_pipe(void **state)
{
	char buf[4096] = "";
	struct cli_live l;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	cli_live_init(&l, fds[1]);
	assert_false(l.terminal);
	show(&l, 1);
	show(&l, 2);
	cli_live_clear(&l);
	assert_true(read(fds[0], buf, sizeof(buf) - 1) > 0);
	assert_string_equal(buf, "\nS\nn\n1\n\n\nS\nn\n1\n2\n\n");
	close(fds[0]);
	close(fds[1]);
}

static void test_full(void **state)
{
	static const struct write_options none = { 0 };
	struct write_options w = none;
	struct report *r = report_new();
	FILE *full = fopen("/dev/full", "w");
	struct cli_live l;

	(void)state;
	assert_non_null(full);
	report_section(r, "s", "S");
	cli_live_init(&l, fileno(full));
	assert_int_equal(cli_live_show(&l, r, &w), 1);
	fclose(full);
	report_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_place), cmocka_unit_test(test_at_the_bottom),
		cmocka_unit_test(test_too_high), cmocka_unit_test(test_resized),
		cmocka_unit_test(test_pipe),	 cmocka_unit_test(test_full),
	};

	setenv("NO_COLOR", "1", 1);
	unsetenv("COLUMNS");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
