/* SPDX-License-Identifier: MIT */
/*
 * Unwind tables against libdw: for every address range that libdw's reader of .eh_frame knows, our
 * step and libdw's rules must take the same registers and memory to the same caller. Both are
 * evaluated on made-up registers and a made-up memory (a function of the address), so that it is
 * the meaning that is compared, not the way it is written down.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unwind_table.h"
#include "util.h"

static uint64_t memory_at(uint64_t addr)
{
	/* Plausible as an address, and a multiple of 8, so that a CFA made of it is aligned. */
	return 0x7ffe00000000 + (hash_bytes(&addr, sizeof(addr)) & 0xfffffff8);
}

static int read_memory(void *cookie, __u64 addr, __u64 *ret)
{
	(void)cookie;
	*ret = memory_at(addr);
	return 0;
}

/* ------------------------------------------------ libdw's rules, evaluated ---- */

struct oracle {
	uint64_t regs[17];
	uint64_t cfa;
};

static bool push_constant(const Dwarf_Op *op, uint64_t *ret)
{
	if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31)
		*ret = op->atom - DW_OP_lit0;
	else if ((op->atom >= DW_OP_const1u && op->atom <= DW_OP_consts))
		*ret = op->number;
	else
		return false;
	return true;
}

/* Evaluate; *ret_value true when the result is a value and not the address of one. */
static uint64_t evaluate(const struct oracle *o, const Dwarf_Op *ops, size_t n, bool *ret_value)
{
	uint64_t stack[32] = { 0 };
	size_t top = 0;

	*ret_value = false;
	for (size_t i = 0; i < n; i++) {
		const Dwarf_Op *op = &ops[i];
		uint64_t c;

		assert_in_range(top, 0, 30);
		if (push_constant(op, &c)) {
			stack[++top] = c;
			continue;
		}
		if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg16) {
			stack[++top] = o->regs[op->atom - DW_OP_breg0] + op->number;
			continue;
		}
		switch (op->atom) {
		case DW_OP_bregx:
			stack[++top] = o->regs[op->number] + op->number2;
			break;
		case DW_OP_regx:
			*ret_value = true;
			return o->regs[op->number];
		case DW_OP_call_frame_cfa:
			stack[++top] = o->cfa;
			break;
		case DW_OP_plus_uconst:
			stack[top] += op->number;
			break;
		case DW_OP_deref:
			stack[top] = memory_at(stack[top]);
			break;
		case DW_OP_plus:
			top--;
			stack[top] += stack[top + 1];
			break;
		case DW_OP_mul:
			top--;
			stack[top] *= stack[top + 1];
			break;
		case DW_OP_and:
			top--;
			stack[top] &= stack[top + 1];
			break;
		case DW_OP_ge:
			top--;
			stack[top] = (int64_t)stack[top] >= (int64_t)stack[top + 1];
			break;
		case DW_OP_shl:
			top--;
			stack[top] <<= stack[top + 1];
			break;
		case DW_OP_stack_value:
			*ret_value = true;
			break;
		default:
			if (op->atom >= DW_OP_reg0 && op->atom <= DW_OP_reg16) {
				*ret_value = true;
				return o->regs[op->atom - DW_OP_reg0];
			}
			fail_msg("operation 0x%x is not evaluated by this test", op->atom);
		}
	}
	return stack[top];
}

enum rule { SAME, UNDEFINED, KNOWN };

static enum rule register_rule(const struct oracle *o, Dwarf_Frame *frame, int reg, uint64_t *ret)
{
	Dwarf_Op mem[3], *ops;
	bool is_value;
	size_t n;

	assert_int_equal(dwarf_frame_register(frame, reg, mem, &ops, &n), 0);
	if (!n)
		return ops ? UNDEFINED : SAME;
	*ret = evaluate(o, ops, n, &is_value);
	if (!is_value)
		*ret = memory_at(*ret);
	return KNOWN;
}

/* ------------------------------------------------ the comparison ---- */

struct counts {
	size_t rows, ends, signals, unsupported, rules;
};

static struct unwind_state made_up_state(uint64_t pc, struct oracle *o)
{
	struct unwind_state s = { .pc = pc, .known = UNWIND_KNOW_ALL };

	/* All as if on the stack, RSP lowest, since a CFA below it is refused. */
	for (int i = 0; i < UNWIND_NR_REGS; i++)
		s.regs[i] = o->regs[i] = 0x7ffd00000000 + (uint64_t)i * 0x100008 + 0x800000;
	s.regs[UNWIND_RSP] = o->regs[UNWIND_RSP] = 0x7ffc00000000;
	o->regs[UNWIND_RA] = pc;
	return s;
}

