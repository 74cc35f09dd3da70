/* SPDX-License-Identifier: MIT */
/*
 * Call frame instructions, written out byte by byte as the specification has them (DWARF 5, 6.4.2
 * and 7.24), and what rules they must come to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cfi.h"
#include "util.h"

struct row {
	uint64_t pc;
	enum unwind_end mark;
	struct unwind_rule rule;
};

static struct row rows[64];
static size_t nr_rows;

static int keep(void *cookie, uint64_t pc, enum unwind_end mark, const struct unwind_rule *rule)
{
	(void)cookie;
	if (nr_rows == ARRAY_SIZE(rows))
		return -1;
	rows[nr_rows] = (struct row){ pc, mark, { 0 } };
	if (rule)
		rows[nr_rows].rule = *rule;
	nr_rows++;
	return 0;
}

/* def_cfa rsp + 8; offset(ra) at cfa - 8: what every x86-64 CIE says. */
static const uint8_t initial[] = { 0x0c, 7, 8, 0x80 | 16, 1 };

static struct cfi_cie usual_cie(void)
{
	return (struct cfi_cie){ .code_align = 1,
				 .data_align = -8,
				 .ra_reg = 16,
				 .insns = initial,
				 .insns_end = initial + sizeof(initial) };
}

/* Run for code [0x1000, 0x1100). */
static int run_cie(const struct cfi_cie *cie, const uint8_t *insns, size_t n)
{
	nr_rows = 0;
	return cfi_run(cie, insns, insns + n, 0, 0x1000, 0x1100, keep, NULL);
}

#define RUN(...)                                                          \
	do {                                                              \
		static const uint8_t insns[] = { __VA_ARGS__ };           \
		struct cfi_cie cie = usual_cie();                         \
		assert_int_equal(run_cie(&cie, insns, sizeof(insns)), 0); \
	} while (0)

static void assert_row(size_t i, uint64_t pc, uint8_t reg, int32_t off, uint8_t rbp_kind,
		       int32_t rbp_off)
{
	assert_true(i < nr_rows);
	assert_int_equal(rows[i].mark, UNWIND_MORE);
	assert_int_equal(rows[i].pc, pc);
	assert_int_equal(rows[i].rule.cfa_kind, UNWIND_CFA_REG);
	assert_int_equal(rows[i].rule.cfa_reg, reg);
	assert_int_equal(rows[i].rule.cfa_off, off);
	assert_int_equal(rows[i].rule.rbp_kind, rbp_kind);
	assert_int_equal(rows[i].rule.rbp_off, rbp_off);
	assert_int_equal(rows[i].rule.ra_reg, UNWIND_RA);
	assert_int_equal(rows[i].rule.ra_off, -8);
}

/* push rbp; mov rbp,rsp; ...; leave; ret */
static void test_frame_pointer_prologue(void **state)
{
	(void)state;
	RUN(0x41, 0x0e, 16, 0x86, 2, /* +1: def_cfa_offset 16; rbp at cfa-16 */
	    0x43, 0x0d, 6,	     /* +3: def_cfa_register rbp */
	    0x02, 0x90, 0x0a,	     /* advance_loc1 0x90: remember */
	    0x0c, 7, 8, 0xc6,	     /* def_cfa rsp+8; restore rbp */
	    0x03, 0x10, 0x00, 0x0b); /* advance_loc2 0x10: recall */
	assert_int_equal(nr_rows, 5);
	assert_row(0, 0x1000, UNWIND_RSP, 8, UNWIND_RBP_SAME, 0);
	assert_row(1, 0x1001, UNWIND_RSP, 16, UNWIND_RBP_AT_CFA, -16);
	assert_row(2, 0x1004, UNWIND_RBP, 16, UNWIND_RBP_AT_CFA, -16);
	assert_row(3, 0x1094, UNWIND_RSP, 8, UNWIND_RBP_SAME, 0);
	assert_row(4, 0x10a4, UNWIND_RBP, 16, UNWIND_RBP_AT_CFA, -16);
}

