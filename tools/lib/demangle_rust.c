/* SPDX-License-Identifier: MIT */
/*
 * A recursive descent over the grammar of RFC 2603, which prints as it reads. Back references make
 * a name a graph, so that a short one can have a form of any length: depth, steps and output are
 * bounded.
 */
#include "demangle_rust.h"

#include "strbuf.h"
#include "util.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH  100
#define MAX_STEPS  20000
#define MAX_OUTPUT 16384

struct parser {
	const char *s; /* after `_R`: what back references count from */
	size_t at, len;
	struct strbuf out;
	bool failed, quiet; /* quiet: read, but do not print */
	unsigned int depth, steps;
	uint64_t lifetimes; /* bound by the binders around */
};

struct ident {
	const char *text;
	size_t len;
	bool punycode;
	uint64_t number; /* disambiguator */
};

static void read_type(struct parser *p);
static void read_path(struct parser *p, bool in_value);
static void read_const(struct parser *p);

static char peek(const struct parser *p)
{
	return p->at < p->len && !p->failed ? p->s[p->at] : '\0';
}

static char next(struct parser *p)
{
	char c = peek(p);

	if (c)
		p->at++;
	else
		p->failed = true;
	return c;
}

static bool eat(struct parser *p, char c)
{
	if (peek(p) != c)
		return false;
	p->at++;
	return true;
}

static void print_n(struct parser *p, const char *text, size_t len)
{
	if (p->quiet || p->failed)
		return;
	strbuf_add(&p->out, text, len);
	if (p->out.len > MAX_OUTPUT)
		p->failed = true;
}

static void print(struct parser *p, const char *text)
{
	print_n(p, text, strlen(text));
}

static void print_number(struct parser *p, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	print(p, text);
}

/* Every rule that can contain itself begins with this; pairs with p->depth--. */
static bool enter(struct parser *p)
{
	if (++p->depth > MAX_DEPTH || ++p->steps > MAX_STEPS)
		p->failed = true;
	return !p->failed;
}

