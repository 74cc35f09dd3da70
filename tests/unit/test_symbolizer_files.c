/* SPDX-License-Identifier: MIT */
/*
 * The symbolizer on files without debug information, on separate debug files wherever they may be,
 * and on addresses that only unwind information or the PLT knows. What is right comes from nm and
 * objdump on the file before it was stripped.
 */
#include "symtest.h"

static bool built;

static void build(void)
{
	if (!have("gcc") || !have("objcopy"))
		skip();
	if (built)
		return;
	must_run("gcc -g -O2 -rdynamic -Wl,--build-id=sha1 %s -o full", workload("sym_inlines.c"));
	must_run("gcc -g -O2 -rdynamic -Wl,--build-id=none %s -o full_noid",
		 workload("sym_inlines.c"));
	for (int i = 0; i < 2; i++) {
		const char *f = i ? "full_noid" : "full";

		must_run("strip --strip-all -o %s.stripped %s", f, f);
		must_run("objcopy --only-keep-debug %s %s.debug", f, f);
		must_run(
			"cp %s.stripped %s.linked && objcopy --add-gnu-debuglink=%s.debug %s.linked",
			f, f, f, f);
	}
	built = true;
}

/* Is every answer for `file` that of the unstripped one? */
static bool like_full(const char *file, const char *full, const char *path, int root_fd,
		      const char *dirs)
{
	struct subject a, b;
	bool same = true;

	subject_open(&a, full);
	subject_open_at(&b, file, path, root_fd, dirs);
	for (uint64_t addr = 0x1000; addr < 0x1800; addr++) {
		const struct sym_frame *fa, *fb;
		int na = sym_object_lookup(a.object, addr, &fa);
		int nb = sym_object_lookup(b.object, addr, &fb);

		assert_true(na > 0 && nb > 0);
		same = same && na == nb;
		for (int i = 0; same && i < na; i++) {
			/* A guessed name has the file's in it. */
			same = fa[i].guessed == fb[i].guessed &&
			       (fa[i].guessed || !strcmp(fa[i].linkage, fb[i].linkage)) &&
			       fa[i].line == fb[i].line && !fa[i].file == !fb[i].file &&
			       (!fa[i].file || !strcmp(fa[i].file, fb[i].file));
		}
	}
	subject_close(&a);
	subject_close(&b);
	return same;
}

/*
 * Without .symtab, a function in .dynsym keeps its name and every other one is called by its FDE's
 * start, wherever in it the address is: the exported one before it gets none of its samples.
 */
static void test_stripped(void **state)
{
	struct nm_symbols all, dynamic;
	size_t unnamed = 0, named = 0;
	struct subject t;
	char want[512];

	(void)state;
	build();
	nm_read(&all, "", "full");
	nm_read(&dynamic, "-D", "full");
	assert_in_range(dynamic.n, 5, all.n);
	subject_open(&t, "full.stripped");
	assert_int_equal(sym_object_quality(t.object), -ENODATA);
	assert_false(sym_object_has_lines(t.object));
	for (size_t i = 0; i < all.n; i++) {
		const struct nm_symbol *sym = &all.items[i];
		bool exported = false;

		for (size_t j = 0; j < dynamic.n; j++)
			exported |= dynamic.items[j].addr == sym->addr;
		snprintf(want, sizeof(want), "full.stripped+0x%lx", sym->addr);
		for (uint64_t at = sym->addr; at < sym->addr + sym->size; at++) {
			const struct sym_frame *f = outermost(&t, at);

			assert_int_equal(f->guessed, !exported);
			if (!exported)
				assert_string_equal(f->function, want);
		}
		unnamed += !exported;
		named += exported;
	}
	assert_true(unnamed >= 3 && named >= 5);
	assert_string_equal(outermost(&t, nm_find(&all, "main")->addr)->function, "main");
	subject_close(&t);
	free(all.items);
	free(dynamic.items);
}

