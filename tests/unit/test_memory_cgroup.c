/* SPDX-License-Identifier: MIT */
/* Limits of memory cgroups, of both versions, in a tree of directories like theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/memory_cgroup.h"
#include "lib/util.h"

#define MB (UINT64_C(1) << 20)

static char root[64];

static void put(const char *path, const char *text)
{
	char full[256];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *s = full + strlen(root) + 1; (s = strchr(s, '/')); s++) {
		*s = '\0';
		mkdir(full, 0755);
		*s = '/';
	}
	file = fopen(full, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static uint64_t limit_of(const char *groups, char *path, size_t size)
{
	char proc[128];

	put("proc", groups);
	snprintf(proc, sizeof(proc), "%s/proc", root);
	snprintf(path, size, "untouched");
	return memory_cgroup_limit(proc, root, path, size);
}

static int new_tree(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/periscope-cgroup-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_tree(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", root);
	/* NOLINTNEXTLINE(cert-env33-c): a path of our own */
	return system(command);
}

static void test_version_1(void **state)
{
	char path[64];

	(void)state;
	put("memory/memory.limit_in_bytes", "9223372036854771712\n");
	put("memory/a/memory.limit_in_bytes", "104857600\n");
	put("memory/a/b/memory.limit_in_bytes", "209715200\n");
	put("memory/c/memory.limit_in_bytes", "9223372036854771712\n");
	/* The one around it is tighter. */
	assert_int_equal(limit_of("5:cpu:/x\n4:hugetlb,memory:/a/b\n0::/y\n", path, sizeof(path)),
			 100 * MB);
	assert_string_equal(path, "/a");
	assert_int_equal(limit_of("4:memory:/c\n", path, sizeof(path)), 0);
	assert_string_equal(path, "untouched");
	/* A controller whose name begins like it; a group that this namespace does not show. */
	assert_int_equal(limit_of("4:memory2:/a\n", path, sizeof(path)), 0);
	assert_int_equal(limit_of("4:memory:/../z\n", path, sizeof(path)), 0);
}

static void test_version_2(void **state)
{
	char path[64], shorter[3];

	(void)state;
	put("memory.max", "52428800\n"); /* of a container, which sees its own group as the root */
	put("s/memory.max", "max\n");
	put("s/t:u/memory.max", "1048576\n");
	assert_int_equal(limit_of("0::/s/t:u\n", path, sizeof(path)), MB);
	assert_string_equal(path, "/s/t:u");
	assert_int_equal(limit_of("0::/s\n", path, sizeof(path)), 50 * MB);
	assert_string_equal(path, "/");
	assert_int_equal(limit_of("0::/s/t:u\n", shorter, sizeof(shorter)), MB);
	assert_string_equal(shorter, "/s");
	/* Beside version 1. */
	put("unified/v/memory.max", "3145728\n");
	assert_int_equal(limit_of("0::/v\n", path, sizeof(path)), 3 * MB);
}

static void test_none(void **state)
{
	char path[64];

	(void)state;
	assert_int_equal(limit_of("", path, sizeof(path)), 0);
	assert_int_equal(limit_of("0::\n:\nmemory\n7:memory\n", path, sizeof(path)), 0);
	assert_int_equal(memory_cgroup_limit("/nonexistent", root, path, sizeof(path)), 0);
	assert_string_equal(path, "untouched");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_version_1, new_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_version_2, new_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_none, new_tree, remove_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
