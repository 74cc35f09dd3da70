/* SPDX-License-Identifier: MIT */
/* Functions by name: globs, aliases, what is left out, how many; names of libraries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "functions.h"

/* Functions of this program. Of one with two names, and of a part that is only jumped to. */
__asm__(".pushsection .text\n"
	".globl fntest_plain\n.type fntest_plain, @function\n"
	"fntest_plain: ret\n.size fntest_plain, . - fntest_plain\n"
	".globl fntest_alias\n.set fntest_alias, fntest_plain\n"
	".globl _fntest_alias\n.set _fntest_alias, fntest_plain\n"
	".type fntest_part.cold, @function\n"
	"fntest_part.cold: ret\n.size fntest_part.cold, . - fntest_part.cold\n"
	".type fntest_part.cold.7, @function\n"
	"fntest_part.cold.7: ret\n.size fntest_part.cold.7, . - fntest_part.cold.7\n"
	".type fntest_part.colder, @function\n"
	"fntest_part.colder: ret\n.size fntest_part.colder, . - fntest_part.colder\n"
	"fntest_label: ret\n"
	".type fntest_sizeless, @function\n"
	"fntest_sizeless: ret\n"
	".globl _ZN6fntest5classIiE6methodEPKc\n.type _ZN6fntest5classIiE6methodEPKc, @function\n"
	"_ZN6fntest5classIiE6methodEPKc: ret\n"
	".size _ZN6fntest5classIiE6methodEPKc, . - _ZN6fntest5classIiE6methodEPKc\n"
	".globl fntest_chosen\n.type fntest_chosen, @gnu_indirect_function\n"
	"fntest_chosen: lea fntest_plain(%rip), %rax\nret\n"
	".size fntest_chosen, . - fntest_chosen\n"
	".popsection\n");

static struct elf_file *open_self(void)
{
	struct elf_file *f = elf_open_fd(open("/proc/self/exe", O_RDONLY));

	assert_non_null(f);
	return f;
}

/* What a glob finds, in one string. */
static void finds(const char *glob, const char *expected)
{
	struct function_list l = { 0 };
	struct elf_file *f = open_self();
	char names[1024] = "";
	size_t found = 99;

	assert_int_equal(functions_find(&l, f, NULL, -1, glob, 0, &found), 0);
	assert_int_equal(found, l.nr);
	for (size_t i = 0; i < l.nr; i++) {
		strcat(names, i ? " | " : "");
		strcat(names, l.items[i].name);
		assert_true(l.items[i].size > 0);
		assert_int_equal(l.items[i].ifunc, !strcmp(l.items[i].name, "fntest_chosen"));
		if (i)
			assert_true(l.items[i].vaddr > l.items[i - 1].vaddr);
	}
	assert_string_equal(names, expected);
	function_list_release(&l);
	elf_close(f);
}

static void test_names(void **state)
{
	(void)state;
	finds("fntest_plain", "fntest_plain");
	finds("fntest_alias", "fntest_alias");
	finds("_fntest_alias", "_fntest_alias");
	finds("*fntest_alias", "fntest_alias"); /* fewer underscores */
	finds("fntest_p*", "fntest_plain | fntest_part.colder");
	finds("fntest_[a-z]*", "fntest_alias | fntest_part.colder | fntest_chosen");
	finds("fntest_label", "");
	finds("fntest_sizeless", "");
	finds("fntest_chosen", "fntest_chosen");
	finds("fntest", "");
	finds("", "");
}

static void test_readable_names(void **state)
{
	static const char method[] = "fntest::class<int>::method(char const*)";

	(void)state;
	finds("_ZN6fntest*", method);
	finds("fntest::*", method);
	finds("fntest::class<int>::method", method);
	finds("fntest::class<int>::method(char const\\*)", method);
	finds("*::method", method);
	finds("fntest::class<int>", "");
}

static void test_limit(void **state)
{
	struct function_list l = { 0 };
	struct elf_file *f = open_self();
	size_t found = 0;

	(void)state;
	assert_int_equal(functions_find(&l, f, NULL, -1, "fntest_plain", 2, &found), 0);
	assert_int_equal(found, 1);
	assert_int_equal(functions_find(&l, f, NULL, -1, "fntest_*", 2, &found), -E2BIG);
	assert_int_equal(found, 2); /* the first keeps its name and is not found again */
	assert_int_equal(l.nr, 1);
	assert_string_equal(l.items[0].name, "fntest_plain");
	assert_int_equal(functions_find(&l, f, NULL, -1, "fntest_*", 3, &found), 0);
	assert_int_equal(l.nr, 3);
	assert_string_equal(l.items[0].name, "fntest_plain");
	function_list_release(&l);
	elf_close(f);
}

static void test_split(void **state)
{
	size_t len = 99;

	(void)state;
	assert_string_equal(functions_split("malloc", &len), "malloc");
	assert_int_equal(len, 0);
	assert_string_equal(functions_split("libc:mal*", &len), "mal*");
	assert_int_equal(len, 4);
	assert_string_equal(functions_split("ns::f", &len), "ns::f");
	assert_int_equal(len, 0);
	assert_string_equal(functions_split("lib:ns::f", &len), "ns::f");
	assert_int_equal(len, 3);
	assert_string_equal(functions_split("lib:", &len), "");
	assert_int_equal(len, 3);
	assert_string_equal(functions_split("::f", &len), "::f");
	assert_int_equal(len, 0);
}

static bool matches(const char *lib, const char *path)
{
	return functions_lib_matches(lib, strlen(lib), path);
}

static void test_libraries(void **state)
{
	(void)state;
	assert_true(matches("libc", "/usr/lib/libc.so.6"));
	assert_true(matches("libc.so", "/usr/lib/libc.so.6"));
	assert_true(matches("libc.so.6", "/usr/lib/libc.so.6"));
	assert_true(matches("/usr/lib/libc.so.6", "/usr/lib/libc.so.6"));
	assert_true(matches("libsql*", "/usr/lib/libsqlite3.so.0.8.6"));
	assert_true(matches("libpython3.11", "/usr/lib/libpython3.11.so.1.0"));
	assert_true(matches("coworkingd", "/opt/coworkingd"));
	assert_false(matches("libc", "/usr/lib/libcrypto.so.3"));
	assert_false(matches("libc", "/usr/lib/libc.sort"));
	assert_false(matches("lib/libc.so.6", "/usr/lib/libc.so.6"));
	assert_false(matches("", "/usr/lib/libc.so.6"));
	assert_true(functions_lib_matches("libc:malloc", 4, "/usr/lib/libc.so.6"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	  cmocka_unit_test(test_readable_names),
		cmocka_unit_test(test_limit),	  cmocka_unit_test(test_split),
		cmocka_unit_test(test_libraries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
