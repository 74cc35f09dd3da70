/* SPDX-License-Identifier: MIT */
/* USDT notes: operands in all forms, on this program's own probes, and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define SDT_USE_VARIADIC
#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>

#include "usdt.h"
#include "util.h"

#define NONE USDT_NO_REG
#define SITE 0x4000

/* Symbols for operands. */
volatile int usdt_test_global[8];
volatile unsigned short usdttest_guarded_semaphore __attribute__((section(".probes")));

static __attribute__((noinline)) void fire(int a, const char *b)
{
	STAP_PROBEV(usdttest, guarded, a, b, 5, usdt_test_global[3]);
	STAP_PROBEV(usdttest, guarded, b);
}

/* ---------------------------------------------------------------- operands ---- */

struct operand_case {
	const char *text;
	struct usdt_arg arg;
};

#define REG_ARG(size_, sign, reg_, shift_)                                             \
	{                                                                              \
		.kind = USDT_REG, .size = (size_), .is_signed = (sign), .reg = (reg_), \
		.index = NONE, .shift = (shift_)                                       \
	}
#define MEM_ARG(size_, sign, off_, reg_, index_, shift_)                               \
	{                                                                              \
		.kind = USDT_MEM, .size = (size_), .is_signed = (sign), .off = (off_), \
		.reg = (reg_), .index = (index_), .shift = (shift_)                    \
	}
#define CONST_ARG(size_, sign, off_)                                                     \
	{                                                                                \
		.kind = USDT_CONST, .size = (size_), .is_signed = (sign), .off = (off_), \
		.reg = NONE, .index = NONE                                               \
	}
#define NO_ARG(size_, sign)                                                           \
	{                                                                             \
		.kind = USDT_NONE, .size = (size_), .is_signed = (sign), .reg = NONE, \
		.index = NONE                                                         \
	}

static const struct operand_case x86_cases[] = {
	{ "8@%rdi", REG_ARG(8, 0, PROBE_RDI, 0) },
	{ "-8@%rax", REG_ARG(8, 1, PROBE_RAX, 0) },
	{ "-4@%edi", REG_ARG(4, 1, PROBE_RDI, 0) },
	{ "4@%r15d", REG_ARG(4, 0, PROBE_R15, 0) },
	{ "2@%r8w", REG_ARG(2, 0, PROBE_R8, 0) },
	{ "-2@%cx", REG_ARG(2, 1, PROBE_RCX, 0) },
	{ "1@%sil", REG_ARG(1, 0, PROBE_RSI, 0) },
	{ "1@%r10b", REG_ARG(1, 0, PROBE_R10, 0) },
	{ "-1@%ah", REG_ARG(1, 1, PROBE_RAX, 8) },
	{ "1@%dh", REG_ARG(1, 0, PROBE_RDX, 8) },
	{ "8@%rsp", REG_ARG(8, 0, PROBE_SP, 0) },
	{ "%rbp", REG_ARG(8, 0, PROBE_RBP, 0) },

	{ "4@$5", CONST_ARG(4, 0, 5) },
	{ "-4@$-7", CONST_ARG(4, 1, -7) },
	{ "4@$-1", CONST_ARG(4, 0, 0xffffffff) },
	{ "1@$255", CONST_ARG(1, 0, 255) },
	{ "-1@$255", CONST_ARG(1, 1, -1) },
	{ "8@$-1", CONST_ARG(8, 0, -1) },
	{ "8@$0x7fffffffffffffff", CONST_ARG(8, 0, INT64_MAX) },

	{ "8@(%rdi)", MEM_ARG(8, 0, 0, PROBE_RDI, NONE, 0) },
	{ "-4@-20(%rbp)", MEM_ARG(4, 1, -20, PROBE_RBP, NONE, 0) },
	{ "8@8(%rsp)", MEM_ARG(8, 0, 8, PROBE_SP, NONE, 0) },
	{ "-4@-4(%rdi,%rsi,4)", MEM_ARG(4, 1, -4, PROBE_RDI, PROBE_RSI, 2) },
	{ "-1@-1(%rdx,%rcx)", MEM_ARG(1, 1, -1, PROBE_RDX, PROBE_RCX, 0) },
	{ "8@0x10(%r11,%r12,8)", MEM_ARG(8, 0, 16, PROBE_R11, PROBE_R12, 3) },
	{ "4@16(,%rax,2)", NO_ARG(4, 0) }, /* an address, in a program that is relocated */
	{ "-8(%rbp)", MEM_ARG(8, 0, -8, PROBE_RBP, NONE, 0) },
	{ "8@8+16(%rsp)", MEM_ARG(8, 0, 24, PROBE_SP, NONE, 0) },
	{ "8@16-8(%rsp)", MEM_ARG(8, 0, 8, PROBE_SP, NONE, 0) },

	{ "8f@%xmm0", { .kind = USDT_NONE, .size = 8, .is_float = 1, .reg = NONE, .index = NONE } },
	{ "4f@-8(%rbp)",
	  { .kind = USDT_MEM,
	    .size = 4,
	    .is_float = 1,
	    .off = -8,
	    .reg = PROBE_RBP,
	    .index = NONE } },
	{ "8@%fs:-8", NO_ARG(8, 0) },
	{ "8@%fs:(%rax)", NO_ARG(8, 0) },
	{ "8@no_such_symbol(%rip)", NO_ARG(8, 0) },
	{ "8@usdt_test_global@GOTPCREL(%rip)", NO_ARG(8, 0) },
	{ "8@12(%rip)", NO_ARG(8, 0) },
	{ "3@%eax", NO_ARG(8, 0) },
	{ "16@%rax", NO_ARG(8, 0) },
	{ "8@%r16", NO_ARG(8, 0) },
	{ "8@%r7", NO_ARG(8, 0) },
	{ "8@%r8x", NO_ARG(8, 0) },
	{ "8@%raxx", NO_ARG(8, 0) },
	{ "8@%", NO_ARG(8, 0) },
	{ "8@(%rdi", NO_ARG(8, 0) },
	{ "8@(%rdi,%rsi,3)", NO_ARG(8, 0) },
	{ "8@(%rdi,%rsi,99999999999999999999)", NO_ARG(8, 0) },
	{ "8@(%rdi)x", NO_ARG(8, 0) },
	{ "8@", NO_ARG(8, 0) },
	{ "8@$", NO_ARG(8, 0) },
};

