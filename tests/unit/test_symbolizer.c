/* SPDX-License-Identifier: MIT */
/*
 * Names, lines and inlined calls against addr2line (binutils) and llvm-symbolizer: on every address
 * of small programs built in several ways, and on a sample of libc with its separate debug file.
 */
#include "symtest.h"

#define MAX_CHAIN 64

struct row {
	char function[1024];
	char file[256]; /* last part */
	unsigned int line;
};

struct chain {
	uint64_t addr;
	struct row rows[MAX_CHAIN];
	int n;
	bool guessed; /* ours: no function, only padding between two */
};

/* Names as both sides may know them: without the suffix of a clone (`f.cold`, `f.constprop.0`). */
static void set_row(struct row *r, const char *function, const char *file, unsigned int line)
{
	const char *slash = strrchr(file, '/');

	memset(r, 0, sizeof(*r));
	snprintf(r->function, sizeof(r->function), "%s", function);
	if (r->function[0] != '.')
		r->function[strcspn(r->function, ".")] = '\0';
	snprintf(r->file, sizeof(r->file), "%s", slash ? slash + 1 : file);
	r->line = line;
}

/*
 * The next answer of a tool that prints an address, then pairs of a line with the function and a
 * line `FILE:LINE (discriminator N)`. Returns false at the end.
 */
static bool next_chain(FILE *f, struct chain *c)
{
	char function[4096], place[4096], *colon;
	long at;

	do {
		if (!fgets(function, sizeof(function), f))
			return false;
	} while (strncmp(function, "0x", 2));
	memset(c, 0, sizeof(*c));
	c->addr = strtoull(function, NULL, 16);
	for (;;) {
		at = ftell(f);
		if (!fgets(function, sizeof(function), f))
			break;
		if (function[0] == '\n')
			continue;
		if (!strncmp(function, "0x", 2)) {
			fseek(f, at, SEEK_SET);
			break;
		}
		assert_non_null(fgets(place, sizeof(place), f));
		function[strcspn(function, "\n")] = '\0';
		place[strcspn(place, "\n")] = '\0';
		colon = strrchr(place, ':');
		assert_non_null(colon);
		*colon = '\0';
		if (c->n < MAX_CHAIN)
			set_row(&c->rows[c->n++], function, place, strtoul(colon + 1, NULL, 10));
	}
	return true;
}

static void our_chain(struct subject *t, struct chain *c)
{
	const struct sym_frame *frames;
	int n = sym_object_lookup(t->object, c->addr, &frames);

	assert_in_range(n, 1, MAX_CHAIN);
	c->n = n;
	c->guessed = frames[n - 1].guessed;
	for (int i = 0; i < n; i++) {
		set_row(&c->rows[i], frames[i].linkage, frames[i].file ? frames[i].file : "??",
			frames[i].line);
		assert_int_equal(frames[i].inlined, i + 1 < n);
		assert_non_null(frames[i].function);
	}
}

static bool has_name(const struct nm_symbol *symbol, const char *name)
{
	size_t len = strlen(name);

	return !strncmp(symbol->name, name, len) &&
	       (!symbol->name[len] || symbol->name[len] == '.');
}

/* The same name, or both names of one address, as constructors have and whatever has aliases. */
static bool same_function(const struct nm_symbols *nm, const char *a, const char *b)
{
	if (!strcmp(a, b))
		return true;
	for (size_t i = 0; i < nm->n; i++) {
		if (!has_name(&nm->items[i], a))
			continue;
		for (size_t j = 0; j < nm->n; j++)
			if (nm->items[j].addr == nm->items[i].addr && has_name(&nm->items[j], b))
				return true;
	}
	return false;
}

/* Without `nm` the outermost function's name is not compared. */
static bool same_chain(const struct chain *a, const struct chain *b, const struct nm_symbols *nm)
{
	if (a->n != b->n)
		return false;
	for (int i = 0; i < a->n; i++) {
		if (strcmp(a->rows[i].file, b->rows[i].file) || a->rows[i].line != b->rows[i].line)
			return false;
		if (i + 1 < a->n
			    ? strcmp(a->rows[i].function, b->rows[i].function)
			    : nm && !same_function(nm, a->rows[i].function, b->rows[i].function))
			return false;
	}
	return true;
}

