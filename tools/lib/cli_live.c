/* SPDX-License-Identifier: MIT */
#include "cli_live.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"
#include "output.h"
#include "strbuf.h"
#include "write_report.h"

/*
 * Control sequences (ECMA-48; DECAWM is DEC's, and every terminal's by now). Lines that are wider
 * than the window are cut by it, not wrapped: a row more would move the report down its own length
 * each time.
 */
#define NO_WRAP	       "\033[?7l"
#define WRAP	       "\033[?7h"
#define CLEAR_LINE     "\033[K"
#define CLEAR_BELOW    "\033[J"
#define CLEAR_ALL      "\033[H\033[2J"

#define DEFAULT_HEIGHT 24

void cli_live_init(struct cli_live *l, int fd)
{
	*l = (struct cli_live){ .fd = fd, .terminal = isatty(fd) };
}

static unsigned int window_height(int fd)
{
	struct winsize ws;

	return !ioctl(fd, TIOCGWINSZ, &ws) && ws.ws_row ? ws.ws_row : DEFAULT_HEIGHT;
}

/* Back to the first row of the last report; after a resize, nobody knows where that is. */
static void put_start(struct cli_live *l, struct strbuf *out)
{
	unsigned int width = cli_width(l->fd), height = window_height(l->fd);

	if (l->rows && (width != l->width || height != l->height))
		strbuf_puts(out, CLEAR_ALL);
	else if (l->rows)
		strbuf_printf(out, "\r\033[%uA", l->rows);
	l->width = width;
	l->height = height;
	l->rows = 0;
}

/* As many rows as the window has, but for the cursor's. */
static void put_rows(struct cli_live *l, struct strbuf *out, const char *text)
{
	unsigned int room = l->height > 2 ? l->height - 1 : 1, left = 0;

	for (const char *c = text; (c = strchr(c, '\n')); c++)
		left++;
	strbuf_puts(out, NO_WRAP);
	while (left) {
		const char *end = strchr(text, '\n');

		if (left > 1 && l->rows + 1 == room) {
			strbuf_printf(out, "... %u rows more than the window has" CLEAR_LINE "\n",
				      left);
			l->rows++;
			break;
		}
		strbuf_add(out, text, (size_t)(end - text));
		strbuf_puts(out, CLEAR_LINE "\n");
		text = end + 1;
		l->rows++;
		left--;
	}
	strbuf_puts(out, CLEAR_BELOW WRAP);
}

static int write_out(int fd, const struct strbuf *text)
{
	struct output *out;
	char path[32];
	int err = strbuf_error(text);

	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	if (!err)
		err = output_open(path, &out);
	if (!err) {
		sink_write(output_sink(out), strbuf_str(text), text->len);
		err = output_commit(out); /* says what the write said */
		output_free(out);
	}
	return err ? cli_fail("cannot write the report: %s", strerror(-err)) : 0;
}

int cli_live_show(struct cli_live *l, const struct report *r, struct write_options *w)
{
	struct strbuf text = { 0 }, out = { 0 };
	struct strbuf_sink sink;
	int err, status;

	w->width = cli_width(l->fd);
	w->short_tables = l->terminal;
	w->color = cli_color(l->fd);
	w->unicode = cli_unicode();
	strbuf_sink_init(&sink, &text);
	err = write_report_text(r, w, &sink.sink);
	if (err) {
		strbuf_release(&text);
		return cli_fail("cannot build the report: %s", strerror(-err));
	}
	if (l->terminal) {
		put_start(l, &out);
		put_rows(l, &out, strbuf_str(&text));
	} else {
		strbuf_puts(&out, l->shown ? "\n" : "");
		strbuf_puts(&out, strbuf_str(&text));
	}
	l->shown++;
	status = write_out(l->fd, &out);
	strbuf_release(&text);
	strbuf_release(&out);
	return status;
}

void cli_live_clear(struct cli_live *l)
{
	struct strbuf out = { 0 };

	if (l->terminal && l->rows) {
		put_start(l, &out);
		strbuf_puts(&out, CLEAR_BELOW);
	} else if (!l->terminal && l->shown) {
		strbuf_puts(&out, "\n");
	}
	if (out.len)
		write_out(l->fd, &out);
	strbuf_release(&out);
}
