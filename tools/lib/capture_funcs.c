/* SPDX-License-Identifier: MIT */
#include "capture_funcs.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "func_counts.h"
#include "func_probes.h"
#include "funcs.skel.h"
#include "heap_probes.h"
#include "loading.h"
#include "util.h"
#include "watch.h"

#define ALLOC_NS 100 /* that our program takes for an allocation, beyond an empty one */

struct capture_funcs {
	struct watch watch; /* first, for watch_op_* */
	struct capture_funcs_options o;
	struct funcs_bpf *bpf;
	struct bpf_link *links[2];
	struct func_probes probes;
	struct heap_probes allocs;
	struct probe_budget_verdict verdict;
	struct func_counts counts, before; /* now, and at the last interval */
	struct func_result *results;
	struct func_value_count *values;
	size_t nr_values, cap_values;
	struct func_caller *callers;
	size_t nr_callers, cap_callers;
	struct func_text *texts;
	size_t nr_texts, cap_texts;
	bool started, running, begun; /* begun: the gate is open */
	size_t nr_at_start;	      /* functions that are probed from the first moment */
};

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

static int prepare_programs(struct capture_funcs *c)
{
	struct bpf_program *programs[] = { c->bpf->progs.func_entry, c->bpf->progs.func_return,
					   c->bpf->progs.func_alloc,
					   c->bpf->progs.func_alloc_return };
	int err = 0;

	for (size_t i = 0; i < (c->o.allocs ? 4 : 2) && !err; i++) {
		err = bpf_program__set_autoload(programs[i], true);
		if (!err)
			err = attach_prepare(programs[i]);
	}
	return err;
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
		err = prepare_programs(c);
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
	c->allocs.alloc_only = true;
	if (c->o.allocs) {
		c->allocs.call_prog = bpf_program__fd(c->bpf->progs.func_alloc);
		c->allocs.return_prog = bpf_program__fd(c->bpf->progs.func_alloc_return);
	}
	c->probes.call_prog = bpf_program__fd(c->bpf->progs.func_entry);
	c->probes.return_prog = bpf_program__fd(c->bpf->progs.func_return);
	c->probes.infos_fd = bpf_map__fd(c->bpf->maps.func_infos);
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
	err = func_probes_init(&c->probes, &c->o);
	err = err ? watch_fail(&c->watch, err, "out of memory") : load(c);
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
	func_results_free(c->results, c->counts.nr);
	func_probes_release(&c->probes);
	heap_probes_release(&c->allocs);
	func_counts_release(&c->counts);
	func_counts_release(&c->before);
	free(c->values);
	free(c->callers);
	free(c->texts);
	watch_release(&c->watch);
	funcs_bpf__destroy(c->bpf);
	free(c);
}

/* ---------------------------------------------------------------- probes ---- */

static int update_allocs(struct capture_funcs *c)
{
	const struct target *t = &c->watch.target;
	int err;

	if (!c->o.allocs)
		return 0;
	if (!c->begun)
		c->allocs.everywhere = c->o.children || t->nr_procs > HEAP_PROBES_OWN;
	err = heap_probes_update(&c->allocs, t);
	return err ? watch_fail(&c->watch, err, "--alloc: %s", c->allocs.error) : 0;
}

static int find_functions(struct capture_funcs *c)
{
	const struct target *t = &c->watch.target;
	int err = func_probes_find(&c->probes, &t->objects, t->procs[0]->pid);

	return err ? watch_fail(&c->watch, err, "%s", c->probes.error) : 0;
}

/* Probe what the target maps by now; once the first probes are there, look. */
static int update_probes(struct capture_funcs *c)
{
	int err;

	if (!c->watch.target.nr_procs)
		return 0;
	err = update_allocs(c);
	if (!err)
		err = find_functions(c);
	if (err)
		return err;
	err = func_probes_attach(&c->probes);
	if (err)
		return watch_fail(&c->watch, err, "%s", c->probes.error);
	if (c->begun || !c->probes.nr_attached)
		return 0;
	__atomic_store_n(&c->bpf->bss->active, true, __ATOMIC_RELEASE);
	c->begun = true;
	return 0;
}

