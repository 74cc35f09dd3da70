/* SPDX-License-Identifier: MIT */
/* Where return probes are safe: the row of the site, and what other code might do. */
#include "probe_site.h"

#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "probe_code.h"
#include "util.h"

/* Names of symbols, sorted; the strings belong to the file's Elf. */
struct names {
	const char **items;
	size_t n, cap;
};

static int names_add(struct names *n, const char *name)
{
	int err = array_grow((void **)&n->items, n->n, &n->cap, sizeof(*n->items));

	if (!err)
		n->items[n->n++] = name;
	return err;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool names_have(const struct names *n, const char *name)
{
	return n->n && bsearch(&name, n->items, n->n, sizeof(*n->items), compare_names);
}

/* What an object imports and what it defines, of all kinds of symbols. */
struct imports {
	struct names undefined, defined;
	bool is_dynamic;
	bool is_go;
};

static void imports_release(struct imports *im)
{
	free(im->undefined.items);
	free(im->defined.items);
}

static int add_table(struct imports *im, Elf *elf, Elf_Scn *scn, const GElf_Shdr *sh)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t n = data ? data->d_size / sizeof(Elf64_Sym) : 0;

	for (size_t i = 1; i < n; i++) {
		const char *name;
		GElf_Sym sym;
		int err;

		if (!gelf_getsym(data, i, &sym))
			continue;
		name = elf_strptr(elf, sh->sh_link, sym.st_name);
		if (!name || !*name)
			continue;
		err = names_add(sym.st_shndx == SHN_UNDEF ? &im->undefined : &im->defined, name);
		if (err)
			return err;
	}
	return 0;
}

/* Of a dynamic object its .dynsym; a static one has at best a .symtab. */
static int imports_init(struct imports *im, struct elf_file *f)
{
	Elf_Scn *scn = NULL, *symtab = NULL;
	const char *name;
	size_t strndx;
	GElf_Shdr sh;
	int err = 0;

	*im = (struct imports){ 0 };
	if (elf_getshdrstrndx(f->elf, &strndx))
		return -ENOEXEC;
	while (!err && (scn = elf_nextscn(f->elf, scn))) {
		if (!gelf_getshdr(scn, &sh))
			continue;
		name = elf_strptr(f->elf, strndx, sh.sh_name);
		if (name &&
		    (!strcmp(name, ".gopclntab") || !strcmp(name, ".data.rel.ro.gopclntab")))
			im->is_go = true;
		if (sh.sh_type == SHT_SYMTAB)
			symtab = scn;
		if (sh.sh_type != SHT_DYNSYM)
			continue;
		im->is_dynamic = true;
		err = add_table(im, f->elf, scn, &sh);
	}
	if (!err && !im->is_dynamic && symtab && gelf_getshdr(symtab, &sh))
		err = add_table(im, f->elf, symtab, &sh);
	if (err) {
		imports_release(im);
		return err;
	}
	/* An empty array needs no sorting, and qsort takes no NULL. */
	if (im->undefined.n)
		qsort(im->undefined.items, im->undefined.n, sizeof(char *), compare_names);
	if (im->defined.n)
		qsort(im->defined.items, im->defined.n, sizeof(char *), compare_names);
	return 0;
}

/*
 * What code that throws, catches or cleans up imports (Itanium C++ ABI: Exception Handling, 2.4
 * and 2.5); C with -fexceptions too, whose cleanups at pthread_exit and cancellation a return probe
 * would skip. Without -fexceptions these pass a probe unharmed. Walking the stack without unwinding
 * it (_Unwind_Backtrace) does no harm either: it ends at the probe.
 */
static const char *const throwing[] = {
	"__cxa_throw",		 "__cxa_rethrow",
	"__cxa_begin_catch",	 "__gxx_personality_v0",
	"__gcc_personality_v0",	 "_Unwind_RaiseException",
	"_Unwind_Resume",	 "_Unwind_Resume_or_Rethrow",
	"_Unwind_ForcedUnwind",	 "rust_eh_personality",
	"__gnat_personality_v0", "__objc_personality_v0",
	"_d_throwdwarf",
};

/*
 * Switching stacks, and what users of a library's coroutines call. An object that exports one of
 * these only offers it: libc; libcrypto and libssl, whose ASYNC jobs hardly any program starts.
 */
static const char *const switching[] = {
	"swapcontext",
	"setcontext",
	"makecontext",
	"jump_fcontext",
	"ontop_fcontext",
	"make_fcontext",
	"co_switch",
	"ASYNC_start_job",
	"SSL_waiting_for_async",
	"SSL_get_all_async_fds",
	"SSL_get_changed_async_fds",
};

