/* SPDX-License-Identifier: MIT */
/*
 * Kernel symbols: small files with known answers, and the running kernel's against a plain reading
 * of /proc/kallsyms: the symbol found must be one of those at the last address before.
 */
#include "symtest.h"

#include "lib/ksyms.h"

static struct ksyms *read_text(const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/kallsyms", test_dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return ksyms_new(path);
}

static void check(const struct ksyms *k, uint64_t addr, const char *name, const char *module)
{
	const char *got_module = "?", *got = ksyms_lookup(k, addr, &got_module);

	if (!name) {
		assert_null(got);
		return;
	}
	assert_non_null(got);
	assert_string_equal(got, name);
	if (module)
		assert_string_equal(got_module, module);
	else
		assert_null(got_module);
}

static void test_known(void **state)
{
	struct ksyms *k;

	(void)state;
	/* In no order, as the kernel writes modules and BPF programs. */
	k = read_text("ffffffffc0001000 t two\t[mod]\n"
		      "0000000000001000 A cpu_number\n"
		      "ffffffff81000000 T _stext\n"
		      "ffffffff81000000 t first\n"
		      "ffffffff81000100 T __second\n"
		      "ffffffff81000100 W second\n"
		      "ffffffff81000100 t s\n"
		      "ffffffff81000200 D data\n"
		      "ffffffff81000300 r more_data\n"
		      "ffffffff81000400 t last\n"
		      "ffffffffc0000000 t one\t[mod]\n"
		      "ffffffffc0002000 t bpf_prog_6deef7357e7b4530_handler\t[bpf]\n");
	assert_non_null(k);
	check(k, 0xffffffff80ffffff, NULL, NULL);
	check(k, 0x1000, NULL, NULL);
	check(k, 0xffffffff81000000, "first", NULL);
	check(k, 0xffffffff810000ff, "first", NULL);
	check(k, 0xffffffff81000100, "second", NULL);
	check(k, 0xffffffff810001ff, "second", NULL);
	check(k, 0xffffffff81000200, NULL, NULL);
	check(k, 0xffffffff81000301, NULL, NULL);
	check(k, 0xffffffff81000400, "last", NULL);
	/* Far beyond the last function of a stretch is not that function. */
	check(k, 0xffffffff91000400, NULL, NULL);
	check(k, 0xffffffffc0000fff, "one", "mod");
	check(k, 0xffffffffc0001000, "two", "mod");
	check(k, 0xffffffffc0002010, "bpf_prog_6deef7357e7b4530_handler", "bpf");
	assert_string_equal(ksyms_lookup(k, 0xffffffffc0002010, NULL),
			    "bpf_prog_6deef7357e7b4530_handler");
	ksyms_free(k);
	ksyms_free(NULL);
}

static void test_errors(void **state)
{
	(void)state;
	errno = 0;
	assert_null(ksyms_new("/no/such/file"));
	assert_int_equal(errno, ENOENT);
	assert_null(read_text("0000000000000000 T _text\n0000000000000000 t foo\n"));
	assert_int_equal(errno, EACCES);
	assert_null(read_text(""));
	assert_int_equal(errno, ENODATA);
	assert_null(read_text(
		"garbage\n\n12 \nzz t x\nffff81000000\nffff81000000 t\nffff81000000 t \n"));
	assert_int_equal(errno, ENODATA);
}

struct plain {
	uint64_t addr;
	char name[256];
};

static int compare_plain(const void *x, const void *y)
{
	const struct plain *a = x, *b = y;

	return (a->addr > b->addr) - (a->addr < b->addr);
}

static void test_running_kernel(void **state)
{
	struct plain *all = NULL, item;
	size_t n = 0, cap = 0;
	unsigned int seed = 17;
	struct ksyms *k;
	char line[1024], type;
	FILE *f;

	(void)state;
	k = ksyms_new(NULL);
	if (!k && errno == EACCES)
		skip();
	assert_non_null(k);
	f = fopen("/proc/kallsyms", "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		assert_int_equal(sscanf(line, "%lx %c %255s", &item.addr, &type, item.name), 3);
		/* Programs and trampolines come and go between the two readings. */
		if (!strchr("tTwW", type) || strstr(line, "[bpf]") || strstr(line, "[__builtin__"))
			continue;
		assert_int_equal(array_grow((void **)&all, n, &cap, sizeof(*all)), 0);
		all[n++] = item;
	}
	fclose(f);
	qsort(all, n, sizeof(*all), compare_plain);
	assert_in_range(n, 1000, SIZE_MAX);
	for (int i = 0; i < 20000; i++) {
		size_t at = rand_r(&seed) % n, next = at;
		const char *got;
		bool found = false;
		uint64_t addr;

		while (at && all[at - 1].addr == all[at].addr)
			at--;
		while (next < n && all[next].addr == all[at].addr)
			next++;
		addr = all[at].addr;
		/* Right behind a function there may be data, so only a start is surely its own. */
		if (i & 1 && next < n && all[next].addr - addr < 4096)
			addr += (all[next].addr - addr) / 4;
		got = ksyms_lookup(k, addr, NULL);
		if (!got && addr != all[at].addr)
			continue;
		assert_non_null(got);
		for (size_t j = at; j < next; j++)
			found |= !strcmp(all[j].name, got);
		assert_true(found);
	}
	free(all);
	ksyms_free(k);
}

static void check_range(const struct ksyms *k, const char *const *names, uint64_t start,
			uint64_t end)
{
	uint64_t got[2] = { 1, 2 };

	assert_int_equal(ksyms_range(k, names, got), start ? 0 : -ENOENT);
	assert_int_equal(got[0], start ? start : 1);
	assert_int_equal(got[1], start ? end : 2);
}

static void test_range(void **state)
{
	const char *const one[] = { "b", NULL }, *const two[] = { "d", "b", NULL };
	const char *const prefix[] = { "asm_*", NULL }, *const none[] = { "asm_", "data", NULL };
	const char *const last[] = { "z", NULL };
	struct ksyms *k = read_text("ffffffff81000000 T a\n"
				    "ffffffff81000100 T b\n"
				    "ffffffff81000180 D data\n"
				    "ffffffff81000200 T c\n"
				    "ffffffff81000300 t d\n"
				    "ffffffff81000400 t asm_x\n"
				    "ffffffff81000500 t asm_y\n"
				    "ffffffff81000600 T z\n");

	(void)state;
	assert_non_null(k);
	check_range(k, one, 0xffffffff81000100, 0xffffffff81000180);
	check_range(k, two, 0xffffffff81000100, 0xffffffff81000400);
	check_range(k, prefix, 0xffffffff81000400, 0xffffffff81000600);
	check_range(k, none, 0, 0);
	check_range(k, last, 0, 0); /* nothing says where it ends */
	ksyms_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_running_kernel),
	};

	return cmocka_run_group_tests(tests, make_test_dir, remove_test_dir);
}
