/* SPDX-License-Identifier: MIT */
#include "function_sites.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "functions.h"
#include "util.h"

void function_sites_release(struct function_sites *l)
{
	for (size_t i = 0; i < l->nr; i++)
		free(l->items[i].name);
	free(l->items);
	*l = (struct function_sites){ 0 };
}

static bool has(const struct function_sites *l, const struct object *object, uint64_t vaddr)
{
	for (size_t i = l->nr; i-- && l->items[i].object == object;)
		if (l->items[i].vaddr == vaddr)
			return true;
	return false;
}

/* What might happen to the returns of an object's functions; what cannot be told might. */
static unsigned int hazards_of(const struct object *object, const struct objects *all)
{
	struct elf_file **files = calloc(all->nr + 1, sizeof(struct elf_file *));
	unsigned int hazards = PROBE_MAY_THROW | PROBE_MAY_SWITCH;
	size_t n = 0;

	if (!files)
		return hazards;
	for (size_t i = 0; i < all->nr; i++)
		if (all->items[i]->elf)
			files[n++] = all->items[i]->elf;
	probe_hazards(object->elf, files, n, &hazards);
	free(files);
	return hazards;
}

static int add(struct function_sites *l, const struct object *object, const struct function *f,
	       struct probe_code *code, unsigned int hazards, const struct function_wishes *w)
{
	struct probe_site_options o = { .args = w->args, .returns = w->returns };
	struct function_site s = {
		.object = object, .vaddr = f->vaddr, .ifunc = f->ifunc, .name = strdup(f->name)
	};

	if (!s.name || array_grow((void **)&l->items, l->nr, &l->cap, sizeof(*l->items))) {
		free(s.name);
		return -ENOMEM;
	}
	s.site_err = probe_site_find(code, f->vaddr, f->size, &o, &s.site);
	if (!s.site_err)
		s.returns = probe_site_returns(code, &s.site, hazards);
	l->items[l->nr++] = s;
	return s.site_err == -ENOMEM ? -ENOMEM : 0;
}

static int add_all(struct function_sites *l, const struct object *object, const struct objects *all,
		   const struct function_list *found, const struct function_wishes *w)
{
	unsigned int hazards = w->returns && !w->force_returns ? hazards_of(object, all) : 0;
	struct probe_code *code = probe_code_new(object->elf);
	int err = 0;

	if (!code)
		return errno == ENOMEM ? -ENOMEM : 0;
	for (size_t i = 0; i < found->nr && !err; i++) {
		if (has(l, object, found->items[i].vaddr))
			continue;
		err = add(l, object, &found->items[i], code, hazards, w);
	}
	probe_code_free(code);
	return err;
}

int function_sites_find(struct function_sites *l, const struct object *object,
			const struct objects *all, pid_t pid, const char *spec,
			const struct function_wishes *w, size_t *ret_found)
{
	struct function_list found = { 0 };
	const char *glob;
	char path[64];
	size_t len;
	int root, err;

	glob = functions_split(spec, &len);
	if (!object->elf || (len && !functions_lib_matches(spec, len, object->path)))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	err = functions_find(&found, object->elf, object->path, root, glob,
			     w->max ? w->max - l->nr : 0, ret_found);
	/* One more than there may be is too much, and 0 would mean any number. */
	if (!err && found.nr)
		err = w->max && w->max == l->nr ? -E2BIG : add_all(l, object, all, &found, w);
	if (root >= 0)
		close(root);
	function_list_release(&found);
	return err;
}
