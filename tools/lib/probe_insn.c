/* SPDX-License-Identifier: MIT */
/* Single instructions of x86-64, by their bytes. Opcodes: Intel SDM vol. 2, appendix A. */
#include "probe_code.h"

#include <bpf/btf.h>
#include <string.h>

#include "util.h"

static bool is_prefix(uint8_t b)
{
	/* operand and address size, repeat and lock, segments; REX */
	return b == 0x66 || b == 0x67 || b == 0xf2 || b == 0xf3 || b == 0xf0 ||
	       (b & 0xe7) == 0x26 || (b & 0xfe) == 0x64 || (b & 0xf0) == 0x40;
}

static uint64_t relative(const uint8_t *insn, size_t size, uint64_t vaddr, size_t rel_size)
{
	int32_t rel32;

	if (rel_size == 1)
		return vaddr + size + (int64_t)(int8_t)insn[size - 1];
	memcpy(&rel32, insn + size - 4, sizeof(rel32));
	return vaddr + size + (int64_t)rel32;
}

static enum probe_branch two_byte_branch(const uint8_t *insn, size_t size, size_t i, uint64_t vaddr,
					 uint64_t *ret_target)
{
	if ((insn[i] & 0xf0) == 0x80 && size >= i + 5) {
		*ret_target = relative(insn, size, vaddr, 4);
		return PROBE_COND;
	}
	switch (insn[i]) {
	case 0x05: /* syscall */
	case 0x07: /* sysret */
	case 0x0b: /* ud2 */
	case 0x34: /* sysenter */
	case 0x35: /* sysexit */
		return PROBE_LEAVES;
	default:
		return PROBE_NO_BRANCH;
	}
}

enum probe_branch probe_insn_branch(const uint8_t *insn, size_t size, uint64_t vaddr,
				    uint64_t *ret_target)
{
	size_t i = 0;
	uint8_t op;

	while (i < size && is_prefix(insn[i]))
		i++;
	if (i == size)
		return PROBE_NO_BRANCH;
	op = insn[i++];
	if (op == 0x0f && i < size)
		return two_byte_branch(insn, size, i, vaddr, ret_target);
	if ((op & 0xf0) == 0x70 || (op & 0xfc) == 0xe0) { /* jcc; loop, jrcxz */
		*ret_target = relative(insn, size, vaddr, 1);
		return PROBE_COND;
	}
	switch (op) {
	case 0xe8:
	case 0xe9:
		if (size < 5)
			return PROBE_LEAVES;
		*ret_target = relative(insn, size, vaddr, 4);
		return op == 0xe8 ? PROBE_CALL : PROBE_JUMP;
	case 0xeb:
		*ret_target = relative(insn, size, vaddr, 1);
		return PROBE_JUMP;
	case 0xff:
		op = i < size ? insn[i] >> 3 & 7 : 0;
		return op == 2 || op == 3   ? PROBE_CALL_INDIRECT
		       : op == 4 || op == 5 ? PROBE_JUMP_INDIRECT
					    : PROBE_NO_BRANCH;
	case 0xc2: /* ret */
	case 0xc3:
	case 0xca:
	case 0xcb:
	case 0xcc: /* int3, int, into, iret */
	case 0xcd:
	case 0xce:
	case 0xcf:
	case 0xf1: /* int1 */
	case 0xf4: /* hlt */
		return PROBE_LEAVES;
	case 0xc7: /* xbegin */
		return i < size && insn[i] == 0xf8 ? PROBE_LEAVES : PROBE_NO_BRANCH;
	default:
		return PROBE_NO_BRANCH;
	}
}

bool probe_insn_lea(const uint8_t *insn, size_t size, uint64_t vaddr, uint64_t *ret_target)
{
	size_t i = 0;

	while (i < size && is_prefix(insn[i]))
		i++;
	if (size != i + 6 || insn[i] != 0x8d || (insn[i + 1] & 0xc7) != 5)
		return false;
	*ret_target = relative(insn, size, vaddr, 4);
	return true;
}

static const uint8_t nop5[] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };

bool probe_rewrites_nop5(void)
{
	static int answer = -1;
	struct btf *btf;

	if (answer < 0) {
		btf = btf__load_vmlinux_btf();
		answer = !btf ||
			 btf__find_by_name_kind(btf, "arch_uprobe_optimize", BTF_KIND_FUNC) > 0;
		btf__free(btf);
	}
	return answer;
}

bool probe_insn_is_emulated_nop(const uint8_t *insn, size_t size)
{
	static const uint8_t nops[][8] = {
		[3] = { 0x0f, 0x1f, 0x00 },
		[4] = { 0x0f, 0x1f, 0x40, 0x00 },
		[5] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 },
		[6] = { 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00 },
		[7] = { 0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00 },
		[8] = { 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00 },
	};

	return size >= 3 && size <= 8 && !memcmp(insn, nops[size], size) && probe_rewrites_nop5();
}

static bool has_prefix(const uint8_t *insn, size_t size, uint8_t prefix)
{
	for (size_t i = 0; i < size; i++) {
		if (insn[i] == prefix)
			return true;
		/* the other legacy prefixes; the opcode ends them */
		if (insn[i] != 0x66 && insn[i] != 0x67 && insn[i] != 0xf2 && insn[i] != 0xf3 &&
		    insn[i] != 0x64 && insn[i] != 0x65)
			return false;
	}
	return false;
}

static bool is_refused(const uint8_t *insn, size_t size)
{
	static const uint8_t bad_prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0xf0 }; /* is_prefix_bad */

	for (size_t i = 0; i < ARRAY_SIZE(bad_prefixes); i++)
		if (has_prefix(insn, size, bad_prefixes[i]))
			return true;
	return insn[0] == 0xcc || insn[0] == 0xcd || insn[0] == 0xf4; /* int3, int, hlt */
}

enum probe_insn_kind probe_insn_kind(const uint8_t *insn, size_t size, uint64_t vaddr)
{
	uint64_t target;

	if (is_refused(insn, size))
		return PROBE_INSN_REFUSED;
	if (size == sizeof(nop5) && !memcmp(insn, nop5, sizeof(nop5)) && probe_rewrites_nop5())
		return PROBE_INSN_DANGEROUS;
	/* xchg %r8,%rax, REX 90: the kernel takes the opcode for a nop's. */
	if (size == 2 && (insn[0] & 0xf1) == 0x41 && insn[1] == 0x90)
		return PROBE_INSN_REFUSED;
	if ((size == 1 && insn[0] == 0x90) || (size == 2 && insn[0] == 0x66 && insn[1] == 0x90))
		return PROBE_INSN_EMULATED;
	if ((size == 1 && (insn[0] & 0xf8) == 0x50) ||
	    (size == 2 && insn[0] == 0x41 && (insn[1] & 0xf8) == 0x50))
		return PROBE_INSN_EMULATED;
	switch (probe_insn_branch(insn, size, vaddr, &target)) {
	case PROBE_COND:
		/* loop and jrcxz are stepped */
		return (insn[0] & 0xfc) == 0xe0 ? PROBE_INSN_STEPPED : PROBE_INSN_EMULATED;
	case PROBE_JUMP:
	case PROBE_CALL:
		return has_prefix(insn, size, 0x66) ? PROBE_INSN_REFUSED : PROBE_INSN_EMULATED;
	default:
		return PROBE_INSN_STEPPED;
	}
}
