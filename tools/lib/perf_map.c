/* SPDX-License-Identifier: MIT */
/*
 * Maps written by JITs (the kernel's tools/perf/Documentation/jit-interface.txt). A JIT appends a
 * line for every method, also when it reuses the place of an older one, so the map is turned into
 * pieces that do not overlap, each with the name that was written last.
 */
#include "symbolizer.h"

#include "process.h"
#include "sym_debug.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE ((off_t)256 << 20)

struct perf_entry {
	uint64_t start, end;
	uint32_t name; /* in text */
	uint32_t order;
};

struct perf_map {
	char *text;
	struct perf_entry *pieces; /* by address, none overlaps another */
	size_t n, cap;
	size_t bad_lines;
};

struct entries {
	struct perf_entry *items;
	size_t n, cap;
};

static bool parse_hex(char **p, uint64_t *ret)
{
	char *at = *p;
	uint64_t value = 0;
	int digits = 0;

	if (at[0] == '0' && (at[1] | 32) == 'x')
		at += 2;
	for (;; at++, digits++) {
		int c = *at | 32;

		if (*at >= '0' && *at <= '9')
			value = value << 4 | (*at - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (c - 'a' + 10);
		else
			break;
	}
	if (!digits || digits > 16 || *at != ' ')
		return false;
	while (*at == ' ')
		at++;
	*p = at;
	*ret = value;
	return true;
}

static int read_lines(struct perf_map *m, struct entries *e)
{
	char *p = m->text, *next;

	for (; *p; p = next) {
		size_t len = strcspn(p, "\n");
		struct perf_entry *item;
		uint64_t start, size;
		bool last = !p[len];

		p[len] = '\0';
		next = last ? p + len : p + len + 1;
		/* A last line without a newline is still being written. */
		if (last || !parse_hex(&p, &start) || !parse_hex(&p, &size) || !*p || !size ||
		    start + size < start || e->n == UINT32_MAX) {
			m->bad_lines++;
			continue;
		}
		if (array_grow((void **)&e->items, e->n, &e->cap, sizeof(*e->items)))
			return -ENOMEM;
		item = &e->items[e->n];
		*item = (struct perf_entry){ start, start + size, p - m->text, e->n };
		e->n++;
	}
	return 0;
}

static int compare_start(const void *x, const void *y)
{
	const struct perf_entry *a = x, *b = y;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

/* A heap of entries with the one written last on top. */
static void heap_push(const struct perf_entry **heap, size_t n, const struct perf_entry *e)
{
	while (n && heap[(n - 1) / 2]->order < e->order) {
		heap[n] = heap[(n - 1) / 2];
		n = (n - 1) / 2;
	}
	heap[n] = e;
}

static void heap_pop(const struct perf_entry **heap, size_t n)
{
	const struct perf_entry *last = heap[n - 1];
	size_t at = 0, child;

	for (n--; (child = 2 * at + 1) < n; at = child) {
		if (child + 1 < n && heap[child + 1]->order > heap[child]->order)
			child++;
		if (heap[child]->order < last->order)
			break;
		heap[at] = heap[child];
	}
	heap[at] = last;
}

static int add_piece(struct perf_map *m, uint64_t start, uint64_t end, const struct perf_entry *e)
{
	if (array_grow((void **)&m->pieces, m->n, &m->cap, sizeof(*m->pieces)))
		return -ENOMEM;
	m->pieces[m->n++] = (struct perf_entry){ start, end, e->name, e->order };
	return 0;
}

/*
 * Go up the addresses with all entries open at the current one in the heap: its top is the name
 * up to its own end or to the next entry's start.
 */
static int flatten(struct perf_map *m, struct entries *e)
{
	const struct perf_entry **heap;
	size_t open = 0, i = 0;
	uint64_t at = 0, end;
	int err = 0;

	if (!e->n)
		return 0;
	qsort(e->items, e->n, sizeof(*e->items), compare_start);
	heap = calloc(e->n, sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	while (!err && (open || i < e->n)) {
		if (!open)
			at = e->items[i].start;
		while (i < e->n && e->items[i].start <= at)
			heap_push(heap, open++, &e->items[i++]);
		end = heap[0]->end;
		if (i < e->n)
			end = MIN(end, e->items[i].start);
		if (end > at)
			err = add_piece(m, at, end, heap[0]);
		at = MAX(at, end);
		while (open && heap[0]->end <= at)
			heap_pop(heap, open--);
	}
	free(heap);
	return err;
}

int perf_map_open(int root_fd, int pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", pid);
	return sym_open_below(root_fd, path);
}

static char *read_text(int fd)
{
	struct stat st;
	char self[64];

	if (fstat(fd, &st))
		return NULL;
	if (st.st_size > MAX_FILE) {
		errno = EFBIG;
		return NULL;
	}
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return read_file_at(-1, self, MAX_FILE, NULL);
}

struct perf_map *perf_map_read_fd(int fd)
{
	struct entries e = { 0 };
	struct perf_map *m;
	int err;

	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->text = read_text(fd);
	err = m->text ? read_lines(m, &e) : -errno;
	if (!err)
		err = flatten(m, &e);
	free(e.items);
	if (err) {
		perf_map_free(m);
		errno = -err;
		return NULL;
	}
	return m;
}

struct perf_map *perf_map_read(int root_fd, int pid)
{
	int fd = perf_map_open(root_fd, pid), err;
	struct perf_map *m;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	m = perf_map_read_fd(fd);
	err = errno;
	close(fd);
	errno = err;
	return m;
}

void perf_map_free(struct perf_map *m)
{
	if (!m)
		return;
	free(m->text);
	free(m->pieces);
	free(m);
}

const char *perf_map_lookup(const struct perf_map *m, uint64_t addr)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->pieces[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && addr < m->pieces[lo - 1].end ? m->text + m->pieces[lo - 1].name : NULL;
}

size_t perf_map_bad_lines(const struct perf_map *m)
{
	return m->bad_lines;
}

struct perf_map *perf_map_of(pid_t pid)
{
	struct perf_map *m = NULL;
	struct process process;
	char path[64];
	int err, root;

	err = process_init(&process, pid);
	if (err) {
		errno = -err;
		return NULL;
	}
	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0) {
		m = perf_map_read(root, process.ns_pid);
		close(root);
	}
	process_release(&process);
	return m;
}
