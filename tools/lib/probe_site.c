/* SPDX-License-Identifier: MIT */
#include "probe_site.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "probe_code.h"
#include "util.h"

#define PATH_MAX_INSNS 48 /* a site far from the entry would not be seen for the function's */

/* Integer arguments in order (System V ABI, AMD64 supplement 1.0, 3.2.3). */
static const uint8_t argument_regs[PROBE_NR_ARGS] = { PROBE_RDI, PROBE_RSI, PROBE_RDX,
						      PROBE_RCX, PROBE_R8,  PROBE_R9 };

/* ---------------------------------------------------------------- the path ---- */

/* What is known at a point of the path. */
struct path {
	uint8_t holds[PROBE_NR_GPRS]; /* by enum probe_reg: bit n: all of argument n is in it */
	uint32_t stack;
	int tested; /* the register that the last instruction compared with 0; -1: none */
};

/* By enum probe_reg, all sizes of a register; -1: not one of the 15, and not RSP. */
static int gpr_of(unsigned int reg)
{
	static const struct {
		uint16_t names[5];
	} regs[PROBE_NR_GPRS] = {
		[PROBE_RAX] = { { X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL, X86_REG_AH } },
		[PROBE_RBX] = { { X86_REG_RBX, X86_REG_EBX, X86_REG_BX, X86_REG_BL, X86_REG_BH } },
		[PROBE_RCX] = { { X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL, X86_REG_CH } },
		[PROBE_RDX] = { { X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL, X86_REG_DH } },
		[PROBE_RSI] = { { X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL } },
		[PROBE_RDI] = { { X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL } },
		[PROBE_RBP] = { { X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL } },
		[PROBE_R8] = { { X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B } },
		[PROBE_R9] = { { X86_REG_R9, X86_REG_R9D, X86_REG_R9W, X86_REG_R9B } },
		[PROBE_R10] = { { X86_REG_R10, X86_REG_R10D, X86_REG_R10W, X86_REG_R10B } },
		[PROBE_R11] = { { X86_REG_R11, X86_REG_R11D, X86_REG_R11W, X86_REG_R11B } },
		[PROBE_R12] = { { X86_REG_R12, X86_REG_R12D, X86_REG_R12W, X86_REG_R12B } },
		[PROBE_R13] = { { X86_REG_R13, X86_REG_R13D, X86_REG_R13W, X86_REG_R13B } },
		[PROBE_R14] = { { X86_REG_R14, X86_REG_R14D, X86_REG_R14W, X86_REG_R14B } },
		[PROBE_R15] = { { X86_REG_R15, X86_REG_R15D, X86_REG_R15W, X86_REG_R15B } },
	};

	for (int i = 0; i < PROBE_NR_GPRS && reg; i++)
		for (size_t j = 0; j < ARRAY_SIZE(regs[i].names); j++)
			if (regs[i].names[j] == reg)
				return i;
	return -1;
}

static bool is_stack_pointer(unsigned int reg)
{
	return reg == X86_REG_RSP || reg == X86_REG_ESP || reg == X86_REG_SP || reg == X86_REG_SPL;
}

/*
 * Instructions of which it is certain what they write: nothing but flags, or their first operand
 * and flags. (capstone 4 does not name all that an instruction writes: for cmpxchg it leaves out
 * RAX.) Any other ends the path. IMUL is meant with two operands or three, MOVSD for doubles, not
 * for strings.
 */
static const uint16_t writing_nothing[] = {
	X86_INS_NOP,	 X86_INS_ENDBR64,    X86_INS_CMP,	  X86_INS_TEST,
	X86_INS_BT,	 X86_INS_PREFETCHT0, X86_INS_PREFETCHNTA, X86_INS_PREFETCHW,
	X86_INS_UCOMISD, X86_INS_UCOMISS,    X86_INS_COMISD,	  X86_INS_COMISS,
	X86_INS_PTEST,
};

