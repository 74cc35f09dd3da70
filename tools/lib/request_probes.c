/* SPDX-License-Identifier: MIT */
#include "request_probes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "function_sites.h"
#include "images.h"
#include "probe_list.h"
#include "usdt.h"
#include "util.h"

#define MAX_FUNCTIONS 64 /* that one point may name */
#define MAX_SEEN      12 /* probes named in a message */

/* An object at work: what is found in it, to be attached at once. */
struct scan {
	struct request_probes *p;
	struct object *object;
	const struct objects *all;
	pid_t pid;
	struct usdt_list usdt;
	struct probe_code *code; /* made at need */
	struct attach_site *sites, *returns;
	size_t nr_sites, cap_sites, nr_returns, cap_returns;
};

static int fail(struct request_probes *p, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct request_probes *p, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->error, sizeof(p->error), fmt, ap);
	va_end(ap);
	return err;
}

int request_probes_prepare(struct bpf_program *prog, struct bpf_map *specs)
{
	int err = bpf_program__set_autoload(prog, true);

	if (!err)
		err = attach_prepare(prog);
	return err ? err : bpf_map__set_max_entries(specs, REQUEST_MAX_PROBES);
}

void request_probes_init(struct request_probes *p)
{
	*p = (struct request_probes){ .pid = -1 };
	strbuf_init(&p->notes);
	strbuf_init(&p->seen);
}

void request_probes_release(struct request_probes *p)
{
	attach_release(&p->attach);
	request_points_release(&p->points);
	free(p->nr_by_point);
	strbuf_release(&p->notes);
	strbuf_release(&p->seen);
	request_probes_init(p);
}

/* ---------------------------------------------------------------- sites ---- */

/* A site's number: its element of `roles`, and of `usdt_specs`, where a USDT probe's operands are. */
static int new_id(struct request_probes *p, const struct request_probe *probe,
		  const struct usdt_spec *spec, uint32_t *ret)
{
	static const struct usdt_spec none;
	uint32_t id = p->first_id + p->nr_ids;

	if (p->nr_ids >= REQUEST_MAX_PROBES)
		return fail(p, -E2BIG, "more than %d probe sites", REQUEST_MAX_PROBES);
	if (bpf_map_update_elem(p->roles_fd, &p->nr_ids, probe, 0) ||
	    bpf_map_update_elem(p->specs_fd, &id, spec ? spec : &none, 0))
		return fail(p, -errno, "cannot tell the kernel of a probe: %s", strerror(errno));
	p->nr_ids++;
	*ret = id;
	return 0;
}

static int add_site(struct scan *s, bool returns, const struct attach_site *site)
{
	int err;

	if (returns) {
		err = array_grow((void **)&s->returns, s->nr_returns, &s->cap_returns,
				 sizeof(*site));
		if (!err)
			s->returns[s->nr_returns++] = *site;
	} else {
		err = array_grow((void **)&s->sites, s->nr_sites, &s->cap_sites, sizeof(*site));
		if (!err)
			s->sites[s->nr_sites++] = *site;
	}
	return err ? fail(s->p, err, "out of memory") : 0;
}

/* ---------------------------------------------------------------- USDT ---- */

/*
 * Arguments that the note does not give, or in a form that cannot be read: without the id, or what a
 * thread tells, nothing is left of the probe, without another the rest is. Returns whether the probe is of use.
 */
static bool check_arguments(struct request_probes *p, const struct usdt_probe *u,
			    struct request_probe *probe)
{
	__u8 *args[] = { &probe->name,	&probe->route, &probe->method,	&probe->status,
			 &probe->flags, &probe->value, &probe->text,	&probe->rows,
			 &probe->steps, &probe->time,  &probe->account, &probe->key };
	bool usable = true;

	for (size_t i = 0; i < ARRAY_SIZE(args); i++) {
		unsigned int n = *args[i];
		bool must = args[i] == &probe->key ||
			    (args[i] == &probe->name && probe->role == ROLE_STATUS);

		if (n == REQUEST_NO_ARG || (n < u->spec.nr && u->spec.args[n].kind != USDT_NONE))
			continue;
		strbuf_printf(&p->notes, "%s:%s: arg%u ", u->provider, u->name, n + 1);
		if (n < u->spec.nr)
			strbuf_printf(&p->notes, "cannot be read (%s)", u->operands);
		else
			strbuf_printf(&p->notes, "is not there, it has %u", u->spec.nr);
		strbuf_puts(&p->notes, must ? ": the probe is not used\n" : ": left out\n");
		usable = usable && !must;
		*args[i] = REQUEST_NO_ARG;
	}
	return usable;
}

