/* SPDX-License-Identifier: MIT */
#include "func_probes.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images.h"
#include "probe_list.h"

/* What our programs take for a call, beyond an empty one, a stack of a dozen frames. */
#define ENTRY_NS  150
#define RETURN_NS 600 /* with what timing it takes at the entry */
#define STACK_NS  700
#define ARG_NS	  50

int func_probes_init(struct func_probes *p, const struct capture_funcs_options *o)
{
	*p = (struct func_probes){ .o = o };
	p->matches = calloc(o->nr_specs + 1, sizeof(*p->matches));
	strbuf_init(&p->notes);
	return p->matches ? 0 : -ENOMEM;
}

void func_probes_release(struct func_probes *p)
{
	attach_release(&p->attach);
	function_sites_release(&p->sites);
	strbuf_release(&p->notes);
	free(p->matches);
	*p = (struct func_probes){ .o = p->o };
}

static int fail(struct func_probes *p, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct func_probes *p, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->error, sizeof(p->error), fmt, ap);
	va_end(ap);
	return err;
}

/* How many functions of an object match, whatever the maximum is. */
static size_t count_functions(const struct func_probes *p, const struct objects *objects,
			      const struct object *object, pid_t pid)
{
	const struct function_wishes w = { .max = 1 };
	size_t n = 0;

	for (size_t i = 0; !object->is_vdso && i < p->o->nr_specs; i++) {
		struct function_sites sites = { 0 };
		size_t found = 0;

		function_sites_find(&sites, object, objects, pid, p->o->specs[i], &w, &found);
		function_sites_release(&sites);
		n += found;
	}
	return n;
}

/* More than may be, with those of this object: how many there are in all. */
static int too_many(struct func_probes *p, const struct objects *objects, size_t of_others,
		    pid_t pid)
{
	const struct object *most = objects->items[p->nr_objects];
	size_t n = count_functions(p, objects, most, pid), in_most = n, all = of_others + n;

	for (size_t i = p->nr_objects + 1; i < objects->nr; i++) {
		n = count_functions(p, objects, objects->items[i], pid);
		all += n;
		if (n <= in_most)
			continue;
		in_most = n;
		most = objects->items[i];
	}
	return fail(p, -E2BIG,
		    "%zu functions match, %zu of them in %s: --max-funcs %zu to probe them all, "
		    "each call of each",
		    all, in_most, most->path, all);
}

/* The functions of one object that are asked for, appended to the sites. */
static int find_functions(struct func_probes *p, const struct objects *objects,
			  const struct object *object, pid_t pid)
{
	struct function_wishes w = {
		.returns = !p->o->entries,
		.force_returns = p->o->force_returns,
		.max = p->o->max_funcs,
	};
	size_t of_others = p->sites.nr;
	int err = 0;

	if (object->is_vdso)
		return 0;
	for (size_t i = 0; i < p->o->nr_args; i++)
		w.args |= 1U << p->o->args[i].number;
	for (size_t i = 0; i < p->o->nr_specs && !err; i++) {
		size_t found = 0;

		err = function_sites_find(&p->sites, object, objects, pid, p->o->specs[i], &w,
					  &found);
		p->matches[i] += found;
	}
	if (err == -E2BIG)
		return too_many(p, objects, of_others, pid);
	return err ? fail(p, err, "cannot look for functions in %s: %s", object->path,
			  strerror(-err))
		   : 0;
}

bool func_probes_is_timed(const struct func_probes *p, const struct function_site *f)
{
	return !p->o->entries && !f->site_err && f->returns == PROBE_RETURN_OK;
}

static void note(struct func_probes *p, const struct function_site *f)
{
	if (f->site_err)
		strbuf_printf(&p->notes, "%s: not probed: %s\n", f->name,
			      probe_site_error(f->site_err));
	else if (f->ifunc)
		strbuf_printf(&p->notes,
			      "%s: chosen at load time, so that only the choice is seen: the "
			      "functions that are called have names of their own\n",
			      f->name);
	for (size_t i = 0; i < p->o->nr_args && !f->site_err; i++)
		if (f->site.args[p->o->args[i].number] == PROBE_ARG_LOST)
			strbuf_printf(&p->notes, "%s: arg%u is not known where it is probed\n",
				      f->name, p->o->args[i].number + 1);
}

static int attach_list(struct func_probes *p, const struct object *object, bool returns,
		       struct attach_site *sites, size_t n)
{
	struct attach_to to = {
		.elf = object->elf,
		.prog_fd = returns ? p->return_prog : p->call_prog,
		.pid = p->o->only ? p->o->only : -1,
		.returns = returns,
	};
	int attached = n ? attach_sites(&p->attach, &to, sites, n) : 0;

	if (attached < 0)
		return fail(p, attached, "cannot attach to %s: %s", object->path,
			    attach_error(attached));
	for (size_t i = 0; i < n; i++)
		if (sites[i].err)
			return fail(p, sites[i].err, "cannot attach to %s: %s",
				    p->sites.items[PROBE_COOKIE_ID(sites[i].cookie)].name,
				    attach_error(sites[i].err));
	return 0;
}

