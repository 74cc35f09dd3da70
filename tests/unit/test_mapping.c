/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mapping.h"
#include "process.h"
#include "util.h"

static void test_lines(void **state)
{
	struct mapping m;
	int prot;

	(void)state;
	assert_int_equal(mapping_parse("7f36c0000000-7f36c0021000 r-xp 00026000 fe:01 5501 "
				       "                  /usr/lib/a b.so",
				       &m, &prot),
			 0);
	assert_true(m.start == 0x7f36c0000000 && m.end == 0x7f36c0021000);
	assert_int_equal(m.offset, 0x26000);
	assert_int_equal(m.inode, 5501);
	assert_int_equal(major(m.dev), 0xfe);
	assert_int_equal(minor(m.dev), 1);
	assert_int_equal(prot, PROT_READ | PROT_EXEC);
	assert_string_equal(m.path, "/usr/lib/a b.so");
	free(m.path);
	assert_int_equal(mapping_parse("1000-2000 ---p 00000000 00:00 0 ", &m, &prot), 0);
	assert_string_equal(m.path, "");
	assert_int_equal(prot, 0);
	free(m.path);
	assert_int_equal(mapping_parse("1000-2000 rwxs 0 00:00 7 /a\\012b (deleted)", &m, &prot),
			 0);
	assert_string_equal(m.path, "/a\nb (deleted)");
	free(m.path);
}

static void test_bad_lines(void **state)
{
	static const char *const bad[] = {
		"",
		"Size: 4 kB",
		"1000-2000",
		"2000-1000 r-xp 0 00:00 0",
		"1000-1000 r-xp 0 00:00 0",
		"1000-2000 r-x 0 00:00 0",
		"zzzz-2000 r-xp 0 00:00 0",
	};
	struct mapping m;
	int prot;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(mapping_parse(bad[i], &m, &prot), -EINVAL);
}

/* Our own: sorted, executable, and the one that holds this function is this program. */
static void test_own_mappings(void **state)
{
	uint64_t here = (uintptr_t)test_own_mappings;
	struct mapping *maps;
	struct stat exe, opened;
	bool found = false;
	size_t n;
	int fd;

	(void)state;
	assert_int_equal(mappings_read(getpid(), &maps, &n), 0);
	assert_true(n > 2);
	assert_int_equal(stat("/proc/self/exe", &exe), 0);
	for (size_t i = 0; i < n; i++) {
		if (i)
			assert_true(maps[i - 1].end <= maps[i].start);
		if (here < maps[i].start || here >= maps[i].end)
			continue;
		found = true;
		fd = mapping_open(getpid(), &maps[i]);
		assert_true(fd >= 0);
		assert_int_equal(fstat(fd, &opened), 0);
		assert_int_equal(opened.st_ino, exe.st_ino);
		close(fd);
	}
	assert_true(found);
	mappings_free(maps, n);
}

static void test_no_process(void **state)
{
	struct mapping *maps;
	struct process p;
	size_t n;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	assert_int_equal(mappings_read(pid, &maps, &n), -ESRCH);
	assert_int_equal(process_init(&p, pid), -ESRCH);
}

/* A zombie has a PID but nothing to look at. */
static void test_zombie(void **state)
{
	struct process p;
	siginfo_t info;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(0);
	assert_int_equal(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(process_init(&p, pid), -ESRCH);
	waitpid(pid, NULL, 0);
}

static void test_own_process(void **state)
{
	struct process p;
	pid_t *list;
	size_t n;
	pid_t child;

	(void)state;
	assert_int_equal(process_init(&p, getpid()), 0);
	assert_int_equal(p.pid, getpid());
	assert_false(p.kernel_thread);
	assert_non_null(strstr(p.exe, "test_mapping"));
	process_release(&p);
	assert_int_equal(process_check_machine(getpid()), 0);
	assert_true(process_has_thread(getpid(), getpid()));
	assert_false(process_has_thread(getpid(), 1));

	child = fork();
	if (!child) {
		if (!fork())
			pause();
		pause();
	}
	for (n = 0; n < 2; free(list)) /* until the grandchild is there, too */
		assert_int_equal(process_descendants(getpid(), &list, &n), 0);
	assert_int_equal(process_descendants(getpid(), &list, &n), 0);
	assert_int_equal(n, 2);
	for (size_t i = 0; i < n; i++)
		kill(list[i], SIGKILL);
	free(list);
	waitpid(child, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	     cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_own_mappings), cmocka_unit_test(test_no_process),
		cmocka_unit_test(test_zombie),	     cmocka_unit_test(test_own_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
