/* SPDX-License-Identifier: MIT */
#include "allocator.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load_order.h"
#include "sym_table_impl.h"
#include "util.h"

/* Where a name counts. */
enum where {
	SCOPE,	/* in the first object that defines it */
	ALONG,	/* in the object that malloc is in */
	OTHERS, /* likewise, unless that is glibc, where it jumps to another of these */
};

struct known_name {
	const char *name;
	enum heap_kind kind;
	enum where where;
};

/* Mangled by the Itanium C++ ABI: nw new, na new[], dl and da delete; m size_t, Pv void *. */
#define NEW(name)                       \
	{                               \
		name, HEAP_ALLOC, ALONG \
	}
#define DELETE(name)                   \
	{                              \
		name, HEAP_FREE, ALONG \
	}

static const struct known_name names[] = {
	{ "malloc", HEAP_ALLOC, SCOPE },
	{ "free", HEAP_FREE, SCOPE },
	{ "calloc", HEAP_CALLOC, SCOPE },
	{ "realloc", HEAP_REALLOC, SCOPE },
	{ "posix_memalign", HEAP_POSIX, SCOPE },
	{ "aligned_alloc", HEAP_ALIGNED, SCOPE },
	{ "memalign", HEAP_ALIGNED, SCOPE },
	{ "valloc", HEAP_ALLOC, SCOPE },
	{ "pvalloc", HEAP_ALLOC, SCOPE },
	{ "cfree", HEAP_FREE, ALONG },
	{ "free_sized", HEAP_FREE, ALONG },
	{ "free_aligned_sized", HEAP_FREE, ALONG },
	{ "reallocarray", HEAP_REALLOCARRAY, OTHERS },
	/* jemalloc(3), the non-standard interface */
	{ "mallocx", HEAP_ALLOC, ALONG },
	{ "rallocx", HEAP_REALLOC, ALONG },
	{ "dallocx", HEAP_FREE, ALONG },
	{ "sdallocx", HEAP_FREE, ALONG },
	/* mimalloc.h */
	{ "zalloc", HEAP_ALLOC, ALONG },
	{ "mallocn", HEAP_CALLOC, ALONG },
	NEW("_Znwm"),
	NEW("_Znam"),
	NEW("_ZnwmRKSt9nothrow_t"),
	NEW("_ZnamRKSt9nothrow_t"),
	NEW("_ZnwmSt11align_val_t"),
	NEW("_ZnamSt11align_val_t"),
	NEW("_ZnwmSt11align_val_tRKSt9nothrow_t"),
	NEW("_ZnamSt11align_val_tRKSt9nothrow_t"),
	DELETE("_ZdlPv"),
	DELETE("_ZdaPv"),
	DELETE("_ZdlPvm"),
	DELETE("_ZdaPvm"),
	DELETE("_ZdlPvRKSt9nothrow_t"),
	DELETE("_ZdaPvRKSt9nothrow_t"),
	DELETE("_ZdlPvSt11align_val_t"),
	DELETE("_ZdaPvSt11align_val_t"),
	DELETE("_ZdlPvmSt11align_val_t"),
	DELETE("_ZdaPvmSt11align_val_t"),
	DELETE("_ZdlPvSt11align_val_tRKSt9nothrow_t"),
	DELETE("_ZdaPvSt11align_val_tRKSt9nothrow_t"),
};

#define NR_SCOPE 9 /* of names[], which come first */

/* Of allocators that are built into a program; their symbols may be local. */
static const char *const prefixes[] = { "je_", "_rjem_", "mi_", "tc_" };

/*
 * Symbols by which glibc is known; and its dynamic linker, whose malloc (before 2.31) is its own,
 * but which also is in every static program, where the third one is as well.
 */
#define GLIBC_MARK   "__libc_memalign"
#define LINKER_MARK  "_dl_mcount"
#define PROGRAM_MARK "__libc_start_main"

/* The probe's arguments by kind: bit n: argument n. */
static const uint8_t wanted_args[] = {
	[HEAP_ALLOC] = 1,     [HEAP_CALLOC] = 1 | 2,  [HEAP_ALIGNED] = 2,
	[HEAP_POSIX] = 1 | 4, [HEAP_REALLOC] = 1 | 2, [HEAP_REALLOCARRAY] = 1 | 2 | 4,
	[HEAP_FREE] = 1,
};

struct search {
	struct allocator *a;
	bool found[NR_SCOPE];
	char ifunc[256]; /* path of the object whose malloc is one; "": none */
};

void allocator_release(struct allocator *a)
{
	for (size_t i = 0; i < a->nr; i++)
		free(a->items[i].name);
	free(a->items);
	*a = (struct allocator){ 0 };
}

