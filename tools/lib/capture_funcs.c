/* SPDX-License-Identifier: MIT */
#include "capture_funcs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attach.h"
#include "func_counts.h"
#include "funcs.skel.h"
#include "images.h"
#include "probe_list.h"
#include "strbuf.h"
#include "util.h"
#include "watch.h"

struct capture_funcs {
	struct capture_funcs_options o;
	struct watch watch;
	struct funcs_bpf *bpf;
	struct bpf_link *links[2];
	struct function_sites sites; /* by the functions' numbers */
	size_t nr_objects;	     /* looked at so far */
	size_t nr_attached;	     /* of sites */
	size_t nr_timed;
	struct attach attach;
	struct strbuf notes;
	struct func_counts counts, before; /* now, and at the last interval */
	struct func_result *results;
	struct func_value_count *values;
	size_t nr_values, cap_values;
	struct func_caller *callers;
	size_t nr_callers, cap_callers;
	struct func_text *texts;
	size_t nr_texts, cap_texts;
	bool started, running, begun; /* begun: the gate is open */
};

static const char *funcs_error(const void *capture)
{
	const struct capture_funcs *c = capture;

	return watch_error(c ? &c->watch : NULL);
}

static int no_memory(struct capture_funcs *c)
{
	return watch_fail(&c->watch, -ENOMEM, "out of memory");
}

/* ---------------------------------------------------------------- loading ---- */

static int on_event(void *arg, const struct event_header *e, size_t size)
{
	struct capture_funcs *c = arg;

	if (e->type != EVENT_FUNC_TEXT || size < sizeof(struct func_text))
		return 0;
	if (array_grow((void **)&c->texts, c->nr_texts, &c->cap_texts, sizeof(*c->texts)))
		return -ENOMEM;
	memcpy(&c->texts[c->nr_texts], e, sizeof(*c->texts));
	c->texts[c->nr_texts++].text[FUNCS_TEXT - 1] = 0;
	return 0;
}

static int prepare(struct capture_funcs *c, const struct watch_options *wo)
{
	struct funcs_bpf *bpf = c->bpf;
	int err;

	WATCH_KNOBS(bpf, wo);
	bpf->rodata->with_stacks = c->o.stacks;
	bpf->rodata->nr_args = c->o.nr_args;
	for (size_t i = 0; i < c->o.nr_args; i++)
		bpf->rodata->args[i] = c->o.args[i];
	err = watch_prepare(&c->watch, bpf->obj, wo);
	if (err)
		return err;
	err = bpf_map__set_max_entries(bpf->maps.funcs, c->o.max_funcs);
	if (!err)
		err = bpf_map__set_max_entries(bpf->maps.func_infos, c->o.max_funcs);
	if (!err)
		err = attach_prepare(bpf->progs.func_entry);
	if (!err)
		err = attach_prepare(bpf->progs.func_return);
	return err ? watch_fail(&c->watch, err, "cannot prepare the BPF object: %s", strerror(-err))
		   : 0;
}

static int load(struct capture_funcs *c)
{
	struct watch_options wo = {
		.children = c->o.children,
		.only = c->o.only,
		.tids = c->o.tids,
		.nr_tids = c->o.nr_tids,
	};
	int err = watch_check(&c->watch);

	if (err)
		return err;
	c->bpf = funcs_bpf__open();
	if (!c->bpf)
		return watch_fail(&c->watch, -errno, "cannot open the BPF object: %s",
				  strerror(errno));
	err = prepare(c, &wo);
	if (err)
		return err;
	err = funcs_bpf__load(c->bpf);
	if (err)
		return watch_fail(&c->watch, err, "the kernel refused the BPF programs: %s",
				  strerror(-err));
	return watch_open(&c->watch, c->bpf->obj, &wo, on_event, c);
}

struct capture_funcs *capture_funcs_new(const struct capture_funcs_options *o)
{
	struct capture_funcs *c = calloc(1, sizeof(*c));
	struct watch none;
	int err;

