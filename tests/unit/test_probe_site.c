/* SPDX-License-Identifier: MIT */
/*
 * Where probes go, on code written byte by byte, each piece with what follows from it: the first
 * instruction that the kernel emulates, what has become of the arguments until there, and all that
 * keeps a probe from going there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "probe_code.h"
#include "probe_site.h"
#include "util.h"

#define BASE   0x10000 /* address of the code; its offset in the file is HEADER */
#define HEADER 0x1000

/* ---------------------------------------------------------------- a file of code ---- */

struct text {
	struct elf_file *elf;
	struct probe_code *code;
};

static struct text text_open_sized(const void *code, size_t size, uint64_t filesz)
{
	Elf64_Ehdr eh = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(eh),
		.e_ehsize = sizeof(eh),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
	};
	Elf64_Phdr ph = {
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_offset = HEADER,
		.p_vaddr = BASE,
		.p_filesz = filesz,
		.p_memsz = filesz,
		.p_align = 0x1000,
	};
	uint8_t *image = calloc(1, HEADER + size);
	struct text t;

	assert_non_null(image);
	memcpy(image, &eh, sizeof(eh));
	memcpy(image + sizeof(eh), &ph, sizeof(ph));
	memcpy(image + HEADER, code, size);
	t.elf = elf_open_memory(image, HEADER + size);
	assert_non_null(t.elf);
	t.code = probe_code_new(t.elf);
	return t;
}

static struct text text_open(const void *code, size_t size)
{
	struct text t = text_open_sized(code, size, size);

	assert_non_null(t.code);
	return t;
}

static void text_close(struct text *t)
{
	probe_code_free(t->code);
	elf_close(t->elf);
}

/* ---------------------------------------------------------------- cases ---- */

#define REGS(a, b, c, d, e, f)                                                   \
	{                                                                        \
		PROBE_##a, PROBE_##b, PROBE_##c, PROBE_##d, PROBE_##e, PROBE_##f \
	}
#define PROBE_LOST PROBE_ARG_LOST
#define ALL	   REGS(RDI, RSI, RDX, RCX, R8, R9)

struct site_case {
	const char *what;
	const char *code; /* hex; blanks between instructions */
	int at;		  /* bytes behind the entry, or a negative errno */
	enum probe_class class;
	uint8_t args[PROBE_NR_ARGS];
	uint32_t stack;
	struct probe_site_options o;
	bool skips_null, repeats, calls;
};

#define CASE(what_, code_, at_, class_) \
	.what = (what_), .code = (code_), .at = (at_), .class = PROBE_##class_