/* ---------------------------------------------------------------- what it costs ---- */

/* The same calls counted, and not timed. */
static double price_of_counting(struct capture_funcs *c, struct probe_budget *b)
{
	struct probe_budget counting;
	double price = b->cost.overhead;

	probe_budget_init(&counting);
	c->o.entries = true;
	if (!func_probes_list(&c->probes, &counting)) {
		for (size_t i = 0; i < counting.nr; i++)
			counting.probes[i].hits = b->probes[i].hits;
		governor_again(counting.probes, counting.nr, &b->cost);
		price = b->cost.overhead;
	}
	c->o.entries = false;
	probe_budget_release(&counting);
	return price;
}

static int refuse(struct capture_funcs *c, bool may_narrow, double counting)
{
	const struct probe_budget_verdict *v = &c->verdict;
	char narrow[64] = "";

	if (may_narrow)
		snprintf(narrow, sizeof(narrow), ", to count them only (--entries) %.0f%%",
			 counting);
	return watch_fail(
		&c->watch, -EBUSY,
		"%.0f calls a second on %s%.2f CPUs: to follow them would make the process's "
		"work take %s%.0f%% longer%s; --max-overhead is %.1f%% (--force goes on)",
		v->calls_per_s, v->at_least ? "at most " : "", v->busy,
		v->at_least ? "at least " : "", v->asked, narrow, c->o.max_overhead);
}

/* As asked for, if that may be; else counting only, if that may be. */
static int decide(struct capture_funcs *c, struct probe_budget *b)
{
	struct probe_budget_verdict *v = &c->verdict;
	bool may_narrow = !c->o.entries && !c->o.allocs && !c->o.force_returns;
	double counting;

	*v = (struct probe_budget_verdict){
		.calls_per_s = b->calls_per_s,
		.busy = b->busy,
		.asked = b->cost.overhead,
		.done = b->cost.overhead,
		.at_least = b->cost.at_least,
	};
	if (v->asked <= c->o.max_overhead)
		return 0;
	counting = may_narrow ? price_of_counting(c, b) : v->asked;
	if (counting > c->o.max_overhead)
		return refuse(c, may_narrow, counting);
	v->narrowed = true;
	v->done = counting;
	c->o.entries = true;
	return 0;
}

/* Before any probe is placed: what it will cost, and what is therefore done. */
static int keep_within_budget(struct capture_funcs *c)
{
	const struct target *t = &c->watch.target;
	struct probe_budget b;
	int err;

	probe_budget_init(&b);
	c->allocs.away = true;
	err = update_allocs(c);
	if (!err)
		err = find_functions(c);
	if (err || !c->probes.sites.nr)
		goto out;
	err = func_probes_list(&c->probes, &b);
	if (!err)
		err = probe_budget_add_allocator(&b, &c->allocs, ALLOC_NS, 0, false);
	if (!err)
		err = probe_budget_measure(&b, t);
	if (err)
		err = watch_fail(&c->watch, err, "cannot find out what it would cost: %s",
				 attach_error(err));
	else
		err = decide(c, &b);
	if (!err && c->o.tell)
		c->o.tell(c->o.tell_arg, &c->verdict);
	if (!err && heap_probes_place_all(&c->allocs))
		err = watch_fail(&c->watch, -EIO, "--alloc: %s", c->allocs.error);
out:
	c->allocs.away = false;
	probe_budget_release(&b);
	return err;
}