/* `_` is 0, and digits of base 62 before it count from 1. */
static uint64_t read_base62(struct parser *p)
{
	uint64_t value = 0;
	char c;

	if (eat(p, '_'))
		return 0;
	while ((c = next(p)) && c != '_') {
		unsigned int digit = isdigit((unsigned char)c)	 ? c - '0'
				     : islower((unsigned char)c) ? c - 'a' + 10
				     : isupper((unsigned char)c) ? c - 'A' + 36
								 : 62;

		if (digit == 62 || __builtin_mul_overflow(value, 62, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			p->failed = true;
	}
	return value + 1;
}

static uint64_t read_optional(struct parser *p, char tag)
{
	return eat(p, tag) ? read_base62(p) + 1 : 0;
}

static struct ident read_ident(struct parser *p)
{
	struct ident id = { .text = "" };
	size_t len = 0;

	id.number = read_optional(p, 's');
	id.punycode = eat(p, 'u');
	if (!isdigit((unsigned char)peek(p)))
		p->failed = true;
	else if (!eat(p, '0'))
		while (isdigit((unsigned char)peek(p)) && len < MAX_OUTPUT)
			len = len * 10 + (next(p) - '0');
	eat(p, '_');
	if (len > p->len - p->at)
		p->failed = true;
	if (p->failed)
		return id;
	id.text = p->s + p->at;
	id.len = len;
	p->at += len;
	return id;
}

static void print_ident(struct parser *p, const struct ident *id)
{
	if (id->punycode)
		print(p, "punycode{");
	print_n(p, id->text, id->len);
	if (id->punycode)
		print(p, "}");
}

/* Read again what was read at an earlier place. */
static void follow(struct parser *p, void (*rule)(struct parser *p))
{
	size_t back = p->at - 1, target = read_base62(p), resume = p->at;

	if (target >= back)
		p->failed = true;
	if (p->failed || p->quiet)
		return;
	p->at = target;
	rule(p);
	p->at = resume;
}

/* A bound lifetime counts binders outwards from here; 0 is an erased one. */
static void print_lifetime(struct parser *p, uint64_t index)
{
	uint64_t depth = p->lifetimes - index;
	char letter[3] = "'";

	if (!index) {
		print(p, "'_");
	} else if (index > p->lifetimes) {
		p->failed = true;
	} else if (depth < 26) {
		letter[1] = 'a' + depth;
		print(p, letter);
	} else {
		print(p, "'_");
		print_number(p, depth);
	}
}

/* `for<'a, 'b> `; the caller puts p->lifetimes back. */
static void read_binder(struct parser *p)
{
	uint64_t n = read_optional(p, 'G');

	if (!n || p->failed)
		return;
	if (n > MAX_DEPTH) {
		p->failed = true;
		return;
	}
	print(p, "for<");
	for (uint64_t i = 0; i < n; i++) {
		if (i)
			print(p, ", ");
		p->lifetimes++;
		print_lifetime(p, 1);
	}
	print(p, "> ");
}

static void read_generic_arg(struct parser *p)
{
	if (eat(p, 'L'))
		print_lifetime(p, read_base62(p));
	else if (eat(p, 'K'))
		read_const(p);
	else
		read_type(p);
}

static void read_generic_args(struct parser *p)
{
	for (int i = 0; !p->failed && !eat(p, 'E'); i++) {
		if (i)
			print(p, ", ");
		read_generic_arg(p);
	}
}

/* Which impl it is says nothing to people: the type and trait do. */
static void skip_impl_path(struct parser *p)
{
	bool quiet = p->quiet;

	p->quiet = true;
	read_optional(p, 's');
	read_path(p, false);
	p->quiet = quiet;
}

static void read_nested(struct parser *p, bool in_value)
{
	char space = next(p);
	struct ident id;

	read_path(p, in_value);
	id = read_ident(p);
	if (isupper((unsigned char)space)) {
		print(p, space == 'C' ? "::{closure" : space == 'S' ? "::{shim" : "::{");
		if (space != 'C' && space != 'S')
			print_n(p, &space, 1);
		if (id.len) {
			print(p, ":");
			print_ident(p, &id);
		}
		print(p, "#");
		print_number(p, id.number);
		print(p, "}");
	} else if (islower((unsigned char)space)) {
		if (id.len) {
			print(p, "::");
			print_ident(p, &id);
		}
	} else {
		p->failed = true;
	}
}

static void read_type_path(struct parser *p)
{
	read_path(p, false);
}

static void read_value_path(struct parser *p)
{
	read_path(p, true);
}

static void read_path(struct parser *p, bool in_value)
{
	struct ident id;
	char tag;

	if (enter(p)) {
		tag = next(p);
		switch (tag) {
		case 'C':
			id = read_ident(p);
			print_ident(p, &id);
			break;
		case 'N':
			read_nested(p, in_value);
			break;
		case 'M':
		case 'X':
		case 'Y':
			if (tag != 'Y')
				skip_impl_path(p);
			print(p, "<");
			read_type(p);
			if (tag != 'M') {
				print(p, " as ");
				read_path(p, false);
			}
			print(p, ">");
			break;
		case 'I':
			read_path(p, in_value);
			print(p, in_value ? "::<" : "<");
			read_generic_args(p);
			print(p, ">");
			break;
		case 'B':
			follow(p, in_value ? read_value_path : read_type_path);
			break;
		default:
			p->failed = true;
		}
	}
	p->depth--;
}

/* A trait's generics stay open for its associated types: `Iterator<Item = u8>`. */
static bool read_open_path(struct parser *p)
{
	size_t resume;
	bool open = false;

	if (peek(p) == 'B') {
		size_t back = p->at++, target = read_base62(p);

		resume = p->at;
		if (target >= back)
			p->failed = true;
		if (!p->failed && !p->quiet && enter(p)) {
			p->at = target;
			open = read_open_path(p);
			p->at = resume;
			p->depth--;
		}
	} else if (eat(p, 'I')) {
		read_path(p, false);
		print(p, "<");
		read_generic_args(p);
		open = true;
	} else {
		read_path(p, false);
	}
	return open;
}

static void read_dyn(struct parser *p)
{
	uint64_t lifetimes = p->lifetimes, bound;
	struct ident id;

	print(p, "dyn ");
	read_binder(p);
	for (int i = 0; !p->failed && !eat(p, 'E'); i++) {
		bool open;

		if (i)
			print(p, " + ");
		open = read_open_path(p);
		while (eat(p, 'p')) {
			print(p, open ? ", " : "<");
			open = true;
			id = read_ident(p);
			print_ident(p, &id);
			print(p, " = ");
			read_type(p);
		}
		if (open)
			print(p, ">");
	}
	p->lifetimes = lifetimes;
	if (!eat(p, 'L'))
		p->failed = true;
	bound = read_base62(p);
	if (bound) {
		print(p, " + ");
		print_lifetime(p, bound);
	}
}

static void read_abi(struct parser *p)
{
	struct ident id;

	print(p, "extern \"");
	if (eat(p, 'C')) {
		print(p, "C");
	} else {
		id = read_ident(p);
		for (size_t i = 0; i < id.len; i++)
			print_n(p, id.text[i] == '_' ? "-" : &id.text[i], 1);
	}
	print(p, "\" ");
}

static void read_fn(struct parser *p)
{
	uint64_t lifetimes = p->lifetimes;

	read_binder(p);
	if (eat(p, 'U'))
		print(p, "unsafe ");
	if (eat(p, 'K'))
		read_abi(p);
	print(p, "fn(");
	for (int i = 0; !p->failed && !eat(p, 'E'); i++) {
		if (i)
			print(p, ", ");
		read_type(p);
	}
	print(p, ")");
	if (!eat(p, 'u')) {
		print(p, " -> ");
		read_type(p);
	}
	p->lifetimes = lifetimes;
}

static void read_reference(struct parser *p, bool mutable)
{
	uint64_t lifetime;

	print(p, "&");
	if (eat(p, 'L')) {
		lifetime = read_base62(p);
		if (lifetime) {
			print_lifetime(p, lifetime);
			print(p, " ");
		}
	}
	if (mutable)
		print(p, "mut ");
	read_type(p);
}

static void read_tuple(struct parser *p)
{
	int n = 0;

	print(p, "(");
	for (; !p->failed && !eat(p, 'E'); n++) {
		if (n)
			print(p, ", ");
		read_type(p);
	}
	print(p, n == 1 ? ",)" : ")");
}

static const char *basic_type(char c)
{
	/* Indexed by letter; RFC 2603, "basic-type". */
	static const char *const names[] = {
		"i8",	 "bool", "char", "f64", "str",	"f32",	NULL,  "u8", "isize",
		"usize", NULL,	 "i32",	 "u32", "i128", "u128", "_",   NULL, NULL,
		"i16",	 "u16",	 "()",	 "...", NULL,	"i64",	"u64", "!",
	};

	return c >= 'a' && c <= 'z' ? names[c - 'a'] : NULL;
}

static void read_type(struct parser *p)
{
	char tag = peek(p);
	const char *basic = basic_type(tag);

	if (!enter(p)) {
		p->depth--;
		return;
	}
	if (basic) {
		p->at++;
		print(p, basic);
	} else if (tag == 'A' || tag == 'S') {
		p->at++;
		print(p, "[");
		read_type(p);
		if (tag == 'A') {
			print(p, "; ");
			read_const(p);
		}
		print(p, "]");
	} else if (eat(p, 'T')) {
		read_tuple(p);
	} else if (tag == 'R' || tag == 'Q') {
		p->at++;
		read_reference(p, tag == 'Q');
	} else if (tag == 'P' || tag == 'O') {
		p->at++;
		print(p, tag == 'P' ? "*const " : "*mut ");
		read_type(p);
	} else if (eat(p, 'F')) {
		read_fn(p);
	} else if (eat(p, 'D')) {
		read_dyn(p);
	} else if (eat(p, 'B')) {
		follow(p, read_type);
	} else {
		read_path(p, false);
	}
	p->depth--;
}

/* Hexadecimal digits up to `_`. Returns how many; *ret is their value when there are at most 16. */
static size_t read_hex(struct parser *p, const char **ret_digits, uint64_t *ret)
{
	size_t n = 0;
	char c;

	*ret = 0;
	*ret_digits = p->s + p->at;
	while ((c = next(p)) && c != '_') {
		if (!isdigit((unsigned char)c) && (c < 'a' || c > 'f'))
			p->failed = true;
		*ret = *ret << 4 | (isdigit((unsigned char)c) ? c - '0' : c - 'a' + 10);
		n++;
	}
	return n;
}

static void print_char(struct parser *p, uint64_t value)
{
	struct strbuf text;

	if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
		p->failed = true;
		return;
	}
	strbuf_init(&text);
	strbuf_puts(&text, "'");
	if (value == '\n' || value == '\r' || value == '\t')
		strbuf_puts(&text, value == '\n' ? "\\n" : value == '\r' ? "\\r" : "\\t");
	else if (value == '\'' || value == '\\')
		strbuf_printf(&text, "\\%c", (char)value);
	else if (utf8_unsafe(value))
		strbuf_printf(&text, "\\u{%llx}", (unsigned long long)value);
	else
		strbuf_put_utf8(&text, value);
	strbuf_puts(&text, "'");
	print(p, strbuf_str(&text));
	strbuf_release(&text);
}

/* Integers, truth values and characters; values of other types leave the name as it is. */
static void read_const(struct parser *p)
{
	const char *digits;
	uint64_t value;
	size_t n;
	char type;

	if (!enter(p)) {
		p->depth--;
		return;
	}
	type = next(p);
	if (type == 'B') {
		follow(p, read_const);
	} else if (type == 'p') {
		print(p, "_");
	} else if (type && strchr("abchijlmnostxy", type)) {
		if (strchr("ailnsx", type) && eat(p, 'n'))
			print(p, "-");
		n = read_hex(p, &digits, &value);
		if (n > 16) {
			print(p, "0x");
			print_n(p, digits, n);
		} else if (type == 'b') {
			print(p, value ? "true" : "false");
		} else if (type == 'c') {
			print_char(p, value);
		} else {
			print_number(p, value);
		}
	} else {
		p->failed = true;
	}
	p->depth--;
}

char *demangle_rust_v0(const char *name)
{
	struct parser p = { .s = name + 2 };

	/* A compiler's suffix (`.llvm.1234`) is no part of the grammar. */
	p.len = strcspn(p.s, ".$");
	strbuf_init(&p.out);
	read_path(&p, true);
	if (!p.failed && p.at < p.len) {
		/* The crate that a generic was instantiated in. */
		p.quiet = true;
		read_path(&p, false);
	}
	if (p.failed || p.at != p.len || strbuf_error(&p.out)) {
		strbuf_release(&p.out);
		return NULL;
	}
	return strbuf_detach(&p.out);
}
