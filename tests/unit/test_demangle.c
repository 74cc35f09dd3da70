/* SPDX-License-Identifier: MIT */
/*
 * C++ names against c++filt on every symbol of libstdc++; Rust names against the rules of its
 * compiler's legacy scheme; hostile names against time and memory.
 */
#include "symtest.h"

#include "lib/demangle.h"

#include <sys/resource.h>
#include <time.h>

static void check(const char *mangled, const char *want)
{
	char *got = demangle(mangled);

	if (!want) {
		assert_null(got);
	} else {
		assert_non_null(got);
		assert_string_equal(got, want);
	}
	free(got);
}

static void test_libstdcxx(void **state)
{
	char mangled[8192], want[16384];
	size_t n = 0, left = 0;
	FILE *in, *out;

	(void)state;
	if (!have("c++filt") || !run("test -e /usr/lib/x86_64-linux-gnu/libstdc++.so.6"))
		skip();
	must_run("nm -D /usr/lib/x86_64-linux-gnu/libstdc++.so.6 | awk '{print $NF}' | "
		 "sed 's/@.*//' | grep ^_Z | sort -u > names");
	in = read_command("cat names");
	out = read_command("c++filt -i < names");
	while (fgets(mangled, sizeof(mangled), in) && fgets(want, sizeof(want), out)) {
		char *got;

		mangled[strcspn(mangled, "\n")] = '\0';
		want[strcspn(want, "\n")] = '\0';
		got = demangle(mangled);
		if (!got && strcmp(mangled, want))
			left++;
		else
			assert_string_equal(got ? got : mangled, want);
		free(got);
		n++;
	}
	pclose(in);
	pclose(out);
	print_message("%zu names, %zu left as they are\n", n, left);
	assert_in_range(n, 1000, SIZE_MAX);
	assert_int_equal(left, 0);
}

static void test_rust(void **state)
{
	(void)state;
	check("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write");
	check("_ZN4core3fmt5write17h0123456789abcdefE.llvm.12345", "core::fmt::write");
	check("_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar17h"
	      "930b740aa94f1d3aE",
	      "<Test + 'static as foo::Bar<Test>>::bar");
	check("_ZN17test$RF$$BP$$C$1x17h0123456789abcdefE", "test&*,1x");
	check("_ZN4main28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE", "main::{{closure}}");
	/* No hash, or none of theirs: C++. */
	check("_ZN4core3fmt5writeE", "core::fmt::write");
	check("_ZN4core3fmt17h0123456789abcdeXE", "core::fmt::h0123456789abcdeX");
	/* An escape that would put a control character into the output stays. */
	check("_ZN8a$u1b$b_17h0123456789abcdefE", "a$u1b$b_");
}

/* Every rule of the v0 grammar at least once, against c++filt. */
static void test_rust_v0(void **state)
{
	const char *names[] = {
		"_RNvC6_123foo3bar",
		"_RNvCs1234_7mycrate3foo",
		"_RNvNtCs1234_7mycrate3foo3barCs5678_5other",
		"_RNCNCNgCs6DXkGYLi8lr_2cc5spawn00B5_",
		/* NOLINTNEXTLINE(bugprone-suspicious-missing-comma): one name on two lines */
		"_RNCINkXs25_NgCsbmNqQUJIY6D_4core5sliceINyB9_4IterhENuNgNoBb_4iter8iterator8Iterator9rposi"
		"tionNCNgNpB9_6memchr7memrchrs_0E0Bb_",
		"_RINbNbCskIICzLVDPPb_5alloc5alloc8box_freeDINbNiB4_5boxed5FnBoxuEp6OutputuEL_ECs1iopQbuBiw2_3"
		"std",
		"_RMC0INtC8arrayvec8ArrayVechKj7b_E",
		"_RMCs4fqI2P2rA04_13const_genericINtB0_8UnsignedKhb_E",
		"_RMCs4fqI2P2rA04_13const_genericINtB0_6SignedKsn98_E",
		"_RMCs4fqI2P2rA04_13const_genericINtB0_4BoolKb1_E",
		"_RMCs4fqI2P2rA04_13const_genericINtB0_4CharKc76_E",
		"_RMCs4fqI2P2rA04_13const_genericINtB0_4CharKca_E",
		"_RMCs4fqI2P2rA04_13const_genericINtB0_3FooKpE",
		"_RINvC1a1bTEE",
		"_RINvC1a1bTaEE",
		"_RINvC1a1bTasEE",
		"_RINvC1a1bAhj20_SePmOxE",
		"_RINvC1a1bRhQhE",
		"_RINvC1a1bFUKCaEbE",
		"_RINvC1a1bFK6systemmEuE",
		"_RINvC1a1bFG_RL0_aEuE",
		"_RINvC1a1bFG0_RL1_aRL0_aEuE",
		"_RINvC1a1bDNtC1c1dEL_E",
		"_RINvC1a1bDNtC1c1dNtC1e4SendEL_E",
		"_RINvC1a1bDG_INtC1c1dL0_Ep4ItemRL0_aEL_E",
		"_RYNtC1a1bNtC1c1d",
		"_RNvYNtC1a1bNtC1c1d3foo",
		"_RNSC1a4shim",
		"_RNvC6_123foo3bar.llvm.9D1C9369",
	};
	char line[4096], path[128];
	FILE *f;

	(void)state;
	if (!have("c++filt"))
		skip();
	snprintf(path, sizeof(path), "%s/names", test_dir);
	f = fopen(path, "w");
	assert_non_null(f);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		fprintf(f, "%.*s\n", (int)strcspn(names[i], "."), names[i]);
	fclose(f);
	f = read_command("c++filt -i < names");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_non_null(fgets(line, sizeof(line), f));
		line[strcspn(line, "\n")] = '\0';
		check(names[i], line);
	}
	pclose(f);
}