/* Write addresses of .text to `addrs`, at most about `limit`, spread evenly. */
static void write_addresses(const char *file, size_t limit)
{
	uint64_t start = 0, size = 0, step;
	char command[512], line[1024];
	FILE *f;

	snprintf(command, sizeof(command), "readelf -SW %s", file);
	f = read_command(command);
	while (fgets(line, sizeof(line), f)) {
		char *at = strstr(line, " .text ");

		if (at)
			assert_int_equal(sscanf(at, " .text PROGBITS %lx %*x %lx", &start, &size),
					 2);
	}
	pclose(f);
	assert_true(size);
	step = size / limit + 1;
	snprintf(line, sizeof(line), "%s/addrs", test_dir);
	f = fopen(line, "w");
	assert_non_null(f);
	for (uint64_t a = 0; a < size; a += step)
		fprintf(f, "0x%lx\n", start + a);
	fclose(f);
}

struct score {
	size_t asked, agreed, inlined, guessed;
};

/* Compare with what the tools wrote; an address counts as agreed when one of them says the same. */
static struct score compare_chains(const char *file, bool outermost_names)
{
	static struct chain theirs[2], ours;
	const char *outputs[] = { "a2l", "llvm" };
	struct score score = { 0 };
	struct nm_symbols nm;
	struct subject t;
	char path[256];
	FILE *f[2];

	nm_read(&nm, "", file);
	subject_open(&t, file);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", test_dir, outputs[i]);
		f[i] = fopen(path, "r");
	}
	assert_non_null(f[0]);
	while (next_chain(f[0], &theirs[0])) {
		const struct nm_symbols *names;
		bool agreed;

		ours.addr = theirs[0].addr;
		our_chain(&t, &ours);
		if (f[1])
			assert_true(next_chain(f[1], &theirs[1]));
		/* crtstuff.c has no debug information: both take the file from elsewhere. */
		if (!ours.rows[0].line && !strcmp(ours.rows[0].file, "??") &&
		    !theirs[0].rows[0].line)
			continue;
		names = outermost_names && !ours.guessed ? &nm : NULL;
		agreed = same_chain(&theirs[0], &ours, names) ||
			 (f[1] && same_chain(&theirs[1], &ours, names));
		score.asked++;
		score.agreed += agreed;
		score.inlined += ours.n > 1;
		score.guessed += ours.guessed;
		if (!agreed && score.asked - score.agreed < 4)
			print_message("%s %#lx: %s %s:%u and %d more, addr2line %s %s:%u and %d\n",
				      file, ours.addr, ours.rows[0].function, ours.rows[0].file,
				      ours.rows[0].line, ours.n - 1, theirs[0].rows[0].function,
				      theirs[0].rows[0].file, theirs[0].rows[0].line,
				      theirs[0].n - 1);
	}
	for (int i = 0; i < 2; i++)
		if (f[i])
			fclose(f[i]);
	subject_close(&t);
	free(nm.items);
	return score;
}

static struct score check_file(const char *file, size_t limit, bool outermost_names)
{
	bool llvm = have("llvm-symbolizer");

	write_addresses(file, limit);
	must_run("addr2line -afie %s < addrs > a2l", file);
	run("rm -f llvm");
	if (llvm)
		must_run("llvm-symbolizer --obj=%s --output-style=GNU --inlines --no-demangle "
			 "--addresses < addrs > llvm",
			 file);
	return compare_chains(file, outermost_names);
}

/* addr2line alone does not read all of clang's DWARF 5, so it is not asked for full agreement. */
static void assert_score(struct score s)
{
	size_t needed = have("llvm-symbolizer") ? s.asked : s.asked / 100 * 98;

	print_message("%zu addresses, %zu with inlined calls\n", s.asked, s.inlined);
	assert_in_range(s.agreed, needed, s.asked);
	assert_in_range(s.guessed, 0, s.asked / 10);
}

static void check_build(const char *compiler, const char *flags, const char *source, bool inlines)
{
	struct score s;

	if (!have(compiler))
		return;
	must_run("%s %s %s -o built", compiler, flags, workload(source));
	s = check_file("built", 4000, true);
	print_message("%s %s %s: ", compiler, flags, source);
	assert_score(s);
	assert_in_range(s.asked, 200, SIZE_MAX);
	if (inlines)
		assert_in_range(s.inlined, s.asked / 20, s.asked);
}

