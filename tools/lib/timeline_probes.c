/* SPDX-License-Identifier: MIT */
#include "timeline_probes.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/timeline.h"
#include "function_sites.h"
#include "usdt.h"
#include "util.h"

/* Sites of one object, for one program. */
struct batch {
	struct attach_site *sites;
	size_t nr, cap;
};

/* What an object has of what is wanted. */
struct timeline_probes_object {
	const struct object *obj;
	struct batch usdt, entries, returns;
};

struct scan {
	struct timeline_probes *p;
	const struct target *t;
	struct object *obj;
	struct probe_code *code;
	struct timeline_probes_object found;
};

void timeline_probes_init(struct timeline_probes *p, const struct timeline_probes_options *o)
{
	*p = (struct timeline_probes){ .o = *o };
}

static int add_site(struct batch *b, uint64_t offset, uint64_t semaphore, uint64_t cookie)
{
	int err = array_grow((void **)&b->sites, b->nr, &b->cap, sizeof(*b->sites));

	if (!err)
		b->sites[b->nr++] = (struct attach_site){ .offset = offset,
							  .semaphore = semaphore,
							  .cookie = cookie };
	return err;
}

/* A new probe, known to the programs. Its number is p->nr - 1. */
static int add_probe(struct timeline_probes *p, const struct timeline_probe *probe,
		     const struct usdt_spec *spec, const struct timeline_condition *when)
{
	struct timeline_site site = {
		.words = MIN(probe->nr_args, (uint8_t)TIMELINE_WORDS),
		.text = probe->role.text <= TIMELINE_WORDS ? probe->role.text : 0,
		.request = timeline_role_of_request(probe->role.role),
		.when = *when,
	};
	__u32 id = p->nr;
	struct timeline_probe *item;
	int err;

	if (p->nr >= TIMELINE_MAX_SITES)
		return -E2BIG;
	err = array_grow((void **)&p->items, p->nr, &p->cap, sizeof(*p->items));
	if (err)
		return err;
	item = &p->items[p->nr];
	*item = *probe;
	item->label = strndup(probe->role.name, probe->role.name_len);
	item->provider = strdup(probe->provider);
	item->full_name = strdup(probe->full_name);
	p->nr++;
	if (!item->label || !item->provider || !item->full_name)
		return -ENOMEM;
	item->role.name = NULL;
	if (bpf_map_update_elem(p->o.sites_map, &id, &site, BPF_ANY) ||
	    (spec && bpf_map_update_elem(p->o.specs_map, &id, spec, BPF_ANY)))
		return -errno;
	return 0;
}

static const struct timeline_condition always;

/* A probe that is wanted by wishes alone: their condition, if they have but one. */
static const struct timeline_condition *when_of(const struct timeline_probes *p, uint64_t wished_by)
{
	if (!wished_by || wished_by & (wished_by - 1))
		return &always;
	return &p->o.wishes[__builtin_ctzll(wished_by)].when;
}

static uint64_t usdt_wishes(struct timeline_probes *p, const struct usdt_probe *probe)
{
	uint64_t which = 0;

	for (size_t i = 0; i < p->o.nr_wishes; i++)
		if (p->o.wishes[i].usdt && usdt_matches(probe, p->o.wishes[i].pattern))
			which |= UINT64_C(1) << i;
	p->wishes_found |= which;
	return which;
}

static bool wanted(struct timeline_probes *p, const struct usdt_probe *probe)
{
	bool found = p->o.requests && !strcmp(probe->provider, TIMELINE_PROVIDER);

	for (size_t i = 0; i < p->o.nr_usdt; i++) {
		if (!usdt_matches(probe, p->o.usdt[i]))
			continue;
		p->usdt_found |= UINT64_C(1) << MIN(i, (size_t)63);
		found = true;
	}
	return found;
}