static const uint16_t writing_first[] = {
	X86_INS_MOV,	  X86_INS_MOVABS,     X86_INS_MOVZX,	 X86_INS_MOVSX,	    X86_INS_MOVSXD,
	X86_INS_LEA,	  X86_INS_ADD,	      X86_INS_SUB,	 X86_INS_ADC,	    X86_INS_SBB,
	X86_INS_AND,	  X86_INS_OR,	      X86_INS_XOR,	 X86_INS_NOT,	    X86_INS_NEG,
	X86_INS_INC,	  X86_INS_DEC,	      X86_INS_SHL,	 X86_INS_SHR,	    X86_INS_SAL,
	X86_INS_SAR,	  X86_INS_ROL,	      X86_INS_ROR,	 X86_INS_BSWAP,	    X86_INS_BSF,
	X86_INS_BSR,	  X86_INS_TZCNT,      X86_INS_LZCNT,	 X86_INS_POPCNT,    X86_INS_MOVD,
	X86_INS_MOVQ,	  X86_INS_MOVAPS,     X86_INS_MOVAPD,	 X86_INS_MOVUPS,    X86_INS_MOVUPD,
	X86_INS_MOVDQA,	  X86_INS_MOVDQU,     X86_INS_MOVSS,	 X86_INS_MOVSD,	    X86_INS_MOVHPS,
	X86_INS_MOVLPS,	  X86_INS_PXOR,	      X86_INS_POR,	 X86_INS_PAND,	    X86_INS_XORPS,
	X86_INS_XORPD,	  X86_INS_PUNPCKLQDQ, X86_INS_PUNPCKLDQ, X86_INS_PUNPCKLBW, X86_INS_PSHUFD,
	X86_INS_CVTSI2SD, X86_INS_CVTSI2SS,   X86_INS_CMOVE,	 X86_INS_CMOVNE,    X86_INS_CMOVA,
	X86_INS_CMOVAE,	  X86_INS_CMOVB,      X86_INS_CMOVBE,	 X86_INS_CMOVG,	    X86_INS_CMOVGE,
	X86_INS_CMOVL,	  X86_INS_CMOVLE,     X86_INS_CMOVS,	 X86_INS_CMOVNS,    X86_INS_SETE,
	X86_INS_SETNE,	  X86_INS_SETA,	      X86_INS_SETAE,	 X86_INS_SETB,	    X86_INS_SETBE,
	X86_INS_SETG,	  X86_INS_SETGE,      X86_INS_SETL,	 X86_INS_SETLE,	    X86_INS_SETS,
	X86_INS_SETNS,	  X86_INS_BTS,	      X86_INS_BTR,	 X86_INS_BTC,	    X86_INS_IMUL,
};

static bool is_among(const uint16_t *ids, size_t n, unsigned int id)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* The stack pointer after `insn`, which writes it; false: not to be told. */
static bool move_stack(struct path *p, const cs_insn *insn)
{
	const cs_x86_op *to = &insn->detail->x86.operands[0];
	const cs_x86_op *by = &insn->detail->x86.operands[1];
	int64_t down;

	if (insn->detail->x86.op_count != 2 || to->reg != X86_REG_RSP)
		return false;
	if (insn->id == X86_INS_SUB && by->type == X86_OP_IMM)
		down = by->imm;
	else if (insn->id == X86_INS_ADD && by->type == X86_OP_IMM)
		down = -by->imm;
	else if (insn->id == X86_INS_LEA && by->mem.base == X86_REG_RSP && !by->mem.index)
		down = -by->mem.disp;
	else
		return false;
	down += p->stack;
	if (down < 0 || down > PROBE_MAX_STACK || down % 8)
		return false;
	p->stack = down;
	return true;
}

static void note_test(struct path *p, const cs_insn *insn)
{
	const cs_x86_op *a = &insn->detail->x86.operands[0];
	const cs_x86_op *b = &insn->detail->x86.operands[1];

	p->tested = -1;
	if (insn->id == X86_INS_TEST && a->type == X86_OP_REG && b->type == X86_OP_REG &&
	    a->reg == b->reg && a->size == 8)
		p->tested = gpr_of(a->reg);
}

/* Take the path over an instruction that is no branch. False: it ends here. */
static bool pass(struct path *p, const cs_insn *insn)
{
	const cs_x86 *x = &insn->detail->x86;
	const cs_x86_op *to = &x->operands[0], *from = &x->operands[1];
	uint8_t copied = 0;
	int reg;

	note_test(p, insn);
	if (insn->id == X86_INS_PUSH) { /* of memory or a constant; a register's is a site */
		p->stack += 8;
		return p->stack <= PROBE_MAX_STACK;
	}
	if (is_among(writing_nothing, ARRAY_SIZE(writing_nothing), insn->id))
		return true;
	if (!is_among(writing_first, ARRAY_SIZE(writing_first), insn->id) ||
	    (insn->id == X86_INS_IMUL && x->op_count == 1) ||
	    (insn->id == X86_INS_MOVSD && to->type == from->type && to->type == X86_OP_MEM))
		return false;
	if (!x->op_count || to->type != X86_OP_REG)
		return true;
	if (is_stack_pointer(to->reg))
		return move_stack(p, insn);
	reg = gpr_of(to->reg);
	if (reg < 0)
		return true; /* a vector register, a segment */
	if (insn->id == X86_INS_MOV && to->size == 8 && from->type == X86_OP_REG &&
	    gpr_of(from->reg) >= 0)
		copied = p->holds[gpr_of(from->reg)];
	p->holds[reg] = copied;
	return true;
}

