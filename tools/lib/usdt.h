/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_USDT_H
#define PERISCOPE_USDT_H

/*
 * USDT probes (user-level statically defined tracing) of an object: the notes that <sys/sdt.h> and
 * its like leave in .note.stapsdt, each naming an instruction, a nop mostly, and where the
 * probe's arguments are at that moment. Format: https://sourceware.org/systemtap/wiki/
 * UserSpaceProbeImplementation. Notes are untrusted: damaged ones are counted and left out, an
 * operand that cannot be read makes its argument USDT_NONE and the rest of the probe stays usable.
 *
 * One probe (provider:name) may have several sites, which differ in where the arguments are: where
 * a macro was expanded or a function inlined more than once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/usdt.h"
#include "elf.h"
#include "probe_site.h"
#include "strbuf.h"
#include "suggest.h"

struct usdt_probe {
	const char *provider, *name; /* in the list's memory */
	const char *operands;	     /* as in the note */
	uint64_t vaddr;		     /* of the site, in the file */
	uint64_t semaphore;	     /* its vaddr in the file; 0: none */
	uint64_t semaphore_offset;   /* in bytes of the file, for attach; 0: none */
	struct probe_site site;	     /* valid when site_err is 0 */
	int site_err;		     /* why it must not be attached to: probe_site_error() */
	uint16_t machine;	     /* EM_X86_64, ... */
	struct usdt_spec spec;
};

struct usdt_list {
	struct usdt_probe *items; /* by provider, name, vaddr */
	size_t nr;
	size_t nr_bad; /* notes that could not be read */
	char *strings;
};

/*
 * Read the probes of an object. code: of the same object, for the sites' class; may be NULL, then
 * every site_err is -ENOSYS. force: also sites that are dangerous on this kernel. Returns 0 (also
 * for an object without probes), -ENOMEM, -ENOEXEC for a section outside the file. On success the
 * caller releases *ret.
 */
int usdt_list_init(struct usdt_list *ret, struct elf_file *elf, struct probe_code *code,
		   bool force);
void usdt_list_release(struct usdt_list *l);

/*
 * Does "provider:name" match the pattern? `provider:name` with globs in either part; without a
 * colon, the name in any provider. Names may be written with `-` for `__`, as DTrace shows them.
 */
bool usdt_matches(const struct usdt_probe *p, const char *pattern);

/*
 * For a name that matched nothing: add those that there are, "provider:name" if it has a colon, else
 * "name".
 */
void usdt_suggest(const struct usdt_list *l, struct suggest *s);

/*
 * Parse the operands of a note, `-4@%edi 8@-16(%rbp,%rax,8) ...`, of a site at vaddr: those of
 * x86-64 and the plain ones of arm64 (registers, constants, [register, offset]). elf: its machine,
 * and the symbols in operands. What cannot be read is USDT_NONE: vector registers, %fs: and %gs:,
 * GOT slots, symbols that the file does not name or names twice. Returns the number of arguments
 * that could not be read, or -E2BIG for too many, -ENOMEM.
 */
int usdt_parse(struct elf_file *elf, uint64_t vaddr, const char *operands, struct usdt_spec *ret);

/*
 * Append an argument in words: its type ("int32", "uint8", "double") and its place ("rdi",
 * "constant 5", "memory at rbp - 16 + rax * 8", "memory at 0x4010 of the file", "cannot be read").
 * An operand's size and sign are all that a note tells of the type: a pointer is uint64 or int64.
 */
void usdt_put_type(struct strbuf *b, const struct usdt_arg *arg);
void usdt_put_place(struct strbuf *b, const struct usdt_probe *p, size_t arg);

#endif