static int fail(struct allocator *a, int err, const char *what, const char *path)
{
	snprintf(a->error, sizeof(a->error), "%s%s", path, what);
	return err;
}

/* ---------------------------------------------------------------- symbols ---- */

/* The row of names[] for a symbol; *ret_prefixed: behind one of the prefixes. -1: none. */
static int name_index(const char *symbol, bool *ret_prefixed)
{
	size_t len;

	*ret_prefixed = false;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes) && !*ret_prefixed; i++) {
		len = strlen(prefixes[i]);
		if (!strncmp(symbol, prefixes[i], len)) {
			symbol += len;
			*ret_prefixed = true;
		}
	}
	len = strcspn(symbol, "@"); /* a version, in .symtab */
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strncmp(symbol, names[i].name, len) && !names[i].name[len])
			return (int)i;
	return -1;
}

/* What one object defines. */
struct defined {
	const struct sym_raw *plain[ARRAY_SIZE(names)];
	const struct sym_raw *prefixed[ARRAY_SIZE(names)];
	bool glibc, linker, program;
};

static void note_symbol(struct defined *d, const struct sym_builder *b, const struct sym_raw *s)
{
	const char *name = b->strings + s->name;
	bool prefixed;
	int i;

	if (!strcmp(name, LINKER_MARK))
		d->linker = true;
	else if (!strcmp(name, PROGRAM_MARK))
		d->program = true;
	if (s->plt || !s->function || !s->size)
		return;
	if (!strcmp(name, GLIBC_MARK))
		d->glibc = true;
	i = name_index(name, &prefixed);
	if (i < 0)
		return;
	if (prefixed)
		d->prefixed[i] = s;
	else if (s->bind != STB_LOCAL)
		d->plain[i] = s;
}

static int add(struct search *s, struct object *obj, const struct sym_builder *b,
	       const struct sym_raw *sym, enum heap_kind kind)
{
	struct allocator *a = s->a;
	struct allocator_function *f;
	int err;

	for (size_t i = 0; i < a->nr; i++)
		if (a->items[i].object == obj && a->items[i].vaddr == sym->addr)
			return 0;
	err = array_grow((void **)&a->items, a->nr, &a->cap, sizeof(*a->items));
	if (err)
		return err;
	f = &a->items[a->nr];
	*f = (struct allocator_function){
		.name = strdup(b->strings + sym->name),
		.object = obj,
		.vaddr = sym->addr,
		.size = sym->size,
		.kind = kind,
	};
	if (!f->name)
		return -ENOMEM;
	f->name[strcspn(f->name, "@")] = '\0';
	a->nr++;
	return 0;
}

/* Those of an object's symbols that count. */
static int take(struct search *s, struct object *obj, const struct sym_builder *b,
		const struct defined *d)
{
	bool has_malloc = d->plain[0] != NULL, is_process_malloc = has_malloc && !s->found[0];
	int err = 0;

	if (has_malloc && d->plain[0]->ifunc && !s->found[0])
		snprintf(s->ifunc, sizeof(s->ifunc), "%s", obj->path);
	for (size_t i = 0; i < ARRAY_SIZE(names) && !err; i++) {
		const struct sym_raw *sym = d->plain[i];

		/* A program that has its own malloc exports no other under a prefix. */
		if (d->prefixed[i] && !has_malloc && !d->prefixed[i]->ifunc && !err &&
		    d->prefixed[0])
			err = add(s, obj, b, d->prefixed[i], names[i].kind);
		if (!sym || sym->ifunc || (names[i].where == OTHERS && d->glibc) ||
		    (names[i].where != SCOPE && !is_process_malloc))
			continue;
		if (names[i].where == SCOPE) {
			if (s->found[i])
				continue;
			s->found[i] = true;
		}
		if (!err)
			err = add(s, obj, b, sym, names[i].kind);
	}
	return err;
}

static int search_object(struct search *s, struct object *obj)
{
	struct sym_builder b = { 0 };
	struct defined d = { 0 };
	bool has_symtab;
	int err;

	if (!obj->elf || obj->is_vdso)
		return 0;
	err = sym_builder_read(&b, obj->elf->elf, NULL, &has_symtab);
	for (size_t i = 0; i < b.n && !err; i++)
		note_symbol(&d, &b, &b.raw[i]);
	if (!err && (!d.linker || d.program))
		err = take(s, obj, &b, &d);
	free(b.raw);
	free(b.strings);
	return err;
}

/* ---------------------------------------------------------------- in load order ---- */

static bool found_all(const struct search *s)
{
	for (size_t i = 0; i < NR_SCOPE; i++)
		if (!s->found[i])
			return false;
	return true;
}