	if (!c) {
		errno = -watch_fail(&none, -ENOMEM, "out of memory");
		return NULL;
	}
	c->o = *o;
	watch_init(&c->watch);
	strbuf_init(&c->notes);
	err = load(c);
	if (!err)
		return c;
	capture_funcs_free(c);
	errno = -err;
	return NULL;
}

void capture_funcs_free(struct capture_funcs *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(c->links); i++)
		bpf_link__destroy(c->links[i]);
	attach_release(&c->attach);
	func_results_free(c->results, c->results ? c->sites.nr : 0);
	func_counts_release(&c->counts);
	func_counts_release(&c->before);
	function_sites_release(&c->sites);
	strbuf_release(&c->notes);
	free(c->values);
	free(c->callers);
	free(c->texts);
	watch_release(&c->watch);
	funcs_bpf__destroy(c->bpf);
	free(c);
}

/* ---------------------------------------------------------------- probes ---- */

static int too_many(struct capture_funcs *c, const struct object *object, size_t found)
{
	size_t all = c->sites.nr + found;

	return watch_fail(&c->watch, -E2BIG,
			  "%s%zu functions match, %zu of them in %s: --max-funcs %zu to probe them "
			  "all, each call of each",
			  c->nr_objects + 1 < c->watch.target.objects.nr ? "at least " : "", all,
			  found, object->path, all);
}

/* The functions of one object that are asked for, appended to the sites. */
static int find_functions(struct capture_funcs *c, const struct object *object)
{
	const struct target *t = &c->watch.target;
	struct function_wishes w = {
		.returns = !c->o.entries,
		.force_returns = c->o.force_returns,
		.max = c->o.max_funcs,
	};
	size_t found = 0;
	int err = 0;

	if (object->is_vdso)
		return 0;
	for (size_t i = 0; i < c->o.nr_args; i++)
		w.args |= 1U << c->o.args[i].number;
	for (size_t i = 0; i < c->o.nr_specs && !err; i++)
		err = function_sites_find(&c->sites, object, &t->objects, t->procs[0]->pid,
					  c->o.specs[i], &w, &found);
	if (err == -E2BIG)
		return too_many(c, object, found);
	return err ? watch_fail(&c->watch, err, "cannot look for functions in %s: %s", object->path,
				strerror(-err))
		   : 0;
}

static bool is_timed(const struct capture_funcs *c, const struct function_site *f)
{
	return !c->o.entries && !f->site_err && f->returns == PROBE_RETURN_OK;
}

static void note(struct capture_funcs *c, const struct function_site *f)
{
	if (f->site_err)
		strbuf_printf(&c->notes, "%s: not probed: %s\n", f->name,
			      probe_site_error(f->site_err));
	else if (f->ifunc)
		strbuf_printf(&c->notes,
			      "%s: chosen at load time, so that only the choice is seen: the "
			      "functions that are called have names of their own\n",
			      f->name);
	else if (f->site.repeats)
		strbuf_printf(&c->notes,
			      "%s: jumps back to where it is probed: the count is at "
			      "least that of its calls\n",
			      f->name);
	for (size_t i = 0; i < c->o.nr_args && !f->site_err; i++)
		if (f->site.args[c->o.args[i].number] == PROBE_ARG_LOST)
			strbuf_printf(&c->notes, "%s: arg%u is not known where it is probed\n",
				      f->name, c->o.args[i].number + 1);
}

static int attach_list(struct capture_funcs *c, const struct object *object, bool returns,
		       struct attach_site *sites, size_t n)
{
	struct attach_to to = {
		.elf = object->elf,
		.prog_fd = bpf_program__fd(returns ? c->bpf->progs.func_return
						   : c->bpf->progs.func_entry),
		.pid = c->o.only ? c->o.only : -1,
		.returns = returns,
	};
	int attached = n ? attach_sites(&c->attach, &to, sites, n) : 0;

