/* SPDX-License-Identifier: MIT */
/*
 * Puts the sources of names together: the symbol table names the function that an address is in,
 * DWARF adds the calls inlined there, files and lines, and FDEs stand in where neither knows a
 * name. The symbol's name goes before DWARF's for the same function, so that a function has one
 * name whether or not its debug file is installed, and clones (`f.cold`) stay apart as they do in
 * perf.
 */
#include "symbolizer.h"

#include "elf.h"
#include "sym_debug.h"
#include "sym_dwarf.h"
#include "sym_fde.h"
#include "sym_pool.h"
#include "sym_table.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_DEBUG_DIRS "/usr/lib/debug"
#define MAX_NAME	   4096

/* A root directory, once for all objects in it. */
struct sym_root {
	uint64_t mount, inode;
	int fd;
};

struct symbolizer {
	struct sym_pool pool;
	struct sym_object **objects;
	size_t nr_objects, cap_objects;
	struct sym_root *roots;
	size_t nr_roots, cap_roots;
	char *debug_dirs;
};

struct answer {
	uint64_t addr;
	int n;
	struct sym_frame frames[];
};

struct sym_object {
	struct symbolizer *s;
	struct elf_file *elf;
	char *path;
	const char *base; /* last part of path */
	int root_fd;	  /* of s->roots, -1: ours */
	bool loaded, has_dwarf, has_fdes;
	struct sym_table table;
	struct sym_dwarf dwarf;
	struct sym_fdes fdes;
	const struct answer **memo; /* open addressing, cap a power of two */
	size_t nr_memo, cap_memo;
};

struct symbolizer *symbolizer_new(void)
{
	struct symbolizer *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	sym_pool_init(&s->pool);
	if (symbolizer_set_debug_dirs(s, DEFAULT_DEBUG_DIRS)) {
		symbolizer_free(s);
		errno = ENOMEM;
		return NULL;
	}
	return s;
}

static void object_release(struct sym_object *o)
{
	sym_table_release(&o->table);
	sym_dwarf_release(&o->dwarf);
	sym_fdes_release(&o->fdes);
	o->has_dwarf = o->has_fdes = o->loaded = false;
}

void symbolizer_free(struct symbolizer *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->nr_objects; i++) {
		object_release(s->objects[i]);
		free(s->objects[i]->memo);
		free(s->objects[i]->path);
		free(s->objects[i]);
	}
	for (size_t i = 0; i < s->nr_roots; i++)
		if (s->roots[i].fd >= 0)
			close(s->roots[i].fd);
	free(s->objects);
	free(s->roots);
	free(s->debug_dirs);
	sym_pool_release(&s->pool);
	free(s);
}

int symbolizer_set_debug_dirs(struct symbolizer *s, const char *dirs)
{
	char *copy = strdup(dirs);

	if (!copy)
		return -ENOMEM;
	free(s->debug_dirs);
	s->debug_dirs = copy;
	return 0;
}

/*
 * Which directory it is, in which mount: processes in different mount namespaces may share the
 * directory but not what is mounted below it.
 */
static int identify_root(int fd, const char *path, struct sym_root *ret)
{
	struct statx st;

	if (statx(fd, path, AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &st))
		return -errno;
	ret->mount = st.stx_mnt_id;
	ret->inode = st.stx_ino;
	return 0;
}

/* Returns 0 and the shared descriptor for a root directory, -1 for our own, or -errno. */
static int share_root(struct symbolizer *s, int root_fd, int *ret_fd)
{
	struct sym_root root, ours;
	int err;

	*ret_fd = -1;
	if (root_fd < 0)
		return 0;
	err = identify_root(root_fd, "", &root);
	if (err)
		return err;
	if (!identify_root(AT_FDCWD, "/", &ours) && ours.mount == root.mount &&
	    ours.inode == root.inode)
		return 0;
	for (size_t i = 0; i < s->nr_roots; i++) {
		if (s->roots[i].mount == root.mount && s->roots[i].inode == root.inode) {
			*ret_fd = s->roots[i].fd;
			return 0;
		}
	}
	if (array_grow((void **)&s->roots, s->nr_roots, &s->cap_roots, sizeof(*s->roots)))
		return -ENOMEM;
	root.fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
	if (root.fd < 0)
		return -errno;
	s->roots[s->nr_roots++] = root;
	*ret_fd = root.fd;
	return 0;
}

struct sym_object *symbolizer_add(struct symbolizer *s, struct elf_file *elf, const char *path,
				  int root_fd)
{
	struct sym_object *o;
	const char *slash;
	int err = -ENOMEM;

	o = calloc(1, sizeof(*o));
	if (!o)
		goto fail;
	o->s = s;
	o->elf = elf;
	o->path = strdup(path && *path ? path : "?");
	if (!o->path)
		goto fail;
	slash = strrchr(o->path, '/');
	o->base = slash && slash[1] ? slash + 1 : o->path;
	err = share_root(s, root_fd, &o->root_fd);
	if (err)
		goto fail;
	err = array_grow((void **)&s->objects, s->nr_objects, &s->cap_objects, sizeof(*s->objects));
	if (err)
		goto fail;
	s->objects[s->nr_objects++] = o;
	return o;
fail:
	if (o)
		free(o->path);
	free(o);
	errno = -err;
	return NULL;
}