/* Where the functions from nr_attached up to end are probed. Returns 0 or a negative errno. */
static int list_sites(struct func_probes *p, size_t end, struct attach_site *calls,
		      size_t *nr_calls, struct attach_site *returns, size_t *nr_returns)
{
	for (uint32_t id = p->nr_attached; id < end; id++) {
		const struct function_site *f = &p->sites.items[id];
		uint32_t info = func_probes_is_timed(p, f) ? FUNC_RETURNS : 0;
		struct attach_site site = { .offset = f->site.offset };

		note(p, f);
		if (f->site_err)
			continue;
		site.cookie = probe_site_cookie(&f->site, id);
		calls[(*nr_calls)++] = site;
		if (info)
			returns[(*nr_returns)++] = site;
		if (bpf_map_update_elem(p->infos_fd, &id, &info, 0))
			return fail(p, -errno, "cannot tell the kernel of a probe: %s",
				    strerror(errno));
	}
	p->nr_timed += *nr_returns;
	return 0;
}

/* Attach to those up to `end`, all of one object. */
static int attach_new(struct func_probes *p, size_t end)
{
	const struct object *object = p->sites.items[p->nr_attached].object;
	size_t n = end - p->nr_attached, nr_calls = 0, nr_returns = 0;
	struct attach_site *calls = calloc(n, sizeof(*calls));
	struct attach_site *returns = calloc(n, sizeof(*returns));
	int err;

	if (!calls || !returns) {
		err = fail(p, -ENOMEM, "out of memory");
		goto out;
	}
	err = list_sites(p, end, calls, &nr_calls, returns, &nr_returns);
	/* Returns first: no call is seen whose return would be missed. */
	if (!err)
		err = attach_list(p, object, true, returns, nr_returns);
	if (!err)
		err = attach_list(p, object, false, calls, nr_calls);
	p->nr_attached = end;
out:
	free(calls);
	free(returns);
	return err;
}

int func_probes_find(struct func_probes *p, const struct objects *objects, pid_t pid)
{
	int err = 0;

	for (; p->nr_objects < objects->nr && !err; p->nr_objects++)
		err = find_functions(p, objects, objects->items[p->nr_objects], pid);
	return err;
}

int func_probes_attach(struct func_probes *p)
{
	const struct function_site *sites = p->sites.items;
	int err = 0;

	while (p->nr_attached < p->sites.nr && !err) {
		size_t end = p->nr_attached + 1;

		while (end < p->sites.nr && sites[end].object == sites[end - 1].object)
			end++;
		err = attach_new(p, end);
	}
	return err;
}

int func_probes_list(const struct func_probes *p, struct probe_budget *b)
{
	const struct capture_funcs_options *o = p->o;
	uint64_t ns = ENTRY_NS + (o->stacks ? STACK_NS : 0) + o->nr_args * ARG_NS;
	int err = 0;

	for (size_t i = 0; i < p->sites.nr && !err; i++) {
		const struct function_site *f = &p->sites.items[i];
		bool timed = func_probes_is_timed(p, f);

		if (!f->site_err)
			err = probe_budget_add(b,
					       &(struct governor_probe){
						       .elf = f->object->elf,
						       .offset = f->site.offset,
						       .pid = p->o->only ? p->o->only : -1,
						       .stepped = f->site.class == PROBE_STEPPED,
						       .returns = timed,
						       .unit = true,
						       .program_ns = ns + (timed ? RETURN_NS : 0),
					       });
	}
	return err;
}

/* Why there is no such function: what else is called so, or what was meant. */
static void explain_none(const struct images *images, const char *spec, struct strbuf *b)
{
	struct probe_list l;
	struct strbuf names;
	size_t lib_len;

	functions_split(spec, &lib_len);
	if (probe_list_init(&l, images, spec))
		return;
	strbuf_init(&names);
	if (l.nr_usdt)
		strbuf_puts(b, ": that is a USDT probe, which periscope requests --request "
			       "follows");
	else if (lib_len && !l.nr_libraries)
		strbuf_printf(b, ": no file is mapped that is called '%.*s'", (int)lib_len, spec);
	else if (probe_list_suggest(images, spec, PROBE_LIST_FUNCTIONS, &names) > 0)
		strbuf_printf(b, "; similar: %s", strbuf_str(&names));
	strbuf_release(&names);
	probe_list_release(&l);
}

int func_probes_check(struct func_probes *p, pid_t pid)
{
	const char *spec = p->o->specs[0];
	struct strbuf why;
	struct images images;
	int err;

	if (p->nr_attached)
		return 0;
	strbuf_init(&why);
	if (pid && !images_of_process(&images, pid)) {
		explain_none(&images, spec, &why);
		images_release(&images);
	}
	err = fail(p, -ENOENT, "no function %s '%s'%s%s",
		   strpbrk(spec, "*?[") ? "matches" : "is called", spec,
		   p->o->nr_specs > 1 ? ", nor any of the others" : "", strbuf_str(&why));
	strbuf_release(&why);
	return err;
}

size_t func_probes_unmatched(const struct func_probes *p, struct strbuf *b)
{
	size_t n = 0;

	for (size_t i = 0; i < p->o->nr_specs; i++)
		if (!p->matches[i]) {
			if (b)
				strbuf_printf(b, "%s'%s'", n ? ", " : "", p->o->specs[i]);
			n++;
		}
	return n;
}
