/* SPDX-License-Identifier: MIT */
/*
 * Damaged files: ELF headers and .eh_frame sections with bytes changed, cut and repeated. Under
 * the sanitizers, nothing may be read that is not there, and work stays within bounds; what is
 * built must still be a table that answers every address.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ehframe.h"
#include "unwind_table.h"
#include "util.h"

static uint64_t seed = 88172645463325252ULL;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static void *read_whole(const char *path, size_t *size)
{
	void *p = read_file_at(AT_FDCWD, path, 64 << 20, size);

	if (!p)
		fail_msg("%s: %s", path, strerror(errno));
	return p;
}

/* Rows of a table in order, inside the text; marks and rules that exist. */
static void check_table(const struct unwind_table *t)
{
	const struct unwind_row *rows =
		(const struct unwind_row *)(t->words + UNWIND_INDEX_WORDS(t->nr_blocks));

	for (uint32_t i = 0; i < t->nr_rows; i++) {
		if (i)
			assert_true(rows[i - 1].pc < rows[i].pc);
		if (rows[i].cfa >> UNWIND_KIND_SHIFT == UNWIND_RULE)
			assert_non_null(unwind_table_rule(t, &rows[i]));
		if (rows[i].cfa >> UNWIND_KIND_SHIFT == UNWIND_MARK)
			assert_in_range(rows[i].cfa & UNWIND_PARAM_MASK, 1, UNWIND_NR_ENDS - 1);
	}
	for (uint64_t pc = 0; pc < (uint64_t)t->nr_blocks << UNWIND_BLOCK_SHIFT; pc += 509)
		assert_non_null(unwind_table_row(t, t->base + pc));
}

/* Builds a table from an image, which it takes; whatever comes of it must be consistent. */
static void try_image(void *image, size_t size)
{
	struct elf_file *f = elf_open_memory(image, size);
	struct unwind_table t;

	if (!f)
		return;
	if (!unwind_table_init(&t, f)) {
		check_table(&t);
		unwind_table_release(&t);
	}
	elf_close(f);
}

static void *copy_of(const void *data, size_t size)
{
	void *p = malloc(size);

	assert_non_null(p);
	return memcpy(p, data, size);
}

static void *subject;
static size_t subject_size;

/* A small ELF file with everything in it: jansson is 60 KB. */
static int load_subject(void **state)
{
	(void)state;
	subject = read_whole("/usr/lib/x86_64-linux-gnu/libjansson.so.4", &subject_size);
	return 0;
}

static int free_subject(void **state)
{
	(void)state;
	free(subject);
	return 0;
}

static void test_truncated(void **state)
{
	(void)state;
	for (size_t size = 1; size < subject_size; size += size < 4096 ? 7 : 997)
		try_image(copy_of(subject, size), size);
}

static void test_flipped_headers(void **state)
{
	(void)state;
	for (int i = 0; i < 600; i++) {
		uint8_t *image = copy_of(subject, subject_size);

		/* The ELF and program headers, or the section headers at the end. */
		for (int j = 0; j < 3; j++) {
			uint64_t r = next_random();
			size_t at = r & 1 ? (r >> 8) % 1024 : subject_size - 1 - (r >> 8) % 2048;

			image[at] = r >> 40;
		}
		try_image(image, subject_size);
	}
}

static int count_rows(void *cookie, uint64_t pc, enum unwind_end mark,
		      const struct unwind_rule *rule)
{
	struct {
		size_t n;
		uint64_t last;
	} *c = cookie;

	(void)mark;
	(void)rule;
	if (c->n)
		assert_true(pc >= c->last);
	c->last = pc;
	c->n++;
	return 0;
}

static void try_section(const uint8_t *data, size_t size)
{
	struct elf_slice s = { 0x10000, data, size };
	struct {
		size_t n;
		uint64_t last;
	} c = { 0 };
	struct ehframe e;

	assert_int_equal(ehframe_init(&e, &s), 0);
	assert_int_equal(ehframe_rows(&e, count_rows, &c), 0);
	/* No instruction makes more than one row, no function more than two besides. */
	assert_true(c.n <= size + 2 * e.nr_fdes + 2);
	/* The same bytes once more, by the other section's rules, on top of what was found. */
	c.n = 0;
	assert_int_equal(ehframe_add_debug(&e, &s), 0);
	assert_int_equal(ehframe_rows(&e, count_rows, &c), 0);
	assert_true(c.n <= 2 * size + 2 * e.nr_fdes + 2);
	ehframe_release(&e);
}

