/* SPDX-License-Identifier: MIT */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

#define BUFFER_SIZE (64 * 1024)
#define TEMP_SUFFIX 6 /* random characters */
#define TEMP_TRIES  16
#define TEMP_NAME   240 /* bytes of the name kept, so that the whole stays within NAME_MAX */

struct output {
	struct sink sink;
	int fd;
	int err;	    /* the first one */
	char *path;	    /* NULL: written directly */
	char *temp;	    /* NULL: not there (any more) */
	struct stat before; /* of the file in its place; st_nlink 0: none */
	size_t len;
	char buffer[BUFFER_SIZE];
};

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -EIO;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int flush_buffer(struct output *o)
{
	if (!o->err)
		o->err = write_all(o->fd, o->buffer, o->len);
	o->len = 0;
	return o->err;
}

static int output_write(struct sink *sink, const void *data, size_t len)
{
	struct output *o = (struct output *)sink;

	if (o->fd < 0)
		return -EBADF;
	if (len > BUFFER_SIZE - o->len && flush_buffer(o))
		return o->err;
	if (len > BUFFER_SIZE) {
		if (!o->err)
			o->err = write_all(o->fd, data, len);
		return o->err;
	}
	memcpy(o->buffer + o->len, data, len);
	o->len += len;
	return o->err;
}

/* The descriptor that a path is another name of, or -1. */
static int named_descriptor(const char *path)
{
	uint64_t fd;

	if (!strcmp(path, "-") || !strcmp(path, "/dev/stdout"))
		return STDOUT_FILENO;
	if (!strcmp(path, "/dev/stderr"))
		return STDERR_FILENO;
	if (!strncmp(path, "/dev/fd/", 8) && !parse_u64(path + 8, 0, INT32_MAX, &fd))
		return (int)fd;
	if (!strncmp(path, "/proc/self/fd/", 14) && !parse_u64(path + 14, 0, INT32_MAX, &fd))
		return (int)fd;
	return -1;
}

/* Some filesystems have no owners: no error. */
void output_give_to_caller(int fd)
{
	const char *uid_text = getenv("SUDO_UID"), *gid_text = getenv("SUDO_GID");
	uint64_t uid, gid;

	/* The last values stand for "unchanged" (chown(2)). */
	if (geteuid() || !uid_text || !gid_text || parse_u64(uid_text, 0, UINT32_MAX - 1, &uid) ||
	    parse_u64(gid_text, 0, UINT32_MAX - 1, &gid))
		return;
	(void)!fchown(fd, (uid_t)uid, (gid_t)gid);
}

/* `.NAME.XXXXXX` in the directory of path. NULL without memory. */
static char *temp_name(const char *path)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	unsigned char random[TEMP_SUFFIX];
	char suffix[TEMP_SUFFIX + 1] = "";
	char *temp;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return NULL;
	for (size_t i = 0; i < TEMP_SUFFIX; i++)
		suffix[i] = letters[random[i] % (sizeof(letters) - 1)];
	if (asprintf(&temp, "%.*s.%.*s.%s", (int)(name - path), path, TEMP_NAME, name, suffix) < 0)
		return NULL;
	return temp;
}

/* Unlike mkstemp(3)'s, the mode follows the umask, as that of a file opened plainly would. */
static int open_temp(struct output *o)
{
	for (int i = 0; i < TEMP_TRIES; i++) {
		char *temp = temp_name(o->path);

		if (!temp)
			return -ENOMEM;
		o->fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (o->fd >= 0) {
			o->temp = temp;
			return 0;
		}
		free(temp);
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

static int open_regular(struct output *o, const char *path)
{
	size_t len = strlen(path);
	int err;

	if (!len || path[len - 1] == '/')
		return len ? -EISDIR : -ENOENT;
	o->path = strdup(path);
	if (!o->path)
		return -ENOMEM;
	if (lstat(path, &o->before))
		o->before.st_nlink = 0;
	err = open_temp(o);
	if (err)
		return err;
	output_give_to_caller(o->fd);
	/* A file that was private stays so. */
	if (o->before.st_nlink && S_ISREG(o->before.st_mode) &&
	    fchmod(o->fd, o->before.st_mode & 0777))
		return -errno;
	return 0;
}

static int open_any(struct output *o, const char *path)
{
	int fd = named_descriptor(path);
	struct stat st;

	if (fd >= 0) {
		o->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		return o->fd < 0 ? -errno : 0;
	}
	if (stat(path, &st) || S_ISREG(st.st_mode))
		return open_regular(o, path);
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	o->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	return o->fd < 0 ? -errno : 0;
}

int output_open(const char *path, struct output **ret)
{
	struct output *o = calloc(1, sizeof(*o));
	int err;

	if (!o)
		return -ENOMEM;
	o->sink.write = output_write;
	o->fd = -1;
	err = open_any(o, path);
	if (err)
		output_free(o);
	else
		*ret = o;
	return err;
}

struct sink *output_sink(struct output *o)
{
	return &o->sink;
}

int output_commit(struct output *o)
{
	if (o->fd < 0)
		return o->err ? o->err : -EBADF;
	flush_buffer(o);
	/* Quotas and network filesystems report some failures only here. */
	if (close(o->fd) && !o->err && errno != EINTR)
		o->err = -errno;
	o->fd = -1;
	if (!o->err && o->temp && rename(o->temp, o->path))
		o->err = -errno;
	if (o->err && o->temp)
		unlink(o->temp);
	free(o->temp);
	o->temp = NULL;
	return o->err;
}

void output_free(struct output *o)
{
	if (!o)
		return;
	if (o->fd >= 0)
		close(o->fd);
	if (o->temp)
		unlink(o->temp);
	free(o->temp);
	free(o->path);
	free(o);
}
