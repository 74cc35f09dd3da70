/* SPDX-License-Identifier: MIT */
#include "capture_requests.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ksyms.h"
#include "loading.h"
#include "request_allocs.h"
#include "request_probes.h"
#include "request_store.h"
#include "requests.skel.h"
#include "util.h"
#include "watch.h"

#define MAX_DETAILS 4096 /* open requests whose details are kept, 2.4 KB each */

struct capture_requests {
	struct watch watch; /* first, for watch_op_* */
	struct capture_requests_options o;
	struct requests_bpf *bpf;
	struct request_probes probes;
	struct heap_probes allocs;
	struct bpf_link *links[4];
	size_t nr_links;
	struct request_table total, interval;
	struct request_store store;
	struct request_open *open;
	size_t nr_open, cap_open;
	uint64_t began_ns, stopped_ns;
	bool started, running, begun; /* begun: the gate is open */
};

static int no_memory(struct capture_requests *c)
{
	return watch_fail(&c->watch, -ENOMEM, "out of memory");
}

/* ---------------------------------------------------------------- records ---- */

static int on_record(void *arg, void *data, size_t size)
{
	struct capture_requests *c = arg;
	const struct event_header *e = data;
	int err = 0;

	if (size < sizeof(*e))
		return 0;
	if (e->type == EVENT_REQUEST_DETAIL) {
		request_store_detail(&c->store, data, size);
	} else if (e->type == EVENT_REQUEST) {
		err = request_table_add(&c->interval, data, size);
		request_store_request(&c->store, data, size);
	}
	if (err)
		c->watch.callback_err = err;
	return 0;
}

/* What comes with the notices: texts. */
static int on_event(void *arg, const struct event_header *e, size_t size)
{
	struct capture_requests *c = arg;

	if (e->type == EVENT_REQUEST_TEXT)
		return request_store_text(&c->store, (const void *)e, size);
	return 0;
}

/* ---------------------------------------------------------------- loading ---- */

/* Without names the stacks of waits have the frames of our own machinery. */
static void find_schedule(struct capture_requests *c)
{
	static const char *const schedule[] = { "__schedule", NULL };
	struct ksyms *k = ksyms_new(NULL);
	uint64_t text[2] = { 0 };

	if (k && !ksyms_range(k, schedule, text))
		memcpy(c->bpf->rodata->schedule_text, text, sizeof(text));
	ksyms_free(k);
}

static int prepare_allocs(struct capture_requests *c)
{
	struct bpf_program *programs[] = { c->bpf->progs.request_alloc,
					   c->bpf->progs.request_alloc_return };
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(programs) && c->o.allocs && !err; i++) {
		err = bpf_program__set_autoload(programs[i], true);
		if (!err)
			err = attach_prepare(programs[i]);
	}
	return err;
}

static int prepare(struct capture_requests *c, const struct watch_options *wo)
{
	struct requests_bpf *bpf = c->bpf;
	bool details = c->o.nr_details > 0;
	int err;

	WATCH_KNOBS(bpf, wo);
	bpf->rodata->with_details = details;
	bpf->rodata->filter_slow_ns = c->o.slow_ns;
	bpf->rodata->filter_status_min = c->o.status_min;
	bpf->rodata->filter_status_max = c->o.status_max;
	if (details)
		find_schedule(c);
	err = watch_prepare(&c->watch, bpf->obj, wo);
	if (err)
		return err;
	err = bpf_map__set_max_entries(bpf->maps.usdt_specs, REQUEST_MAX_PROBES);
	if (!err && details)
		err = bpf_map__set_max_entries(bpf->maps.details, MAX_DETAILS);
	if (!err)
		err = bpf_program__set_autoload(bpf->progs.request_syscall, c->o.syscalls);
	if (!err)
		err = attach_prepare(bpf->progs.request_hit);
	if (!err)
		err = prepare_allocs(c);
	return err ? watch_fail(&c->watch, err, "cannot prepare the BPF object: %s", strerror(-err))
		   : 0;
}

