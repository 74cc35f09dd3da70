/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SYMTEST_H
#define PERISCOPE_SYMTEST_H

/* What the symbolizer's tests share: a directory for built files, commands, opened objects. */

#include "lib/elf.h"
#include "lib/symbolizer.h"
#include "lib/util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define UNUSED __attribute__((unused))

static char test_dir[] = "/tmp/symtest-XXXXXX";

/* Run a shell command in the test's directory, quietly. Returns whether it succeeded. */
UNUSED __attribute__((format(printf, 1, 2))) static bool run(const char *format, ...)
{
	char command[4096], line[4200];
	va_list ap;

	va_start(ap, format);
	vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "cd %s && { %s; } >/dev/null 2>&1", test_dir, command);
	return system(line) == 0;
}

/* Run a command that the rest of the test depends on. */
#define must_run(...) assert_true(run(__VA_ARGS__))

/* Read the output of a command in the test's directory. */
UNUSED static FILE *read_command(const char *command)
{
	char line[4200];
	FILE *f;

	snprintf(line, sizeof(line), "cd %s && { %s; } 2>/dev/null", test_dir, command);
	f = popen(line, "r");
	assert_non_null(f);
	return f;
}

UNUSED static bool have(const char *tool)
{
	return run("command -v %s", tool);
}

/* The absolute path of a workload's source. */
UNUSED static const char *workload(const char *name)
{
	static char path[4096 + 64];
	char here[4096];

	snprintf(here, sizeof(here), "%s", __FILE__);
	*strrchr(here, '/') = '\0';
	snprintf(path, sizeof(path), "%s/../workloads/%s", here, name);
	if (!realpath(path, here))
		fail_msg("%s: %s", path, strerror(errno));
	snprintf(path, sizeof(path), "%s", here);
	return path;
}

UNUSED static int make_test_dir(void **state)
{
	(void)state;
	return mkdtemp(test_dir) ? 0 : -1;
}

UNUSED static int remove_test_dir(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", test_dir);
	return system(command);
}

/* An object of the test's directory (or an absolute path) in a symbolizer of its own. */
struct subject {
	struct symbolizer *s;
	struct elf_file *elf;
	struct sym_object *object;
	char path[4096];
};

UNUSED static void subject_open_at(struct subject *t, const char *file, const char *path,
				   int root_fd, const char *debug_dirs)
{
	int fd;

	snprintf(t->path, sizeof(t->path), "%s%s%s", file[0] == '/' ? "" : test_dir,
		 file[0] == '/' ? "" : "/", file);
	fd = open(t->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail_msg("%s: %s", t->path, strerror(errno));
	t->elf = elf_open_fd(fd);
	assert_non_null(t->elf);
	t->s = symbolizer_new();
	assert_non_null(t->s);
	if (debug_dirs)
		assert_int_equal(symbolizer_set_debug_dirs(t->s, debug_dirs), 0);
	t->object = symbolizer_add(t->s, t->elf, path ? path : t->path, root_fd);
	assert_non_null(t->object);
}

UNUSED static void subject_open(struct subject *t, const char *file)
{
	subject_open_at(t, file, NULL, -1, NULL);
}

UNUSED static void subject_close(struct subject *t)
{
	symbolizer_free(t->s);
	elf_close(t->elf);
}

/* The outermost function at an address, which every answer has. */
UNUSED static const struct sym_frame *outermost(struct subject *t, uint64_t addr)
{
	const struct sym_frame *frames;
	int n = sym_object_lookup(t->object, addr, &frames);

	assert_true(n > 0);
	return &frames[n - 1];
}

/* A function symbol as nm prints it. */
struct nm_symbol {
	uint64_t addr, size;
	char type;
	char name[512];
};

struct nm_symbols {
	struct nm_symbol *items;
	size_t n, cap;
};

/* Read text symbols with a size by `nm OPTIONS FILE`, versions cut off. */
UNUSED static void nm_read(struct nm_symbols *list, const char *options, const char *file)
{
	char command[1024], line[4096];
	FILE *f;

	*list = (struct nm_symbols){ 0 };
	snprintf(command, sizeof(command), "nm -S %s %s", options, file);
	f = read_command(command);
	while (fgets(line, sizeof(line), f)) {
		struct nm_symbol sym;

		if (sscanf(line, "%lx %lx %c %511[^@\n]", &sym.addr, &sym.size, &sym.type,
			   sym.name) != 4 ||
		    !strchr("tTwWi", sym.type) || !sym.size)
			continue;
		assert_int_equal(array_grow((void **)&list->items, list->n, &list->cap,
					    sizeof(*list->items)),
				 0);
		list->items[list->n++] = sym;
	}
	pclose(f);
}

UNUSED static const struct nm_symbol *nm_find(const struct nm_symbols *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->items[i].name, name))
			return &list->items[i];
	fail_msg("nm knows no %s", name);
	return NULL;
}

#endif