/* Has anything been found of what was asked for? */
static int check_probes(struct capture_funcs *c)
{
	const struct target *t = &c->watch.target;
	int err = func_probes_check(&c->probes, t->nr_procs ? t->procs[0]->pid : 0);

	return err ? watch_fail(&c->watch, err, "%s", c->probes.error) : 0;
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
	bool known;

	for (size_t i = 0; i < ARRAY_SIZE(programs) && !err; i++) {
		c->links[i] = bpf_program__attach(programs[i]);
		if (!c->links[i])
			err = watch_fail(&c->watch, -errno, "cannot attach to scheduler events: %s",
					 strerror(errno));
	}
	c->started = c->running = true;
	/* Of a command that has not begun, nothing is known yet. */
	known = !err && c->watch.target.objects.nr;
	if (known && c->watch.target.nr_procs && c->o.max_overhead > 0)
		err = keep_within_budget(c);
	if (!err)
		err = update_probes(c);
	if (!err && known)
		err = check_probes(c);
	c->nr_at_start = c->probes.sites.nr;
	return err;
}

/* A library's functions are probed as soon as it is mapped: before its constructors. */
static int funcs_place(void *capture, pid_t pid, uint64_t pc)
{
	struct capture_funcs *c = capture;
	int err = watch_poll(&c->watch);

	if (!err)
		err = update_probes(c);
	c->nr_at_start = c->probes.sites.nr;
	return err ? err : loading_is_over(&c->watch.target, pid, pc);
}

static int funcs_poll(void *capture)
{
	struct capture_funcs *c = capture;
	int err = watch_poll(&c->watch);

	return err ? err : update_probes(c);
}

static int read_counts(struct capture_funcs *c, struct func_counts *ret)
{
	int err = func_counts_read(ret, bpf_map__fd(c->bpf->maps.funcs),
				   bpf_map__fd(c->bpf->maps.buckets), c->probes.nr_attached);

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
		c->results[i].site = &c->probes.sites.items[i];
		c->results[i].timed = func_probes_is_timed(&c->probes, &c->probes.sites.items[i]);
		c->results[i].late = i >= c->nr_at_start;
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
		(*ret)[i].site = &c->probes.sites.items[i];
		(*ret)[i].timed = func_probes_is_timed(&c->probes, &c->probes.sites.items[i]);
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
		.unreported = stat_of(c, FUNCS_UNREPORTED),
		.stray = stat_of(c, FUNCS_STRAY),
		.lost = stat_of(c, FUNCS_LOST_THREADS),
		.lost_buckets = stat_of(c, FUNCS_LOST_BUCKETS),
		.lost_stacks = stat_of(c, FUNCS_LOST_STACKS),
		.lost_values = stat_of(c, FUNCS_LOST_VALUES),
		.lost_args = stat_of(c, FUNCS_LOST_ARGS),
		.lost_events = watch_stat(&c->watch, STAT_LOST_EVENTS),
		.timed = c->probes.nr_timed,
		.unmatched = func_probes_unmatched(&c->probes, NULL),
	};
	for (size_t i = 0; i < c->probes.sites.nr; i++)
		ret->functions += !c->probes.sites.items[i].site_err;
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

void capture_funcs_unmatched(const struct capture_funcs *c, struct strbuf *b)
{
	func_probes_unmatched(&c->probes, b);
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

const struct capture_funcs_options *capture_funcs_options(const struct capture_funcs *c)
{
	return &c->o;
}

const struct probe_budget_verdict *capture_funcs_verdict(const struct capture_funcs *c)
{
	return &c->verdict;
}

const struct target *capture_funcs_target(const struct capture_funcs *c)
{
	return &c->watch.target;
}

const char *capture_funcs_notes(const struct capture_funcs *c)
{
	return strbuf_str(&c->probes.notes);
}

static_assert(offsetof(struct capture_funcs, watch) == 0, "as watch_op_* want it");

const struct capture_ops capture_funcs_ops = {
	.add = funcs_add,
	.start = funcs_start,
	.place = funcs_place,
	.poll = funcs_poll,
	.stop = funcs_stop,
	.fd = watch_op_fd,
	.alive = watch_op_alive,
	.knows = watch_op_knows,
	.count = funcs_count,
	.error = watch_op_error,
	.unit = "calls",
};
