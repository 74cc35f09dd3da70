/* SPDX-License-Identifier: MIT */
#include "functions.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demangle.h"
#include "sym_debug.h"
#include "sym_table_impl.h"
#include "util.h"

#define DEBUG_DIRS "/usr/lib/debug"
#define NAME_SIZE  1024 /* a longer glob or name of a library matches nothing */

/* ---------------------------------------------------------------- names ---- */

/* `f.cold`, `f.cold.3`: what gcc moved out of f because it hardly ever runs. */
static bool is_cold_part(const char *name)
{
	const char *cold = strstr(name, ".cold");

	return cold && (!cold[5] || cold[5] == '.');
}

/* End the readable name of a C++ function before its parameters: at the last group of (). */
static void cut_parameters(char *name)
{
	char *p = strrchr(name, ')');
	int depth = 0;

	for (; p && p >= name; p--) {
		depth += (*p == ')') - (*p == '(');
		if (!depth) {
			if (p > name)
				*p = '\0';
			return;
		}
	}
}

/* Does the readable form match? Sets *ret_readable, to be freed, when it does. -ENOMEM possible. */
static int match_readable(const char *linkage, const char *glob, char **ret_readable)
{
	char *readable = demangle(linkage), *bare;
	bool matches;

	*ret_readable = NULL;
	if (!readable)
		return 0;
	matches = !fnmatch(glob, readable, 0);
	if (!matches) {
		bare = strdup(readable);
		if (!bare) {
			free(readable);
			return -ENOMEM;
		}
		cut_parameters(bare);
		matches = !fnmatch(glob, bare, 0);
		free(bare);
	}
	if (matches)
		*ret_readable = readable;
	else
		free(readable);
	return 0;
}

/* ---------------------------------------------------------------- finding ---- */

/* The list takes the string, or it is freed. */
static int own(struct function_list *l, char *s)
{
	int err;

	if (!s)
		return -ENOMEM;
	err = array_grow((void **)&l->strings, l->nr_strings, &l->cap_strings, sizeof(*l->strings));
	if (err)
		free(s);
	else
		l->strings[l->nr_strings++] = s;
	return err;
}

/* `memcpy@@GLIBC_2.14` in a .symtab: the version is no part of the name. */
static char *copy_name(const char *name)
{
	const char *version = strchr(name, '@');

	return strndup(name, version && version > name ? (size_t)(version - name) : strlen(name));
}

static int add_function(struct function_list *l, const struct sym_raw *raw, char *linkage,
			char *readable)
{
	int err;

	err = own(l, linkage);
	if (err) {
		free(readable);
		return err;
	}
	if (readable)
		err = own(l, readable);
	if (!err)
		err = array_grow((void **)&l->items, l->nr, &l->cap, sizeof(*l->items));
	if (err)
		return err;
	l->items[l->nr++] = (struct function){
		.name = readable ? readable : linkage,
		.linkage = linkage,
		.vaddr = raw->addr,
		.size = raw->size,
		.ifunc = raw->ifunc,
	};
	return 0;
}

static bool has_address(const struct function_list *l, size_t n, uint64_t vaddr)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->items[mid].vaddr == vaddr)
			return true;
		if (l->items[mid].vaddr < vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

/* Symbols come sorted: by address, and at one address the best name first. */
static int add_if_matching(struct function_list *l, size_t nr_before, const struct sym_builder *b,
			   const struct sym_raw *raw, const char *glob)
{
	const char *name = b->strings + raw->name;
	char *linkage, *readable = NULL;
	int err = 0;

	if (raw->plt || !raw->function || !raw->size || is_cold_part(name) ||
	    (l->nr > nr_before && l->items[l->nr - 1].vaddr == raw->addr) ||
	    has_address(l, nr_before, raw->addr))
		return 0;
	linkage = copy_name(name);
	if (!linkage)
		return -ENOMEM;
	if (fnmatch(glob, linkage, 0)) {
		err = match_readable(linkage, glob, &readable);
		if (!readable) {
			free(linkage);
			return err;
		}
	} else {
		readable = demangle(linkage);
	}
	return add_function(l, raw, linkage, readable);
}

static int compare_functions(const void *x, const void *y)
{
	const struct function *a = x, *b = y;

	return (a->vaddr > b->vaddr) - (a->vaddr < b->vaddr);
}

static int find(struct function_list *l, struct sym_builder *b, const char *glob, size_t max,
		size_t *ret_found)
{
	size_t before = l->nr;
	int err = 0;

	if (b->n)
		qsort_r(b->raw, b->n, sizeof(*b->raw), sym_compare, b);
	for (size_t i = 0; i < b->n && !err; i++)
		err = add_if_matching(l, before, b, &b->raw[i], glob);
	if (ret_found)
		*ret_found = l->nr - before;
	if (!err && max && l->nr > max)
		err = -E2BIG;
	if (err)
		l->nr = before;
	else if (l->nr)
		qsort(l->items, l->nr, sizeof(*l->items), compare_functions);
	return err;
}

static Elf *open_debug(struct elf_file *elf, const char *path, int root_fd, int *ret_fd)
{
	struct sym_place place = { .dirs = DEBUG_DIRS, .root_fd = root_fd, .path = path };

	*ret_fd = path ? sym_debug_open(&place, elf->elf, elf->build_id, elf->build_id_len) : -1;
	return *ret_fd < 0 ? NULL : elf_begin(*ret_fd, ELF_C_READ, NULL);
}

int functions_find(struct function_list *l, struct elf_file *elf, const char *path, int root_fd,
		   const char *glob, size_t max, size_t *ret_found)
{
	struct sym_builder b = { 0 };
	bool has_symtab;
	Elf *debug;
	int fd, err;

	debug = open_debug(elf, path, root_fd, &fd);
	err = sym_builder_read(&b, elf->elf, debug, &has_symtab);
	if (!err)
		err = find(l, &b, glob, max, ret_found);
	free(b.raw);
	free(b.strings);
	elf_end(debug);
	if (fd >= 0)
		close(fd);
	return err;
}

void function_list_release(struct function_list *l)
{
	for (size_t i = 0; i < l->nr_strings; i++)
		free(l->strings[i]);
	free(l->strings);
	free(l->items);
	*l = (struct function_list){ 0 };
}

/* ---------------------------------------------------------------- libraries ---- */

const char *functions_split(const char *spec, size_t *ret_lib_len)
{
	for (const char *p = spec; *p; p++) {
		if (*p != ':')
			continue;
		if (p[1] == ':') {
			p++;
			continue;
		}
		*ret_lib_len = p - spec;
		return p + 1;
	}
	*ret_lib_len = 0;
	return spec;
}

bool functions_lib_matches(const char *lib, size_t len, const char *path)
{
	const char *base = strrchr(path, '/');
	char glob[NAME_SIZE], name[NAME_SIZE];
	char *suffix;

	base = base ? base + 1 : path;
	if (!len || len >= sizeof(glob) || strlen(base) >= sizeof(name))
		return false;
	memcpy(glob, lib, len);
	glob[len] = '\0';
	if (!strcmp(glob, path) || !fnmatch(glob, base, 0))
		return true;
	strcpy(name, base);
	suffix = strstr(name, ".so");
	if (!suffix || (suffix[3] && suffix[3] != '.'))
		return false;
	suffix[3] = '\0'; /* libc.so */
	if (!fnmatch(glob, name, 0))
		return true;
	*suffix = '\0';
	return !fnmatch(glob, name, 0);
}
