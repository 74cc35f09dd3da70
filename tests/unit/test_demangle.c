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
	/* v0 stays as it is. */
	check("_RNvC6_123foo3bar", NULL);
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
		cmocka_unit_test(test_not_mangled),   cmocka_unit_test(test_exponential),
		cmocka_unit_test(test_deep_and_long),
	};

	return cmocka_run_group_tests(tests, make_test_dir, remove_test_dir);
}