static void test_large_offsets(void **state)
{
	(void)state;
	/* def_cfa_offset 1,048,720 = 0x100090; offset_extended_sf rbp; args_size is skipped */
	RUN(0x0e, 0x90, 0x81, 0xc0, 0x00, 0x2e, 0x10, 0x11, 6, 0x7e);
	assert_row(0, 0x1000, UNWIND_RSP, 0x100090, UNWIND_RBP_AT_CFA, 16);
}

static void test_undefined_return_address(void **state)
{
	(void)state;
	RUN(0x07, 16); /* undefined ra: _start */
	assert_int_equal(nr_rows, 1);
	assert_int_equal(rows[0].mark, UNWIND_COMPLETE);
}

/* vfork: the return address waits in rdi. */
static void test_return_address_in_register(void **state)
{
	(void)state;
	RUN(0x41, 0x0e, 0, 0x09, 16, 5);
	assert_int_equal(nr_rows, 2);
	assert_int_equal(rows[1].mark, UNWIND_MORE);
	assert_int_equal(rows[1].rule.cfa_off, 0);
	assert_int_equal(rows[1].rule.ra_reg, UNWIND_RDI);
}

/* Padded LEB128 operands mean the same as short ones. */
static void test_padded_expression(void **state)
{
	(void)state;
	/* breg7 152 (2 bytes padded to 3); deref; plus_uconst 8 (padded to 4) */
	RUN(0x0f, 10, 0x77, 0x98, 0x81, 0x00, 0x06, 0x23, 0x88, 0x80, 0x80, 0x00);
	assert_int_equal(nr_rows, 1);
	assert_int_equal(rows[0].mark, UNWIND_MORE);
	assert_int_equal(rows[0].rule.cfa_kind, UNWIND_CFA_DEREF);
	assert_int_equal(rows[0].rule.cfa_reg, UNWIND_RSP);
	assert_int_equal(rows[0].rule.cfa_off, 152);
	assert_int_equal(rows[0].rule.cfa_post, 8);
	assert_int_equal(rows[0].rule.cfa_index, UNWIND_NO_INDEX);
}

/* libcrypto: breg7 8; breg9 0; const1u 56; mul; plus; deref; plus_uconst 8 */
static void test_scaled_expression(void **state)
{
	(void)state;
	RUN(0x0f, 11, 0x77, 8, 0x79, 0, 0x08, 56, 0x1e, 0x22, 0x06, 0x23, 8);
	assert_int_equal(rows[0].mark, UNWIND_MORE);
	assert_int_equal(rows[0].rule.cfa_kind, UNWIND_CFA_DEREF);
	assert_int_equal(rows[0].rule.cfa_reg, UNWIND_RSP);
	assert_int_equal(rows[0].rule.cfa_off, 8);
	assert_int_equal(rows[0].rule.cfa_index, UNWIND_R9);
	assert_int_equal(rows[0].rule.cfa_scale, 56);
	assert_int_equal(rows[0].rule.cfa_post, 8);
}

/* The PLT's, as ld writes it: rsp + 8 + ((rip & 15) >= 11) << 3 */
static void test_plt_expression(void **state)
{
	(void)state;
	RUN(0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22);
	assert_int_equal(rows[0].mark, UNWIND_MORE);
	assert_int_equal(rows[0].rule.cfa_kind, UNWIND_CFA_PLT);
	assert_int_equal(rows[0].rule.cfa_off, 8);
	assert_int_equal(rows[0].rule.cfa_scale, 11);
	assert_int_equal(rows[0].rule.cfa_post, 8);
}

/* Realigned stacks: rbp saved where rbp points (expression breg6 0), CFA by *(rbp - 8). */
static void test_realigned(void **state)
{
	(void)state;
	RUN(0x10, 6, 2, 0x76, 0, 0x0f, 3, 0x76, 0x78, 0x06);
	assert_int_equal(rows[0].mark, UNWIND_MORE);
	assert_int_equal(rows[0].rule.cfa_kind, UNWIND_CFA_DEREF);
	assert_int_equal(rows[0].rule.cfa_reg, UNWIND_RBP);
	assert_int_equal(rows[0].rule.cfa_off, -8);
	assert_int_equal(rows[0].rule.rbp_kind, UNWIND_RBP_AT_RBP);
	assert_int_equal(rows[0].rule.rbp_off, 0);
}