static int load(struct capture_requests *c)
{
	struct watch_options wo = { .children = c->o.children, .only = c->o.only };
	int err = watch_check(&c->watch);

	if (err)
		return err;
	c->bpf = requests_bpf__open();
	if (!c->bpf)
		return watch_fail(&c->watch, -errno, "cannot open the BPF object: %s",
				  strerror(errno));
	err = prepare(c, &wo);
	if (err)
		return err;
	err = requests_bpf__load(c->bpf);
	if (err)
		return watch_fail(&c->watch, err, "the kernel refused the BPF programs: %s",
				  strerror(-err));
	err = watch_open(&c->watch, c->bpf->obj, &wo, on_event, c);
	if (err)
		return err;
	err = ring_buffer__add(c->watch.ring, bpf_map__fd(c->bpf->maps.records), on_record, c);
	if (err)
		return watch_fail(&c->watch, err, "cannot open the kernel's event buffers: %s",
				  strerror(-err));
	if (c->o.allocs) {
		c->allocs.call_prog = bpf_program__fd(c->bpf->progs.request_alloc);
		c->allocs.return_prog = bpf_program__fd(c->bpf->progs.request_alloc_return);
	}
	c->probes.prog_fd = bpf_program__fd(c->bpf->progs.request_hit);
	c->probes.roles_fd = bpf_map__fd(c->bpf->maps.roles);
	c->probes.specs_fd = bpf_map__fd(c->bpf->maps.usdt_specs);
	return 0;
}

/* By fewer hits, where not each moment matters. */
static enum request_probing probing_of(const struct capture_requests_options *o)
{
	if (o->phases)
		return REQUEST_WITH_PHASES;
	return o->nr_details || o->allocs || o->syscalls ? REQUEST_AS_IT_HAPPENS
							 : REQUEST_BY_ACCOUNT;
}

struct capture_requests *capture_requests_new(struct capture_requests_options *o)
{
	struct capture_requests *c = calloc(1, sizeof(*c));
	struct watch none;
	int err;

	if (!c) {
		request_points_release(&o->points);
		errno = -watch_fail(&none, -ENOMEM, "out of memory");
		return NULL;
	}
	c->o = *o;
	watch_init(&c->watch);
	request_probes_init(&c->probes);
	c->probes.points = o->points;
	c->probes.probing = probing_of(o);
	c->probes.force_returns = o->force_returns;
	c->probes.pid = o->only ? o->only : -1;
	c->allocs.alloc_only = true;
	request_table_init(&c->total);
	request_table_init(&c->interval);
	err = request_store_init(&c->store, o->nr_details);
	err = err ? no_memory(c) : load(c);
	if (!err)
		return c;
	capture_requests_free(c);
	errno = -err;
	return NULL;
}

void capture_requests_free(struct capture_requests *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->nr_links; i++)
		bpf_link__destroy(c->links[i]);
	request_probes_release(&c->probes);
	heap_probes_release(&c->allocs);
	watch_release(&c->watch);
	requests_bpf__destroy(c->bpf);
	request_table_release(&c->total);
	request_table_release(&c->interval);
	request_store_release(&c->store);
	free(c->open);
	free(c);
}

/* ---------------------------------------------------------------- probes ---- */

/* What the points say of requests, for the table and the BPF side. */
static void use_points(struct capture_requests *c)
{
	const struct request_points *points = &c->probes.points;
	struct request_naming naming = c->total.naming;

	naming.methods = points->methods;
	naming.nr_methods = points->nr_methods;
	naming.has_routes = points->has_routes;
	for (size_t i = 0; i < points->nr; i++) {
		const struct request_probe *p = &points->items[i].probe;

		if (p->role != ROLE_BEGIN && p->role != ROLE_STATUS)
			continue;
		naming.unnamed = points->items[i].pattern;
		naming.by_number = p->name != REQUEST_NO_ARG && p->name_kind == NAME_NUMBER;
	}
	c->total.naming = c->interval.naming = naming;
	c->bpf->bss->has_pieces = points->has_pieces;
	c->bpf->bss->by_account = points->by_account;
	c->bpf->bss->nested_phases = c->o.phases || c->o.nr_details;
	c->bpf->data->after_piece = points->sends_after ? STATE_SEND : STATE_LOOP;
}

