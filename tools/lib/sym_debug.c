/* SPDX-License-Identifier: MIT */
/* Separate debug files: where they may be, and whether they belong to the object. */
#include "sym_debug.h"

#include "elf.h"
#include "util.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>

#define MAX_CRC_SIZE ((off_t)1 << 30)

/* What a candidate is checked against. */
struct wanted {
	const uint8_t *id;
	size_t id_len;
	const char *link; /* file name of the debug link, NULL: none */
	uint32_t crc;
	bool exact_id; /* the build ID alone counts */
};

static int open_path(int root_fd, const char *path)
{
	/* RESOLVE_IN_ROOT: Linux 5.6. */
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };

	if (root_fd < 0)
		return open(path, O_PATH | O_CLOEXEC);
	return syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
}

int sym_open_below(int root_fd, const char *path)
{
	char self[64];
	struct stat st;
	int at, fd;

	/* Opening a device or a FIFO can hang or do things, so look at what it is first. */
	at = open_path(root_fd, path);
	if (at < 0)
		return -errno;
	if (fstat(at, &st) || !S_ISREG(st.st_mode)) {
		close(at);
		return -ENOENT;
	}
	snprintf(self, sizeof(self), "/proc/self/fd/%d", at);
	fd = open(self, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	close(at);
	return fd;
}

static bool crc_matches(int fd, uint32_t want)
{
	uint8_t buf[65536];
	struct stat st;
	uLong crc = 0;
	off_t at = 0;
	ssize_t n;

	if (fstat(fd, &st) || st.st_size > MAX_CRC_SIZE)
		return false;
	while (at < st.st_size) {
		n = pread(fd, buf, sizeof(buf), at);
		if (n <= 0)
			return false;
		crc = crc32(crc, buf, n);
		at += n;
	}
	return crc == want;
}

static bool matches(int fd, const struct wanted *w)
{
	struct elf_file *f;
	bool same, has_id;
	int copy;

	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return false;
	f = elf_open_fd(copy);
	if (!f)
		return false;
	has_id = f->build_id_len && w->id_len;
	same = has_id && f->build_id_len == w->id_len && !memcmp(f->build_id, w->id, w->id_len);
	elf_close(f);
	/* A build ID says more than a CRC: files are compressed or stripped further after linking. */
	if (has_id || w->exact_id)
		return same;
	return w->link && crc_matches(fd, w->crc);
}

/* Try one path below each root. Returns a file descriptor or -ENOENT. */
static int try_path(int root_fd, const char *path, const struct wanted *w)
{
	int roots[] = { root_fd, -1 };

	for (size_t i = root_fd < 0; i < ARRAY_SIZE(roots); i++) {
		int fd = sym_open_below(roots[i], path);

		if (fd < 0)
			continue;
		if (matches(fd, w))
			return fd;
		close(fd);
	}
	return -ENOENT;
}

/* The next of a colon-separated list of directories into buf; false at its end. */
static bool next_dir(const char **list, char *buf, size_t size)
{
	size_t len;

	while (**list == ':')
		(*list)++;
	len = strcspn(*list, ":");
	if (!len)
		return false;
	snprintf(buf, size, "%.*s", (int)MIN(len, size), *list);
	*list += len;
	return true;
}

static int by_build_id(const struct sym_place *place, const struct wanted *w)
{
	char dir[PATH_MAX], path[PATH_MAX + 2 * ELF_BUILD_ID_MAX + 32];
	char hex[2 * ELF_BUILD_ID_MAX + 1];
	const char *list = place->dirs;
	int fd;

	if (w->id_len < 2 || w->id_len > ELF_BUILD_ID_MAX)
		return -ENOENT;
	elf_build_id_hex(w->id, w->id_len, hex);
	while (next_dir(&list, dir, sizeof(dir))) {
		snprintf(path, sizeof(path), "%s/.build-id/%.2s/%s.debug", dir, hex, hex + 2);
		fd = try_path(place->root_fd, path, w);
		if (fd >= 0)
			return fd;
	}
	return -ENOENT;
}

static int by_link(const struct sym_place *place, const struct wanted *w)
{
	const char *slash = place->path ? strrchr(place->path, '/') : NULL;
	int len = slash ? (int)MIN(slash - place->path, PATH_MAX) : 0;
	char dir[PATH_MAX], path[3 * PATH_MAX];
	const char *list = place->dirs;
	int fd;

	/* A link is a file name; one with a directory in it would lead anywhere. */
	if (!w->link || !slash || place->path[0] != '/' || strchr(w->link, '/'))
		return -ENOENT;
	snprintf(path, sizeof(path), "%.*s/%s", len, place->path, w->link);
	fd = try_path(place->root_fd, path, w);
	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "%.*s/.debug/%s", len, place->path, w->link);
	fd = try_path(place->root_fd, path, w);
	while (fd < 0 && next_dir(&list, dir, sizeof(dir))) {
		snprintf(path, sizeof(path), "%s%.*s/%s", dir, len, place->path, w->link);
		fd = try_path(place->root_fd, path, w);
	}
	return fd;
}

int sym_debug_open(const struct sym_place *place, Elf *elf, const uint8_t *id, size_t id_len)
{
	struct wanted w = { .id = id, .id_len = id_len };
	GElf_Word crc = 0;
	int fd;

	w.link = dwelf_elf_gnu_debuglink(elf, &crc);
	w.crc = crc;
	fd = by_build_id(place, &w);
	return fd >= 0 ? fd : by_link(place, &w);
}

int sym_debug_open_alt(const struct sym_place *place, const char *name, const uint8_t *id,
		       size_t id_len)
{
	struct wanted w = { .id = id, .id_len = id_len, .exact_id = true };
	int fd;

	/* dwz writes an absolute path, or one relative to the debug file, which build IDs replace. */
	if (name[0] == '/') {
		fd = try_path(place->root_fd, name, &w);
		if (fd >= 0)
			return fd;
	}
	return by_build_id(place, &w);
}