static void path_args(const struct path *p, uint8_t *args)
{
	for (int i = 0; i < PROBE_NR_ARGS; i++) {
		args[i] = PROBE_ARG_LOST;
		if (p->holds[argument_regs[i]] & 1 << i)
			args[i] = argument_regs[i];
		for (int reg = 0; reg < PROBE_NR_GPRS && args[i] == PROBE_ARG_LOST; reg++)
			if (p->holds[reg] & 1 << i)
				args[i] = reg;
	}
}

/* ---------------------------------------------------------------- choosing ---- */

static int vaddr_to_offset(const struct probe_code *c, uint64_t vaddr, uint64_t *ret)
{
	for (size_t i = 0; i < c->nr_segments; i++)
		if (vaddr - c->segments[i].vaddr < c->segments[i].size) {
			*ret = c->segments[i].offset + (vaddr - c->segments[i].vaddr);
			return 0;
		}
	return -ENOENT;
}

static bool wishes_granted(const struct probe_site *s, const struct probe_site_options *o)
{
	for (int i = 0; i < PROBE_NR_ARGS; i++)
		if ((o->args & 1 << i) && s->args[i] == PROBE_ARG_LOST)
			return false;
	return !o->returns || !s->stack;
}

struct walk {
	const struct probe_site_options *o;
	struct path path;
	struct probe_site first, cheap, after_null;
	bool has_first, has_cheap, has_after_null;
	enum probe_insn_kind entry_kind;
};

static struct probe_site site_here(const struct walk *w, const cs_insn *insn,
				   enum probe_insn_kind kind)
{
	struct probe_site s = {
		.vaddr = insn->address,
		.size = insn->size,
		.class = kind == PROBE_INSN_EMULATED ? PROBE_EMULATED : PROBE_STEPPED,
		.stack = w->path.stack,
	};

	path_args(&w->path, s.args);
	return s;
}

/* Is it `je` after a test of the first argument, so that what follows has one? */
static bool is_null_test(const struct walk *w, const cs_insn *insn)
{
	return insn->id == X86_INS_JE && w->path.tested >= 0 && (w->path.holds[w->path.tested] & 1);
}

/* Look at the next instruction of the path; false: it ends here. */
static bool step(struct walk *w, const cs_insn *insn)
{
	enum probe_insn_kind kind = probe_insn_kind(insn->bytes, insn->size, insn->address);
	struct probe_site s = site_here(w, insn, kind);
	uint64_t target;

	if (!w->has_first && kind <= PROBE_INSN_STEPPED && wishes_granted(&s, w->o)) {
		w->first = s;
		w->has_first = true;
	}
	if (kind == PROBE_INSN_EMULATED) {
		if (!wishes_granted(&s, w->o))
			return false;
		if (w->has_cheap) {
			w->after_null = s;
			w->after_null.skips_null = true;
			w->has_after_null = true;
			return false;
		}
		w->cheap = s;
		w->has_cheap = true;
		if (!w->o->skip_null || !is_null_test(w, insn))
			return false;
		w->path.tested = -1;
		return true;
	}
	if (probe_insn_branch(insn->bytes, insn->size, insn->address, &target) != PROBE_NO_BRANCH)
		return false;
	return pass(&w->path, insn);
}

/* Follow the path and gather its sites. Returns 0 or -EILSEQ when not even one decodes. */
static int walk_path(struct probe_code *c, struct walk *w, const uint8_t *code, size_t size,
		     uint64_t vaddr)
{
	for (int i = 0; i < PATH_MAX_INSNS; i++) {
		if (!size || !cs_disasm_iter(c->full, &code, &size, &vaddr, c->insn))
			return i ? 0 : -EILSEQ;
		if (!step(w, c->insn))
			break;
	}
	return 0;
}

/*
 * Is a site behind the entry passed once by each call? Not if some branch leads to between the
 * two, or if not all branches could be seen.
 */
static int is_straight(struct probe_code *c, uint64_t start, uint64_t end,
		       const struct probe_site *s, const struct probe_sweep *sweep, bool *ret)
{
	bool unsure = sweep->undecoded;
	int err = 0;

	if (s->vaddr != start && !unsure)
		err = probe_code_sweep_around(c, start, s->vaddr, end, &unsure);
	if (!err)
		*ret = s->vaddr == start || (!unsure && !probe_code_landed(c, start, s->vaddr));
	return err;
}

static int choose(struct probe_code *c, uint64_t start, uint64_t end, const struct walk *w,
		  struct probe_site *ret)
{
	struct probe_sweep sweep;
	bool straight = false;
	int err;

