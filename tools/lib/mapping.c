/* SPDX-License-Identifier: MIT */
#include "mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "util.h"

#define MAPS_MAX ((size_t)64 << 20) /* 65,530 mappings, the kernel's default limit, take 7 MB */

/* The kernel writes newline as \012 and leaves all other bytes as they are. */
static void unescape(char *path)
{
	char *out = path;

	for (; *path; path++) {
		if (!strncmp(path, "\\012", 4)) {
			*out++ = '\n';
			path += 3;
		} else {
			*out++ = *path;
		}
	}
	*out = '\0';
}

int mapping_parse(const char *line, struct mapping *ret, int *ret_prot)
{
	unsigned int major, minor;
	struct mapping m = { 0 };
	char perms[5];
	int used = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 "%n", &m.start,
		   &m.end, perms, &m.offset, &major, &minor, &m.inode, &used) != 7 ||
	    m.start >= m.end || strlen(perms) != 4)
		return -EINVAL;
	line += used;
	while (*line == ' ')
		line++;
	m.dev = makedev(major, minor);
	m.path = strdup(line);
	if (!m.path)
		return -ENOMEM;
	unescape(m.path);
	*ret = m;
	*ret_prot = (perms[0] == 'r' ? PROT_READ : 0) | (perms[1] == 'w' ? PROT_WRITE : 0) |
		    (perms[2] == 'x' ? PROT_EXEC : 0);
	return 0;
}

int mappings_read(pid_t pid, struct mapping **ret, size_t *ret_n)
{
	struct mapping *list = NULL, m;
	size_t n = 0, cap = 0;
	char path[64], *text, *line, *save;
	int err = 0, prot;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	text = read_file_at(AT_FDCWD, path, MAPS_MAX, NULL);
	if (!text)
		return errno == ENOENT ? -ESRCH : -errno;
	for (line = strtok_r(text, "\n", &save); line && !err; line = strtok_r(NULL, "\n", &save)) {
		err = mapping_parse(line, &m, &prot);
		if (err == -EINVAL) {
			err = 0; /* a line of a later kernel's making */
			continue;
		}
		if (err)
			break;
		err = prot & PROT_EXEC ? array_grow((void **)&list, n, &cap, sizeof(*list)) : 0;
		if (err || !(prot & PROT_EXEC))
			free(m.path);
		else
			list[n++] = m;
	}
	free(text);
	if (err) {
		mappings_free(list, n);
		return err;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

void mappings_free(struct mapping *m, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(m[i].path);
	free(m);
}

int mapping_open(pid_t pid, const struct mapping *m)
{
	char path[4096 + 64];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, pid, m->start,
		 m->end);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 || (errno != EPERM && errno != EACCES))
		return fd >= 0 ? fd : -errno;
	/* map_files wants CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE (Linux 5.9). */
	if ((size_t)snprintf(path, sizeof(path), "/proc/%d/root%s", pid, m->path) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || st.st_ino != m->inode || st.st_dev != m->dev) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}