static void test_c_programs(void **state)
{
	(void)state;
	check_build("gcc", "-g -O0", "sym_inlines.c", true);
	check_build("gcc", "-g -O2", "sym_inlines.c", true);
	check_build("gcc", "-gdwarf-4 -O2", "sym_inlines.c", true);
	check_build("gcc", "-gdwarf-3 -gstrict-dwarf -O2", "sym_inlines.c", true);
	check_build("gcc", "-g -O2 -gz", "sym_inlines.c", true);
	check_build("gcc", "-g -O2 -flto", "sym_inlines.c", true);
	check_build("clang", "-g -O2", "sym_inlines.c", true);
}

static void test_cxx_programs(void **state)
{
	(void)state;
	check_build("g++", "-g -O0", "sym_templates.cc", false);
	check_build("g++", "-g -O2", "sym_templates.cc", true);
	check_build("g++", "-gdwarf-4 -O2 -ffunction-sections -Wl,--gc-sections",
		    "sym_templates.cc", true);
	check_build("clang++", "-g -O2", "sym_templates.cc", true);
}

/* Where the libc of this process is. */
static bool find_libc(char *path, size_t size)
{
	char line[4096];
	bool found = false;
	FILE *f = fopen("/proc/self/maps", "r");

	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f)) {
		char *at = strchr(line, '/');

		if (!at || !strstr(at, "/libc.so.6"))
			continue;
		at[strcspn(at, "\n")] = '\0';
		snprintf(path, size, "%s", at);
		found = true;
	}
	fclose(f);
	return found;
}

static void test_libc_with_debug_file(void **state)
{
	struct subject t;
	char path[4096];
	struct score s;
	int quality;

	(void)state;
	if (!find_libc(path, sizeof(path)))
		skip();
	subject_open(&t, path);
	quality = sym_object_quality(t.object);
	subject_close(&t);
	if (quality || !have("llvm-symbolizer"))
		skip();
	s = check_file(path, 3000, false);
	/* All of it here; a libc of another day may hold a place that each of us reads differently. */
	assert_in_range(s.agreed, s.asked - s.asked / 200, s.asked);
	assert_in_range(s.inlined, s.asked / 20, s.asked);
}

/* The declaration's line is where the source has the function's name. */
static void test_start_line(void **state)
{
	struct nm_symbols symbols;
	char line[1024];
	struct subject t;
	unsigned int at = 0;
	FILE *f;

	(void)state;
	if (!have("gcc"))
		skip();
	must_run("gcc -g -O2 %s -o built", workload("sym_inlines.c"));
	nm_read(&symbols, "", "built");
	subject_open(&t, "built");
	f = fopen(workload("sym_inlines.c"), "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		at++;
		if (strstr(line, "int exported(int x)") || strstr(line, "int hidden(int x)"))
			assert_int_equal(
				outermost(&t, nm_find(&symbols, strstr(line, "hidden") ? "hidden"
										       : "exported")
						      ->addr)
					->start_line,
				at);
	}
	fclose(f);
	assert_true(sym_object_has_lines(t.object));
	subject_close(&t);
	free(symbols.items);
}

/* Asked again, the same answer is given: the very frames, at once. */
static void test_answers_are_kept(void **state)
{
	const struct sym_frame *first[500], *again;
	struct subject t;

	(void)state;
	if (!have("gcc"))
		skip();
	must_run("gcc -g -O2 %s -o built", workload("sym_inlines.c"));
	subject_open(&t, "built");
	for (int i = 0; i < 500; i++)
		assert_true(sym_object_lookup(t.object, 0x1000 + i * 7, &first[i]) > 0);
	for (int i = 0; i < 500; i++) {
		assert_true(sym_object_lookup(t.object, 0x1000 + i * 7, &again) > 0);
		assert_ptr_equal(again, first[i]);
	}
	subject_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_c_programs),	     cmocka_unit_test(test_cxx_programs),
		cmocka_unit_test(test_libc_with_debug_file), cmocka_unit_test(test_start_line),
		cmocka_unit_test(test_answers_are_kept),
	};

	return cmocka_run_group_tests(tests, make_test_dir, remove_test_dir);
}
