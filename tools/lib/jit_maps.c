/* SPDX-License-Identifier: MIT */
#include "jit_maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "process.h"
#include "util.h"

/* Two descriptors each. What is not held is looked for at the end. */
#define MAX_HELD 256

struct jit_map {
	pid_t pid;
	int ns_pid; /* by which the file is called */
	int root;   /* the process's */
	int file;   /* -1: not there yet */
};

void jit_maps_release(struct jit_maps *j)
{
	for (size_t i = 0; i < j->nr; i++) {
		close(j->items[i].root);
		if (j->items[i].file >= 0)
			close(j->items[i].file);
	}
	free(j->items);
	*j = (struct jit_maps){ 0 };
}

static struct jit_map *find(const struct jit_maps *j, pid_t pid)
{
	for (size_t i = 0; i < j->nr; i++)
		if (j->items[i].pid == pid)
			return &j->items[i];
	return NULL;
}

static struct jit_map *add(struct jit_maps *j, pid_t pid)
{
	struct jit_map *m;
	struct process p;
	char path[64];
	int root;

	if (j->nr == MAX_HELD ||
	    array_grow((void **)&j->items, j->nr, &j->cap, sizeof(*j->items)) ||
	    process_init(&p, pid))
		return NULL;
	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) {
		process_release(&p);
		return NULL;
	}
	m = &j->items[j->nr++];
	*m = (struct jit_map){ .pid = pid, .ns_pid = p.ns_pid, .root = root, .file = -1 };
	process_release(&p);
	return m;
}

void jit_maps_hold(struct jit_maps *j, pid_t pid)
{
	struct jit_map *m = find(j, pid);

	if (!m)
		m = add(j, pid);
	if (m && m->file < 0)
		m->file = perf_map_open(m->root, m->ns_pid);
}

struct perf_map *jit_maps_read(const struct jit_maps *j, pid_t pid)
{
	const struct jit_map *m = find(j, pid);

	if (!m)
		return perf_map_of(pid);
	return m->file >= 0 ? perf_map_read_fd(m->file) : perf_map_read(m->root, m->ns_pid);
}
