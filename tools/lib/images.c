/* SPDX-License-Identifier: MIT */
#include "images.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mapping.h"
#include "util.h"

static int add(struct images *im, const char *path, struct elf_file *elf)
{
	const char *deleted = strstr(path, " (deleted)");
	char *copy;
	int err;

	copy = deleted && !deleted[10] ? strndup(path, deleted - path) : strdup(path);
	err = copy ? array_grow((void **)&im->items, im->nr, &im->cap, sizeof(*im->items))
		   : -ENOMEM;
	if (err) {
		free(copy);
		elf_close(elf);
		return err;
	}
	im->items[im->nr++] = (struct image){ copy, elf };
	return 0;
}

static bool is_same_file(const struct elf_file *f, const struct stat *st)
{
	struct stat other;

	return !fstat(f->fd, &other) && other.st_dev == st->st_dev && other.st_ino == st->st_ino;
}

static int add_mapping(struct images *im, pid_t pid, const struct mapping *m)
{
	struct elf_file *elf;
	struct stat st;
	int fd;

	if (!m->inode)
		return 0;
	fd = mapping_open(pid, m);
	if (fd < 0 || fstat(fd, &st)) {
		im->nr_unreadable++;
		if (fd >= 0)
			close(fd);
		return 0;
	}
	for (size_t i = 0; i < im->nr; i++)
		if (is_same_file(im->items[i].elf, &st)) {
			close(fd);
			return 0;
		}
	elf = elf_open_fd(fd);
	if (!elf && errno == ENOMEM)
		return -ENOMEM;
	if (!elf) {
		im->nr_unreadable++;
		return 0;
	}
	return add(im, m->path, elf);
}

int images_of_process(struct images *ret, pid_t pid)
{
	struct images im = { .root_fd = -1 };
	struct mapping *maps;
	char root[64];
	size_t n;
	int err;

	err = mappings_read(pid, &maps, &n);
	if (err)
		return err;
	for (size_t i = 0; i < n && !err; i++)
		err = add_mapping(&im, pid, &maps[i]);
	mappings_free(maps, n);
	if (err) {
		images_release(&im);
		return err;
	}
	snprintf(root, sizeof(root), "/proc/%d/root", pid);
	im.root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*ret = im;
	return 0;
}

int images_of_file(struct images *ret, const char *path)
{
	struct images im = { .root_fd = -1 };
	struct elf_file *elf;
	int fd, err;

	/* Not to wait for the other end of a pipe. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	elf = elf_open_fd(fd);
	if (!elf)
		return -errno;
	err = add(&im, path, elf);
	if (!err)
		*ret = im;
	return err;
}

void images_release(struct images *im)
{
	for (size_t i = 0; i < im->nr; i++) {
		elf_close(im->items[i].elf);
		free(im->items[i].path);
	}
	free(im->items);
	if (im->root_fd >= 0)
		close(im->root_fd);
	*im = (struct images){ .root_fd = -1 };
}