/* One address, several symbols: the name that people know. */
static void test_aliases(void **state)
{
	const char *files[] = { "full", "full.stripped" };
	struct nm_symbols all;

	(void)state;
	build();
	nm_read(&all, "", "full");
	for (int i = 0; i < 2; i++) {
		struct subject t;

		subject_open(&t, files[i]);
		/* Against exported_alias (weak) and __exported_alias (global). */
		assert_string_equal(outermost(&t, nm_find(&all, "exported_alias")->addr)->function,
				    "exported");
		/* Against __plain (global), it being weak. */
		assert_string_equal(outermost(&t, nm_find(&all, "__plain")->addr + 1)->function,
				    "plain");
		subject_close(&t);
	}
	free(all.items);
}

/* A function without a size reaches to the next one: its three bytes after the first are its own. */
static void test_sizeless(void **state)
{
	struct nm_symbols all;
	struct subject t;
	uint64_t next;

	(void)state;
	build();
	nm_read(&all, "", "full");
	next = nm_find(&all, "hidden_after_sizeless")->addr;
	subject_open(&t, "full");
	for (uint64_t at = next - 4; at < next; at++)
		assert_string_equal(outermost(&t, at)->function, "sizeless");
	assert_string_equal(outermost(&t, next)->function, "hidden_after_sizeless");
	subject_close(&t);
	/* Its symbol stripped, the next one is told from this by where its unwind information begins. */
	subject_open(&t, "full.stripped");
	for (uint64_t at = next - 4; at < next; at++)
		assert_string_equal(outermost(&t, at)->function, "sizeless");
	assert_true(outermost(&t, next)->guessed);
	assert_true(outermost(&t, next + 1)->guessed);
	subject_close(&t);
	free(all.items);
}

/* One function within another: the inner one where it is, the outer one before and after. */
static void test_nested_symbols(void **state)
{
	const char *const want[] = { "nest_outer", "nest_outer", "nest_inner",
				     "nest_inner", "nest_outer", "nest_outer" };
	struct nm_symbols all;
	struct subject t;
	uint64_t start;

	(void)state;
	build();
	nm_read(&all, "", "full");
	start = nm_find(&all, "nest_outer")->addr;
	subject_open(&t, "full.stripped");
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		assert_string_equal(outermost(&t, start + i)->function, want[i]);
	subject_close(&t);
	free(all.items);
}

/* Every stub that objdump names `f@plt`. */
static void test_plt(void **state)
{
	const char *flags[] = { "", "-fcf-protection=full -Wl,-z,ibtplt", "-Wl,-z,now",
				"-Wl,-z,lazy -fno-pie -no-pie" };

	(void)state;
	if (!have("gcc") || !have("objdump"))
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		char line[1024], name[256];
		struct subject t;
		uint64_t addr;
		int n = 0;
		FILE *f;

		must_run("gcc -O2 %s %s -o plt && strip plt", flags[i], workload("sym_inlines.c"));
		subject_open(&t, "plt");
		f = read_command("objdump -d -j .plt -j .plt.sec -j .plt.got plt");
		while (fgets(line, sizeof(line), f)) {
			if (sscanf(line, "%lx <%255[^>]>:", &addr, name) != 2 ||
			    strchr(name, '-') || !strstr(name, "@plt"))
				continue;
			assert_string_equal(outermost(&t, addr)->function, name);
			assert_string_equal(outermost(&t, addr + 6)->function, name);
			n++;
		}
		pclose(f);
		assert_in_range(n, 3, 20);
		subject_close(&t);
	}
}

