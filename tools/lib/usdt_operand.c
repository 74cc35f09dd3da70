/* SPDX-License-Identifier: MIT */
/*
 * The operands of USDT notes, in the assembler's words: AT&T syntax on x86-64 (GNU as manual,
 * "AT&T Syntax versus Intel Syntax"), `[register, offset]` on arm64.
 */
#include "usdt.h"

#include <ctype.h>
#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define ARM64_SP 31 /* struct user_pt_regs: regs[31], sp */

struct operand_parser {
	const char *p; /* what is left */
	struct elf_file *elf;
	uint64_t site;
};

/* ---------------------------------------------------------------- symbols ---- */

static bool has_value(const GElf_Sym *sym)
{
	int type = GELF_ST_TYPE(sym->st_info);

	return sym->st_shndx != SHN_UNDEF &&
	       (type == STT_OBJECT || type == STT_NOTYPE || type == STT_FUNC || type == STT_COMMON);
}

/*
 * The address of a symbol of the file. False when there is none, or, as happens with static
 * variables, several of different addresses: then nobody can tell which one is meant.
 */
static bool find_symbol(struct elf_file *f, const char *name, size_t len, uint64_t *ret)
{
	Elf_Scn *scn = NULL;
	bool found = false;
	GElf_Shdr sh;

	while ((scn = elf_nextscn(f->elf, scn))) {
		Elf_Data *data;

		if (!gelf_getshdr(scn, &sh) ||
		    (sh.sh_type != SHT_SYMTAB && sh.sh_type != SHT_DYNSYM))
			continue;
		data = elf_getdata(scn, NULL);
		for (size_t i = 1; data && i < data->d_size / sizeof(Elf64_Sym); i++) {
			const char *s;
			GElf_Sym sym;

			if (!gelf_getsym(data, i, &sym) || !has_value(&sym))
				continue;
			s = elf_strptr(f->elf, sh.sh_link, sym.st_name);
			if (!s || strncmp(s, name, len) != 0 || s[len])
				continue;
			if (found && *ret != sym.st_value)
				return false;
			*ret = sym.st_value;
			found = true;
		}
	}
	return found;
}

/* ---------------------------------------------------------------- pieces ---- */

static bool take(struct operand_parser *o, char c)
{
	if (*o->p != c)
		return false;
	o->p++;
	return true;
}

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '$';
}

static bool take_number(struct operand_parser *o, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)*o->p))
		return false;
	errno = 0;
	*ret = strtoull(o->p, &end, 0);
	o->p = end;
	return !errno;
}

/*
 * A sum of numbers and at most one symbol: `-8`, `gl`, `12+gl`, `gl+4`. *ret_symbol tells that
 * there was one, whose address is in the sum. False: not understood.
 */
static bool take_sum(struct operand_parser *o, __s64 *ret, bool *ret_symbol)
{
	uint64_t sum = 0, term;
	bool first = true;

	*ret_symbol = false;
	for (;; first = false) {
		bool minus = take(o, '-');
		const char *name;

		if (!minus && !take(o, '+') && !first)
			break;
		name = o->p;
		if (!take_number(o, &term)) {
			while (is_name_char(*o->p))
				o->p++;
			if (o->p == name || minus || *ret_symbol ||
			    !find_symbol(o->elf, name, o->p - name, &term))
				return false;
			*ret_symbol = true;
		}
		sum += minus ? -term : term;
	}
	*ret = (__s64)sum;
	return true;
}

/* ---------------------------------------------------------------- x86-64 ---- */

struct reg_name {
	const char *name;
	uint8_t reg, shift;
};