static int update_allocs(struct capture_requests *c)
{
	if (!c->o.allocs)
		return 0;
	if (!c->begun)
		c->allocs.everywhere = c->o.children || c->watch.target.nr_procs > HEAP_PROBES_OWN;
	return request_allocs_update(&c->allocs, &c->watch);
}

/* Probe what the target maps by now; once the first probes are there, look. */
static int update_probes(struct capture_requests *c)
{
	const struct target *t = &c->watch.target;
	int err;

	if (!t->nr_procs || c->probes.nr_objects == t->objects.nr)
		return 0;
	err = update_allocs(c);
	if (err)
		return err;
	err = request_probes_update(&c->probes, &t->objects, t->procs[0]->pid);
	if (err)
		return watch_fail(&c->watch, err, "%s", c->probes.error);
	if (c->begun || !c->probes.nr_sites)
		return 0;
	use_points(c);
	c->began_ns = c->bpf->bss->active_since = now_ns();
	/* Everything above is seen before this is. */
	__atomic_store_n(&c->bpf->bss->active, true, __ATOMIC_RELEASE);
	c->begun = true;
	return 0;
}

static int attach_scheduler(struct capture_requests *c)
{
	struct bpf_program *programs[] = { c->bpf->progs.request_switch,
					   c->bpf->progs.request_wakeup,
					   c->bpf->progs.request_thread_exit,
					   c->bpf->progs.request_syscall };

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		if (!bpf_program__autoload(programs[i]))
			continue;
		c->links[c->nr_links] = bpf_program__attach(programs[i]);
		if (!c->links[c->nr_links])
			return watch_fail(&c->watch, -errno,
					  "cannot attach to scheduler events: %s", strerror(errno));
		c->nr_links++;
	}
	return 0;
}

static int check_probes(struct capture_requests *c)
{
	const struct target *t = &c->watch.target;
	int err = request_probes_check(&c->probes, t->nr_procs ? t->procs[0]->pid : 0);

	return err ? watch_fail(&c->watch, err, "%s", c->probes.error) : 0;
}

/* ---------------------------------------------------------------- the course ---- */

static int requests_add(void *capture, pid_t pid, bool before_exec)
{
	struct capture_requests *c = capture;
	int err = watch_add(&c->watch, pid, before_exec);

	return err || !c->started ? err : update_probes(c);
}

static int requests_start(void *capture)
{
	struct capture_requests *c = capture;
	int err = watch_start(&c->watch);
	bool known;

	if (!err)
		err = attach_scheduler(c);
	c->started = c->running = true;
	/* Of a command that has not begun, nothing is known yet. */
	known = !err && c->watch.target.objects.nr;
	if (known && c->o.allocs) {
		c->allocs.away = true;
		err = update_allocs(c);
		if (!err)
			err = request_allocs_place(&c->allocs, &c->watch, &c->o);
	}
	if (!err)
		err = update_probes(c);
	if (!err && known)
		err = check_probes(c);
	return err;
}

static int requests_poll(void *capture)
{
	struct capture_requests *c = capture;
	int err = watch_poll(&c->watch);

	return err ? err : update_probes(c);
}

/* A library's probes are there as soon as it is mapped: before its constructors. */
static int requests_place(void *capture, pid_t pid, uint64_t pc)
{
	struct capture_requests *c = capture;
	int err = requests_poll(c);

	return err ? err : loading_is_over(&c->watch.target, pid, pc);
}

static uint64_t requests_count(void *capture)
{
	struct capture_requests *c = capture;

	return request_table_count(&c->total) + request_table_count(&c->interval);
}

