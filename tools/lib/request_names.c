/* SPDX-License-Identifier: MIT */
#include "request_names.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request_table.h"
#include "strbuf.h"

static const char *const state_names[STATE_NR] = {
	[STATE_ON_CPU] = "on CPU",
	[STATE_RUNNABLE] = "runnable",
	[STATE_BLOCKED + WAIT_LOCK] = "lock",
	[STATE_BLOCKED + WAIT_POLL] = "poll",
	[STATE_BLOCKED + WAIT_NETWORK] = "network",
	[STATE_BLOCKED + WAIT_DISK] = "disk",
	[STATE_BLOCKED + WAIT_SLEEP] = "sleep",
	[STATE_BLOCKED + WAIT_FAULT] = "page fault",
	[STATE_BLOCKED + WAIT_OTHER] = "other wait",
	[STATE_QUEUE_WRITER] = "writer queue",
	[STATE_QUEUE_HASH] = "hash queue",
	[STATE_COMMIT] = "commit",
	[STATE_REPLY] = "reply's turn",
	[STATE_LOOP] = "behind loop",
	[STATE_SEND] = "sending",
};

static const char *const phase_names[PHASE_NR] = {
	[PHASE_OTHER] = "other", [PHASE_PARSE] = "parse", [PHASE_AUTH] = "auth",
	[PHASE_SQL] = "SQL",	 [PHASE_HASH] = "hash",	  [PHASE_JSON] = "JSON",
	[PHASE_SEND] = "send",
};

const char *requests_state_name(unsigned int state)
{
	return state < STATE_NR ? state_names[state] : "unknown";
}

const char *requests_phase_name(unsigned int phase)
{
	return phase < PHASE_NR ? phase_names[phase] : "unknown";
}

/* ---------------------------------------------------------------- paths ---- */

static void put_part(struct strbuf *b, const char *part, size_t len)
{
	strbuf_putc(b, '/');
	strbuf_add(b, part, len);
}

/* Stands for whatever comes. */
static bool is_rest(const char *part, size_t len)
{
	return len == 3 && !memcmp(part, "...", 3);
}

char *request_merge_paths(const char *a, const char *b)
{
	bool rest = false;
	struct strbuf out;

	strbuf_init(&out);
	while (!rest && *a == '/' && *b == '/') {
		size_t n = strcspn(++a, "/"), m = strcspn(++b, "/");

		rest = is_rest(a, n) || is_rest(b, m);
		if (rest)
			break;
		if (n == m && !memcmp(a, b, n))
			put_part(&out, a, n);
		else
			put_part(&out, "*", 1);
		a += n;
		b += m;
	}
	/* One goes on, or is no path at all. */
	if (rest || *a || *b)
		put_part(&out, "...", 3);
	return strbuf_detach(&out);
}

bool request_path_fits(const char *pattern, const char *path)
{
	size_t n, m;

	while (*pattern == '/') {
		n = strcspn(++pattern, "/");
		if (is_rest(pattern, n))
			return true;
		if (*path != '/')
			return false;
		m = strcspn(++path, "/");
		if (!(n == 1 && *pattern == '*') && (n != m || memcmp(pattern, path, n)))
			return false;
		pattern += n;
		path += m;
	}
	return !*pattern && !*path;
}

/* ---------------------------------------------------------------- values ---- */

static bool in_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* Over a literal in quotes; '' and \' do not end it. */
static const char *skip_quoted(const char *s)
{
	char quote = *s++;

	while (*s && (*s != quote || s[1] == quote)) {
		if ((*s == '\\' || *s == quote) && s[1])
			s++;
		s++;
	}
	return *s ? s + 1 : s;
}

/* Over a number: 12, 1.5e-3, 0x1f. */
static const char *skip_number(const char *s)
{
	while (in_word(*s) || *s == '.' || ((*s == '-' || *s == '+') && tolower(s[-1]) == 'e'))
		s++;
	return s;
}

/* A sign belongs to a number unless there is something to subtract from. */
static bool is_sign(const char *s, char before)
{
	return (*s == '-' || *s == '+') && isdigit((unsigned char)s[1]) && !in_word(before) &&
	       before != ')' && before != '?';
}

size_t request_put_without_values(char *out, size_t size, const char *s)
{
	size_t n = 0;
	char before = 0; /* the last that was no blank */

	while (*s && n + 2 < size) {
		if (isspace((unsigned char)*s)) {
			if (n && out[n - 1] != ' ')
				out[n++] = ' ';
			s++;
			continue;
		}
		if (*s == '\'') {
			s = skip_quoted(s);
			out[n] = '?';
		} else if (is_sign(s, before)) {
			s = skip_number(s + 1);
			out[n] = '?';
		} else if (isdigit((unsigned char)*s) && !(n && in_word(out[n - 1]))) {
			s = skip_number(s);
			out[n] = '?';
		} else {
			out[n] = *s++;
		}
		before = out[n++];
	}
	while (n && out[n - 1] == ' ')
		n--;
	out[n] = 0;
	return n;
}

/* ---------------------------------------------------------------- records ---- */

const char *request_raw_name(const struct request_table *t, const struct request_record *r,
			     char buf[32])
{
	uint64_t number;

	if (r->flags & REQUEST_NO_NAME)
		return "(unreadable name)";
	if (r->flags & REQUEST_NAME_NUMBER) {
		memcpy(&number, r->name, sizeof(number));
		snprintf(buf, 32, "%" PRId64, (int64_t)number);
		return buf;
	}
	if (r->flags & REQUEST_NAME_LONG)
		return r->long_name;
	return r->name[0] ? r->name : t->naming.unnamed;
}

const char *request_method(const struct request_table *t, uint64_t method)
{
	if (!t->naming.methods)
		return "";
	return method < t->naming.nr_methods ? t->naming.methods[method] : "?";
}

const char *request_mark(const struct request_record *r)
{
	return r->told & REQUEST_PENDING ? "(not executed) " : "";
}

char *request_name(const struct request_table *t, const struct request_record *r)
{
	const char *method = request_method(t, r->method);
	char number[32], *text;

	if (asprintf(&text, "%s%s%s%s", request_mark(r), method, *method ? " " : "",
		     request_raw_name(t, r, number)) < 0)
		return NULL;
	return text;
}
