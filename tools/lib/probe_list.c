/* SPDX-License-Identifier: MIT */
#include "probe_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* ---------------------------------------------------------------- one object ---- */

static void object_release(struct probe_list_object *o)
{
	usdt_list_release(&o->usdt);
	function_list_release(&o->functions);
	free(o->sites);
}

/* Keep the probes that match. Returns how many have a provider that does. */
static size_t filter_usdt(struct usdt_list *l, const char *pattern)
{
	size_t lib_len = 0, of_provider = 0, n = 0;
	char *all = NULL;

	if (pattern)
		functions_split(pattern, &lib_len);
	if (lib_len && asprintf(&all, "%.*s:*", (int)lib_len, pattern) < 0)
		all = NULL; /* only a message gets poorer */
	for (size_t i = 0; i < l->nr; i++) {
		of_provider += all && usdt_matches(&l->items[i], all);
		if (!pattern || usdt_matches(&l->items[i], pattern))
			l->items[n++] = l->items[i];
	}
	l->nr = n;
	free(all);
	return of_provider;
}

/* For all objects of the process, as return probes see them. */
static unsigned int hazards_of(const struct images *images, struct elf_file *elf)
{
	struct elf_file **all = calloc(images->nr, sizeof(*all));
	unsigned int hazards = PROBE_MAY_THROW | PROBE_MAY_SWITCH;

	for (size_t i = 0; all && i < images->nr; i++)
		all[i] = images->items[i].elf;
	if (all)
		probe_hazards(elf, all, images->nr, &hazards);
	free(all);
	return hazards;
}

static void find_site(struct probe_code *code, const struct function *f, unsigned int hazards,
		      struct probe_list_site *ret)
{
	const struct probe_site_options returning = { .returns = true };
	struct probe_site site;

	ret->err = probe_site_find(code, f->vaddr, f->size, NULL, &ret->site);
	if (ret->err)
		return;
	ret->returns = probe_site_returns(code, &ret->site, hazards);
	/* Where the return is asked for as well, the site may have to be another. */
	if (ret->returns == PROBE_RETURN_FRAME &&
	    !probe_site_find(code, f->vaddr, f->size, &returning, &site))
		ret->returns = probe_site_returns(code, &site, hazards);
}

static int find_sites(struct probe_list_object *o, const struct images *images,
		      struct probe_code *code)
{
	unsigned int hazards;

	if (!o->functions.nr)
		return 0;
	o->sites = calloc(o->functions.nr, sizeof(*o->sites));
	if (!o->sites)
		return -ENOMEM;
	hazards = hazards_of(images, o->image->elf);
	for (size_t i = 0; i < o->functions.nr; i++) {
		find_site(code, &o->functions.items[i], hazards, &o->sites[i]);
		if (o->sites[i].err == -ENOMEM || o->sites[i].returns == PROBE_RETURN_NO_MEMORY)
			return -ENOMEM;
	}
	return 0;
}

static bool has_notes(struct elf_file *elf)
{
	struct elf_slice notes;

	return elf_section(elf, ".note.stapsdt", &notes) != -ENOENT;
}

/* Returns 0, o->err set when the object has something that cannot be told, or -ENOMEM. */
static int look_at(struct probe_list *l, struct probe_list_object *o, const struct images *images,
		   const char *glob, const char *pattern)
{
	struct elf_file *elf = o->image->elf;
	bool notes = has_notes(elf);
	struct probe_code *code;
	int err = 0;

	if (glob)
		err = functions_find(&o->functions, elf, o->image->path, images->root_fd, glob, 0,
				     NULL);
	if (err || (!notes && !o->functions.nr))
		return err;
	code = probe_code_new(elf);
	if (!code && errno == ENOMEM)
		return -ENOMEM;
	if (!code)
		o->err = errno == ENOTSUP ? -ENOSYS : -errno;
	if (notes) {
		err = usdt_list_init(&o->usdt, elf, code, false);
		if (err && err != -ENOMEM)
			o->err = err;
	}
	l->nr_of_provider += filter_usdt(&o->usdt, pattern);
	if (code && err != -ENOMEM)
		err = find_sites(o, images, code);
	else if (err != -ENOMEM)
		o->functions.nr = 0;
	probe_code_free(code);
	return err == -ENOMEM ? err : 0;
}

