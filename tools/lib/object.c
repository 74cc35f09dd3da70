/* SPDX-License-Identifier: MIT */
#include "object.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/target.h"
#include "util.h"

#define VDSO_MAX (1 << 20)

int objects_init(struct objects *o, int tables_fd, size_t max_tables)
{
	*o = (struct objects){ .max = max_tables };
	map_setter_init(&o->setter, tables_fd);
	o->symbolizer = symbolizer_new();
	return o->symbolizer ? 0 : -errno;
}

static void object_free(struct object *obj)
{
	if (!obj)
		return;
	if (obj->table.words)
		munmap(obj->table.words, obj->table.nr_words * sizeof(*obj->table.words));
	elf_close(obj->elf);
	free(obj->path);
	free(obj);
}

void objects_release(struct objects *o)
{
	map_setter_release(&o->setter);
	symbolizer_free(o->symbolizer);
	jit_maps_release(&o->jits);
	for (size_t i = 0; i < o->nr; i++)
		object_free(o->items[i]);
	for (size_t i = 0; i < o->nr_new; i++)
		close(o->new_fds[i]);
	free(o->items);
	free(o->new_ids);
	free(o->new_fds);
	*o = (struct objects){ 0 };
}

/*
 * A BPF array that holds the table's words, which t has from then on instead of its own. Returns a
 * descriptor or a negative errno.
 */
static int table_map(struct unwind_table *t)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	size_t size = t->nr_words * sizeof(*t->words);
	int fd, err;
	void *p;

	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "unwind_words", sizeof(__u32), sizeof(__u64),
			    t->nr_words, &opts);
	if (fd < 0)
		return -errno;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		err = -errno;
		close(fd);
		return err;
	}
	memcpy(p, t->words, size);
	free(t->words);
	t->words = p;
	return fd;
}

static int load_table(struct objects *o, struct object *obj)
{
	struct unwind_table t;
	int fd, err;

	obj->table_err = obj->id < o->max ? unwind_table_init(&t, obj->elf) : -ENOSPC;
	if (obj->table_err)
		return obj->table_err == -ENOMEM ? -ENOMEM : 0;
	fd = table_map(&t);
	if (fd < 0) {
		unwind_table_release(&t);
		return fd;
	}
	obj->table = t;
	o->table_bytes += t.nr_words * sizeof(*t.words);
	err = array_grow((void **)&o->new_ids, o->nr_new, &o->cap_new_ids, sizeof(*o->new_ids));
	if (!err)
		err = array_grow((void **)&o->new_fds, o->nr_new, &o->cap_new_fds,
				 sizeof(*o->new_fds));
	if (err) {
		close(fd);
		return err;
	}
	o->new_ids[o->nr_new] = obj->id;
	o->new_fds[o->nr_new++] = fd;
	return 0;
}

/* The vDSO has no file: its image is read from the process, and ends with its section headers. */
static struct elf_file *open_vdso(pid_t pid, const struct mapping *m)
{
	size_t size = m->end - m->start;
	char path[64];
	ssize_t n;
	void *image;
	int fd;

	if (size > VDSO_MAX) {
		errno = EFBIG;
		return NULL;
	}
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	image = malloc(size);
	n = image ? pread(fd, image, size, m->start) : -1;
	close(fd);
	if (n != (ssize_t)size) {
		free(image);
		errno = EIO;
		return NULL;
	}
	return elf_open_memory(image, size);
}

static int object_open(struct objects *o, struct object *obj, pid_t pid, const struct mapping *m,
		       int fd)
{
	char path[64];
	int root;

	obj->elf = obj->is_vdso ? open_vdso(pid, m) : elf_open_fd(fd);
	if (!obj->elf) {
		obj->err = -errno;
		return obj->err == -ENOMEM ? -ENOMEM : 0;
	}
	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	obj->sym = symbolizer_add(o->symbolizer, obj->elf, obj->path, root);
	if (root >= 0)
		close(root);
	if (!obj->sym)
		return -errno;
	return load_table(o, obj);
}

static struct object *find(const struct objects *o, bool is_vdso, const struct stat *st)
{
	for (size_t i = o->nr; i--;) {
		struct object *obj = o->items[i];

		if (is_vdso != obj->is_vdso)
			continue;
		if (is_vdso ||
		    (obj->ino == st->st_ino && obj->dev == st->st_dev && obj->size == st->st_size &&
		     obj->mtime.tv_sec == st->st_mtim.tv_sec &&
		     obj->mtime.tv_nsec == st->st_mtim.tv_nsec))
			return obj;
	}
	return NULL;
}

/* Takes the descriptor. */
static int add(struct objects *o, pid_t pid, const struct mapping *m, bool is_vdso, int fd,
	       const struct stat *st, struct object **ret)
{
	struct object *obj = calloc(1, sizeof(*obj));
	char *deleted;
	int err = -ENOMEM;

	if (obj)
		obj->path = strdup(m->path);
	if (obj && obj->path && o->nr + 1 < FRAME_MAX_OBJECTS)
		err = array_grow((void **)&o->items, o->nr, &o->cap, sizeof(*o->items));
	if (err) {
		object_free(obj);
		if (fd >= 0)
			close(fd);
		return err;
	}
	deleted = strstr(obj->path, " (deleted)");
	if (deleted && !deleted[10])
		*deleted = '\0';
	obj->id = o->nr + 1;
	obj->is_vdso = is_vdso;
	obj->dev = st->st_dev;
	obj->ino = st->st_ino;
	obj->size = st->st_size;
	obj->mtime = st->st_mtim;
	obj->first = *m;
	obj->first.path = NULL;
	o->items[o->nr++] = obj;
	if (fd < 0 && !is_vdso)
		obj->err = fd;
	else
		err = object_open(o, obj, pid, m, fd);
	*ret = obj;
	return err;
}

int objects_get(struct objects *o, pid_t pid, const struct mapping *m, struct object **ret)
{
	bool is_vdso = !strcmp(m->path, "[vdso]");
	struct stat st = { 0 };
	struct object *obj;
	int fd = -1;

	if (!m->inode && !is_vdso) {
		*ret = NULL;
		return 0;
	}
	if (!is_vdso) {
		fd = mapping_open(pid, m);
		if (fd < 0 || fstat(fd, &st)) {
			/* What maps says is all there is to know it by. */
			st.st_dev = m->dev;
			st.st_ino = m->inode;
		}
	}
	obj = find(o, is_vdso, &st);
	if (obj) {
		if (fd >= 0)
			close(fd);
		*ret = obj;
		return 0;
	}
	return add(o, pid, m, is_vdso, fd, &st, ret);
}

int objects_publish(struct objects *o)
{
	int err = map_setter_set(&o->setter, o->new_ids, o->new_fds, o->nr_new);

	o->nr_new = 0;
	return err;
}

struct object *objects_by_id(const struct objects *o, uint32_t id)
{
	return id && id <= o->nr ? o->items[id - 1] : NULL;
}