/* `calls`: the function is no leaf. */
static const struct site_case cases[] = {
	{ CASE("push at the entry", "4154 5b 5a c3", 0, EMULATED), .args = ALL },
	{ CASE("push of rbp", "55 4889e5 5d c3", 0, EMULATED), .args = ALL },
	{ CASE("nop", "90 c3", 0, EMULATED), .args = ALL },
	{ CASE("two-byte nop", "6690 c3", 0, EMULATED), .args = ALL },
	{ CASE("nothing but ret", "c3", 0, STEPPED), .args = ALL },
	{ CASE("nothing that is emulated", "b801000000 c3", 0, STEPPED), .args = ALL },
	{ CASE("endbr64, then push", "f30f1efa 55 5d c3", 4, EMULATED), .args = ALL },
	{ CASE("jmp to elsewhere", "e900100000", 0, EMULATED), .args = ALL, .calls = true },
	{ CASE("call first", "e800100000 c3", 0, EMULATED), .args = ALL, .calls = true },
	{ CASE("short jump forward", "eb00 c3", 0, EMULATED), .args = ALL },

	{ CASE("free of glibc: test, je", "4885ff 0f8401000000 55 5d c3", 3, EMULATED),
	  .args = ALL },
	{ CASE("the same, past the test", "4885ff 0f8402000000 55 5d c3", 9, EMULATED), .args = ALL,
	  .o = { .skip_null = true }, .skips_null = true },
	{ CASE("a test of another argument is not passed", "4885f6 7402 55 5d c3", 3, EMULATED),
	  .args = ALL, .o = { .skip_null = true } },
	{ CASE("nor one of half the register", "85ff 7402 55 5d c3", 2, EMULATED), .args = ALL,
	  .o = { .skip_null = true } },
	{ CASE("nor where something is in between", "4885ff 4883c601 7402 55 5d c3", 7, EMULATED),
	  .args = REGS(RDI, LOST, RDX, RCX, R8, R9), .o = { .skip_null = true } },
	{ CASE("nor jne", "4885ff 7502 55 5d c3", 3, EMULATED), .args = ALL,
	  .o = { .skip_null = true } },
	{ CASE("behind the test there is none", "4885ff 7403 4889f8 c3", 3, EMULATED), .args = ALL,
	  .o = { .skip_null = true } },

	{ CASE("a copied argument", "4889fb 31ff 53 5b c3", 5, EMULATED),
	  .args = REGS(RBX, RSI, RDX, RCX, R8, R9) },
	{ CASE("a copy of a copy", "4889f8 4889c6 31c0 31ff 53 5b c3", 10, EMULATED),
	  .args = REGS(RSI, LOST, RDX, RCX, R8, R9) },
	{ CASE("half a copy is none", "89fb 31ff 53 5b c3", 4, EMULATED),
	  .args = REGS(LOST, RSI, RDX, RCX, R8, R9) },
	{ CASE("an overwritten byte", "40b701 53 5b c3", 3, EMULATED),
	  .args = REGS(LOST, RSI, RDX, RCX, R8, R9) },
	{ CASE("an argument that is asked for", "31ff 53 5b c3", 0, STEPPED), .args = ALL,
	  .o = { .args = 1 } },
	{ CASE("another one is not", "31ff 53 5b c3", 2, EMULATED),
	  .args = REGS(LOST, RSI, RDX, RCX, R8, R9), .o = { .args = 2 } },
	{ CASE("lea", "488d7e08 53 5b c3", 4, EMULATED),
	  .args = REGS(LOST, RSI, RDX, RCX, R8, R9) },
	{ CASE("a comparison changes nothing", "4883ff08 53 5b c3", 4, EMULATED), .args = ALL },
	{ CASE("a store changes nothing", "488937 53 5b c3", 3, EMULATED), .args = ALL },
	{ CASE("conditional move", "480f44fe 53 5b c3", 4, EMULATED),
	  .args = REGS(LOST, RSI, RDX, RCX, R8, R9) },

	{ CASE("cmpxchg writes RAX unsaid: the path ends", "480fb137 53 5b c3", 0, STEPPED),
	  .args = ALL },
	{ CASE("so does a string move, which moves its pointers", "a5 53 5b c3", 0, STEPPED),
	  .args = ALL },
	{ CASE("and that of its doubles' name", "f20f10c1 53 5b c3", 4, EMULATED), .args = ALL },
	{ CASE("multiplication into RDX:RAX", "48f7e6 53 5b c3", 0, STEPPED), .args = ALL },
	{ CASE("multiplication into a register", "480faff7 53 5b c3", 4, EMULATED),
	  .args = REGS(RDI, LOST, RDX, RCX, R8, R9) },
	{ CASE("a system call ends the path", "0f05 53 5b c3", 0, STEPPED), .args = ALL },
	{ CASE("an indirect call, too", "ffd0 53 5b c3", 0, STEPPED), .args = ALL, .calls = true },

	{ CASE("stack pointer moved down", "4883ec18 7402 6690 4883c418 c3", 4, EMULATED),
	  .args = ALL, .stack = 24 },
	{ CASE("by addition of a negative number", "4883c480 7402 6690 c3", 4, EMULATED),
	  .args = ALL, .stack = 128 },
	{ CASE("by lea", "488d6424f0 7402 6690 c3", 5, EMULATED), .args = ALL, .stack = 16 },
	{ CASE("and up again", "4883ec18 4883c410 7402 6690 c3", 8, EMULATED), .args = ALL,
	  .stack = 8 },
	{ CASE("a pushed constant", "6a05 53 5b 5b c3", 2, EMULATED), .args = ALL, .stack = 8 },
	{ CASE("stack pointer rounded: the path ends", "4883e4f0 53 5b c3", 0, STEPPED),
	  .args = ALL },
	{ CASE("not by a multiple of 8", "4883ec0c 7402 6690 c3", 0, STEPPED), .args = ALL },
	{ CASE("returns: the stack pointer must be the entry's", "4883ec18 7402 6690 c3", 0,
	       STEPPED),
	  .args = ALL, .o = { .returns = true } },
	{ CASE("returns: it is", "4885ff 7402 6690 c3", 3, EMULATED), .args = ALL,
	  .o = { .returns = true } },

	{ CASE("a loop back to behind the entry", "31c0 4883c001 4839f8 75f7 c3", 0, STEPPED),
	  .args = ALL },
	{ CASE("a loop to the site itself", "31c0 7400 75fc c3", 0, STEPPED), .args = ALL },
	{ CASE("a loop to the entry repeats it", "55 5d 75fc c3", 0, EMULATED), .args = ALL,
	  .repeats = true },
	{ CASE("a loop behind the site is nobody's matter", "55 4883c001 75fa 5d c3", 0, EMULATED),
	  .args = ALL },

	{ CASE("lock is refused: the next, where a loop leads back to", "f0ff0f 7501 c3 ebfb", 3,
	       EMULATED),
	  .args = ALL, .repeats = true },
	{ CASE("lock is refused: the next, passed once", "f0ff0f 7501 c3 c3", 3, EMULATED),
	  .args = ALL },
	{ CASE("nothing but what is refused", "f4", -EOPNOTSUPP, STEPPED) },
	{ CASE("xchg %r8,%rax, which the kernel takes for a nop", "4990 c3", -EOPNOTSUPP,
	       STEPPED) },
	{ CASE("no instruction", "06 c3", -EILSEQ, STEPPED) },
	{ CASE("no instruction further on: nobody knows where branches lead",
	       "4885ff 7402 06 c3 c3", 0, STEPPED),
	  .args = ALL, .calls = true },
	{ CASE("the same behind an entry that is emulated", "53 06 c3", 0, EMULATED), .args = ALL,
	  .calls = true },
};