static void section_of(const char *path, uint8_t **data, size_t *size)
{
	struct elf_file *f = elf_open_fd(open(path, O_RDONLY));
	struct elf_slice s;

	assert_non_null(f);
	assert_int_equal(elf_eh_frame(f, &s), 0);
	*data = copy_of(s.data, s.size);
	*size = s.size;
	elf_close(f);
}

static void test_flipped_section(void **state)
{
	uint8_t *data, *copy;
	size_t size;

	(void)state;
	section_of("/usr/lib/x86_64-linux-gnu/libjansson.so.4", &data, &size);
	for (int i = 0; i < 1500; i++) {
		copy = copy_of(data, size);
		for (int j = 0; j < 1 + i % 20; j++) {
			uint64_t r = next_random();

			copy[(r >> 8) % size] = r & 0x80 ? 0xff : r >> 56;
		}
		try_section(copy, size);
		free(copy);
	}
	for (size_t cut = 0; cut < size; cut += 13) {
		copy = copy_of(data, cut + 1);
		try_section(copy, cut + 1);
		free(copy);
	}
	free(data);
}

static void test_noise(void **state)
{
	uint8_t noise[4096];

	(void)state;
	for (int i = 0; i < 500; i++) {
		for (size_t j = 0; j < sizeof(noise); j++)
			noise[j] = next_random() >> 13;
		/* An entry of a believable length first, else nothing is looked at. */
		memcpy(noise, &(uint32_t){ 200 }, 4);
		memcpy(noise + 4, &(uint32_t){ 0 }, 4);
		try_section(noise, sizeof(noise));
	}
}

static void test_no_elf(void **state)
{
	uint8_t elf32[64] = { 0x7f, 'E', 'L', 'F', 1, 1, 1 };

	(void)state;
	assert_null(elf_open_memory(strdup("#!/bin/sh\n"), 10));
	assert_int_equal(errno, ENOEXEC);
	assert_null(elf_open_memory(copy_of(elf32, sizeof(elf32)), sizeof(elf32)));
	assert_int_equal(errno, ENOTSUP);
	assert_null(elf_open_fd(open("/dev/null", O_RDONLY)));
	assert_int_equal(errno, ENOEXEC);
}

/* A file that loses its end after it was opened: an error, not SIGBUS. */
static void test_shrinking_file(void **state)
{
	int fd = memfd_create("shrinking", 0);
	struct elf_slice s;
	struct elf_file *f;

	(void)state;
	assert_int_equal(write(fd, subject, subject_size), subject_size);
	f = elf_open_fd(dup(fd));
	assert_non_null(f);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_not_equal(elf_section(f, ".text", &s), 0);
	elf_close(f);
	close(fd);
}

/* A file without section headers, as sstrip leaves it, unwinds by PT_GNU_EH_FRAME. */
static void test_no_section_headers(void **state)
{
	uint8_t *image = copy_of(subject, subject_size);
	struct unwind_table with, without;
	struct elf_file *f, *g;

	(void)state;
	memset(image + 40, 0, 8);     /* e_shoff */
	memset(image + 60, 0, 2 + 2); /* e_shnum, e_shstrndx */
	f = elf_open_memory(copy_of(subject, subject_size), subject_size);
	g = elf_open_memory(image, subject_size);
	assert_non_null(f);
	assert_non_null(g);
	assert_int_equal(unwind_table_init(&with, f), 0);
	assert_int_equal(unwind_table_init(&without, g), 0);
	assert_int_equal(with.nr_words, without.nr_words);
	assert_memory_equal(with.words, without.words, with.nr_words * sizeof(*with.words));
	unwind_table_release(&with);
	unwind_table_release(&without);
	elf_close(f);
	elf_close(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped_headers),
		cmocka_unit_test(test_flipped_section),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_no_elf),
		cmocka_unit_test(test_shrinking_file),
		cmocka_unit_test(test_no_section_headers),
	};

	return cmocka_run_group_tests(tests, load_subject, free_subject);
}