static const struct operand_case arm64_cases[] = {
	{ "8@x0", REG_ARG(8, 0, 0, 0) },
	{ "-4@w19", REG_ARG(4, 1, 19, 0) },
	{ "8@sp", REG_ARG(8, 0, 31, 0) },
	{ "-4@5", CONST_ARG(4, 1, 5) },
	{ "-4@-5", CONST_ARG(4, 1, -5) },
	{ "8@[sp]", MEM_ARG(8, 0, 0, 31, NONE, 0) },
	{ "-4@[sp, 60]", MEM_ARG(4, 1, 60, 31, NONE, 0) },
	{ "8@[x19,8]", MEM_ARG(8, 0, 8, 19, NONE, 0) },
	{ "8@[x19, #-16]", MEM_ARG(8, 0, -16, 19, NONE, 0) },
	{ "8@x31", NO_ARG(8, 0) },
	{ "8@[x19", NO_ARG(8, 0) },
	{ "8@[x19, x20]", NO_ARG(8, 0) },
	{ "8@%rdi", NO_ARG(8, 0) },
};

static struct elf_file *open_self(void)
{
	struct elf_file *f = elf_open_fd(open("/proc/self/exe", O_RDONLY));

	assert_non_null(f);
	return f;
}

static void check_operands(struct elf_file *f, const struct operand_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct usdt_arg *want = &cases[i].arg;
		struct usdt_spec spec;
		const struct usdt_arg *got = &spec.args[0];
		int err = usdt_parse(f, SITE, cases[i].text, &spec);

		if (err != (want->kind == USDT_NONE) || spec.nr != 1 ||
		    memcmp(got, want, sizeof(*want)) != 0)
			fail_msg(
				"%s: %d, %u arguments; kind %u size %u%s%s off %lld reg %u index %u "
				"shift %u",
				cases[i].text, err, spec.nr, got->kind, got->size,
				got->is_signed ? " signed" : "", got->is_float ? " float" : "",
				(long long)got->off, got->reg, got->index, got->shift);
	}
}