static int search_mapping(struct search *s, const struct target *t, const struct unwind_mapping *m)
{
	struct object *obj = objects_by_id(&t->objects, m->object);

	return obj ? search_object(s, obj) : 0;
}

/*
 * Go through the objects as they were loaded; where that cannot be told, as they are mapped, which
 * begins with the program.
 */
static int search_process(struct search *s, const struct target *t, pid_t pid)
{
	const struct target_process *p = target_find(t, pid);
	const struct target_region *r = p ? p->region : NULL;
	uint64_t *order = NULL;
	size_t n = 0;
	int err;

	if (!r)
		return -ESRCH;
	err = load_order_read(pid, &order, &n);
	if (err == -ENOEXEC) {
		err = 0;
		for (size_t i = 0; i < r->nr_maps && !err && !found_all(s); i++)
			err = search_mapping(s, t, &r->maps[i]);
		return err;
	}
	for (size_t i = 0; i < n && !err && !found_all(s); i++) {
		for (size_t j = 0; j < r->nr_maps; j++) {
			if (r->maps[j].bias != order[i] || !r->maps[j].object)
				continue;
			err = search_mapping(s, t, &r->maps[j]);
			break;
		}
	}
	free(order);
	return err;
}

/* ---------------------------------------------------------------- sites ---- */

static int find_site(struct allocator *a, struct probe_code *code, struct allocator_function *f)
{
	struct probe_site_options o = {
		.args = wanted_args[f->kind],
		.returns = f->kind != HEAP_FREE,
		.skip_null = f->kind == HEAP_FREE,
	};
	enum probe_return returns;
	char what[256];
	int err;

	err = probe_site_find(code, f->vaddr, f->size, &o, &f->site);
	if (err == -ENOMEM)
		return err;
	if (err) {
		snprintf(what, sizeof(what), ": %s cannot be probed: %s", f->name,
			 probe_site_error(err));
		return fail(a, -ENOTSUP, what, f->object->path);
	}
	for (int i = 0; i < PROBE_NR_ARGS; i++) {
		if (!(o.args & 1 << i) || f->site.args[i] != PROBE_ARG_LOST)
			continue;
		snprintf(what, sizeof(what), ": %s cannot be probed: an argument is lost there",
			 f->name);
		return fail(a, -ENOTSUP, what, f->object->path);
	}
	if (!o.returns)
		return 0;
	/* What an allocator calls neither throws nor switches stacks. */
	returns = probe_site_returns(code, &f->site, 0);
	if (returns == PROBE_RETURN_OK)
		return 0;
	snprintf(what, sizeof(what), ": the return of %s cannot be probed: %s", f->name,
		 probe_return_text(returns));
	return fail(a, returns == PROBE_RETURN_NO_MEMORY ? -ENOMEM : -ENOTSUP, what,
		    f->object->path);
}

static int find_sites(struct allocator *a)
{
	struct probe_code *code = NULL;
	int err = 0;

	for (size_t i = 0; i < a->nr && !err; i++) {
		struct allocator_function *f = &a->items[i];

		if (!i || f->object != a->items[i - 1].object) {
			probe_code_free(code);
			code = probe_code_new(f->object->elf);
			if (!code)
				err = errno == ENOMEM
					      ? -ENOMEM
					      : fail(a, -ENOTSUP, ": its code cannot be read",
						     f->object->path);
		}
		if (!err)
			err = find_site(a, code, f);
	}
	probe_code_free(code);
	return err;
}

int allocator_find(struct allocator *a, const struct target *t, pid_t pid)
{
	struct search s = { .a = a };
	bool has_alloc = false, has_free = false;
	int err;

	*a = (struct allocator){ 0 };
	err = search_process(&s, t, pid);
	a->complete = found_all(&s);
	for (size_t i = 0; i < a->nr; i++) {
		has_alloc |= a->items[i].kind == HEAP_ALLOC;
		has_free |= a->items[i].kind == HEAP_FREE;
	}
	if (!err && s.ifunc[0])
		err = fail(a, -ENOTSUP,
			   ": its malloc is chosen at load time (an IFUNC), which cannot be probed",
			   s.ifunc);
	else if (!err && !has_alloc)
		err = fail(
			a, -ENOENT,
			"no allocator found: no object of the process has a symbol malloc (is it "
			"a static program without symbols?)",
			"");
	else if (!err && !has_free)
		err = fail(a, -ENOENT, ": defines malloc, but no free is found",
			   a->items[0].object->path);
	if (!err)
		err = find_sites(a);
	if (err && !a->error[0])
		fail(a, err, strerror(-err), "");
	return err;
}