/* ---------------------------------------------------------------- the end ---- */

static int take_open(void *arg, const void *key, const void *value)
{
	struct capture_requests *c = arg;
	struct request_open *o;

	(void)key; /* it is in the record, too */
	if (array_grow((void **)&c->open, c->nr_open, &c->cap_open, sizeof(*c->open)))
		return -ENOMEM;
	o = &c->open[c->nr_open++];
	memcpy(&o->request, value, sizeof(o->request));
	request_end_names(&o->request);
	o->age_ns = c->stopped_ns - o->request.start;
	return 0;
}

/* Those in the arrays. */
static int take_slots(struct capture_requests *c)
{
	struct request_bucket bucket;
	struct request_record r;
	int err = 0;

	for (__u32 i = 0; i < REQUEST_BUCKETS && !err; i++) {
		if (bpf_map_lookup_elem(bpf_map__fd(c->bpf->maps.request_tags), &i, &bucket))
			return -errno;
		for (__u32 j = 0; j < REQUEST_WAYS && !err; j++) {
			__u32 slot = i * REQUEST_WAYS + j;

			if (bucket.tags[j].used < REQUEST_TAG_USED)
				continue;
			if (bpf_map_lookup_elem(bpf_map__fd(c->bpf->maps.requests), &slot, &r))
				return -errno;
			err = take_open(c, NULL, &r);
		}
	}
	return err;
}

static int by_age(const void *a, const void *b)
{
	const struct request_open *x = a, *y = b;

	return x->age_ns < y->age_ns ? 1 : x->age_ns > y->age_ns ? -1 : 0;
}

static int take_own(void *arg, const void *key, const void *value)
{
	struct capture_requests *c = arg;
	const struct request_stmt_key *k = key;
	struct request_sql *sql = request_store_sql(&c->store, k->tgid, k->stmt);

	if (!sql)
		return -ENOMEM;
	memcpy(&sql->own, value, sizeof(sql->own));
	return 0;
}

static int merge_interval(struct capture_requests *c)
{
	int err = request_table_merge(&c->total, &c->interval);

	request_table_reset(&c->interval);
	return err;
}

static int collect(struct capture_requests *c)
{
	int err = watch_consume(&c->watch);

	if (err)
		return err;
	err = take_slots(c);
	if (!err)
		err = watch_drain(bpf_map__fd(c->bpf->maps.more_requests),
				  sizeof(struct request_key), sizeof(struct request_record),
				  take_open, c);
	if (!err)
		err = watch_drain(bpf_map__fd(c->bpf->maps.own_stmts),
				  sizeof(struct request_stmt_key), sizeof(struct request_own_stmt),
				  take_own, c);
	if (!err)
		err = merge_interval(c);
	if (c->nr_open)
		qsort(c->open, c->nr_open, sizeof(*c->open), by_age);
	request_store_sort(&c->store);
	return err ? watch_fail(&c->watch, err, "cannot collect: %s", strerror(-err)) : 0;
}

static int requests_stop(void *capture)
{
	struct capture_requests *c = capture;
	int err;

	if (!c->running)
		return 0;
	c->running = false;
	__atomic_store_n(&c->bpf->bss->active, false, __ATOMIC_SEQ_CST);
	c->stopped_ns = now_ns();
	err = check_probes(c);
	return err ? err : collect(c);
}

int capture_requests_interval(struct capture_requests *c, struct request_table *ret)
{
	struct request_table settings;
	int err;

	request_table_init(&settings);
	settings.naming = c->interval.naming;
	err = request_table_merge(&c->total, &c->interval);
	*ret = c->interval;
	c->interval = settings;
	return err;
}

/* ---------------------------------------------------------------- results ---- */

static uint64_t stat_of(const struct capture_requests *c, uint32_t which)
{
	return watch_sum(bpf_map__fd(c->bpf->maps.request_stats), which);
}