/* All names of the general registers but those of r8 to r15. */
static const struct reg_name reg_names[] = {
	{ "rax", PROBE_RAX, 0 }, { "eax", PROBE_RAX, 0 }, { "ax", PROBE_RAX, 0 },
	{ "al", PROBE_RAX, 0 },	 { "ah", PROBE_RAX, 8 },  { "rbx", PROBE_RBX, 0 },
	{ "ebx", PROBE_RBX, 0 }, { "bx", PROBE_RBX, 0 },  { "bl", PROBE_RBX, 0 },
	{ "bh", PROBE_RBX, 8 },	 { "rcx", PROBE_RCX, 0 }, { "ecx", PROBE_RCX, 0 },
	{ "cx", PROBE_RCX, 0 },	 { "cl", PROBE_RCX, 0 },  { "ch", PROBE_RCX, 8 },
	{ "rdx", PROBE_RDX, 0 }, { "edx", PROBE_RDX, 0 }, { "dx", PROBE_RDX, 0 },
	{ "dl", PROBE_RDX, 0 },	 { "dh", PROBE_RDX, 8 },  { "rsi", PROBE_RSI, 0 },
	{ "esi", PROBE_RSI, 0 }, { "si", PROBE_RSI, 0 },  { "sil", PROBE_RSI, 0 },
	{ "rdi", PROBE_RDI, 0 }, { "edi", PROBE_RDI, 0 }, { "di", PROBE_RDI, 0 },
	{ "dil", PROBE_RDI, 0 }, { "rbp", PROBE_RBP, 0 }, { "ebp", PROBE_RBP, 0 },
	{ "bp", PROBE_RBP, 0 },	 { "bpl", PROBE_RBP, 0 }, { "rsp", PROBE_SP, 0 },
	{ "esp", PROBE_SP, 0 },	 { "sp", PROBE_SP, 0 },	  { "spl", PROBE_SP, 0 },
	{ "rip", PROBE_IP, 0 },	 { "eip", PROBE_IP, 0 },
};

/* r8 to r15, with nothing, d, w or b behind. */
static bool numbered_reg(const char *name, size_t len, uint8_t *ret)
{
	static const uint8_t regs[] = { PROBE_R8,  PROBE_R9,  PROBE_R10, PROBE_R11,
					PROBE_R12, PROBE_R13, PROBE_R14, PROBE_R15 };
	size_t digits = 1;
	int number;

	if (len < 2 || name[0] != 'r' || !isdigit((unsigned char)name[1]))
		return false;
	number = name[1] - '0';
	if (len > 2 && isdigit((unsigned char)name[2])) {
		number = number * 10 + name[2] - '0';
		digits = 2;
	}
	if (number < 8 || number > 15 || len > digits + 2 ||
	    (len == digits + 2 && !strchr("dwb", name[digits + 1])))
		return false;
	*ret = regs[number - 8];
	return true;
}

static bool take_reg(struct operand_parser *o, uint8_t *ret_reg, uint8_t *ret_shift)
{
	const char *name;
	size_t len;

	if (!take(o, '%'))
		return false;
	name = o->p;
	while (isalnum((unsigned char)*o->p))
		o->p++;
	len = o->p - name;
	*ret_shift = 0;
	if (numbered_reg(name, len, ret_reg))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(reg_names); i++)
		if (!strncmp(reg_names[i].name, name, len) && !reg_names[i].name[len]) {
			*ret_reg = reg_names[i].reg;
			*ret_shift = reg_names[i].shift;
			return true;
		}
	return false;
}

/* `(base)`, `(base,index)`, `(base,index,scale)`, `(,index,scale)`, after the displacement. */
static bool take_address(struct operand_parser *o, struct usdt_arg *arg)
{
	uint64_t scale = 1;
	uint8_t unused;

	if (!take(o, '('))
		return false;
	if (*o->p != ',' && !take_reg(o, &arg->reg, &unused))
		return false;
	if (take(o, ',') && *o->p != ')') {
		if (!take_reg(o, &arg->index, &unused) || (take(o, ',') && !take_number(o, &scale)))
			return false;
	}
	if (!take(o, ')') || (scale != 1 && scale != 2 && scale != 4 && scale != 8))
		return false;
	arg->shift = __builtin_ctzll(scale);
	return true;
}

static bool parse_memory(struct operand_parser *o, struct usdt_arg *arg)
{
	bool symbol = false;

	arg->kind = USDT_MEM;
	if (*o->p != '(' && !take_sum(o, &arg->off, &symbol))
		return false;
	if (*o->p && !take_address(o, arg))
		return false;
	if (arg->reg == PROBE_IP) {
		/* `sym(%rip)` is the symbol, wherever that is; a number alone counts from the next
		 * instruction of one that nobody knows. */
		if (!symbol || arg->index != USDT_NO_REG)
			return false;
		arg->off -= (int64_t)o->site;
		return true;
	}
	/* An address as it stands is one only in a program that is not relocated. */
	return (arg->reg != USDT_NO_REG && !symbol) || o->elf->type == ET_EXEC;
}

static bool parse_x86(struct operand_parser *o, struct usdt_arg *arg)
{
	bool symbol;

	if (take(o, '$')) {
		arg->kind = USDT_CONST;
		return take_sum(o, &arg->off, &symbol) && (!symbol || o->elf->type == ET_EXEC);
	}
	if (*o->p == '%') {
		arg->kind = USDT_REG;
		return take_reg(o, &arg->reg, &arg->shift) && !*o->p;
	}
	return parse_memory(o, arg);
}