static void compare_at(const struct unwind_table *t, Dwarf_CFI *cfi, uint64_t pc, struct counts *c)
{
	const struct unwind_row *row = unwind_table_row(t, pc);
	uint64_t ra = 0, rbp = 0, rbx = 0;
	struct unwind_state s;
	Dwarf_Frame *frame;
	struct oracle o;
	enum rule ra_rule, rbp_rule, rbx_rule;
	bool is_value, is_signal;
	Dwarf_Op *ops;
	size_t n;
	int end;

	if (dwarf_cfi_addrframe(cfi, pc, &frame))
		return;
	assert_non_null(row);
	s = made_up_state(pc, &o);
	dwarf_frame_info(frame, NULL, NULL, &is_signal);
	assert_int_equal(dwarf_frame_cfa(frame, &ops, &n), 0);
	o.cfa = n ? evaluate(&o, ops, n, &is_value) : 0;
	ra_rule = register_rule(&o, frame, UNWIND_RA, &ra);
	rbp_rule = register_rule(&o, frame, UNWIND_RBP, &rbp);
	rbx_rule = register_rule(&o, frame, UNWIND_RBX, &rbx);
	free(frame);

	end = unwind_step(&s, row, unwind_table_rule(t, row), read_memory, NULL);
	c->rows++;
	if (ra_rule == UNDEFINED || !n) {
		assert_int_equal(end, UNWIND_COMPLETE);
		c->ends++;
		return;
	}
	if (row->cfa >> UNWIND_KIND_SHIFT == UNWIND_RULE)
		c->rules++;
	if (end == UNWIND_UNSUPPORTED) {
		c->unsupported++;
		return;
	}
	if (end != UNWIND_MORE)
		fail_msg("at 0x%lx: our step ended with %d, libdw has a rule", pc, end);
	assert_int_equal(ra_rule, KNOWN);
	if (s.pc != ra || s.regs[UNWIND_RSP] != (is_signal ? s.regs[UNWIND_RSP] : o.cfa))
		fail_msg("at 0x%lx: caller 0x%llx, CFA 0x%llx; libdw: 0x%lx, 0x%lx", pc, s.pc,
			 s.regs[UNWIND_RSP], ra, o.cfa);
	if (is_signal) {
		c->signals++;
		assert_int_equal(s.is_return, 0);
	}
	if (t->follows_rbx && rbx_rule != UNDEFINED && (s.known & 1u << UNWIND_RBX) &&
	    s.regs[UNWIND_RBX] != (rbx_rule == SAME ? o.regs[UNWIND_RBX] : rbx))
		fail_msg("at 0x%lx: RBX 0x%llx; libdw: 0x%lx", pc, s.regs[UNWIND_RBX], rbx);
	if (!(s.known & 1u << UNWIND_RBP)) {
		assert_int_equal(rbp_rule, UNDEFINED);
		return;
	}
	if (rbp_rule == SAME)
		rbp = o.regs[UNWIND_RBP];
	if (s.regs[UNWIND_RBP] != rbp)
		fail_msg("at 0x%lx: RBP 0x%llx; libdw: 0x%lx", pc, s.regs[UNWIND_RBP], rbp);
}

/* Every range that libdw knows: its first and last byte. */
static void compare_all(const struct unwind_table *t, Dwarf_CFI *cfi, struct counts *c)
{
	uint64_t limit = t->base + ((uint64_t)t->nr_blocks << UNWIND_BLOCK_SHIFT);

	for (uint64_t pc = t->base; pc < limit;) {
		Dwarf_Addr start, end;
		Dwarf_Frame *frame;

		if (dwarf_cfi_addrframe(cfi, pc, &frame)) {
			pc++;
			continue;
		}
		dwarf_frame_info(frame, &start, &end, NULL);
		free(frame);
		assert_true(end > pc);
		compare_at(t, cfi, pc, c);
		compare_at(t, cfi, end - 1, c);
		pc = end;
	}
}

static struct elf_file *open_table(const char *path, struct unwind_table *ret)
{
	int fd = open(path, O_RDONLY);
	struct elf_file *f;

	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	f = elf_open_fd(fd);
	assert_non_null(f);
	assert_int_equal(unwind_table_init(ret, f), 0);
	assert_int_equal(ret->nr_bad, 0);
	return f;
}

