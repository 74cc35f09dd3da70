/* SPDX-License-Identifier: MIT */
/*
 * Damaged and hostile files: cut at many lengths, bytes changed at random and on purpose. Every
 * look-up must give frames with names, in bounded time and memory; the sanitizers watch.
 */
#include "symtest.h"

#include <gelf.h>
#include <sys/resource.h>

#define FIRST_ADDR 0x1000
#define LAST_ADDR  0x1800

static char *image;
static size_t image_size;

/* A small program with everything in it; `sections` says how its debug sections are stored. */
static void build(const char *flags)
{
	char path[128];

	if (!have("gcc"))
		skip();
	must_run("gcc -g -O2 %s %s -o built", flags, workload("sym_inlines.c"));
	snprintf(path, sizeof(path), "%s/built", test_dir);
	free(image);
	image = read_file_at(AT_FDCWD, path, 1 << 24, &image_size);
	assert_non_null(image);
}

/* Look addresses up in a copy of `size` bytes of `data`. */
static void probe(const char *data, size_t size)
{
	const struct sym_frame *frames;
	struct symbolizer *s;
	struct elf_file *elf;
	struct sym_object *o;
	char *copy;

	copy = malloc(size + !size);
	assert_non_null(copy);
	memcpy(copy, data, size);
	elf = elf_open_memory(copy, size);
	if (!elf)
		return;
	s = symbolizer_new();
	assert_non_null(s);
	o = symbolizer_add(s, elf, "/no/such/file", -1);
	assert_non_null(o);
	for (uint64_t at = FIRST_ADDR; at < LAST_ADDR; at += 5) {
		int n = sym_object_lookup(o, at, &frames);

		assert_in_range(n, 1, 1000);
		for (int i = 0; i < n; i++) {
			assert_non_null(frames[i].function);
			assert_non_null(frames[i].linkage);
			assert_int_equal(frames[i].inlined, i + 1 < n);
		}
	}
	symbolizer_free(s);
	elf_close(elf);
}

static void test_truncated(void **state)
{
	(void)state;
	build("");
	for (size_t size = 0; size < image_size; size += image_size / 199)
		probe(image, size);
}

/* Changes near each other break one structure in several ways, scattered ones several structures. */
static void change_bytes(char *copy, unsigned int *seed)
{
	size_t base = rand_r(seed) % image_size;
	int n = 1 + rand_r(seed) % 16;

	for (int i = 0; i < n; i++) {
		size_t at = rand_r(seed) & 1 ? base + rand_r(seed) % 64 : (size_t)rand_r(seed);

		copy[at % image_size] = rand_r(seed) & 3 ? rand_r(seed) : 0xff;
	}
}

static void fuzz(const char *flags, unsigned int rounds)
{
	unsigned int seed = 4711;
	char *copy;

	build(flags);
	copy = malloc(image_size);
	assert_non_null(copy);
	for (unsigned int i = 0; i < rounds; i++) {
		memcpy(copy, image, image_size);
		change_bytes(copy, &seed);
		probe(copy, image_size);
	}
	free(copy);
}

static void test_changed_bytes(void **state)
{
	(void)state;
	fuzz("", 400);
	fuzz("-gz", 100);
	fuzz("-gdwarf-4", 100);
}

/* Where a section's bytes are in the image; its header in *ret. */
static char *section(char *data, const char *name, Elf64_Shdr **ret)
{
	Elf64_Ehdr *eh = (Elf64_Ehdr *)data;
	Elf64_Shdr *sh = (Elf64_Shdr *)(data + eh->e_shoff);

	for (int i = 0; i < eh->e_shnum; i++)
		if (!strcmp(data + sh[eh->e_shstrndx].sh_offset + sh[i].sh_name, name)) {
			if (ret)
				*ret = &sh[i];
			return data + sh[i].sh_offset;
		}
	fail_msg("no section %s", name);
	return NULL;
}