	if (attached < 0)
		return watch_fail(&c->watch, attached, "cannot attach to %s: %s", object->path,
				  attach_error(attached));
	for (size_t i = 0; i < n; i++)
		if (sites[i].err)
			return watch_fail(&c->watch, sites[i].err, "cannot attach to %s: %s",
					  c->sites.items[PROBE_COOKIE_ID(sites[i].cookie)].name,
					  attach_error(sites[i].err));
	return 0;
}

/* Where the functions from nr_attached on are probed. Returns 0 or a negative errno. */
static int list_sites(struct capture_funcs *c, struct attach_site *calls, size_t *nr_calls,
		      struct attach_site *returns, size_t *nr_returns)
{
	for (uint32_t id = c->nr_attached; id < c->sites.nr; id++) {
		const struct function_site *f = &c->sites.items[id];
		uint32_t info = is_timed(c, f) ? FUNC_RETURNS : 0;
		struct attach_site site = { .offset = f->site.offset };

		note(c, f);
		if (f->site_err)
			continue;
		site.cookie = probe_site_cookie(&f->site, id);
		calls[(*nr_calls)++] = site;
		if (info)
			returns[(*nr_returns)++] = site;
		if (bpf_map_update_elem(bpf_map__fd(c->bpf->maps.func_infos), &id, &info, 0))
			return watch_fail(&c->watch, -errno,
					  "cannot tell the kernel of a probe: %s", strerror(errno));
	}
	c->nr_timed += *nr_returns;
	return 0;
}

/* Attach to them, all of one object. */
static int attach_new(struct capture_funcs *c, const struct object *object)
{
	size_t n = c->sites.nr - c->nr_attached, nr_calls = 0, nr_returns = 0;
	struct attach_site *calls = calloc(n, sizeof(*calls));
	struct attach_site *returns = calloc(n, sizeof(*returns));
	int err;

	if (!calls || !returns) {
		err = no_memory(c);
		goto out;
	}
	err = list_sites(c, calls, &nr_calls, returns, &nr_returns);
	/* Returns first: no call is seen whose return would be missed. */
	if (!err)
		err = attach_list(c, object, true, returns, nr_returns);
	if (!err)
		err = attach_list(c, object, false, calls, nr_calls);
	c->nr_attached = c->sites.nr;
out:
	free(calls);
	free(returns);
	return err;
}

/* Probe what the target maps by now; once the first probes are there, look. */
static int update_probes(struct capture_funcs *c)
{
	const struct target *t = &c->watch.target;
	int err = 0;

	if (!t->nr_procs)
		return 0;
	while (c->nr_objects < t->objects.nr && !err) {
		const struct object *object = t->objects.items[c->nr_objects];

		err = find_functions(c, object);
		c->nr_objects++;
		if (!err && c->sites.nr > c->nr_attached)
			err = attach_new(c, object);
	}
	if (err || c->begun || !c->nr_attached)
		return err;
	__atomic_store_n(&c->bpf->bss->active, true, __ATOMIC_RELEASE);
	c->begun = true;
	return 0;
}

/* Has everything that was asked for been found? */
static int check_probes(struct capture_funcs *c)
{
	const struct target *t = &c->watch.target;
	struct strbuf names;
	struct images images;
	int err;

	if (c->nr_attached)
		return 0;
	strbuf_init(&names);
	if (t->nr_procs && !images_of_process(&images, t->procs[0]->pid)) {
		probe_list_suggest(&images, c->o.specs[0], &names);
		images_release(&images);
	}
	err = watch_fail(&c->watch, -ENOENT, "no function is called '%s'%s%s%s", c->o.specs[0],
			 c->o.nr_specs > 1 ? ", nor any of the others" : "",
			 names.len ? "; similar: " : "", strbuf_str(&names));
	strbuf_release(&names);
	return err;
}

/* ---------------------------------------------------------------- the course ---- */