static struct counts compare(const char *path)
{
	struct counts c = { 0 };
	struct unwind_table t;
	struct elf_file *f = open_table(path, &t);
	Dwarf_CFI *cfi = dwarf_getcfi_elf(f->elf);

	assert_non_null(cfi);
	compare_all(&t, cfi, &c);
	printf("%s: %zu comparisons, %zu by full rules, %zu ends, %zu signal frames, %zu unsupported\n",
	       path, c.rows, c.rules, c.ends, c.signals, c.unsupported);
	dwarf_cfi_end(cfi);
	unwind_table_release(&t);
	elf_close(f);
	return c;
}

#define LIB "/usr/lib/x86_64-linux-gnu/"

static void test_libc(void **state)
{
	struct counts c = compare(LIB "libc.so.6");

	(void)state;
	assert_true(c.rows > 40000);
	/* clone, clone3, __start_context and the like have no caller. */
	assert_true(c.ends > 0);
	assert_true(c.signals > 0);
	assert_int_equal(c.unsupported, 0);
}

static void test_libcrypto(void **state)
{
	struct counts c = compare(LIB "libcrypto.so.3");

	(void)state;
	/* Hand-written assembly: CFAs in any register and behind pointers. */
	assert_true(c.rules > 200);
	assert_int_equal(c.unsupported, 0);
}

static void test_others(void **state)
{
	static const char *const paths[] = {
		LIB "libh2o-evloop.so.0.13", LIB "libsqlite3.so.0", LIB "libjansson.so.4",
		LIB "libsodium.so.23",	     LIB "libssl.so.3",	    LIB "libm.so.6",
		LIB "ld-linux-x86-64.so.2",  LIB "libstdc++.so.6",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		assert_int_equal(compare(paths[i]).unsupported, 0);
}

/* A program half of which is in .debug_frame, beside this one in the build. */
static void test_debug_frame(void **state)
{
	char path[4096] = "", *slash;
	struct counts eh = { 0 }, debug = { 0 };
	struct unwind_table t;
	struct elf_file *f;
	Dwarf_CFI *cfi;
	Dwarf *dwarf;

	(void)state;
	assert_true(readlink("/proc/self/exe", path, sizeof(path) - 64) > 0);
	slash = strrchr(path, '/');
	assert_non_null(slash);
	snprintf(slash, 64, "/../workloads/debug_frame");
	f = open_table(path, &t);
	cfi = dwarf_getcfi_elf(f->elf);
	assert_non_null(cfi);
	compare_all(&t, cfi, &eh);
	dwarf_cfi_end(cfi);
	dwarf = dwarf_begin_elf(f->elf, DWARF_C_READ, NULL);
	assert_non_null(dwarf);
	compare_all(&t, dwarf_getcfi(dwarf), &debug);
	assert_true(eh.ends > 0); /* _start */
	assert_true(debug.rows >= 20);
	assert_int_equal(eh.unsupported + debug.unsupported, 0);
	dwarf_end(dwarf);
	unwind_table_release(&t);
	elf_close(f);
}

static void test_self(void **state)
{
	(void)state;
	assert_true(compare("/proc/self/exe").ends > 0); /* _start */
}

/* The look-up by block must find what a plain search through the rows finds. */
static void test_index(void **state)
{
	int fd = open(LIB "libh2o-evloop.so.0.13", O_RDONLY);
	const struct unwind_row *rows;
	struct unwind_table t;
	struct elf_file *f;
	size_t at = 0;

	(void)state;
	assert_true(fd >= 0);
	f = elf_open_fd(fd);
	assert_non_null(f);
	assert_int_equal(unwind_table_init(&t, f), 0);
	rows = (const struct unwind_row *)(t.words + UNWIND_INDEX_WORDS(t.nr_blocks));
	for (uint32_t pc = 0; pc < t.nr_blocks << UNWIND_BLOCK_SHIFT; pc++) {
		while (at + 1 < t.nr_rows && rows[at + 1].pc <= pc)
			at++;
		assert_ptr_equal(unwind_table_row(&t, t.base + pc), &rows[at]);
	}
	assert_null(unwind_table_row(&t, t.base - 1));
	assert_null(unwind_table_row(&t, t.base + ((uint64_t)t.nr_blocks << UNWIND_BLOCK_SHIFT)));
	unwind_table_release(&t);
	elf_close(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libc),   cmocka_unit_test(test_libcrypto),
		cmocka_unit_test(test_others), cmocka_unit_test(test_debug_frame),
		cmocka_unit_test(test_self),   cmocka_unit_test(test_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