static struct sym_place object_place(const struct sym_object *o)
{
	return (struct sym_place){
		.dirs = o->s->debug_dirs,
		.root_fd = o->root_fd,
		.path = o->path,
	};
}

static int open_alt(void *ctx, const char *name, const uint8_t *id, size_t id_len)
{
	struct sym_place place = object_place(ctx);

	return sym_debug_open_alt(&place, name, id, id_len);
}

/* Read the symbols and, of the object or of its debug file, the DWARF. Returns 0 or -ENOMEM. */
static int load_from(struct sym_object *o, Elf *elf, const struct sym_source *own)
{
	struct sym_place place = object_place(o);
	struct sym_source source = *own;
	Elf *debug = NULL;
	int fd = -1, err;

	if (!sym_has_section(elf, ".debug_info") && !sym_has_section(elf, ".zdebug_info"))
		fd = sym_debug_open(&place, elf, o->elf->build_id, o->elf->build_id_len);
	if (fd >= 0) {
		source = (struct sym_source){ .fd = fd };
		debug = sym_source_open(&source);
	}
	err = sym_table_init(&o->table, elf, debug);
	elf_end(debug);
	if (!err) {
		err = sym_dwarf_init(&o->dwarf, &source, o->elf, open_alt, o);
		o->has_dwarf = !err;
		if (err == -ENOENT)
			err = 0;
	}
	/* libdw has read all it needs. */
	if (fd >= 0) {
		if (o->has_dwarf)
			elf_cntl(o->dwarf.elf, ELF_C_FDDONE);
		close(fd);
	}
	return err;
}

static int object_load(struct sym_object *o)
{
	struct sym_source own = { .fd = o->elf->fd };
	Elf *elf;
	int err = 0;

	if (o->loaded)
		return 0;
	if (o->elf->image)
		own.image = elf_rawfile(o->elf->elf, &own.size);
	/* A handle of our own: its caches go away with it. */
	elf = sym_source_open(&own);
	if (elf)
		err = load_from(o, elf, &own);
	elf_end(elf);
	if (err)
		object_release(o);
	o->loaded = !err;
	return err;
}

static int object_fdes(struct sym_object *o)
{
	int err;

	if (o->has_fdes)
		return 0;
	err = sym_fdes_init(&o->fdes, o->elf);
	if (err)
		sym_fdes_release(&o->fdes);
	o->has_fdes = !err;
	return err;
}

/* Start of the executable section, else segment, that holds the address; else the address. */
static uint64_t section_start(const struct elf_file *f, uint64_t addr)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	while ((scn = elf_nextscn(f->elf, scn)))
		if (gelf_getshdr(scn, &sh) && (sh.sh_flags & SHF_EXECINSTR) && addr >= sh.sh_addr &&
		    addr - sh.sh_addr < sh.sh_size)
			return sh.sh_addr;
	for (size_t i = 0; i < f->nr_segments; i++)
		if ((f->segments[i].flags & PF_X) && addr >= f->segments[i].vaddr &&
		    addr - f->segments[i].vaddr < f->segments[i].memsz)
			return f->segments[i].vaddr;
	return addr;
}

/*
 * Where the stretch of code without a name begins: in its section, after what is known before it.
 */
static uint64_t gap_start(const struct sym_object *o, uint64_t addr)
{
	uint64_t start = section_start(o->elf, addr);
	uint64_t symbol = sym_table_end_before(&o->table, addr);
	uint64_t fde = sym_fdes_end_before(&o->fdes, addr);

	return MAX(start, MAX(symbol, fde));
}

/* `module+0xstart`. The name is not to be demangled, whatever the module is called. */
static int guess_name(struct sym_object *o, uint64_t addr, struct sym_frame *frame)
{
	const struct sym_fde *fde;
	char name[MAX_NAME];
	uint64_t start;
	int err;

	err = object_fdes(o);
	if (err)
		return err;
	fde = sym_fdes_find(&o->fdes, addr);
	start = fde ? fde->start : gap_start(o, addr);
	snprintf(name, sizeof(name), "%.*s+0x%llx", MAX_NAME - 32, o->base,
		 (unsigned long long)start);
	frame->function = sym_pool_string(&o->s->pool, name);
	frame->linkage = frame->function;
	frame->guessed = true;
	return frame->function ? 0 : -ENOMEM;
}

