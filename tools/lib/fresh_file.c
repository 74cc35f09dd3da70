/* SPDX-License-Identifier: MIT */
#include "fresh_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"

#define NAMES 1000 /* tried */

static int open_named(struct fresh_file *f, const char *path)
{
	if (asprintf(&f->temp, "%s.%d.partial", path, getpid()) < 0) {
		f->temp = NULL;
		return -ENOMEM;
	}
	f->fd = open(f->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (f->fd >= 0)
		return 0;
	free(f->temp);
	f->temp = NULL;
	return -errno;
}

int fresh_file_open(struct fresh_file *f, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, slash - path + 1) : strdup(".");
	int err = 0;

	if (!dir)
		return -ENOMEM;
	*f = (struct fresh_file){ .fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666) };
	/* open(2): what those say that cannot. */
	if (f->fd < 0)
		err = errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL
			      ? open_named(f, path)
			      : -errno;
	free(dir);
	if (!err)
		output_give_to_caller(f->fd);
	return err;
}

static int give_name(const struct fresh_file *f, const char *path)
{
	char self[32];

	if (!f->temp) {
		snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
		return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
	}
	if (!renameat2(AT_FDCWD, f->temp, AT_FDCWD, path, RENAME_NOREPLACE))
		return 0;
	/* A filesystem that cannot look and rename at once. */
	if (errno == EINVAL && access(path, F_OK))
		return rename(f->temp, path);
	if (errno == EINVAL)
		errno = EEXIST;
	return -1;
}

/* `path` itself, or with -N before its ending. NULL for lack of memory. */
static char *numbered(const char *path, unsigned int n)
{
	const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
	int len = dot ? (int)(dot - path) : (int)strlen(path);
	char *name;

	if (!n)
		return strdup(path);
	return asprintf(&name, "%.*s-%u%s", len, path, n + 1, path + len) < 0 ? NULL : name;
}

int fresh_file_publish(struct fresh_file *f, const char *path, char **ret_path)
{
	for (unsigned int n = 0; n < NAMES; n++) {
		char *name = numbered(path, n);
		int err;

		if (!name)
			return -ENOMEM;
		if (!give_name(f, name)) {
			free(f->temp);
			f->temp = NULL;
			*ret_path = name;
			return 0;
		}
		err = -errno;
		free(name);
		if (err != -EEXIST)
			return err;
	}
	return -EEXIST;
}

void fresh_file_release(struct fresh_file *f)
{
	if (f->temp)
		unlink(f->temp);
	free(f->temp);
	if (f->fd >= 0)
		close(f->fd);
	*f = (struct fresh_file){ .fd = -1 };
}