static int add_usdt(struct scan *s, const struct usdt_probe *u)
{
	struct timeline_probe probe = {
		.nr_args = MIN(u->spec.nr, (__u32)TIMELINE_WORDS),
		.wished_by = usdt_wishes(s->p, u),
	};
	bool whole = wanted(s->p, u);
	int err;

	if (!whole && !probe.wished_by)
		return 0;

	if (u->site_err) {
		s->p->nr_refused++;
		s->p->refused = probe_site_error(u->site_err);
		return 0;
	}
	if (asprintf(&probe.full_name, "%s:%s", u->provider, u->name) < 0)
		return -ENOMEM;
	probe.provider = (char *)u->provider;
	timeline_role_of(u->provider, u->name, &probe.role);
	for (__u32 i = 0; i < probe.nr_args; i++)
		probe.is_signed |= u->spec.args[i].is_signed << i;
	err = add_probe(s->p, &probe, &u->spec, whole ? &always : when_of(s->p, probe.wished_by));
	free(probe.full_name);
	return err ? err
		   : add_site(&s->found.usdt, u->site.offset, u->semaphore_offset,
			      probe_site_cookie(&u->site, s->p->nr - 1));
}

static int scan_usdt(struct scan *s)
{
	struct usdt_list list;
	int err;

	if (!s->p->o.requests && !s->p->o.nr_usdt && !s->p->o.nr_wishes)
		return 0;
	err = usdt_list_init(&list, s->obj->elf, s->code, false);
	if (err)
		return err == -ENOMEM ? err : 0; /* a damaged file has no probes */
	for (size_t i = 0; i < list.nr && !err; i++)
		err = add_usdt(s, &list.items[i]);
	usdt_list_release(&list);
	return err;
}

/* `whole`: every call is wanted, and its return. */
static int add_function(struct scan *s, const struct function_site *fn, bool whole,
			uint64_t wished_by)
{
	struct timeline_probe probe = {
		.role = { .role = TELLS_CALL, .name = fn->name, .name_len = strlen(fn->name) },
		.provider = (char *)"function",
		.full_name = fn->name,
		.nr_args = PROBE_NR_ARGS,
		.is_function = true,
		.returns = whole && fn->returns == PROBE_RETURN_OK,
		.stepped = fn->site.class == PROBE_STEPPED,
		.wished_by = wished_by,
	};
	uint64_t cookie;
	int err;

	if (fn->site_err) {
		s->p->nr_refused++;
		s->p->refused = probe_site_error(fn->site_err);
		return 0;
	}
	s->p->nr_entry_only += whole && !probe.returns;
	err = add_probe(s->p, &probe, NULL, whole ? &always : when_of(s->p, wished_by));
	cookie = probe_site_cookie(&fn->site, s->p->nr - 1);
	if (!err && probe.returns)
		err = add_site(&s->found.returns, fn->site.offset, 0, cookie);
	return err ? err : add_site(&s->found.entries, fn->site.offset, 0, cookie);
}

static int find_functions(struct scan *s, const char *pattern, bool returns,
			  struct function_sites *list)
{
	struct function_wishes wishes = { .returns = returns };

	if (s->p->nr_matched < s->p->o.max_functions)
		wishes.max = s->p->o.max_functions - s->p->nr_matched;
	return function_sites_find(list, s->obj, &s->t->objects, s->t->procs[0]->pid, pattern,
				   &wishes, NULL);
}

/* Note which functions of the list a wish is about; all of these are there. */
static int mark_wish(struct scan *s, size_t wish, const struct function_sites *list,
		     uint64_t *marks)
{
	struct function_sites mine = { 0 };
	int err = find_functions(s, s->p->o.wishes[wish].pattern, false, &mine);

	for (size_t i = 0; i < mine.nr && !err; i++)
		for (size_t j = 0; j < list->nr; j++)
			if (list->items[j].vaddr == mine.items[i].vaddr)
				marks[j] |= UINT64_C(1) << wish;
	if (mine.nr)
		s->p->wishes_found |= UINT64_C(1) << wish;
	function_sites_release(&mine);
	return err;
}

