/* SPDX-License-Identifier: MIT */
/*
 * C++ names go through the C++ runtime's own demangler; Rust's legacy names, which are C++ nested
 * names with a hash as their last part and escapes in the others, are read here, its v0 names by
 * demangle_rust.c.
 */
#include "demangle.h"

#include "demangle_rust.h"
#include "strbuf.h"
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define MAX_MANGLED   4096
#define MAX_DEMANGLED ((uint64_t)32 << 20)
#define RUST_HASH_LEN 17 /* 'h' and 16 hexadecimal digits */

/* Itanium C++ ABI 3.4, "Demangler API"; libstdc++ has it, but no C header declares it. */
char *__cxa_demangle(const char *mangled, char *buf, size_t *len, int *status);

/*
 * Substitutions (S_, S0_) and template parameters (T_, T0_) repeat what was said before, which may
 * repeat in turn: r of them in n bytes give up to n * 3^(r/3) bytes, gigabytes from a name of a
 * few hundred. The demangler has no limit of its own. Real names stay far below: of 75000 in LLVM
 * five have more than 24 references.
 */
static bool expands_too_far(const char *name, size_t len)
{
	uint64_t bound = len;
	size_t refs = 0;
	const char *p;

	for (p = name; *p; p++) {
		const char *q = p + 1;

		if (*p != 'S' && *p != 'T')
			continue;
		while (isdigit((unsigned char)*q) || isupper((unsigned char)*q))
			q++;
		if (*q == '_')
			refs++;
	}
	for (size_t i = 0; i < refs; i += 3) {
		bound *= 3;
		if (bound > MAX_DEMANGLED)
			return true;
	}
	return false;
}

/* One `$...$` escape (rustc's legacy symbol names); returns the bytes read, 0 when unknown. */
static size_t rust_escape(struct strbuf *out, const char *p, size_t len)
{
	static const struct {
		const char *code, *text;
	} escapes[] = {
		{ "$SP$", "@" }, { "$BP$", "*" }, { "$RF$", "&" }, { "$LT$", "<" },
		{ "$GT$", ">" }, { "$LP$", "(" }, { "$RP$", ")" }, { "$C$", "," },
	};
	uint32_t c = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(escapes); i++) {
		size_t n = strlen(escapes[i].code);

		if (len >= n && !memcmp(p, escapes[i].code, n)) {
			strbuf_puts(out, escapes[i].text);
			return n;
		}
	}
	if (len < 4 || p[1] != 'u')
		return 0;
	for (i = 2; i < len && i < 8 && isxdigit((unsigned char)p[i]); i++)
		c = c * 16 + (isdigit((unsigned char)p[i]) ? p[i] - '0' : (p[i] | 32) - 'a' + 10);
	/* Only what can be printed: an escape must not smuggle control characters in. */
	if (i == 2 || i >= len || p[i] != '$' || c < 32 || c > 0x10ffff ||
	    (c >= 0x7f && c < 0xa0) || (c >= 0xd800 && c < 0xe000))
		return 0;
	strbuf_put_utf8(out, c);
	return i + 1;
}

static void rust_part(struct strbuf *out, const char *p, size_t len)
{
	size_t n;

	/* An identifier may not begin with '$', so such a part was given an underscore. */
	if (len >= 2 && p[0] == '_' && p[1] == '$') {
		p++;
		len--;
	}
	while (len) {
		n = *p == '$' ? rust_escape(out, p, len) : 0;
		if (n) {
			/* done */
		} else if (len >= 2 && p[0] == '.' && p[1] == '.') {
			strbuf_puts(out, "::");
			n = 2;
		} else {
			strbuf_putc(out, *p);
			n = 1;
		}
		p += n;
		len -= n;
	}
}

static bool is_rust_hash(const char *p, size_t len)
{
	if (len != RUST_HASH_LEN || *p != 'h')
		return false;
	for (size_t i = 1; i < len; i++)
		if (!isdigit((unsigned char)p[i]) && (p[i] < 'a' || p[i] > 'f'))
			return false;
	return true;
}

/*
 * `_ZN`, parts as `LENGTH TEXT`, `E`, and perhaps a suffix of the compiler that begins with '.'.
 * Returns false when it is no Rust name.
 */
static bool rust_legacy(struct strbuf *out, const char *name)
{
	const char *p = name + 3;
	size_t len, parts = 0;
	bool hash = false;

	while (isdigit((unsigned char)*p)) {
		for (len = 0; isdigit((unsigned char)*p) && len < MAX_MANGLED; p++)
			len = len * 10 + (*p - '0');
		if (hash || !len || strnlen(p, len) < len)
			return false;
		hash = p[len] == 'E' && is_rust_hash(p, len);
		if (!hash) {
			if (parts++)
				strbuf_puts(out, "::");
			rust_part(out, p, len);
		}
		p += len;
	}
	return hash && parts && p[0] == 'E' && (!p[1] || p[1] == '.');
}

char *demangle(const char *name)
{
	struct strbuf rust;
	size_t len;
	int status;

	len = strnlen(name, MAX_MANGLED + 1);
	if (len > MAX_MANGLED)
		return NULL;
	if (name[0] == '_' && name[1] == 'R')
		return demangle_rust_v0(name);
	if (name[0] != '_' || name[1] != 'Z')
		return NULL;
	if (name[2] == 'N') {
		strbuf_init(&rust);
		if (rust_legacy(&rust, name))
			return strbuf_detach(&rust);
		strbuf_release(&rust);
	}
	if (expands_too_far(name, len))
		return NULL;
	return __cxa_demangle(name, NULL, NULL, &status);
}
