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

static void put_uleb(char **p, unsigned int value)
{
	do {
		*(*p)++ = (value & 0x7f) | (value > 0x7f ? 0x80 : 0);
		value >>= 7;
	} while (value);
}

/*
 * Debug information made to be slow, in place of the real one: an abbreviation with thousands of
 * attributes that take no room (DW_FORM_flag_present), used by each of thousands of one-byte DIEs.
 */
static void test_quadratic(void **state)
{
	Elf64_Shdr *info, *abbrev;
	uint64_t start;
	char *copy, *p, *end;
	uint32_t length;

	(void)state;
	build("-fno-lto");
	copy = malloc(image_size);
	assert_non_null(copy);
	memcpy(copy, image, image_size);
	p = section(copy, ".debug_abbrev", &abbrev);
	end = p + abbrev->sh_size - 16;
	put_uleb(&p, 1); /* the unit: DW_TAG_compile_unit, children, low_pc and high_pc */
	memcpy(p, "\x11\x01\x11\x01\x12\x06\0\0", 8);
	p += 8;
	put_uleb(&p, 2); /* DW_TAG_subprogram, no children, then attributes of no size */
	memcpy(p, "\x2e\0", 2);
	for (p += 2; p < end; p += 2)
		memcpy(p, "\x34\x19", 2);
	memset(p, 0, 8);
	p = section(copy, ".debug_info", &info);
	length = info->sh_size - 4;
	memcpy(p, &length, 4);
	memcpy(p + 4, "\x05\0\x01\x08\0\0\0\0\x01", 9);
	start = FIRST_ADDR;
	memcpy(p + 13, &start, 8);
	memcpy(p + 21, "\0\x10\0\0", 4);
	memset(p + 25, 2, info->sh_size - 25);
	alarm(60);
	probe(copy, image_size);
	alarm(0);
	free(copy);
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