static int funcs_add(void *capture, pid_t pid, bool before_exec)
{
	struct capture_funcs *c = capture;
	int err = watch_add(&c->watch, pid, before_exec);

	return err || !c->started ? err : update_probes(c);
}

static int funcs_start(void *capture)
{
	struct capture_funcs *c = capture;
	struct bpf_program *programs[] = { c->bpf->progs.func_switch,
					   c->bpf->progs.func_thread_exit };
	int err = watch_start(&c->watch);

	for (size_t i = 0; i < ARRAY_SIZE(programs) && !err; i++) {
		c->links[i] = bpf_program__attach(programs[i]);
		if (!c->links[i])
			err = watch_fail(&c->watch, -errno, "cannot attach to scheduler events: %s",
					 strerror(errno));
	}
	c->started = c->running = true;
	if (!err)
		err = update_probes(c);
	/* Of a command that has not begun, nothing is known yet. */
	if (!err && c->watch.target.objects.nr)
		err = check_probes(c);
	return err;
}

static int funcs_poll(void *capture)
{
	struct capture_funcs *c = capture;
	int err = watch_poll(&c->watch);

	return err ? err : update_probes(c);
}

static int funcs_fd(const void *capture)
{
	const struct capture_funcs *c = capture;

	return c->watch.epoll_fd;
}

static size_t funcs_alive(const void *capture)
{
	const struct capture_funcs *c = capture;

	return c->watch.target.nr_procs;
}

static bool funcs_knows(const void *capture, pid_t pid)
{
	const struct capture_funcs *c = capture;

	return target_knows(&c->watch.target, pid);
}

static int read_counts(struct capture_funcs *c, struct func_counts *ret)
{
	int err = func_counts_read(ret, bpf_map__fd(c->bpf->maps.funcs),
				   bpf_map__fd(c->bpf->maps.buckets), c->nr_attached);

	return err ? watch_fail(&c->watch, err, "cannot read the counts: %s", strerror(-err)) : 0;
}

static uint64_t funcs_count(void *capture)
{
	struct capture_funcs *c = capture;
	struct func_counts now;
	uint64_t n = 0;

	if (read_counts(c, &now))
		return 0;
	for (size_t i = 0; i < now.nr; i++)
		n += now.stats[i].calls;
	func_counts_release(&now);
	return n;
}

/* ---------------------------------------------------------------- the end ---- */

static int take_value(void *arg, const void *key, const void *value)
{
	struct capture_funcs *c = arg;

	if (array_grow((void **)&c->values, c->nr_values, &c->cap_values, sizeof(*c->values)))
		return -ENOMEM;
	memcpy(&c->values[c->nr_values].key, key, sizeof(struct func_value));
	memcpy(&c->values[c->nr_values++].count, value, sizeof(uint64_t));
	return 0;
}

static int take_caller(void *arg, const void *key, const void *value)
{
	struct capture_funcs *c = arg;

	if (array_grow((void **)&c->callers, c->nr_callers, &c->cap_callers, sizeof(*c->callers)))
		return -ENOMEM;
	memcpy(&c->callers[c->nr_callers].key, key, sizeof(struct stack_key));
	memcpy(&c->callers[c->nr_callers++].sum, value, sizeof(struct func_callers));
	return 0;
}

static int collect(struct capture_funcs *c)
{
	int err = watch_consume(&c->watch);

	if (!err)
		err = read_counts(c, &c->counts);
	if (err)
		return err;
	err = watch_drain(bpf_map__fd(c->bpf->maps.values), sizeof(struct func_value),
			  sizeof(uint64_t), take_value, c);
	if (!err)
		err = watch_drain(bpf_map__fd(c->bpf->maps.callers), sizeof(struct stack_key),
				  sizeof(struct func_callers), take_caller, c);
	if (!err)
		err = func_counts_results(&c->counts, NULL, &c->results);
	for (size_t i = 0; i < c->counts.nr && !err; i++) {
		c->results[i].site = &c->sites.items[i];
		c->results[i].timed = is_timed(c, &c->sites.items[i]);
	}
	return err ? watch_fail(&c->watch, err, "cannot collect: %s", strerror(-err)) : 0;
}

