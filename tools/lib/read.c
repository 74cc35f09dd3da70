/* SPDX-License-Identifier: MIT */
#include "read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "util.h"

#define LOOK 4096 /* bytes that tell a format */

int read_fail(struct read_error *error, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(error->text, sizeof(error->text), format, ap);
	va_end(ap);
	return -EINVAL;
}

int read_location(struct profile *p, const char *name, const char *file, uint32_t *ret)
{
	struct profile_function fn = { .kernel = !strncmp(file, "[kernel", 7) };
	struct profile_line line = { 0 };
	uint32_t mapping = PROFILE_NONE;
	int err = profile_string(p, name, &fn.name);

	fn.system_name = fn.name;
	if (!err)
		err = profile_function(p, &fn, &line.function);
	if (!err && *file)
		err = profile_mapping(p, 0, 0, 0, file, "", &mapping);
	return err ? err : profile_location(p, 0, mapping, &line, 1, ret);
}

static int grow(char **out, size_t *cap, struct read_error *error)
{
	size_t want = *cap * 2;
	char *grown;

	if (want > READ_MAX)
		return read_fail(error, "it is too large");
	grown = realloc(*out, want);
	if (!grown)
		return -ENOMEM;
	*out = grown;
	*cap = want;
	return 0;
}

/* Replaces *data; several members one after the other are one text (RFC 1952 section 2.2). */
static int decompress(char **data, size_t *len, struct read_error *error)
{
	z_stream z = { .next_in = (unsigned char *)*data };
	size_t cap = 4 * *len + 1024, used = 0, left = *len;
	char *out = malloc(cap);
	int status = Z_OK, err = 0;

	if (!out || inflateInit2(&z, 15 + 16) != Z_OK) { /* a gzip header (zlib.h) */
		free(out);
		return -ENOMEM;
	}
	while (!err && (left || z.avail_in)) {
		if (!z.avail_in) {
			z.avail_in = (uInt)MIN(left, UINT32_MAX);
			left -= z.avail_in;
		}
		if (status == Z_STREAM_END && inflateReset(&z) != Z_OK)
			err = -ENOMEM;
		if (!err && cap - used < 2)
			err = grow(&out, &cap, error);
		if (err)
			break;
		z.next_out = (unsigned char *)out + used;
		z.avail_out = (uInt)MIN(cap - used - 1, UINT32_MAX);
		status = inflate(&z, Z_NO_FLUSH);
		used = (size_t)((char *)z.next_out - out);
		if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
			err = read_fail(error, "it is gzipped, and damaged");
		else if (status == Z_BUF_ERROR && z.avail_out)
			break;
	}
	if (!err && status != Z_STREAM_END)
		err = read_fail(error, "it is gzipped, and its end is missing");
	inflateEnd(&z);
	if (err) {
		free(out);
		return err;
	}
	out[used] = '\0';
	free(*data);
	*data = out;
	*len = used;
	return 0;
}

static bool is_binary(const char *text, size_t len)
{
	if (len && text[0] == '\n') /* the tag of a pprof file's first field; no text begins so */
		return true;
	for (size_t i = 0; i < MIN(len, LOOK); i++)
		if ((unsigned char)text[i] < ' ' && !strchr("\t\n\r\033", text[i]))
			return true;
	return false;
}

/* Lines of frames are indented and begin with an address; no folded stack is. */
static bool is_perf_script(const char *text, size_t len)
{
	const char *end = text + MIN(len, LOOK * 4);

	for (const char *line = text; line && line < end; line = memchr(line, '\n', end - line)) {
		line += *line == '\n';
		if (line < end && (*line == '\t' || *line == ' ') &&
		    strspn(line + strspn(line, "\t "), "0123456789abcdef") >= 4)
			return true;
	}
	return false;
}

static int parse(struct profile *p, const char *data, size_t len, struct read_error *error)
{
	if (is_binary(data, len))
		return read_pprof(p, data, len, error);
	if (is_perf_script(data, len))
		return read_perf_script(p, data, len, error);
	return read_folded(p, data, len, error);
}

int read_profile(const char *path, struct profile **ret, struct read_error *error)
{
	const char *name = strcmp(path, "-") ? path : "/dev/stdin";
	struct profile *p = NULL;
	size_t len;
	char *data = read_file_at(AT_FDCWD, name, READ_MAX, &len);
	int err = 0;

	*error = (struct read_error){ "" };
	if (!data) {
		err = -errno;
		snprintf(error->text, sizeof(error->text), "%s", strerror(-err));
		return err;
	}
	if (len > 2 && !memcmp(data, "\x1f\x8b", 2))
		err = decompress(&data, &len, error);
	if (!err) {
		p = profile_new();
		err = p ? parse(p, data, len, error) : -ENOMEM;
	}
	free(data);
	if (err) {
		profile_free(p);
		if (!*error->text)
			snprintf(error->text, sizeof(error->text), "%s", strerror(-err));
		return err;
	}
	*ret = p;
	return 0;
}