void capture_requests_stats(struct capture_requests *c, struct capture_requests_stats *ret)
{
	*ret = (struct capture_requests_stats){
		.requests = requests_count(c),
		.unreported = stat_of(c, REQUESTS_UNREPORTED),
		.unsettled = stat_of(c, REQUESTS_UNSETTLED),
		.no_start = stat_of(c, REQUESTS_NO_START),
		.open = c->nr_open,
		.reused = c->total.reused + c->interval.reused,
		.thread_gone = c->total.thread_gone + c->interval.thread_gone,
		.helpers = c->total.helpers + c->interval.helpers,
		.not_executed = c->total.not_executed + c->interval.not_executed,
		.lost_open = stat_of(c, REQUESTS_LOST_OPEN),
		.lost_ring = stat_of(c, REQUESTS_LOST_RING),
		.lost_threads = stat_of(c, REQUESTS_LOST_THREADS),
		.lost_details = stat_of(c, REQUESTS_LOST_DETAILS),
		.lost_statements = stat_of(c, REQUESTS_LOST_OWN),
		.bad_arguments = c->bpf->bss->bad_arguments,
		.stray_ends = stat_of(c, REQUESTS_STRAY_END),
		.lost_events = watch_stat(&c->watch, STAT_LOST_EVENTS),
		.lost_stacks = watch_stat(&c->watch, STAT_LOST_RING) +
			       watch_stat(&c->watch, STAT_LOST_COUNTS) +
			       watch_stat(&c->watch, STAT_LOST_SCRATCH),
		.inconsistent = c->total.inconsistent + c->interval.inconsistent,
		.damaged = c->total.damaged + c->interval.damaged,
		.matched = c->store.matched,
		.sites = c->probes.nr_sites,
	};
	for (size_t i = 0; i < c->total.nr_routes; i++)
		ret->hits += c->total.routes[i].hits;
	ret->lost = ret->lost_open + ret->lost_ring;
}

const struct request_table *capture_requests_table(const struct capture_requests *c)
{
	return &c->total;
}

const struct request_points *capture_requests_points(const struct capture_requests *c)
{
	return &c->probes.points;
}

const struct stacks *capture_requests_stacks(const struct capture_requests *c)
{
	return &c->watch.stacks;
}

const struct target *capture_requests_target(const struct capture_requests *c)
{
	return &c->watch.target;
}

uint64_t capture_requests_epoch(const struct capture_requests *c)
{
	return c->began_ns;
}

const struct capture_requests_options *capture_requests_options(const struct capture_requests *c)
{
	return &c->o;
}

const char *capture_requests_notes(const struct capture_requests *c)
{
	return strbuf_str(&c->probes.notes);
}

const struct request_sql *capture_requests_sql(const struct capture_requests *c, uint32_t tgid,
					       uint32_t stmt)
{
	for (size_t i = 0; i < c->store.nr_sql; i++)
		if (c->store.sql[i].stmt == stmt && c->store.sql[i].tgid == tgid)
			return &c->store.sql[i];
	return NULL;
}

const struct request_sql *capture_requests_all_sql(const struct capture_requests *c, size_t *ret_n)
{
	*ret_n = c->store.nr_sql;
	return c->store.sql;
}

const struct request_slow *capture_requests_slow(const struct capture_requests *c, size_t *ret_n)
{
	*ret_n = c->store.nr_slow;
	return c->store.slow;
}

const struct request_open *capture_requests_open(const struct capture_requests *c, size_t *ret_n)
{
	*ret_n = c->nr_open;
	return c->open;
}

static_assert(offsetof(struct capture_requests, watch) == 0, "as watch_op_* want it");

const struct capture_ops capture_requests_ops = {
	.add = requests_add,
	.start = requests_start,
	.place = requests_place,
	.poll = requests_poll,
	.stop = requests_stop,
	.fd = watch_op_fd,
	.alive = watch_op_alive,
	.knows = watch_op_knows,
	.count = requests_count,
	.error = watch_op_error,
	.unit = "requests",
};