static size_t from_hex(const char *hex, uint8_t *buf)
{
	size_t n = 0;

	for (; *hex; hex++) {
		if (*hex == ' ')
			continue;
		buf[n++] = strtoul((char[]){ hex[0], hex[1], 0 }, NULL, 16);
		hex++;
	}
	return n;
}

static void check_case(const struct site_case *c)
{
	struct probe_site s = { 0 };
	uint8_t code[256];
	size_t size = from_hex(c->code, code);
	struct text t = text_open(code, size);
	int err = probe_site_find(t.code, BASE, size, &c->o, &s);

	if (c->at < 0 || err) {
		if (err != MIN(c->at, 0))
			fail_msg("%s: %s", c->what, probe_site_error(err));
		text_close(&t);
		return;
	}
	if (s.vaddr != BASE + (uint64_t)c->at || s.class != c->class)
		fail_msg("%s: at +%ld, %s", c->what, (long)(s.vaddr - BASE),
			 probe_class_name(s.class));
	for (int i = 0; i < PROBE_NR_ARGS; i++)
		if (s.args[i] != c->args[i])
			fail_msg("%s: argument %d is %s, not %s", c->what, i,
				 probe_reg_name(s.args[i]), probe_reg_name(c->args[i]));
	if (s.stack != c->stack || s.skips_null != c->skips_null || s.repeats != c->repeats ||
	    s.leaf == c->calls)
		fail_msg("%s: stack %u%s%s%s", c->what, s.stack, s.skips_null ? " skips_null" : "",
			 s.repeats ? " repeats" : "", s.leaf ? " leaf" : "");
	assert_int_equal(s.offset, HEADER + (s.vaddr - BASE));
	text_close(&t);
}

static void test_sites(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_case(&cases[i]);
}

/* A 5-byte nop is passed or taken, as this kernel is, but never a site where it is rewritten. */
static void test_nop5(void **state)
{
	static const uint8_t code[] = { 0x0f, 0x1f, 0x44, 0x00, 0x00, 0x55, 0x5d, 0xc3 };
	struct text t = text_open(code, sizeof(code));
	struct probe_site s;

	(void)state;
	assert_int_equal(probe_site_find(t.code, BASE, sizeof(code), NULL, &s), 0);
	assert_int_equal(s.vaddr, BASE + 5);
	assert_int_equal(s.class, PROBE_EMULATED);
	assert_int_equal(probe_site_at(t.code, BASE, false, &s),
			 probe_rewrites_nop5() ? -EPERM : 0);
	assert_int_equal(probe_site_at(t.code, BASE, true, &s), 0);
	assert_int_equal(s.size, 5);
	assert_int_equal(probe_site_at(t.code, BASE + sizeof(code), false, &s), -ENOENT);
	text_close(&t);
}

/* ---------------------------------------------------------------- neighbours ---- */

/*
 * `cmp; jae; ret`, with code before or behind it that jumps to its jae. Without unwind information
 * only far jumps are seen in what is not the function itself.
 */
static void test_jumps_from_elsewhere(void **state)
{
	uint8_t code[64];
	size_t size = from_hex("4883ff10 7300 c3 cccccccccccccccccc e9eeffffff", code);
	struct text t;
	struct probe_site s;

	(void)state;
	t = text_open(code, size); /* the jmp is at +16 and leads to +4, -17 from its end */
	assert_int_equal(code[16], 0xe9);
	assert_int_equal(probe_site_find(t.code, BASE, 7, NULL, &s), 0);
	text_close(&t);
	code[17] = 4 - 21;
	t = text_open(code, size);
	assert_int_equal(probe_site_find(t.code, BASE, 7, NULL, &s), 0);
	assert_int_equal(s.vaddr, BASE);
	assert_int_equal(s.class, PROBE_STEPPED);
	text_close(&t);
	code[17] = 7 - 21; /* to behind the function: no harm */
	t = text_open(code, size);
	assert_int_equal(probe_site_find(t.code, BASE, 7, NULL, &s), 0);
	assert_int_equal(s.vaddr, BASE + 4);
	text_close(&t);
}