static int add_usdt(struct scan *s, size_t point, const struct usdt_probe *u)
{
	struct request_probe probe = s->p->points.items[point].probe;
	struct attach_site site = { .offset = u->site.offset, .semaphore = u->semaphore_offset };
	uint32_t id = 0;
	int err;

	if (u->site_err) {
		strbuf_printf(&s->p->notes, "%s:%s: %s\n", u->provider, u->name,
			      probe_site_error(u->site_err));
		return 0;
	}
	probe.is_function = 0;
	if (!check_arguments(s->p, u, &probe))
		return 0;
	err = new_id(s->p, &probe, &u->spec, &id);
	if (err)
		return err;
	site.cookie = probe_site_cookie(&u->site, id);
	s->p->nr_by_point[point]++;
	return add_site(s, false, &site);
}

/* The list was made without the object's code, which takes longer to read, to see whether it is needed. */
static int read_code(struct scan *s)
{
	int err;

	if (s->code)
		return 0;
	s->code = probe_code_new(s->object->elf);
	if (!s->code)
		return errno == ENOMEM ? fail(s->p, -ENOMEM, "out of memory") : 0;
	usdt_list_release(&s->usdt);
	err = usdt_list_init(&s->usdt, s->object->elf, s->code, false);
	return err ? fail(s->p, err, "cannot read the probes of %s", s->object->path) : 0;
}

static int find_usdt(struct scan *s, size_t point, bool *ret_found)
{
	const char *pattern = s->p->points.items[point].pattern;
	int err = 0;

	for (size_t i = 0; i < s->usdt.nr && !err; i++) {
		if (!usdt_matches(&s->usdt.items[i], pattern))
			continue;
		*ret_found = true;
		err = read_code(s);
		if (!err)
			err = add_usdt(s, point, &s->usdt.items[i]);
	}
	return err;
}

/* ---------------------------------------------------------------- functions ---- */

static uint8_t wanted_args(const struct request_probe *probe)
{
	const __u8 args[] = { probe->key, probe->name, probe->status };
	uint8_t mask = 0;

	for (size_t i = 0; i < ARRAY_SIZE(args); i++)
		if (args[i] < PROBE_NR_ARGS)
			mask |= 1U << args[i];
	return mask;
}

/* The end of a request that a function's call is. */
static int add_return(struct scan *s, size_t point, const struct function_site *f)
{
	struct request_point *end = NULL;
	struct attach_site site = { .offset = f->site.offset };
	uint32_t id = 0;
	int err;

	for (size_t i = 0; i < s->p->points.nr; i++)
		if (s->p->points.items[i].returns)
			end = &s->p->points.items[i];
	if (!end || s->p->points.items[point].probe.role != ROLE_BEGIN)
		return 0;
	if (f->returns != PROBE_RETURN_OK)
		return fail(s->p, -EOPNOTSUPP, "the return of %s is not probed: %s%s", f->name,
			    probe_return_text(f->returns),
			    f->returns == PROBE_RETURN_THROWS || f->returns == PROBE_RETURN_SWITCHES
				    ? "; name what ends a request, or --force-returns"
				    : "; name what ends a request");
	err = new_id(s->p, &end->probe, NULL, &id);
	if (err)
		return err;
	site.cookie = probe_site_cookie(&f->site, id);
	s->p->nr_by_point[end - s->p->points.items]++;
	return add_site(s, true, &site);
}