static void test_operands(void **state)
{
	struct elf_file *f = open_self();

	(void)state;
	check_operands(f, x86_cases, ARRAY_SIZE(x86_cases));
	f->machine = EM_AARCH64;
	check_operands(f, arm64_cases, ARRAY_SIZE(arm64_cases));
	elf_close(f);
}

static void test_several(void **state)
{
	struct elf_file *f = open_self();
	struct usdt_spec spec = { .nr = 99 };

	(void)state;
	assert_int_equal(usdt_parse(f, SITE, "", &spec), 0);
	assert_int_equal(spec.nr, 0);
	assert_int_equal(usdt_parse(f, SITE, " 8@%rdi  8@%xmm1 -4@$3 ", &spec), 1);
	assert_int_equal(spec.nr, 3);
	assert_int_equal(spec.args[2].off, 3);
	assert_int_equal(usdt_parse(f, SITE,
				    "1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 "
				    "1@$1 1@$1",
				    &spec),
			 0);
	assert_int_equal(spec.nr, 12);
	assert_int_equal(usdt_parse(f, SITE,
				    "1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 "
				    "1@$1 1@$1 1@$1",
				    &spec),
			 -E2BIG);
	elf_close(f);
}

/* Relative to the instruction pointer at the site: as far as the two are apart in memory. */
static void test_symbols(void **state)
{
	struct elf_file *f = open_self();
	struct usdt_list l;
	struct usdt_spec spec;
	uint64_t there = 0;

	(void)state;
	fire(1, "x");
	assert_int_equal(usdt_list_init(&l, f, NULL, false), 0);
	assert_int_equal(
		usdt_parse(f, SITE,
			   "-4@usdt_test_global(%rip) -4@12+usdt_test_global(%rip) "
			   "-4@usdt_test_global+12(%rip) 8@usdttest_guarded_semaphore(%rip)",
			   &spec),
		0);
	there = spec.args[0].off + SITE;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(spec.args[i].kind, USDT_MEM);
		assert_int_equal(spec.args[i].reg, PROBE_IP);
	}
	assert_int_equal(spec.args[1].off, spec.args[0].off + 12);
	assert_int_equal(spec.args[2].off, spec.args[0].off + 12);
	assert_int_equal(spec.args[3].off + SITE, l.items[0].semaphore);
	/* And by the dynamic linker's account. */
	assert_int_equal((uintptr_t)&usdttest_guarded_semaphore - (uintptr_t)usdt_test_global,
			 l.items[0].semaphore - there);
	usdt_list_release(&l);
	elf_close(f);
}

/* ---------------------------------------------------------------- lists ---- */

static void test_own_probes(void **state)
{
	struct elf_file *f = open_self();
	struct probe_code *code = probe_code_new(f);
	struct usdt_list l;

	(void)state;
	assert_non_null(code);
	assert_int_equal(usdt_list_init(&l, f, code, false), 0);
	assert_int_equal(l.nr, 2);
	assert_int_equal(l.nr_bad, 0);
	for (size_t i = 0; i < l.nr; i++) {
		const struct usdt_probe *p = &l.items[i];
		uint16_t counter = 1;

		assert_string_equal(p->provider, "usdttest");
		assert_string_equal(p->name, "guarded");
		assert_int_equal(p->site_err, 0);
		assert_int_equal(p->site.class, PROBE_EMULATED);
		assert_int_equal(p->site.size, 1);
		assert_int_equal(elf_read(f, p->semaphore_offset, &counter, 2), 0);
		assert_int_equal(counter, 0);
	}
	assert_true(l.items[0].vaddr < l.items[1].vaddr);
	assert_int_equal(l.items[0].spec.nr + l.items[1].spec.nr, 5);
	usdt_list_release(&l);
	probe_code_free(code);
	elf_close(f);
}

static void test_names(void **state)
{
	const struct usdt_probe p = { .provider = "postgresql", .name = "query__start" };
	char longest[600];

	(void)state;
	assert_true(usdt_matches(&p, "query__start"));
	assert_true(usdt_matches(&p, "postgresql:query__start"));
	assert_true(usdt_matches(&p, "post*:*start"));
	assert_true(usdt_matches(&p, "*:*"));
	assert_true(usdt_matches(&p, "postgresql:query-start"));
	assert_true(usdt_matches(&p, "query-st*"));
	assert_false(usdt_matches(&p, "query_start"));
	assert_false(usdt_matches(&p, "mysql:query__start"));
	assert_false(usdt_matches(&p, "postgresql:"));
	assert_false(usdt_matches(&p, ":query__start"));
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_false(usdt_matches(&p, longest));
	longest[500] = ':';
	assert_false(usdt_matches(&p, longest));
}