static void test_signal_frame(void **state)
{
	static const uint8_t insns[] = { 0x0f, 4, 0x77, 0xa0, 0x01, 0x06 };
	struct cfi_cie cie = usual_cie();

	(void)state;
	cie.signal_frame = true;
	assert_int_equal(run_cie(&cie, insns, sizeof(insns)), 0);
	assert_int_equal(rows[0].rule.cfa_kind, UNWIND_CFA_SIGNAL);
}

/* What is not understood ends walks; it is not guessed at. */
static void test_not_understood(void **state)
{
	(void)state;
	RUN(0x44, 0x3e); /* an opcode of nobody */
	assert_int_equal(nr_rows, 2);
	assert_int_equal(rows[1].mark, UNWIND_UNSUPPORTED);
	RUN(0x44, 0x0b); /* recall with nothing remembered */
	assert_int_equal(rows[1].mark, UNWIND_UNSUPPORTED);
	RUN(0x44, 0x0f, 2, 0x77); /* an expression that is cut off */
	assert_int_equal(rows[1].mark, UNWIND_UNSUPPORTED);
	RUN(0x44, 0x0f, 3, 0x77, 8, 0x19); /* abs: never seen in a CFA */
	assert_int_equal(rows[1].mark, UNWIND_UNSUPPORTED);
	RUN(0x44, 0x0f, 0); /* no value */
	assert_int_equal(rows[1].mark, UNWIND_UNSUPPORTED);
}

static void test_advance_beyond_the_end(void **state)
{
	(void)state;
	RUN(0x04, 0xff, 0xff, 0xff, 0xff, 0x0e, 16, 0x41);
	assert_int_equal(nr_rows, 1);
	assert_row(0, 0x1000, UNWIND_RSP, 8, UNWIND_RBP_SAME, 0);
}

static void test_endless_leb128(void **state)
{
	static const uint8_t insns[] = { 0x0e, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
					 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80 };
	struct cfi_cie cie = usual_cie();

	(void)state;
	assert_int_equal(run_cie(&cie, insns, sizeof(insns)), 0);
	assert_int_equal(nr_rows, 1);
	assert_int_equal(rows[0].mark, UNWIND_UNSUPPORTED);
}

static void test_remember_too_deep(void **state)
{
	uint8_t insns[1000];
	struct cfi_cie cie = usual_cie();

	(void)state;
	memset(insns, 0x0a, sizeof(insns));
	assert_int_equal(run_cie(&cie, insns, sizeof(insns)), 0);
	assert_int_equal(nr_rows, 1);
	assert_int_equal(rows[0].mark, UNWIND_UNSUPPORTED);
}

static void test_pointers(void **state)
{
	static const uint8_t bytes[] = { 0xf0, 0xff, 0xff, 0xff, 0, 0, 0, 0 };
	struct cfi_reader r = { bytes, bytes + sizeof(bytes), false };

	(void)state;
	assert_int_equal(cfi_pointer(&r, 0x1b, 0x2000), 0x1ff0); /* pcrel | sdata4 */
	r.p = bytes;
	assert_int_equal(cfi_pointer(&r, 0x03, 0x2000), 0xfffffff0); /* udata4 */
	r.p = bytes;
	assert_int_equal(cfi_pointer(&r, 0x00, 0), 0xfffffff0);
	r.p = bytes + 6;
	cfi_pointer(&r, 0x0b, 0);
	assert_true(r.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame_pointer_prologue),
		cmocka_unit_test(test_large_offsets),
		cmocka_unit_test(test_undefined_return_address),
		cmocka_unit_test(test_return_address_in_register),
		cmocka_unit_test(test_padded_expression),
		cmocka_unit_test(test_scaled_expression),
		cmocka_unit_test(test_plt_expression),
		cmocka_unit_test(test_realigned),
		cmocka_unit_test(test_signal_frame),
		cmocka_unit_test(test_not_understood),
		cmocka_unit_test(test_advance_beyond_the_end),
		cmocka_unit_test(test_endless_leb128),
		cmocka_unit_test(test_remember_too_deep),
		cmocka_unit_test(test_pointers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
