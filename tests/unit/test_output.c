/* SPDX-License-Identifier: MIT */
/* Output files: whole or not at all, under the right name, owner and mode. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/formats.h"
#include "lib/output.h"

static char dir[] = "/tmp/periscope-output.XXXXXX";

static int enter_dir(void **state)
{
	(void)state;
	return !mkdtemp(dir) || chdir(dir);
}

static int leave_dir(void **state)
{
	(void)state;
	return chdir("/") || rmdir(dir); /* fails when a test left something behind */
}

static int files_here(void)
{
	DIR *d = opendir(".");
	int n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	closedir(d);
	return n;
}

static void make_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void assert_content(const char *path, const char *text)
{
	char buf[256] = "";
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_int_equal(fread(buf, 1, sizeof(buf) - 1, f), strlen(text));
	assert_string_equal(buf, text);
	fclose(f);
}

static struct output *open_output(const char *path)
{
	struct output *o = NULL;

	assert_int_equal(output_open(path, &o), 0);
	return o;
}

static void test_commit(void **state)
{
	mode_t mask = umask(027);
	struct output *o = open_output("new.txt");
	struct stat st;

	(void)state;
	assert_int_equal(access("new.txt", F_OK), -1);
	assert_int_equal(files_here(), 1);
	assert_int_equal(sink_puts(output_sink(o), "hello "), 0);
	assert_int_equal(sink_puts(output_sink(o), "world"), 0);
	assert_int_equal(access("new.txt", F_OK), -1);
	assert_int_equal(output_commit(o), 0);
	assert_content("new.txt", "hello world");
	assert_int_equal(files_here(), 1);
	assert_int_equal(stat("new.txt", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(sink_puts(output_sink(o), "late"), -EBADF);
	output_free(o);
	assert_content("new.txt", "hello world");
	umask(mask);
	unlink("new.txt");
}

static void test_replace(void **state)
{
	struct output *o;
	struct stat st;
	int before;

	(void)state;
	make_file("f", "old");
	assert_int_equal(chmod("f", 0600), 0);
	before = open("f", O_RDONLY);
	o = open_output("f");
	sink_puts(output_sink(o), "new");
	assert_content("f", "old");
	assert_int_equal(output_commit(o), 0);
	output_free(o);
	assert_content("f", "new");
	assert_int_equal(stat("f", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* Who has the old one open still reads it: it was replaced, not overwritten. */
	assert_int_equal(fstat(before, &st), 0);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(st.st_nlink, 0);
	close(before);
	unlink("f");
}

static void test_abort(void **state)
{
	struct output *o;

	(void)state;
	make_file("f", "old");
	o = open_output("f");
	sink_puts(output_sink(o), "new");
	output_free(o);
	assert_content("f", "old");
	assert_int_equal(files_here(), 1);
	unlink("f");
	o = open_output("./g");
	output_free(o);
	output_free(NULL);
	assert_int_equal(files_here(), 0);
}

static void test_refused(void **state)
{
	struct output *o = NULL;

	(void)state;
	assert_int_equal(output_open("", &o), -ENOENT);
	assert_int_equal(output_open("nosuch/f", &o), -ENOENT);
	assert_int_equal(output_open("/tmp", &o), -EISDIR);
	assert_int_equal(output_open("/tmp/", &o), -EISDIR);
	assert_int_equal(output_open("nosuch/", &o), -EISDIR);
	assert_int_equal(output_open("/dev/fd/987", &o), -EBADF);
	make_file("plain", "");
	assert_int_equal(output_open("plain/f", &o), -ENOTDIR);
	unlink("plain");
	assert_null(o);
	assert_int_equal(files_here(), 0);
}

static void test_full_device(void **state)
{
	struct output *o = open_output("/dev/full");
	static char big[200000];

	(void)state;
	assert_int_equal(sink_puts(output_sink(o), "x"), 0); /* buffered */
	assert_int_equal(output_commit(o), -ENOSPC);
	output_free(o);
	/* An error met in the middle is there at the end, too. */
	o = open_output("/dev/full");
	assert_int_equal(sink_write(output_sink(o), big, sizeof(big)), -ENOSPC);
	assert_int_equal(sink_puts(output_sink(o), "x"), -ENOSPC);
	assert_int_equal(output_commit(o), -ENOSPC);
	output_free(o);
	assert_int_equal(access("/dev/full", F_OK), 0);
}

/* A limit within a block: the kernel takes a part of the write, then none. */
static void test_short_write(void **state)
{
	struct rlimit old, small = { .rlim_cur = 100001 };
	static char big[300000];
	struct output *o;

	(void)state;
	make_file("f", "old");
	o = open_output("f");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(sink_write(output_sink(o), big, sizeof(big)), -EFBIG);
	assert_int_equal(output_commit(o), -EFBIG);
	assert_int_equal(files_here(), 1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	output_free(o);
	assert_content("f", "old");
	unlink("f");
}

/* Pieces of all sizes around that of the buffer arrive in order. */
static void test_pieces(void **state)
{
	static const size_t sizes[] = { 1, 65535, 1, 65536, 65537, 3, 200000, 0, 65536, 65535, 2 };
	struct output *o = open_output("f");
	static char piece[200000];
	size_t total = 0, at = 0;
	FILE *f;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t j = 0; j < sizes[i]; j++)
			piece[j] = (char)((total + j) % 251);
		assert_int_equal(sink_write(output_sink(o), piece, sizes[i]), 0);
		total += sizes[i];
	}
	assert_int_equal(output_commit(o), 0);
	output_free(o);
	f = fopen("f", "r");
	for (int c; (c = fgetc(f)) != EOF; at++)
		assert_int_equal(c, at % 251);
	assert_int_equal(at, total);
	fclose(f);
	unlink("f");
}

static void test_links(void **state)
{
	struct output *o;
	struct stat st;

	(void)state;
	make_file("target", "precious");
	assert_int_equal(symlink("target", "link"), 0);
	o = open_output("link");
	sink_puts(output_sink(o), "new");
	assert_int_equal(output_commit(o), 0);
	output_free(o);
	assert_content("target", "precious");
	assert_content("link", "new");
	assert_int_equal(lstat("link", &st), 0);
	assert_true(S_ISREG(st.st_mode));
	unlink("link");
	unlink("target");
}

static void test_stdout(void **state)
{
	static const char *const names[] = { "-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1" };
	int saved = dup(STDOUT_FILENO), file;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct output *o;

		/* Into a file, behind what is there: never reopened, never replaced. */
		file = open("out", O_RDWR | O_CREAT | O_TRUNC, 0644);
		assert_int_equal(write(file, "first ", 6), 6);
		fflush(stdout);
		dup2(file, STDOUT_FILENO);
		o = open_output(names[i]);
		sink_puts(output_sink(o), "second");
		assert_int_equal(output_commit(o), 0);
		output_free(o);
		assert_int_equal(fcntl(STDOUT_FILENO, F_GETFD), 0);
		dup2(saved, STDOUT_FILENO);
		close(file);
		assert_content("out", "first second");
		assert_int_equal(files_here(), 1);
	}
	close(saved);
	unlink("out");
}

static void test_long_name(void **state)
{
	char name[257];
	struct output *o = NULL;

	(void)state;
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	assert_int_equal(output_open(name, &o), 0); /* known only when it is put in place */
	assert_int_equal(output_commit(o), -ENAMETOOLONG);
	output_free(o);
	name[255] = '\0';
	o = open_output(name);
	assert_int_equal(output_commit(o), 0);
	output_free(o);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(files_here(), 0);
}

static void test_sudo(void **state)
{
	static const char *const wrong[] = { "", "-1", "x", "4294967295", "12x" };
	struct output *o;
	struct stat st;

	(void)state;
	if (geteuid())
		skip();
	setenv("SUDO_UID", "1234", 1);
	setenv("SUDO_GID", "2345", 1);
	o = open_output("f");
	assert_int_equal(output_commit(o), 0);
	output_free(o);
	assert_int_equal(stat("f", &st), 0);
	assert_int_equal(st.st_uid, 1234);
	assert_int_equal(st.st_gid, 2345);
	unlink("f");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		setenv("SUDO_UID", wrong[i], 1);
		o = open_output("f");
		assert_int_equal(output_commit(o), 0);
		output_free(o);
		assert_int_equal(stat("f", &st), 0);
		assert_int_equal(st.st_uid, 0);
		assert_int_equal(st.st_gid, getegid());
		unlink("f");
	}
	unsetenv("SUDO_UID");
	unsetenv("SUDO_GID");
}

static void test_formats(void **state)
{
	static const struct {
		const char *path, *name, *want;
	} cases[] = {
		{ "x.pb.gz", NULL, "pprof" },
		{ "a/b.c/x.folded", NULL, "folded" },
		{ "x.svg", NULL, "svg" },
		{ "x.y.txt", NULL, "text" },
		{ "x.svg", "folded", "folded" },
		{ "-", "text", "text" },
		{ "-", NULL, NULL },
		{ "x", NULL, NULL },
		{ "x.gz", NULL, NULL },
		{ ".svg", NULL, NULL },
		{ "dir.svg/x", NULL, NULL },
		{ "x.SVG", NULL, NULL },
		{ "x.svg", "nosuch", NULL },
		{ "", NULL, NULL },
		{ "x.svg", "", NULL },
		{ "dir/.svg", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct format *f = NULL;
		int err = format_find(profile_formats, cases[i].path, cases[i].name, &f);

		assert_int_equal(err, cases[i].want ? 0 : -EINVAL);
		if (cases[i].want)
			assert_string_equal(f->name, cases[i].want);
		else
			assert_null(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commit),	    cmocka_unit_test(test_replace),
		cmocka_unit_test(test_abort),	    cmocka_unit_test(test_refused),
		cmocka_unit_test(test_full_device), cmocka_unit_test(test_short_write),
		cmocka_unit_test(test_pieces),	    cmocka_unit_test(test_links),
		cmocka_unit_test(test_stdout),	    cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_sudo),	    cmocka_unit_test(test_formats),
	};

	unsetenv("SUDO_UID");
	return cmocka_run_group_tests(tests, enter_dir, leave_dir);
}