static int add_function(struct scan *s, size_t point, const struct function_site *f)
{
	struct request_probe probe = s->p->points.items[point].probe;
	struct attach_site site = { .offset = f->site.offset };
	uint32_t id = 0;
	__u8 must; /* without it the probe says nothing */
	int err;

	if (f->site_err) {
		strbuf_printf(&s->p->notes, "%s: %s\n", f->name, probe_site_error(f->site_err));
		return 0;
	}
	must = probe.role == ROLE_STATUS ? probe.name : probe.key;
	if (must != REQUEST_NO_ARG &&
	    (must >= PROBE_NR_ARGS || f->site.args[must] == PROBE_ARG_LOST))
		return fail(s->p, -EOPNOTSUPP, "%s: arg%u cannot be read where it is probed",
			    f->name, must + 1);
	probe.is_function = 1;
	err = new_id(s->p, &probe, NULL, &id);
	if (err)
		return err;
	site.cookie = probe_site_cookie(&f->site, id);
	s->p->nr_by_point[point]++;
	err = add_site(s, false, &site);
	return err ? err : add_return(s, point, f);
}

static int find_functions(struct scan *s, size_t point)
{
	const struct request_point *p = &s->p->points.items[point];
	struct function_sites found = { 0 };
	struct function_wishes w = {
		.args = wanted_args(&p->probe),
		.returns = p->probe.nests,
		.force_returns = s->p->force_returns,
		.max = MAX_FUNCTIONS,
	};
	int err = function_sites_find(&found, s->object, s->all, s->pid, p->pattern, &w, NULL);

	if (err == -E2BIG)
		fail(s->p, err, "'%s' names more than %d functions", p->pattern, MAX_FUNCTIONS);
	else if (err)
		fail(s->p, err, "cannot look for '%s': %s", p->pattern, strerror(-err));
	for (size_t i = 0; i < found.nr && !err; i++)
		err = add_function(s, point, &found.items[i]);
	function_sites_release(&found);
	return err;
}

/* ---------------------------------------------------------------- objects ---- */

/* Keep, for a message, some of what there is. */
static void note_seen(struct scan *s)
{
	struct request_probes *p = s->p;
	const char *last = "";

	for (size_t i = 0; i < s->usdt.nr && p->nr_seen < MAX_SEEN; i++) {
		if (!strcmp(s->usdt.items[i].name, last))
			continue;
		last = s->usdt.items[i].name;
		strbuf_printf(&p->seen, "%s%s:%s", p->nr_seen ? ", " : "",
			      s->usdt.items[i].provider, last);
		if (++p->nr_seen == MAX_SEEN)
			strbuf_puts(&p->seen, ", ...");
	}
}

static int attach_list(struct scan *s, struct attach_site *sites, size_t n, bool returns)
{
	struct request_probes *p = s->p;
	struct attach_to to = {
		.elf = s->object->elf, .prog_fd = p->prog_fd, .pid = p->pid, .returns = returns
	};
	int attached = n ? attach_sites(&p->attach, &to, sites, n) : 0;

	if (attached < 0)
		return fail(p, attached, "cannot attach to %s: %s", s->object->path,
			    attach_error(attached));
	for (size_t i = 0; i < n; i++)
		if (sites[i].err)
			return fail(p, sites[i].err, "cannot attach to %s+0x%llx: %s",
				    s->object->path, (unsigned long long)sites[i].offset,
				    attach_error(sites[i].err));
	p->nr_sites += attached;
	return 0;
}

static bool has_probe(const struct scan *s, const struct request_preset *preset, const char *name)
{
	char pattern[128];

	snprintf(pattern, sizeof(pattern), "%s:%s", preset->provider, name);
	for (size_t i = 0; i < s->usdt.nr; i++)
		if (usdt_matches(&s->usdt.items[i], pattern))
			return true;
	return false;
}

/* Without points of the user's: are these the probes of a program that we know? */
static int choose_preset(struct scan *s)
{
	struct request_probes *p = s->p;
	enum request_probing probing = p->probing;
	int err = 0;

	for (size_t i = 0; i < nr_request_presets && !p->points.nr; i++) {
		const struct request_preset *preset = &request_presets[i];

		if (p->other_preset && !strcmp(p->other_preset, preset->provider))
			continue;
		if (!has_probe(s, preset, preset->begin))
			continue;
		/* One of an earlier version may have none. */
		if (probing == REQUEST_BY_ACCOUNT && preset->account &&
		    !has_probe(s, preset, preset->account))
			probing = REQUEST_AS_IT_HAPPENS;
		p->preset = true;
		err = request_preset_points(&p->points, preset, probing);
		break;
	}
	return err ? fail(p, err, "out of memory") : 0;
}