/* ---------------------------------------------------------------- the list ---- */

static int add_object(struct probe_list *l, const struct images *images, size_t image,
		      const char *glob, const char *pattern)
{
	struct probe_list_object o = { .image = &images->items[image] };
	int err;

	err = look_at(l, &o, images, glob, pattern);
	if (err) {
		object_release(&o);
		return err;
	}
	l->nr_usdt += o.usdt.nr;
	l->nr_functions += o.functions.nr;
	l->nr_bad_notes += o.usdt.nr_bad;
	if (o.usdt.nr || o.functions.nr || o.err)
		l->objects[l->nr++] = o;
	else
		object_release(&o);
	return 0;
}

int probe_list_init(struct probe_list *ret, const struct images *images, const char *pattern)
{
	size_t lib_len = 0;
	const char *glob = pattern ? functions_split(pattern, &lib_len) : NULL;
	struct probe_list l = { 0 };
	int err = 0;

	l.objects = calloc(images->nr ? images->nr : 1, sizeof(*l.objects));
	if (!l.objects)
		return -ENOMEM;
	for (size_t i = 0; i < images->nr && !err; i++) {
		bool fits = pattern && (!lib_len || functions_lib_matches(pattern, lib_len,
									  images->items[i].path));

		l.nr_libraries += fits && lib_len;
		err = add_object(&l, images, i, fits ? glob : NULL, pattern);
	}
	if (err)
		probe_list_release(&l);
	else
		*ret = l;
	return err;
}

void probe_list_release(struct probe_list *l)
{
	for (size_t i = 0; i < l->nr; i++)
		object_release(&l->objects[i]);
	free(l->objects);
	*l = (struct probe_list){ 0 };
}

/* The functions of one image, for a mistyped name without a library. */
static int suggest_functions(const struct images *images, const struct image *im, struct suggest *s)
{
	struct function_list l = { 0 };
	int err;

	err = functions_find(&l, im->elf, im->path, images->root_fd, "*", 0, NULL);
	for (size_t i = 0; i < l.nr; i++)
		suggest_add(s, l.items[i].name);
	function_list_release(&l);
	return err;
}

static int suggest_usdt(const struct image *im, struct suggest *s)
{
	struct usdt_list l = { 0 };
	int err;

	err = usdt_list_init(&l, im->elf, NULL, false);
	if (!err)
		usdt_suggest(&l, s);
	usdt_list_release(&l);
	return err == -ENOMEM ? err : 0;
}

int probe_list_suggest(const struct images *images, const char *pattern, unsigned int kinds,
		       struct strbuf *b)
{
	struct suggest probes, functions;
	size_t lib_len, n;
	int err = 0;

	suggest_init(&functions, functions_split(pattern, &lib_len));
	suggest_init(&probes, pattern);
	for (size_t i = 0; i < images->nr && !err; i++) {
		const struct image *im = &images->items[i];

		if (kinds & PROBE_LIST_USDT)
			err = suggest_usdt(im, &probes);
		if (!err && (kinds & PROBE_LIST_FUNCTIONS) &&
		    (!lib_len || functions_lib_matches(pattern, lib_len, im->path)))
			err = suggest_functions(images, im, &functions);
	}
	n = suggest_put(&probes, b);
	if (n && functions.nr)
		strbuf_puts(b, ", ");
	n += suggest_put(&functions, b);
	suggest_release(&probes);
	suggest_release(&functions);
	return err ? err : (int)n;
}
