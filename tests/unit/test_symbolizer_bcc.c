/* SPDX-License-Identifier: MIT */
/*
 * Symbols against BCC's reader: every function that it finds in a library (in its debug file where
 * there is one) must be what we answer for its first, middle and last byte, or one of the other
 * symbols that cover that byte. BCC runs in a child, so that its LLVM stays out of this process.
 */
#include "symtest.h"

#include <dlfcn.h>
#include <sys/wait.h>

#if __has_include(<bcc/bcc_syms.h>)
#include <bcc/bcc_elf.h>
#include <bcc/bcc_syms.h>

struct function {
	uint64_t start, size;
	char *name;
};

struct functions {
	struct function *items;
	size_t n, cap;
};

static int write_symbol(const char *name, uint64_t start, uint64_t size, void *out)
{
	if (start)
		fprintf(out, "%lx %lx %s\n", start, size, name);
	return 0;
}

/* In the child: all functions of `file` into the test's directory. */
static int ask_bcc(const char *file)
{
	struct bcc_symbol_option option = {
		.use_debug_file = 1,
		.check_debug_file_crc = 1,
		.use_symbol_type = 1 << 2 | 1 << 10, /* STT_FUNC, STT_GNU_IFUNC */
	};
	__typeof__(bcc_elf_foreach_sym) *foreach;
	char path[128];
	void *lib;
	FILE *out;

	lib = dlopen("libbcc.so.0", RTLD_NOW);
	if (!lib)
		return 77;
	*(void **)&foreach = dlsym(lib, "bcc_elf_foreach_sym");
	snprintf(path, sizeof(path), "%s/bcc", test_dir);
	out = fopen(path, "w");
	if (!foreach || !out || foreach(file, write_symbol, &option, out) < 0 || fclose(out))
		return 1;
	return 0;
}

static int compare_functions(const void *x, const void *y)
{
	const struct function *a = x, *b = y;

	return (a->start > b->start) - (a->start < b->start);
}

static void read_functions(struct functions *list)
{
	char path[128], line[8192], name[8192];
	struct function f;
	FILE *in;

	*list = (struct functions){ 0 };
	snprintf(path, sizeof(path), "%s/bcc", test_dir);
	in = fopen(path, "r");
	assert_non_null(in);
	while (fgets(line, sizeof(line), in)) {
		assert_int_equal(sscanf(line, "%lx %lx %8191[^@\n]", &f.start, &f.size, name), 3);
		assert_int_equal(array_grow((void **)&list->items, list->n, &list->cap,
					    sizeof(*list->items)),
				 0);
		f.name = strdup(name);
		assert_non_null(f.name);
		list->items[list->n++] = f;
	}
	fclose(in);
	qsort(list->items, list->n, sizeof(*list->items), compare_functions);
}

static bool covers(const struct function *f, uint64_t addr)
{
	return addr == f->start || (addr > f->start && addr - f->start < f->size);
}

/* Is `name` that of a function that covers addr? Looks around i, where one such function is. */
static bool is_right(const struct functions *list, size_t i, uint64_t addr, const char *name)
{
	size_t from = i > 200 ? i - 200 : 0;

	for (size_t j = from; j < list->n && list->items[j].start <= addr; j++)
		if (covers(&list->items[j], addr) && !strcmp(list->items[j].name, name))
			return true;
	return false;
}

static void check_functions(struct functions *list, const char *file)
{
	struct subject t;
	size_t wrong = 0;

	subject_open(&t, file);
	for (size_t i = 0; i < list->n; i++) {
		const struct function *f = &list->items[i];
		uint64_t at[] = { f->start, f->start + f->size / 2, f->start + f->size - 1 };

		for (size_t k = 0; k < (f->size ? 3 : 1); k++) {
			const struct sym_frame *frame = outermost(&t, at[k]);

			if (is_right(list, i, at[k], frame->linkage))
				continue;
			if (wrong++ < 10)
				print_message("%s: %#lx in %s is called %s\n", file, at[k], f->name,
					      frame->linkage);
		}
	}
	print_message("%s: %zu functions\n", file, list->n);
	assert_int_equal(wrong, 0);
	subject_close(&t);
}

/* Returns whether there was something to compare. */
static bool check_file(const char *file)
{
	struct functions list;
	int status;
	pid_t pid;

	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(ask_bcc(file));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		return false;
	assert_int_equal(WEXITSTATUS(status), 0);
	read_functions(&list);
	assert_in_range(list.n, 10, SIZE_MAX);
	check_functions(&list, file);
	for (size_t i = 0; i < list.n; i++)
		free(list.items[i].name);
	free(list.items);
	return true;
}

static void test_libraries(void **state)
{
	const char *names[] = { "libc.so.6", "libcrypto.so.3", "libsqlite3.so.0", "libstdc++.so.6",
				"libcapstone.so.4" };
	char link[512], path[4096];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(link, sizeof(link), "/usr/lib/x86_64-linux-gnu/%s", names[i]);
		if (realpath(link, path) && !check_file(path))
			skip();
	}
}

static void test_own_programs(void **state)
{
	char path[128];

	(void)state;
	if (!have("gcc") || !have("g++"))
		skip();
	must_run("gcc -O2 %s -o c", workload("sym_inlines.c"));
	must_run("g++ -g -O0 %s -o cxx", workload("sym_templates.cc"));
	snprintf(path, sizeof(path), "%s/c", test_dir);
	if (!check_file(path))
		skip();
	snprintf(path, sizeof(path), "%s/cxx", test_dir);
	check_file(path);
	check_file("/proc/self/exe");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libraries),
		cmocka_unit_test(test_own_programs),
	};

	return cmocka_run_group_tests(tests, make_test_dir, remove_test_dir);
}
#else
int main(void)
{
	print_message("BCC's headers are not installed\n");
	return 0;
}
#endif