static int scan_points(struct scan *s)
{
	struct request_probes *p = s->p;
	int err = choose_preset(s);

	if (!err && p->points.nr && !p->nr_by_point) {
		p->nr_by_point = calloc(p->points.nr, sizeof(*p->nr_by_point));
		if (!p->nr_by_point)
			return fail(p, -ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < p->points.nr && !err; i++) {
		bool found = false;

		if (!p->points.items[i].pattern ||
		    (p->roles && !(p->roles & 1U << p->points.items[i].probe.role)))
			continue;
		err = find_usdt(s, i, &found);
		if (!err && !found && !p->preset)
			err = find_functions(s, i);
	}
	return err;
}

static int scan_object(struct request_probes *p, const struct objects *all, struct object *object,
		       pid_t pid)
{
	struct scan s = { .p = p, .object = object, .all = all, .pid = pid };
	int err;

	if (!object->elf || object->is_vdso)
		return 0;
	/* A section that is damaged has no probes; the rest of the object may have functions. */
	err = usdt_list_init(&s.usdt, object->elf, NULL, false);
	if (err == -ENOMEM)
		return fail(p, err, "out of memory");
	err = scan_points(&s);
	if (!err)
		err = attach_list(&s, s.sites, s.nr_sites, false);
	if (!err)
		err = attach_list(&s, s.returns, s.nr_returns, true);
	if (!err)
		note_seen(&s);
	usdt_list_release(&s.usdt);
	probe_code_free(s.code);
	free(s.sites);
	free(s.returns);
	return err;
}

int request_probes_update(struct request_probes *p, const struct objects *objects, pid_t pid)
{
	int err = 0;

	while (p->nr_objects < objects->nr && !err)
		err = scan_object(p, objects, objects->items[p->nr_objects++], pid);
	return err;
}

int request_probes_follow(struct request_probes *p, const struct target *t)
{
	if (!t->nr_procs || p->nr_objects == t->objects.nr)
		return 0;
	return request_probes_update(p, &t->objects, t->procs[0]->pid);
}

void request_probes_forget(struct request_probes *p)
{
	if (p->pid < 0)
		return;
	attach_release(&p->attach);
	p->nr_objects = p->nr_sites = p->nr_ids = 0;
	for (size_t i = 0; p->nr_by_point && i < p->points.nr; i++)
		p->nr_by_point[i] = 0;
}

/* What could have been meant by a name that nothing has. */
static int fail_missing(struct request_probes *p, const char *pattern, pid_t pid)
{
	const char *seen = strbuf_str(&p->seen);
	struct images images;
	struct strbuf names;
	int err;

	strbuf_init(&names);
	if (pid && !images_of_process(&images, pid)) {
		probe_list_suggest(&images, pattern, PROBE_LIST_USDT | PROBE_LIST_FUNCTIONS,
				   &names);
		images_release(&images);
	}
	if (names.len)
		err = fail(p, -ENOENT, "no probe or function '%s'; similar: %s", pattern,
			   strbuf_str(&names));
	else
		err = fail(p, -ENOENT, "no probe or function '%s'; %s%s", pattern,
			   *seen ? "USDT probes there are: " : "there are no USDT probes either",
			   seen);
	strbuf_release(&names);
	return err;
}

int request_probes_check(struct request_probes *p, pid_t pid)
{
	const char *seen = strbuf_str(&p->seen), *notes = strbuf_str(&p->notes);

	if (!p->points.nr)
		return fail(p, -ENOENT,
			    "the target has no probes that tell of requests, as coworkingd and "
			    "PostgreSQL have; name its own: --request BEGIN END%s%s%s",
			    *seen ? " (there are " : "", seen, *seen ? ")" : "");
	for (size_t i = 0; i < p->points.nr; i++) {
		const struct request_point *point = &p->points.items[i];

		if (point->optional || !point->pattern || (p->nr_by_point && p->nr_by_point[i]))
			continue;
		if (*notes)
			return fail(p, -ENOENT, "'%s' cannot be probed: %.*s", point->pattern,
				    (int)strcspn(notes, "\n"), notes);
		return fail_missing(p, point->pattern, pid);
	}
	return 0;
}