	if (!w->has_first)
		return -EOPNOTSUPP;
	err = probe_code_sweep(c, start, end, &sweep);
	if (!err && w->has_after_null) {
		err = is_straight(c, start, end, &w->after_null, &sweep, &straight);
		*ret = w->after_null;
	}
	if (!err && !straight && w->has_cheap) {
		err = is_straight(c, start, end, &w->cheap, &sweep, &straight);
		*ret = w->cheap;
	}
	if (!err && !straight) {
		err = is_straight(c, start, end, &w->first, &sweep, &straight);
		*ret = w->first;
	}
	if (err)
		return err;
	ret->repeats = !straight || sweep.to_start;
	ret->leaf = sweep.leaf;
	return vaddr_to_offset(c, ret->vaddr, &ret->offset);
}

int probe_site_find(struct probe_code *c, uint64_t vaddr, uint64_t size,
		    const struct probe_site_options *o, struct probe_site *ret)
{
	static const struct probe_site_options none;
	struct walk w = { .o = o ? o : &none, .path.tested = -1 };
	uint8_t code[PATH_MAX_INSNS * PROBE_INSN_MAX];
	struct probe_site s = { 0 };
	int n, err;

	if (!size || size > UINT64_MAX - vaddr)
		return -ENOENT;
	n = probe_code_read(c, vaddr, code, MIN(size, sizeof(code)));
	if (n < 0)
		return n;
	for (int i = 0; i < PROBE_NR_ARGS; i++)
		w.path.holds[argument_regs[i]] = 1 << i;
	err = walk_path(c, &w, code, n, vaddr);
	if (!err)
		err = choose(c, vaddr, vaddr + size, &w, &s);
	if (!err)
		*ret = s;
	return err;
}

int probe_site_at(struct probe_code *c, uint64_t vaddr, bool force, struct probe_site *ret)
{
	struct probe_site s = { .vaddr = vaddr };
	uint8_t bytes[PROBE_INSN_MAX];
	const uint8_t *code = bytes;
	uint64_t next = vaddr;
	enum probe_insn_kind kind;
	size_t left;
	int n, err;

	n = probe_code_read(c, vaddr, bytes, sizeof(bytes));
	if (n < 0)
		return n;
	left = n;
	if (!cs_disasm_iter(c->fast, &code, &left, &next, c->insn))
		return -EILSEQ;
	kind = probe_insn_kind(bytes, c->insn->size, vaddr);
	if (kind == PROBE_INSN_REFUSED)
		return -EOPNOTSUPP;
	if (kind == PROBE_INSN_DANGEROUS && !force)
		return -EPERM;
	s.size = c->insn->size;
	s.class = PROBE_STEPPED;
	if (kind == PROBE_INSN_EMULATED || probe_insn_is_emulated_nop(bytes, s.size))
		s.class = PROBE_EMULATED;
	memset(s.args, PROBE_ARG_LOST, sizeof(s.args));
	err = vaddr_to_offset(c, vaddr, &s.offset);
	if (!err)
		*ret = s;
	return err;
}

/* ---------------------------------------------------------------- words ---- */

uint64_t probe_site_cookie(const struct probe_site *s, uint32_t id)
{
	return probe_cookie(id, s->stack, s->args);
}

const char *probe_class_name(enum probe_class class)
{
	return class == PROBE_EMULATED ? "emulated" : "single-stepped";
}

const char *probe_reg_name(unsigned int reg)
{
	static const char *const names[] = {
		[PROBE_R15] = "r15", [PROBE_R14] = "r14", [PROBE_R13] = "r13", [PROBE_R12] = "r12",
		[PROBE_RBP] = "rbp", [PROBE_RBX] = "rbx", [PROBE_R11] = "r11", [PROBE_R10] = "r10",
		[PROBE_R9] = "r9",   [PROBE_R8] = "r8",	  [PROBE_RAX] = "rax", [PROBE_RCX] = "rcx",
		[PROBE_RDX] = "rdx", [PROBE_RSI] = "rsi", [PROBE_RDI] = "rdi", [PROBE_IP] = "rip",
		[PROBE_SP] = "rsp",
	};

	return reg < ARRAY_SIZE(names) && names[reg] ? names[reg] : "lost";
}

const char *probe_site_error(int err)
{
	switch (err) {
	case 0:
		return "can be probed";
	case -ENOENT:
		return "no code of the file is at this address";
	case -EILSEQ:
		return "what is at this address is no instruction";
	case -EOPNOTSUPP:
		return "the kernel refuses to probe this instruction";
	case -EPERM:
		return "a probe would damage the process: this kernel replaces a 5-byte nop by a "
		       "call that overwrites the red zone";
	case -ENOSYS:
		return "not x86-64 code";
	case -EBADMSG:
		return "the file cannot be read";
	default:
		return strerror(-err);
	}
}