/* A switch whose table leads back to between the entry and its first branch. */
static void test_jump_table(void **state)
{
	/* 0: mov %rdi,%rax  3: cmp $3,%rax  7: ja +end  9: lea table(%rip),%rdx
	 * 16: movslq (%rdx,%rax,4),%rax  20: add %rdx,%rax  23: jmp *%rax  25: ret */
	static const char text[] = "4889f8 4883f803 7710 488d150b000000 48630482 4801d0 ffe0 c3"
				   " 90909090909090";
	uint8_t code[64];
	size_t size = from_hex(text, code), table = size;
	int32_t entries[3] = { 25 - 33, 25 - 33, 25 - 33 };
	struct text t;
	struct probe_site s;

	(void)state;
	assert_int_equal(size, 33);
	code[12] = table - 16;
	memcpy(code + table, entries, sizeof(entries));
	t = text_open(code, size + sizeof(entries));
	assert_int_equal(probe_site_find(t.code, BASE, 26, NULL, &s), 0);
	assert_int_equal(s.vaddr, BASE + 7);
	assert_true(s.leaf);
	text_close(&t);
	entries[1] = 3 - 33; /* `continue` to the comparison */
	memcpy(code + table, entries, sizeof(entries));
	t = text_open(code, size + sizeof(entries));
	assert_int_equal(probe_site_find(t.code, BASE, 26, NULL, &s), 0);
	assert_int_equal(s.vaddr, BASE);
	assert_int_equal(s.class, PROBE_STEPPED);
	text_close(&t);
}

/* ---------------------------------------------------------------- hostile ---- */

static void test_hostile(void **state)
{
	static const uint8_t code[] = { 0x4c };
	struct probe_site s;
	struct text t;

	(void)state;
	t = text_open(code, sizeof(code)); /* an instruction that is cut off */
	assert_int_equal(probe_site_find(t.code, BASE, 1, NULL, &s), -EILSEQ);
	assert_int_equal(probe_site_find(t.code, BASE, 0, NULL, &s), -ENOENT);
	assert_int_equal(probe_site_find(t.code, BASE, UINT64_MAX, NULL, &s), -ENOENT);
	assert_int_equal(probe_site_find(t.code, BASE - 1, 1, NULL, &s), -ENOENT);
	assert_int_equal(probe_site_find(t.code, 0, 1 << 20, NULL, &s), -ENOENT);
	text_close(&t);
	/* a segment that is larger than the file */
	t = text_open_sized(code, sizeof(code), 1ULL << 60);
	assert_null(t.code);
	text_close(&t);
	t = text_open_sized(code, sizeof(code), 2);
	assert_null(t.code);
	text_close(&t);
}

/* Whatever the bytes are, there is an answer, and never one outside of what was asked about. */
static void test_random_bytes(void **state)
{
	uint64_t random = 0x9e3779b97f4a7c15;
	uint8_t code[512];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct probe_site s;
		struct text t;

		for (size_t j = 0; j < sizeof(code); j++) {
			random = hash_bytes(&random, sizeof(random));
			code[j] = random >> 32;
		}
		t = text_open(code, sizeof(code));
		for (uint64_t at = 0; at < sizeof(code); at += 37) {
			if (probe_site_find(t.code, BASE + at, 64, NULL, &s))
				continue;
			assert_in_range(s.vaddr, BASE + at, BASE + at + 63);
			assert_in_range(s.size, 1, 15);
			assert_in_range(s.stack, 0, PROBE_MAX_STACK);
		}
		text_close(&t);
	}
}

static void test_cookie(void **state)
{
	struct probe_site s = { .stack = 8 * 4711, .args = REGS(RSI, LOST, R15, RCX, R8, R9) };
	uint64_t cookie = probe_site_cookie(&s, PROBE_MAX_ID - 1);

	(void)state;
	assert_int_equal(PROBE_COOKIE_ID(cookie), PROBE_MAX_ID - 1);
	assert_int_equal(PROBE_COOKIE_STACK(cookie), 8 * 4711);
	for (int i = 0; i < PROBE_NR_ARGS; i++)
		assert_int_equal(PROBE_COOKIE_ARG(cookie, i), s.args[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sites),	   cmocka_unit_test(test_nop5),
		cmocka_unit_test(test_jump_table), cmocka_unit_test(test_jumps_from_elsewhere),
		cmocka_unit_test(test_hostile),	   cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_cookie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