/* Those that are wanted whole come first; *ret_whole: how many. */
static int list_functions(struct scan *s, struct function_sites *list, size_t *ret_whole)
{
	struct timeline_probes *p = s->p;
	int err = 0;

	for (size_t i = 0; i < p->o.nr_functions && !err; i++) {
		size_t before = list->nr;

		err = find_functions(s, p->o.functions[i], true, list);
		if (list->nr > before)
			p->functions_found |= UINT64_C(1) << MIN(i, (size_t)63);
	}
	*ret_whole = list->nr;
	for (size_t i = 0; i < p->o.nr_wishes && !err; i++)
		if (!p->o.wishes[i].usdt)
			err = find_functions(s, p->o.wishes[i].pattern, false, list);
	return err;
}

static int scan_functions(struct scan *s)
{
	struct timeline_probes *p = s->p;
	struct function_sites list = { 0 };
	uint64_t *marks = NULL;
	size_t whole = 0;
	int err = list_functions(s, &list, &whole);

	if (!err) {
		marks = calloc(list.nr + 1, sizeof(*marks));
		err = marks ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < p->o.nr_wishes && !err; i++)
		if (!p->o.wishes[i].usdt)
			err = mark_wish(s, i, &list, marks);
	p->nr_matched += list.nr;
	if (!err && p->nr_matched > p->o.max_functions)
		err = -E2BIG;
	for (size_t i = 0; i < list.nr && !err; i++)
		if (!list.items[i].ifunc)
			err = add_function(s, &list.items[i], i < whole, marks[i]);
	free(marks);
	function_sites_release(&list);
	return err;
}

/* Attach a batch in each process that there is; or once in all. */
static int attach_batch(struct timeline_probes *p, const struct target *t, const struct object *obj,
			struct batch *b, int prog, bool returns, size_t *count)
{
	struct attach_to to = { .elf = obj->elf, .prog_fd = prog, .returns = returns };
	size_t n = p->o.all_processes ? 1 : t->nr_procs;
	int got, best = 0;

	for (size_t i = 0; i < n && b->nr; i++) {
		to.pid = p->o.all_processes ? -1 : t->procs[i]->pid;
		got = attach_sites(&p->attach, &to, b->sites, b->nr);
		if (got == -ESRCH)
			continue;
		if (got < 0)
			return got;
		best = MAX(best, got);
		for (size_t j = 0; j < b->nr && got < (int)b->nr; j++)
			if (b->sites[j].err)
				p->refused = attach_error(b->sites[j].err);
		p->nr_refused += b->nr - got;
	}
	*count += best;
	return 0;
}

static int attach_object(struct timeline_probes *p, const struct target *t,
			 struct timeline_probes_object *f)
{
	int err = attach_batch(p, t, f->obj, &f->usdt, p->o.usdt_prog, false, &p->nr_usdt);

	/* Returns first: a call that is seen to begin is then seen to end. */
	if (!err)
		err = attach_batch(p, t, f->obj, &f->returns, p->o.return_prog, true,
				   &(size_t){ 0 });
	return err ? err
		   : attach_batch(p, t, f->obj, &f->entries, p->o.entry_prog, false,
				  &p->nr_functions);
}

static void object_release(struct timeline_probes_object *f)
{
	free(f->usdt.sites);
	free(f->entries.sites);
	free(f->returns.sites);
}

/* For later. */
static int keep_found(struct timeline_probes *p, struct timeline_probes_object *f)
{
	if (!f->usdt.nr && !f->entries.nr)
		return 0;
	if (array_grow((void **)&p->found, p->nr_found, &p->cap_found, sizeof(*p->found)))
		return -ENOMEM;
	p->found[p->nr_found++] = *f;
	*f = (struct timeline_probes_object){ 0 };
	return 0;
}

static void drop_found(struct timeline_probes *p)
{
	for (size_t i = 0; i < p->nr_found; i++)
		object_release(&p->found[i]);
	free(p->found);
	p->found = NULL;
	p->nr_found = p->cap_found = 0;
}

int timeline_probes_place(struct timeline_probes *p, const struct target *t)
{
	int err = 0;

	for (size_t i = 0; i < p->nr_found && !err; i++)
		err = attach_object(p, t, &p->found[i]);
	drop_found(p);
	p->away = false;
	return err;
}