static void suggests(const char *mistyped, const char *expected)
{
	struct usdt_probe probes[] = {
		{ .provider = "app", .name = "request__done" },
		{ .provider = "app", .name = "request__start" },
		{ .provider = "app", .name = "request__start" }, /* a second site */
		{ .provider = "db", .name = "commit" },
	};
	struct usdt_list l = { .items = probes, .nr = ARRAY_SIZE(probes) };
	struct suggest s;
	struct strbuf b;

	strbuf_init(&b);
	suggest_init(&s, mistyped);
	usdt_suggest(&l, &s);
	suggest_put(&s, &b);
	assert_string_equal(strbuf_str(&b), expected);
	suggest_release(&s);
	strbuf_release(&b);
}

static void test_suggestions(void **state)
{
	(void)state;
	suggests("request__strat", "request__start, request__done");
	suggests("request_done", "request__done");
	suggests("app:request_done", "app:request__done, app:request__start");
	suggests("comit", "commit");
	suggests("db:comit", "db:commit");
	suggests("nothing_like_it", "");
	suggests("", "");
}

/* ---------------------------------------------------------------- hostile ---- */

static char *read_self(size_t *ret_size, size_t *ret_notes, size_t *ret_notes_size)
{
	struct elf_file *f = open_self();
	struct elf_slice notes;
	char *image, *at;

	assert_int_equal(elf_section(f, ".note.stapsdt", &notes), 0);
	image = read_file_at(AT_FDCWD, "/proc/self/exe", 1 << 28, ret_size);
	assert_non_null(image);
	at = memmem(image, *ret_size, notes.data, notes.size);
	assert_non_null(at);
	*ret_notes = at - image;
	*ret_notes_size = notes.size;
	elf_close(f);
	return image;
}

/* Bytes of the notes changed one after the other, and all from some place on. */
static void test_damaged_notes(void **state)
{
	size_t size, notes, notes_size;
	char *original = read_self(&size, &notes, &notes_size);
	uint64_t random = 1;

	(void)state;
	for (size_t i = 0; i < notes_size + 64; i++) {
		char *image = malloc(size);
		struct elf_file *f;
		struct usdt_list l;

		assert_non_null(image);
		memcpy(image, original, size);
		for (size_t j = i < notes_size ? i : (i - notes_size) * notes_size / 64;
		     j < notes_size; j++) {
			random = hash_bytes(&random, sizeof(random));
			image[notes + j] = random >> 32;
			if (i < notes_size)
				break;
		}
		f = elf_open_memory(image, size);
		assert_non_null(f);
		assert_int_equal(usdt_list_init(&l, f, NULL, false), 0);
		usdt_list_release(&l);
		elf_close(f);
	}
	free(original);
}

static void test_random_operands(void **state)
{
	static const char alphabet[] = "0123456789@%$()-+,fraxbedilspx_ []#";
	struct elf_file *f = open_self();
	uint64_t random = 2;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct usdt_spec spec;
		char text[40];

		for (size_t j = 0; j < sizeof(text) - 1; j++) {
			random = hash_bytes(&random, sizeof(random));
			text[j] = alphabet[(random >> 32) % (sizeof(alphabet) - 1)];
		}
		text[sizeof(text) - 1] = '\0';
		f->machine = i % 2 ? EM_X86_64 : EM_AARCH64;
		if (usdt_parse(f, SITE, text, &spec) >= 0)
			assert_in_range(spec.nr, 0, USDT_MAX_ARGS);
	}
	elf_close(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operands),      cmocka_unit_test(test_several),
		cmocka_unit_test(test_symbols),	      cmocka_unit_test(test_own_probes),
		cmocka_unit_test(test_names),	      cmocka_unit_test(test_suggestions),
		cmocka_unit_test(test_damaged_notes), cmocka_unit_test(test_random_operands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