/* Cut and changed names: no crash, no endless loop; back references to themselves and in chains. */
static void test_rust_v0_hostile(void **state)
{
	const char *good = "_RINvC1a1bDG_INtC1c1dL0_Ep4ItemRL0_aEL_FG0_RL1_aRL0_aEuAhj20_TasEB2_E";
	char name[4000];
	unsigned int seed = 3;

	(void)state;
	for (size_t len = 2; len <= strlen(good); len++) {
		snprintf(name, sizeof(name), "%.*s", (int)len, good);
		free(demangle(name));
	}
	for (int i = 0; i < 20000; i++) {
		strcpy(name, good);
		for (int k = rand_r(&seed) % 4; k >= 0; k--)
			name[2 + rand_r(&seed) % (strlen(good) - 2)] =
				"BCDEFGIKLMNSTX_sun0123aeb"[rand_r(&seed) % 25];
		free(demangle(name));
	}
	check("_RB_", NULL);
	check("_RNvB_1a", NULL);
	check("_RINvC1a1bB8_E", NULL);
	check("_RC18446744073709551617a", NULL);
	check("_RCszzzzzzzzzzzzzzz_1a", NULL);
	check("_RINvC1a1bKcffffffff_E", NULL);
	/* Tuples, each of the one before twice: its place is a number of two digits in base 62. */
	strcpy(name, "_RINvC1a1bTaaE");
	for (size_t i = 0, last = 8; i < 200; i++) {
		const char *digits =
			"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
		size_t here = strlen(name) - 2, place = last - 1;
		char ref[8] = { 'B' };

		if (place < 62)
			ref[1] = digits[place];
		else
			memcpy(ref + 1, (char[]){ digits[place / 62], digits[place % 62] }, 2);
		sprintf(name + strlen(name), "T%s_%s_E", ref, ref);
		last = here;
	}
	strcat(name, "E");
	check(name, NULL);
	memset(name, 'R', sizeof(name) - 1);
	memcpy(name, "_RINvC1a1b", 10);
	name[sizeof(name) - 1] = '\0';
	check(name, NULL);
}

static void test_not_mangled(void **state)
{
	const char *names[] = { "",
				"_",
				"_Z",
				"main",
				"Z3foo",
				"_ZN",
				"_ZN4",
				"_ZN4cor",
				"_ZN0E",
				"_ZN99999999999999999999999x17h0123456789abcdefE",
				"_ZN17h0123456789abcdefE.",
				"__Z3foov",
				"_Z\xff\xfe",
				"_ZN4294967296xE" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		free(demangle(names[i]));
	check("main", NULL);
	check("_Zfoo", NULL);
	check("_Z3foov", "foo()");
}

/* Each parameter twice the one before: without a limit, 2^300 bytes. */
static void test_exponential(void **state)
{
	struct rusage before, after;
	char name[4000], number[8];
	clock_t start = clock();

	(void)state;
	getrusage(RUSAGE_SELF, &before);
	strcpy(name, "_Z1f1AIiiE");
	for (unsigned int i = 0; i < 300; i++) {
		const char *digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

		if (i < 36)
			snprintf(number, sizeof(number), "%c", digits[i]);
		else
			snprintf(number, sizeof(number), "%c%c", digits[i / 36], digits[i % 36]);
		snprintf(name + strlen(name), sizeof(name) - strlen(name), "S_IS%s_S%s_E", number,
			 number);
	}
	check(name, NULL);
	/* Every shorter one is either refused or small. */
	for (size_t len = strlen(name); len > 10; len--) {
		name[len] = '\0';
		free(demangle(name));
	}
	getrusage(RUSAGE_SELF, &after);
	assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, 400 << 10);
	assert_in_range((clock() - start) / CLOCKS_PER_SEC, 0, 20);
}

/* Nesting that would overflow the stack, and names of megabytes. */
static void test_deep_and_long(void **state)
{
	size_t size = 4 << 20;
	char *name = malloc(size);

	(void)state;
	assert_non_null(name);
	for (size_t len = 100; len < size; len *= 8) {
		memset(name, 'P', len);
		memcpy(name, "_Z1f", 4);
		name[len - 1] = '\0';
		free(demangle(name));
		memset(name, 'I', len);
		memcpy(name, "_Z1fI", 5);
		name[len - 1] = '\0';
		free(demangle(name));
	}
	free(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libstdcxx),     cmocka_unit_test(test_rust),
		cmocka_unit_test(test_rust_v0),	      cmocka_unit_test(test_rust_v0_hostile),
		cmocka_unit_test(test_not_mangled),   cmocka_unit_test(test_exponential),
		cmocka_unit_test(test_deep_and_long),
	};

	return cmocka_run_group_tests(tests, make_test_dir, remove_test_dir);
}