static int list_entries(const struct timeline_probes *p, const struct timeline_probes_object *f,
			pid_t pid, struct probe_budget *b, uint64_t entry_ns, uint64_t return_ns)
{
	int err = 0;

	for (size_t i = 0; i < f->entries.nr && !err; i++) {
		const struct attach_site *site = &f->entries.sites[i];
		const struct timeline_probe *probe = &p->items[PROBE_COOKIE_ID(site->cookie)];

		err = probe_budget_add(
			b, &(struct governor_probe){
				   .elf = f->obj->elf,
				   .offset = site->offset,
				   .pid = pid,
				   .stepped = probe->stepped,
				   .returns = probe->returns,
				   .unit = true,
				   .program_ns = entry_ns + (probe->returns ? return_ns : 0),
			   });
	}
	return err;
}

int timeline_probes_list(const struct timeline_probes *p, const struct target *t,
			 struct probe_budget *b, uint64_t entry_ns, uint64_t return_ns)
{
	size_t n = p->o.all_processes ? 1 : t->nr_procs;
	int err = 0;

	for (size_t i = 0; i < p->nr_found; i++)
		for (size_t j = 0; j < n && !err; j++)
			err = list_entries(p, &p->found[i],
					   p->o.all_processes ? -1 : t->procs[j]->pid, b, entry_ns,
					   return_ns);
	return err;
}

void timeline_probes_forget(struct timeline_probes *p)
{
	if (p->o.all_processes)
		return;
	attach_release(&p->attach);
	p->nr_objects = p->nr_matched = p->nr_usdt = p->nr_functions = p->nr_entry_only = 0;
}

static bool wishes_functions(const struct timeline_probes *p)
{
	for (size_t i = 0; i < p->o.nr_wishes; i++)
		if (!p->o.wishes[i].usdt)
			return true;
	return false;
}

static int scan_object(struct timeline_probes *p, const struct target *t, struct object *obj)
{
	struct scan s = { .p = p, .t = t, .obj = obj, .found = { .obj = obj } };
	struct elf_slice notes;
	int err;

	if (!obj->elf || obj->is_vdso || !t->nr_procs)
		return 0;
	/* Reading an object's code takes a millisecond for each megabyte of it. */
	if (!p->o.nr_functions && !wishes_functions(p) &&
	    elf_section(obj->elf, ".note.stapsdt", &notes))
		return 0;
	s.code = probe_code_new(obj->elf);
	if (!s.code)
		return errno == ENOMEM ? -ENOMEM : 0;
	err = scan_usdt(&s);
	if (!err)
		err = scan_functions(&s);
	if (!err)
		err = p->away ? keep_found(p, &s.found) : attach_object(p, t, &s.found);
	object_release(&s.found);
	probe_code_free(s.code);
	return err;
}

int timeline_probes_update(struct timeline_probes *p, const struct target *t)
{
	int err = 0;

	while (p->nr_objects < t->objects.nr && !err)
		err = scan_object(p, t, t->objects.items[p->nr_objects++]);
	return err;
}

const char *timeline_probes_missing(const struct timeline_probes *p, bool *ret_is_function)
{
	*ret_is_function = false;
	for (size_t i = 0; i < p->o.nr_usdt; i++)
		if (!(p->usdt_found >> MIN(i, (size_t)63) & 1))
			return p->o.usdt[i];
	*ret_is_function = true;
	for (size_t i = 0; i < p->o.nr_functions; i++)
		if (!(p->functions_found >> MIN(i, (size_t)63) & 1))
			return p->o.functions[i];
	for (size_t i = 0; i < p->o.nr_wishes; i++) {
		if (p->o.wishes[i].optional || p->wishes_found >> i & 1)
			continue;
		*ret_is_function = !p->o.wishes[i].usdt;
		return p->o.wishes[i].pattern;
	}
	return NULL;
}

void timeline_probes_release(struct timeline_probes *p)
{
	attach_release(&p->attach);
	drop_found(p);
	for (size_t i = 0; i < p->nr; i++) {
		free(p->items[i].label);
		free(p->items[i].provider);
		free(p->items[i].full_name);
	}
	free(p->items);
	*p = (struct timeline_probes){ 0 };
}