/* Each section in turn filled with the same byte: offsets, counts and lengths of -1, 0, 1. */
static void test_filled_sections(void **state)
{
	const char *names[] = { ".debug_info",	  ".debug_abbrev",   ".debug_line", ".debug_str",
				".debug_aranges", ".debug_rnglists", ".eh_frame",   ".symtab",
				".strtab",	  ".dynsym",	     ".dynstr",	    ".rela.plt",
				".shstrtab" };
	const int fills[] = { 0xff, 0, 1, 0x7f, 0x80 };
	char *copy;

	(void)state;
	build("");
	copy = malloc(image_size);
	assert_non_null(copy);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		for (size_t k = 0; k < ARRAY_SIZE(fills); k++) {
			Elf64_Shdr *sh;
			char *at;

			memcpy(copy, image, image_size);
			at = section(copy, names[i], &sh);
			memset(at, fills[k], sh->sh_size);
			probe(copy, image_size);
		}
	free(copy);
}

/* A section that says it decompresses to a terabyte must not be believed. */
static void test_giant_sections(void **state)
{
	struct rusage before, after;
	Elf64_Shdr *sh;
	char *copy;

	(void)state;
	build("-gz");
	copy = malloc(image_size);
	assert_non_null(copy);
	memcpy(copy, image, image_size);
	((Elf64_Chdr *)section(copy, ".debug_info", NULL))->ch_size = (uint64_t)1 << 40;
	getrusage(RUSAGE_SELF, &before);
	probe(copy, image_size);
	memcpy(copy, image, image_size);
	section(copy, ".symtab", &sh);
	sh->sh_size = (uint64_t)1 << 40;
	probe(copy, image_size);
	getrusage(RUSAGE_SELF, &after);
	assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, 200 << 10);
	free(copy);
}

static FILE *create(const char *name)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", test_dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	return f;
}

static void put(FILE *f, const void *bytes, size_t n)
{
	assert_int_equal(fwrite(bytes, 1, n, f), n);
}

/*
 * Debug information made to be slow, in place of the real one: a unit of DIEs of one byte, each
 * with the abbreviation `attributes`, which take no room in a DIE.
 */
static void write_dwarf(const char *pair, unsigned int attributes, uint32_t dies)
{
	static const uint64_t start = FIRST_ADDR;
	static const uint32_t size = 0x400; /* within the executable segment */
	uint32_t length = 8 + 1 + 12 + dies;
	FILE *f = create("abbrev");

	/* 1: DW_TAG_compile_unit with children, DW_AT_low_pc addr, DW_AT_high_pc data4 */
	put(f, "\1\x11\1\x11\1\x12\6\0\0", 9);
	/* 2: DW_TAG_subprogram without children */
	put(f, "\2\x2e\0", 3);
	for (unsigned int i = 0; i < attributes; i++)
		put(f, pair, 2);
	put(f, "\0\0\0", 3);
	assert_int_equal(fclose(f), 0);
	f = create("info");
	put(f, &length, 4);
	put(f, "\5\0\1\x08\0\0\0\0\1", 9); /* version, DW_UT_compile, address size, abbrev, DIE */
	put(f, &start, 8);
	put(f, &size, 4);
	for (uint32_t i = 0; i < dies; i++)
		put(f, "\2", 1);
	assert_int_equal(fclose(f), 0);
	must_run("objcopy --update-section .debug_info=info --update-section .debug_abbrev=abbrev "
		 "built slow");
}

static void probe_file(const char *name, unsigned int seconds)
{
	char path[128], *data;
	size_t size;

	snprintf(path, sizeof(path), "%s/%s", test_dir, name);
	data = read_file_at(AT_FDCWD, path, 1 << 26, &size);
	assert_non_null(data);
	alarm(seconds);
	probe(data, size);
	alarm(0);
	free(data);
}

/* Every step over a DIE reads 300000 attributes (DW_AT_name, DW_FORM_flag_present). */
static void test_quadratic(void **state)
{
	(void)state;
	build("");
	write_dwarf("\x34\x19", 300000, 300000);
	probe_file("slow", 60);
}

static int finish(void **state)
{
	free(image);
	return remove_test_dir(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_truncated),	cmocka_unit_test(test_changed_bytes),
		cmocka_unit_test(test_filled_sections), cmocka_unit_test(test_giant_sections),
		cmocka_unit_test(test_quadratic),
	};

	return cmocka_run_group_tests(tests, make_test_dir, finish);
}