/* ---------------------------------------------------------------- arm64 ---- */

static bool take_arm64_reg(struct operand_parser *o, uint8_t *ret)
{
	uint64_t number;

	if (!strncmp(o->p, "sp", 2)) {
		o->p += 2;
		*ret = ARM64_SP;
		return true;
	}
	if ((!take(o, 'x') && !take(o, 'w')) || !take_number(o, &number) || number > 30)
		return false;
	*ret = number;
	return true;
}

static bool parse_arm64(struct operand_parser *o, struct usdt_arg *arg)
{
	bool symbol;

	if (take(o, '[')) {
		arg->kind = USDT_MEM;
		if (!take_arm64_reg(o, &arg->reg))
			return false;
		if (take(o, ',')) {
			while (take(o, ' '))
				;
			take(o, '#');
			if (!take_sum(o, &arg->off, &symbol) || symbol)
				return false;
		}
		return take(o, ']');
	}
	if (*o->p == '-' || *o->p == '#' || isdigit((unsigned char)*o->p)) {
		take(o, '#');
		arg->kind = USDT_CONST;
		return take_sum(o, &arg->off, &symbol) && !symbol;
	}
	arg->kind = USDT_REG;
	return take_arm64_reg(o, &arg->reg);
}

/* ---------------------------------------------------------------- operands ---- */

/* What precedes the operand: `4@`, `-1@`, `8f@`; nothing in the oldest notes: a machine word. */
static bool take_size(struct operand_parser *o, struct usdt_arg *arg)
{
	const char *start = o->p;
	uint64_t size;

	arg->size = 8;
	arg->is_signed = take(o, '-');
	if (!take_number(o, &size)) {
		o->p = start;
		arg->is_signed = false;
		return true;
	}
	arg->is_float = take(o, 'f');
	if (!take(o, '@')) {
		o->p = start; /* `-8(%rbp)`: it was a displacement */
		arg->is_signed = arg->is_float = false;
		return true;
	}
	arg->size = size;
	return size == 1 || size == 2 || size == 4 || size == 8;
}

/* A constant as wide as all values are, by its size and sign. */
static void extend_constant(struct usdt_arg *arg)
{
	unsigned int bits = 64 - arg->size * 8;
	uint64_t value = (uint64_t)arg->off << bits;

	arg->off = arg->is_signed ? (int64_t)value >> bits : (int64_t)(value >> bits);
}

static bool parse_operand(struct elf_file *elf, uint64_t site, const char *text,
			  struct usdt_arg *ret)
{
	struct operand_parser o = { text, elf, site };
	struct usdt_arg arg = { .reg = USDT_NO_REG, .index = USDT_NO_REG };
	bool ok;

	ok = take_size(&o, &arg);
	if (ok)
		ok = elf->machine == EM_X86_64	  ? parse_x86(&o, &arg)
		     : elf->machine == EM_AARCH64 ? parse_arm64(&o, &arg)
						  : false;
	if (!ok || *o.p) {
		arg.kind = USDT_NONE;
		arg.off = 0;
		arg.reg = arg.index = USDT_NO_REG;
		arg.shift = 0;
		if (arg.size != 1 && arg.size != 2 && arg.size != 4)
			arg.size = 8;
	} else if (arg.kind == USDT_CONST) {
		extend_constant(&arg);
	}
	*ret = arg;
	return arg.kind != USDT_NONE;
}

/* The end of the operand at p: a blank outside of brackets. */
static const char *operand_end(const char *p)
{
	bool inside = false;

	for (; *p && (inside || *p != ' '); p++)
		inside = *p == '[' || (inside && *p != ']');
	return p;
}

int usdt_parse(struct elf_file *elf, uint64_t vaddr, const char *operands, struct usdt_spec *ret)
{
	struct usdt_spec spec = { 0 };
	const char *p = operands, *end;
	int unreadable = 0;
	char *text;

	for (;; p = end) {
		p += strspn(p, " ");
		if (!*p)
			break;
		if (spec.nr == USDT_MAX_ARGS)
			return -E2BIG;
		end = operand_end(p);
		text = strndup(p, end - p);
		if (!text)
			return -ENOMEM;
		unreadable += !parse_operand(elf, vaddr, text, &spec.args[spec.nr++]);
		free(text);
	}
	*ret = spec;
	return unreadable;
}