static int funcs_stop(void *capture)
{
	struct capture_funcs *c = capture;
	int err;

	if (!c->running)
		return 0;
	c->running = false;
	__atomic_store_n(&c->bpf->bss->active, false, __ATOMIC_SEQ_CST);
	err = check_probes(c);
	return err ? err : collect(c);
}

int capture_funcs_interval(struct capture_funcs *c, struct func_result **ret, size_t *ret_n)
{
	struct func_counts now;
	int err = read_counts(c, &now);

	if (err)
		return err;
	err = func_counts_results(&now, &c->before, ret);
	for (size_t i = 0; i < now.nr && !err; i++) {
		(*ret)[i].site = &c->sites.items[i];
		(*ret)[i].timed = is_timed(c, &c->sites.items[i]);
	}
	*ret_n = now.nr;
	func_counts_release(&c->before);
	c->before = now;
	return err;
}

/* ---------------------------------------------------------------- results ---- */

static uint64_t stat_of(const struct capture_funcs *c, uint32_t which)
{
	return watch_sum(bpf_map__fd(c->bpf->maps.func_stats), which);
}

void capture_funcs_stats(struct capture_funcs *c, struct capture_funcs_stats *ret)
{
	uint64_t timed = 0;

	*ret = (struct capture_funcs_stats){
		.stray = stat_of(c, FUNCS_STRAY),
		.lost = stat_of(c, FUNCS_LOST_THREADS),
		.lost_buckets = stat_of(c, FUNCS_LOST_BUCKETS),
		.lost_stacks = stat_of(c, FUNCS_LOST_STACKS),
		.lost_values = stat_of(c, FUNCS_LOST_VALUES),
		.lost_args = stat_of(c, FUNCS_LOST_ARGS),
		.lost_events = watch_stat(&c->watch, STAT_LOST_EVENTS),
		.timed = c->nr_timed,
	};
	for (size_t i = 0; i < c->sites.nr; i++)
		ret->functions += !c->sites.items[i].site_err;
	for (size_t i = 0; i < c->counts.nr; i++) {
		const struct func_stat *s = &c->counts.stats[i];

		ret->calls += s->calls;
		ret->returns += s->returns;
		ret->missing += s->missing;
		if (c->results && c->results[i].timed)
			timed += s->calls;
	}
	ret->open = timed - MIN(timed, ret->returns + ret->missing + ret->lost);
}

const struct func_result *capture_funcs_results(const struct capture_funcs *c, size_t *ret_n)
{
	*ret_n = c->counts.nr;
	return c->results;
}

const struct func_value_count *capture_funcs_values(const struct capture_funcs *c, size_t *ret_n)
{
	*ret_n = c->nr_values;
	return c->values;
}

const struct func_caller *capture_funcs_callers(const struct capture_funcs *c, size_t *ret_n)
{
	*ret_n = c->nr_callers;
	return c->callers;
}

const char *capture_funcs_text(const struct capture_funcs *c, uint64_t hash)
{
	for (size_t i = 0; i < c->nr_texts; i++)
		if (c->texts[i].header.arg == hash)
			return c->texts[i].text;
	return NULL;
}

const struct stacks *capture_funcs_stacks(const struct capture_funcs *c)
{
	return &c->watch.stacks;
}

const struct target *capture_funcs_target(const struct capture_funcs *c)
{
	return &c->watch.target;
}

const char *capture_funcs_notes(const struct capture_funcs *c)
{
	return strbuf_str(&c->notes);
}

const struct capture_ops capture_funcs_ops = {
	.add = funcs_add,
	.start = funcs_start,
	.poll = funcs_poll,
	.stop = funcs_stop,
	.fd = funcs_fd,
	.alive = funcs_alive,
	.knows = funcs_knows,
	.count = funcs_count,
	.error = funcs_error,
	.unit = "calls",
};