static void test_debug_link(void **state)
{
	char dir[128], dirs[256], path[256];

	(void)state;
	build();
	snprintf(dirs, sizeof(dirs), "/nonexistent:%s/debugdir", test_dir);
	assert_false(like_full("full_noid.stripped", "full_noid", NULL, -1, NULL));
	/* Beside the object; in .debug; below a debug directory, which mirrors the file system. */
	assert_true(like_full("full_noid.linked", "full_noid", NULL, -1, NULL));
	must_run("mkdir -p .debug && mv full_noid.debug .debug/");
	assert_true(like_full("full_noid.linked", "full_noid", NULL, -1, NULL));
	snprintf(dir, sizeof(dir), "debugdir%s", test_dir);
	must_run("mkdir -p %s && mv .debug/full_noid.debug %s/", dir, dir);
	assert_true(like_full("full_noid.linked", "full_noid", NULL, -1, dirs));
	assert_false(like_full("full_noid.linked", "full_noid", NULL, -1, NULL));
	/* The object is gone from where it was mapped from. */
	snprintf(path, sizeof(path), "%s/no/such/place", test_dir);
	assert_false(like_full("full_noid.linked", "full_noid", path, -1, dirs));
	/* One byte more and the CRC is another: not the debug file of this object. */
	must_run("mv %s/full_noid.debug . && echo >> full_noid.debug", dir);
	assert_false(like_full("full_noid.linked", "full_noid", NULL, -1, NULL));
	must_run("truncate -s -1 full_noid.debug");
	assert_true(like_full("full_noid.linked", "full_noid", NULL, -1, NULL));
}

/* The build ID of a file in hex, as readelf prints it. */
static void read_build_id(const char *file, char hex[128])
{
	char command[256], line[1024];
	FILE *f;

	snprintf(command, sizeof(command), "readelf -n %s", file);
	f = read_command(command);
	hex[0] = '\0';
	while (fgets(line, sizeof(line), f))
		sscanf(line, " Build ID: %127s", hex);
	pclose(f);
	assert_int_equal(strlen(hex), 40);
}

static void test_build_id(void **state)
{
	char hex[128], dirs[256];

	(void)state;
	build();
	snprintf(dirs, sizeof(dirs), "%s/ids", test_dir);
	read_build_id("full", hex);
	must_run("mkdir -p ids/.build-id/%.2s && cp full.debug ids/.build-id/%.2s/%s.debug", hex,
		 hex, hex + 2);
	assert_true(like_full("full.stripped", "full", NULL, -1, dirs));
	assert_true(like_full("full.stripped", "full", "/deleted/meanwhile", -1, dirs));
	/* Right name, but the debug file of another program. */
	must_run("gcc -g -O1 %s -o other && cp other ids/.build-id/%.2s/%s.debug",
		 workload("sym_inlines.c"), hex, hex + 2);
	assert_false(like_full("full.stripped", "full", NULL, -1, dirs));
	/* A link whose CRC is right for a file with another build ID. */
	must_run("cp full.stripped crossed && cp other crossed.debug && "
		 "objcopy --add-gnu-debuglink=crossed.debug crossed");
	assert_false(like_full("crossed", "full", NULL, -1, "/nonexistent"));
}

/* Below a root of its own, a process's absolute links stay in that root, and `..` cannot leave it. */
static void test_other_root(void **state)
{
	char root[128], hex[128];
	int fd;

	(void)state;
	build();
	snprintf(root, sizeof(root), "%s/root", test_dir);
	read_build_id("full", hex);
	must_run("mkdir -p root/usr/lib/debug/.build-id/%.2s root/real", hex);
	fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_false(like_full("full.stripped", "full", "/bin/full", fd, NULL));
	must_run("cp full.debug root/real/it && "
		 "ln -s /../../real/it root/usr/lib/debug/.build-id/%.2s/%s.debug",
		 hex, hex + 2);
	assert_true(like_full("full.stripped", "full", "/bin/full", fd, NULL));
	/* The link leads to a good debug file, but only outside of the root. */
	must_run(
		"rm root/real/it && ln -sf %s/full.debug root/usr/lib/debug/.build-id/%.2s/%s.debug",
		test_dir, hex, hex + 2);
	assert_false(like_full("full.stripped", "full", "/bin/full", fd, NULL));
	close(fd);
}