/*
 * The symbol that names the address. One that has no size is taken to reach to the next one; an FDE
 * that begins in between says that this is another function, whose symbol was stripped.
 */
static int find_symbol(struct sym_object *o, uint64_t addr, const struct sym_entry **ret)
{
	const struct sym_entry *e = sym_table_find(&o->table, addr);
	const struct sym_fde *fde;
	int err;

	if (e && e->open) {
		err = object_fdes(o);
		if (err)
			return err;
		fde = sym_fdes_find(&o->fdes, addr);
		if (fde && fde->start > e->addr)
			e = NULL;
	}
	*ret = e;
	return 0;
}

static int set_name(struct sym_object *o, const char *linkage, struct sym_frame *frame)
{
	struct sym_name name;
	int err = sym_pool_name(&o->s->pool, linkage, &name);

	if (err)
		return err;
	frame->function = name.function;
	frame->linkage = name.linkage;
	return 0;
}

/* Name the function that the others are inlined into, or the only one. */
static int name_outermost(struct sym_object *o, uint64_t addr, const char *dwarf_name,
			  struct sym_frame *frame)
{
	const struct sym_entry *symbol;
	char name[MAX_NAME];
	int err;

	err = find_symbol(o, addr, &symbol);
	if (err)
		return err;
	if (symbol)
		return set_name(o, sym_table_name(&o->table, symbol, name, sizeof(name)), frame);
	if (dwarf_name)
		return set_name(o, dwarf_name, frame);
	return guess_name(o, addr, frame);
}

static int fill_frame(struct sym_object *o, uint64_t addr, const struct sym_dwarf_frame *from,
		      struct sym_frame *frame)
{
	const char *name = from->linkage ? from->linkage : from->name;

	*frame = (struct sym_frame){
		.line = from->line,
		.start_line = from->start_line,
		.inlined = from->inlined,
	};
	if (from->file) {
		frame->file = sym_pool_string(&o->s->pool, from->file);
		if (!frame->file)
			return -ENOMEM;
	}
	if (from->inlined)
		return set_name(o, name ? name : "??", frame);
	return name_outermost(o, addr, name, frame);
}

/* Work an address out. Returns NULL when memory ran out. */
static struct answer *resolve(struct sym_object *o, uint64_t addr)
{
	struct sym_dwarf_frame found[SYM_DWARF_MAX_FRAMES];
	struct answer *a;
	int n = 0;

	if (o->has_dwarf)
		n = sym_dwarf_lookup(&o->dwarf, addr, found);
	if (n < 0)
		return NULL;
	if (!n) {
		found[0] = (struct sym_dwarf_frame){ 0 };
		n = 1;
	}
	a = sym_pool_alloc(&o->s->pool, sizeof(*a) + n * sizeof(*a->frames));
	if (!a)
		return NULL;
	a->addr = addr;
	a->n = n;
	for (int i = 0; i < n; i++)
		if (fill_frame(o, addr, &found[i], &a->frames[i]))
			return NULL;
	return a;
}

static size_t memo_slot(const struct sym_object *o, uint64_t addr)
{
	size_t i = (addr * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (o->cap_memo - 1);

	while (o->memo[i] && o->memo[i]->addr != addr)
		i = (i + 1) & (o->cap_memo - 1);
	return i;
}

static int memo_reserve(struct sym_object *o)
{
	const struct answer **old = o->memo;
	size_t old_cap = o->cap_memo;

	if (o->nr_memo + 1 <= o->cap_memo / 4 * 3)
		return 0;
	o->memo = calloc(old_cap ? old_cap * 2 : 64, sizeof(*o->memo));
	if (!o->memo) {
		o->memo = old;
		return -ENOMEM;
	}
	o->cap_memo = old_cap ? old_cap * 2 : 64;
	for (size_t i = 0; i < old_cap; i++)
		if (old[i])
			o->memo[memo_slot(o, old[i]->addr)] = old[i];
	free(old);
	return 0;
}

int sym_object_lookup(struct sym_object *o, uint64_t vaddr, const struct sym_frame **ret)
{
	const struct answer *a;
	int err;

	a = o->cap_memo ? o->memo[memo_slot(o, vaddr)] : NULL;
	if (!a) {
		err = object_load(o);
		if (!err)
			err = memo_reserve(o);
		if (err)
			return err;
		a = resolve(o, vaddr);
		if (!a)
			return -ENOMEM;
		o->memo[memo_slot(o, vaddr)] = a;
		o->nr_memo++;
	}
	*ret = a->frames;
	return a->n;
}

int sym_object_quality(struct sym_object *o)
{
	int err = object_load(o);

	if (err)
		return err;
	return o->has_dwarf || o->table.has_symtab ? 0 : -ENODATA;
}

bool sym_object_has_lines(struct sym_object *o)
{
	return !object_load(o) && o->has_dwarf && sym_has_section(o->dwarf.elf, ".debug_line");
}