static bool any_of(const struct names *n, const char *const *list, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (names_have(n, list[i]))
			return true;
	return false;
}

static unsigned int own_hazards(const struct imports *im)
{
	const struct names *n = im->is_dynamic ? &im->undefined : &im->defined;
	unsigned int hazards = 0;

	/* Static and stripped: it might do anything. */
	if (!im->is_dynamic && !n->n)
		return PROBE_MAY_THROW | PROBE_MAY_SWITCH;
	if (any_of(n, throwing, ARRAY_SIZE(throwing)))
		hazards |= PROBE_MAY_THROW;
	if (im->is_go ||
	    (any_of(n, switching, ARRAY_SIZE(switching)) &&
	     !(im->is_dynamic && any_of(&im->defined, switching, ARRAY_SIZE(switching)))))
		hazards |= PROBE_MAY_SWITCH;
	return hazards;
}

static bool calls_into(const struct imports *caller, const struct imports *callee)
{
	for (size_t i = 0; i < caller->undefined.n; i++)
		if (names_have(&callee->defined, caller->undefined.items[i]))
			return true;
	return false;
}

/* libgcc and libstdc++ raise what others throw. */
static bool is_runtime(const struct imports *im)
{
	return im->is_dynamic && (names_have(&im->defined, "_Unwind_RaiseException") ||
				  names_have(&im->defined, "__cxa_throw"));
}

int probe_hazards(struct elf_file *object, struct elf_file *const *all, size_t n, unsigned int *ret)
{
	unsigned int hazards, other;
	struct imports own, im;
	int err;

	err = imports_init(&own, object);
	if (err)
		return err;
	hazards = own_hazards(&own);
	for (size_t i = 0; i < n && !err; i++) {
		if (all[i] == object)
			continue;
		err = imports_init(&im, all[i]);
		if (err)
			break;
		other = is_runtime(&im) ? 0 : own_hazards(&im);
		hazards |= other & PROBE_MAY_SWITCH;
		if ((other & PROBE_MAY_THROW) && calls_into(&im, &own))
			hazards |= PROBE_MAY_THROW;
		imports_release(&im);
	}
	imports_release(&own);
	if (!err)
		*ret = hazards;
	return err;
}

/* ---------------------------------------------------------------- the site ---- */

static int read_rows(struct probe_code *c)
{
	if (!c->rows_read) {
		c->rows_err = unwind_table_init(&c->rows, c->elf);
		c->rows_read = true;
	}
	return c->rows_err;
}

enum probe_return probe_site_returns(struct probe_code *c, const struct probe_site *s,
				     unsigned int hazards)
{
	const struct unwind_row *row;
	int err;

	if (s->repeats)
		return PROBE_RETURN_REPEATS;
	err = read_rows(c);
	if (err)
		return err == -ENOMEM ? PROBE_RETURN_NO_MEMORY : PROBE_RETURN_NO_ROW;
	row = unwind_table_row(&c->rows, s->vaddr);
	if (!row || row->cfa >> UNWIND_KIND_SHIFT == UNWIND_MARK)
		return PROBE_RETURN_NO_ROW;
	/* 1: in units of 8 bytes. The return address is at CFA - 8 in rows that are no rule. */
	if (row->cfa != (UNWIND_CFA_RSP << UNWIND_KIND_SHIFT | 1) || s->stack)
		return PROBE_RETURN_FRAME;
	if (s->leaf)
		return PROBE_RETURN_OK;
	if (hazards & PROBE_MAY_THROW)
		return PROBE_RETURN_THROWS;
	return hazards & PROBE_MAY_SWITCH ? PROBE_RETURN_SWITCHES : PROBE_RETURN_OK;
}

const char *probe_return_text(enum probe_return r)
{
	static const char *const texts[] = {
		[PROBE_RETURN_OK] = "can be probed",
		[PROBE_RETURN_NO_ROW] = "no unwind information says where the return address is",
		[PROBE_RETURN_REPEATS] = "its code jumps back to where it is probed",
		[PROBE_RETURN_FRAME] = "the return address is not on top of the stack at the site",
		[PROBE_RETURN_THROWS] = "a C++ exception may pass through it, which would abort",
		[PROBE_RETURN_SWITCHES] = "coroutines may switch stacks inside it",
		[PROBE_RETURN_NO_MEMORY] = "out of memory",
	};

	return texts[r];
}