/* A FIFO or a device where a debug file should be must not be opened: it would wait for ever. */
static void test_not_a_file(void **state)
{
	char hex[128], dirs[256];

	(void)state;
	build();
	alarm(20);
	snprintf(dirs, sizeof(dirs), "%s/fifos", test_dir);
	read_build_id("full", hex);
	must_run("mkdir -p fifos/.build-id/%.2s && mkfifo fifos/.build-id/%.2s/%s.debug", hex, hex,
		 hex + 2);
	must_run("mkdir -p waits && cp full_noid.linked waits/ && mkfifo waits/full_noid.debug");
	assert_false(like_full("full.stripped", "full", NULL, -1, dirs));
	assert_false(like_full("waits/full_noid.linked", "full_noid", NULL, -1, NULL));
	/* The same for the file of a dwz link, which libdw would open by itself. */
	must_run("mkfifo dwz && { printf '%s/dwz\\0' && head -c 20 /dev/zero; } > altlink && "
		 "cp full alt && objcopy --add-section .gnu_debugaltlink=altlink alt",
		 test_dir);
	assert_false(like_full("alt", "full", NULL, -1, NULL));
	alarm(0);
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A file that was deleted after it was opened, and one that was cut short. */
static void test_deleted_and_truncated(void **state)
{
	const struct sym_frame *frames;
	struct nm_symbols all;
	struct subject t;
	int before = count_fds();

	(void)state;
	build();
	nm_read(&all, "", "full");
	must_run("cp full gone");
	subject_open(&t, "gone");
	must_run("rm gone");
	assert_string_equal(outermost(&t, nm_find(&all, "with_cold_part")->addr)->function,
			    "with_cold_part");
	assert_true(sym_object_has_lines(t.object));
	subject_close(&t);
	must_run("cp full cut");
	subject_open(&t, "cut");
	must_run("truncate -s 100 cut");
	for (uint64_t at = 0x1000; at < 0x1800; at += 3) {
		assert_true(sym_object_lookup(t.object, at, &frames) > 0);
		assert_non_null(frames[0].function);
	}
	subject_close(&t);
	free(all.items);
	assert_int_equal(count_fds(), before);
}

/* Outside of everything there is still a name, of the address itself. */
static void test_nowhere(void **state)
{
	struct subject t;

	(void)state;
	build();
	subject_open_at(&t, "full", "/some/where/lib.so.1", -1, NULL);
	assert_string_equal(outermost(&t, 0x123456789)->function, "lib.so.1+0x123456789");
	assert_string_equal(outermost(&t, UINT64_MAX)->function, "lib.so.1+0xffffffffffffffff");
	assert_true(outermost(&t, 0)->guessed);
	subject_close(&t);
	subject_open_at(&t, "full", "[vdso]", -1, NULL);
	assert_string_equal(outermost(&t, 0x123456789)->function, "[vdso]+0x123456789");
	subject_close(&t);
}

/* An object from memory, as the vDSO is. */
static void test_image(void **state)
{
	struct nm_symbols all;
	struct elf_file *elf;
	struct symbolizer *s;
	struct sym_object *o;
	const struct sym_frame *frames;
	size_t size;
	char path[256];
	char *image;

	(void)state;
	build();
	nm_read(&all, "", "full");
	snprintf(path, sizeof(path), "%s/full", test_dir);
	image = read_file_at(AT_FDCWD, path, 1 << 24, &size);
	assert_non_null(image);
	elf = elf_open_memory(image, size);
	assert_non_null(elf);
	s = symbolizer_new();
	o = symbolizer_add(s, elf, "[image]", -1);
	assert_non_null(o);
	assert_int_equal(sym_object_lookup(o, nm_find(&all, "main")->addr, &frames), 1);
	assert_string_equal(frames[0].function, "main");
	assert_true(sym_object_has_lines(o));
	symbolizer_free(s);
	elf_close(elf);
	free(all.items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stripped),   cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_sizeless),   cmocka_unit_test(test_nested_symbols),

		cmocka_unit_test(test_plt),	   cmocka_unit_test(test_debug_link),
		cmocka_unit_test(test_build_id),   cmocka_unit_test(test_other_root),
		cmocka_unit_test(test_not_a_file), cmocka_unit_test(test_nowhere),
		cmocka_unit_test(test_image),	   cmocka_unit_test(test_deleted_and_truncated),
	};

	return cmocka_run_group_tests(tests, make_test_dir, remove_test_dir);
}
