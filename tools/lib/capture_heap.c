/* SPDX-License-Identifier: MIT */
#include "capture_heap_impl.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory_cgroup.h"
#include "process.h"
#include "util.h"

#define SWEEP_NS      1000000000ULL
#define SWEEP_AT_ONCE 1000 /* spaces: with so many gone, sweep whatever the time */

static int no_memory(struct capture_heap *c)
{
	return watch_fail(&c->watch, -ENOMEM, "out of memory");
}

/* ---------------------------------------------------------------- loading ---- */

static size_t nr_buckets(const struct capture_heap *c)
{
	/* Small tables overflow at a lower load. */
	return c->o.alloc_only ? 1 : MAX(c->o.max_live / HEAP_BUCKET_FILL, (uint64_t)1024);
}

static int prepare(struct capture_heap *c)
{
	struct heap_bpf *b = c->bpf;
	int err;

	WATCH_KNOBS(b, &c->o.watch);
	b->rodata->filter_min_size = c->o.min_size;
	b->rodata->filter_max_size = c->o.max_size ? c->o.max_size : UINT64_MAX;
	b->rodata->temporary_others = c->o.temporary;
	b->rodata->track_peak = c->o.peak;
	b->rodata->nr_buckets = nr_buckets(c);
	b->rodata->record = c->o.record;
	bpf_program__set_autoload(b->progs.heap_fork, c->o.watch.children);
	err = bpf_map__set_max_entries(b->maps.live, nr_buckets(c));
	if (!err)
		err = bpf_map__set_max_entries(b->maps.timeline,
					       c->o.record ? HEAP_RECORD_SIZE : getpagesize());
	if (!err)
		err = attach_prepare(b->progs.heap_call);
	if (!err)
		err = attach_prepare(b->progs.heap_return);
	if (!err)
		err = heap_requests_prepare(c);
	if (!err)
		err = heap_watch_prepare(c);
	if (err)
		return watch_fail(&c->watch, err, "cannot prepare the probes: %s", strerror(-err));
	return watch_prepare(&c->watch, b->obj, &c->o.watch);
}

static int open_table(struct capture_heap *c)
{
	struct heap_bpf *b = c->bpf;
	struct heap_table_maps maps = {
		.sites = bpf_map__fd(b->maps.sites),
		.lifetimes = bpf_map__fd(b->maps.lifetimes),
		.live = bpf_map__fd(b->maps.live),
		.spaces = bpf_map__fd(b->maps.spaces),
		.sizes = bpf_map__fd(b->maps.sizes),
		.large_sizes = bpf_map__fd(b->maps.large_sizes),
		.other_sizes = bpf_map__fd(b->maps.other_sizes),
		.nr_buckets = nr_buckets(c),
		.nr_sites = &b->data->nr_sites,
		.in_use = (int64_t *)&b->bss->in_use,
		.peak_epoch = (uint64_t *)&b->data->peak_epoch,
		.peak_time = (uint64_t *)&b->bss->peak_time,
	};
	int err = heap_table_init(&c->table, &maps);

	if (!err)
		err = heap_requests_open(c);
	if (!err)
		err = heap_watch_open(c);
	return err ? watch_fail(&c->watch, err, "cannot map the kernel's tables: %s",
				strerror(-err))
		   : 0;
}

static int on_thread(struct capture_heap *c, const struct heap_thread_event *e)
{
	size_t serial = e->header.arg;

	while (c->nr_threads <= serial) {
		if (array_grow((void **)&c->threads, c->nr_threads, &c->cap_threads,
			       sizeof(*c->threads)))
			return -ENOMEM;
		c->threads[c->nr_threads++] = (struct heap_thread_name){ 0 };
	}
	c->threads[serial].tgid = e->header.tgid;
	c->threads[serial].tid = e->tid;
	memcpy(c->threads[serial].comm, e->comm, sizeof(e->comm));
	c->threads[serial].comm[STACK_COMM_LEN - 1] = '\0';
	if (c->record.writer)
		heap_record_thread(&c->record, e->header.tgid, e->tid, c->threads[serial].comm);
	return 0;
}

static int on_gone(struct capture_heap *c, const struct event_header *e)
{
	enum heap_gone why = e->arg >> 32;

	heap_table_gone(&c->table, (uint32_t)e->arg, why);
	if (why == HEAP_GONE_EXIT)
		return 0;
	if (why == HEAP_GONE_EXEC_BY_THREAD)
		heap_probes_forget(&c->probes, (pid_t)e->tgid);
	return heap_probes_execed(&c->probes, (pid_t)e->tgid);
}

static int on_record(void *arg, const struct event_header *e, size_t size)
{
	if (e->type == HEAP_EVENT_THREAD && size >= sizeof(struct heap_thread_event))
		return on_thread(arg, (const struct heap_thread_event *)e);
	if (e->type == HEAP_EVENT_GONE)
		return on_gone(arg, e);
	if (e->type == HEAP_EVENT_ROUTE)
		return heap_routes_event(&((struct capture_heap *)arg)->routes, (const void *)e,
					 size);
	return 0;
}

/* Of the tables one has the size that the user chose; others have theirs. */
static int no_kernel_memory(struct capture_heap *c, int err)
{
	uint64_t all = watch_maps_bytes(c->bpf->obj), limit;
	uint64_t live = nr_buckets(c) * sizeof(struct heap_bucket);
	char advice[96] = "", cgroup[256], who[320] = "";

	limit = memory_cgroup_limit("/proc/self/cgroup", "/sys/fs/cgroup", cgroup, sizeof(cgroup));
	if (limit)
		snprintf(who, sizeof(who), " (memory cgroup %s allows %lu MB)", cgroup,
			 limit >> 20);
	if (!limit || all - live < limit)
		snprintf(advice, sizeof(advice),
			 ", of which %lu MB are for %lu live blocks: lower --max-live", live >> 20,
			 c->o.max_live);
	return watch_fail(&c->watch, err, "no kernel memory for about %lu MB of tables%s%s",
			  all >> 20, who, advice);
}

static int load(struct capture_heap *c)
{
	int err = watch_check(&c->watch);

	if (err)
		return err;
	c->bpf = heap_bpf__open();
	if (!c->bpf)
		return watch_fail(&c->watch, -errno, "cannot open the BPF object: %s",
				  strerror(errno));
	err = prepare(c);
	if (err)
		return err;
	err = heap_bpf__load(c->bpf);
	if (err == -ENOMEM || err == -E2BIG)
		return no_kernel_memory(c, err);
	if (err)
		return watch_fail(&c->watch, err, "the kernel refused the BPF programs: %s",
				  strerror(-err));
	err = open_table(c);
	return err ? err : watch_open(&c->watch, c->bpf->obj, &c->o.watch, on_record, c);
}

struct capture_heap *capture_heap_new(const struct capture_heap_options *o)
{
	struct capture_heap *c = calloc(1, sizeof(*c));
	struct request_points points = o->points;
	struct watch none;
	int err;

	if (!c) {
		errno = -watch_fail(&none, -ENOMEM, "out of memory");
		request_points_release(&points);
		return NULL;
	}
	c->o = *o;
	request_probes_init(&c->requests);
	c->requests.points = points;
	if (!c->o.max_live)
		c->o.max_live = HEAP_MAX_LIVE;
	watch_init(&c->watch);
	c->duty.fd = -1;
	err = heap_series_init(&c->series) ? no_memory(c) : load(c);
	if (err) {
		capture_heap_free(c);
		errno = -err;
		return NULL;
	}
	return c;
}

void capture_heap_free(struct capture_heap *c)
{
	if (!c)
		return;
	heap_probes_release(&c->probes);
	heap_watch_release(c);
	request_probes_release(&c->requests);
	for (size_t i = 0; i < ARRAY_SIZE(c->links); i++)
		bpf_link__destroy(c->links[i]);
	watch_release(&c->watch);
	heap_table_release(&c->table);
	heap_routes_release(&c->routes);
	heap_bpf__destroy(c->bpf);
	free(c->threads);
	heap_series_release(&c->series);
	heap_record_release(&c->record);
	heap_duty_release(&c->duty);
	free(c);
}

/* ---------------------------------------------------------------- probes ---- */

/* Frees by the allocator's own objects are told apart from the program's. */
static void tell_internal(struct capture_heap *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->probes.nr_probed; i++) {
		uint32_t object = c->probes.probed[i].object->id;
		bool known = false;

		for (size_t j = 0; j < n; j++)
			known |= c->bpf->bss->internal_objects[j] == object;
		if (!known && n < ARRAY_SIZE(c->bpf->bss->internal_objects))
			c->bpf->bss->internal_objects[n++] = object;
	}
}

static int probe(struct capture_heap *c, pid_t pid)
{
	int err = heap_probes_add(&c->probes, &c->watch.target, pid);

	tell_internal(c);
	/* One that has exited meanwhile is no error. */
	if (err && kill(pid, 0) && errno == ESRCH)
		return 0;
	return err ? watch_fail(&c->watch, err, "%s", c->probes.error) : 0;
}

/* Processes that run another program: look until their allocators are mapped. */
static void probe_execed(struct capture_heap *c)
{
	size_t given_up;

	if (heap_probes_reprobe(&c->probes, &c->watch.target, &given_up))
		tell_internal(c);
	c->unprobed += given_up;
}

static int heap_add(void *capture, pid_t pid, bool before_exec)
{
	struct capture_heap *c = capture;
	int err = watch_add(&c->watch, pid, before_exec);

	return err || !c->running || before_exec ? err : probe(c, pid);
}

int capture_heap_record(struct capture_heap *c, struct trace_chunks *to)
{
	int err = heap_record_init(&c->record, to, bpf_map__fd(c->bpf->maps.timeline));

	return err ? watch_fail(&c->watch, err, "cannot record: %s", strerror(-err)) : 0;
}

static int attach_tracepoints(struct capture_heap *c)
{
	struct bpf_program *progs[] = { c->bpf->progs.heap_exec, c->bpf->progs.heap_exit,
					c->bpf->progs.heap_fork };
	size_t n = c->o.watch.children ? 3 : 2;

	for (size_t i = 0; i < n; i++) {
		c->links[i] = bpf_program__attach(progs[i]);
		if (!c->links[i])
			return watch_fail(&c->watch, -errno,
					  "cannot attach to scheduler events: %s", strerror(errno));
	}
	return 0;
}

/* ---------------------------------------------------------------- at what price ---- */

static void set_mode(struct capture_heap *c, enum heap_mode mode)
{
	c->mode = mode;
	c->probes.alloc_only = mode != HEAP_FOLLOW_ALL;
	c->bpf->bss->alloc_only = mode != HEAP_FOLLOW_ALL;
}

/* Find what is to be probed in the processes that there are. */
static int find_probes(struct capture_heap *c)
{
	const struct target *t = &c->watch.target;
	int err = 0;

	for (size_t i = 0; i < t->nr_procs && !err; i++)
		if (t->procs[i]->region)
			err = probe(c, t->procs[i]->pid);
	return err;
}

static int refuse(struct capture_heap *c)
{
	const struct heap_cost *cost = &c->cost;

	return watch_fail(&c->watch, -EBUSY,
			  "%.0f allocations and %.0f frees a second on %s%.2f CPUs: to follow them "
			  "would make the process's work take %s%.0f%% longer, to count calls "
			  "(--alloc-only) %.0f%%; --max-overhead is %.1f%% (--force goes on)",
			  cost->allocs_per_s, cost->frees_per_s, cost->at_least ? "at most " : "",
			  cost->busy, cost->at_least ? "at least " : "", cost->full,
			  cost->calls_only, c->o.max_overhead);
}

/* What will be done, of what was asked for: before any probe is placed. */
static int decide(struct capture_heap *c)
{
	enum heap_mode asked = c->mode;
	double duty = c->o.duty;
	int err;

	if (c->o.max_overhead <= 0 || !c->probes.nr_probed)
		return 0;
	/* The prices of all, whatever is asked for. */
	heap_probes_release(&c->probes);
	c->probes.alloc_only = false;
	err = find_probes(c);
	if (!err && heap_cost_measure(&c->cost, &c->probes, &c->watch.target))
		err = watch_fail(&c->watch, -EIO, "%s", c->probes.error);
	heap_probes_release(&c->probes);
	c->probes.nr_sites = c->probes.nr_stepped = 0;
	if (err)
		return err;
	set_mode(c, heap_decide(&c->cost, c->o.max_overhead, asked, c->o.may_narrow, &duty));
	if (c->mode == HEAP_REFUSE)
		return refuse(c);
	c->o.duty = duty;
	if (c->o.tell)
		c->o.tell(c->o.tell_arg, &c->cost, c->mode, duty);
	return find_probes(c);
}

static void enable(struct capture_heap *c, bool on)
{
	__atomic_store_n(&c->bpf->bss->enabled, on, __ATOMIC_SEQ_CST);
}

/* All probes are in place at once: no free is missed of what was seen allocated. */
static int place(struct capture_heap *c)
{
	int err;

	c->probes.away = false;
	err = heap_probes_place_all(&c->probes);
	if (err)
		return watch_fail(&c->watch, err, "%s", c->probes.error);
	enable(c, true);
	return 0;
}

static void close_window(struct capture_heap *c)
{
	enable(c, false);
	heap_duty_closed(&c->duty, now_ns(), capture_heap_count(c));
	c->bpf->bss->window++;
	heap_probes_take_away(&c->probes);
	heap_duty_gone(&c->duty, now_ns());
	c->probes.away = true;
}

static int turn_window(struct capture_heap *c)
{
	int err;

	if (c->duty.open) {
		close_window(c);
		return 0;
	}
	heap_duty_placing(&c->duty, now_ns());
	err = place(c);
	if (!err)
		heap_duty_opened(&c->duty, now_ns(), capture_heap_count(c));
	return err;
}

static int begin_duty(struct capture_heap *c)
{
	int err;

	if (attach_kind() != ATTACH_MULTI)
		return watch_fail(
			&c->watch, -ENOTSUP,
			"--duty needs uprobe_multi links, which this kernel has not (Linux 6.6): "
			"single probes take too long to be taken away");
	err = heap_duty_init(&c->duty, c->o.duty, now_ns());
	if (err)
		return watch_fail(&c->watch, err, "cannot make a timer: %s", strerror(-err));
	return watch_fd(&c->watch, c->duty.fd);
}

static int heap_start(void *capture)
{
	struct capture_heap *c = capture;
	int err;

	c->probes.call_prog = bpf_program__fd(c->bpf->progs.heap_call);
	c->probes.return_prog = bpf_program__fd(c->bpf->progs.heap_return);
	c->probes.everywhere = c->o.watch.children || c->watch.target.nr_procs > HEAP_PROBES_OWN;
	c->probes.away = true;
	c->probes.fates = c->o.fates;
	set_mode(c, c->o.duty > 0     ? HEAP_COUNT_SOMETIMES
		    : c->o.alloc_only ? HEAP_COUNT_CALLS
				      : HEAP_FOLLOW_ALL);
	/* Ours before watch's: what they look up is deleted there. */
	err = attach_tracepoints(c);
	if (!err)
		err = watch_start(&c->watch);
	if (!err)
		err = find_probes(c);
	if (!err)
		err = decide(c);
	if (!err)
		err = heap_requests_update(c);
	if (!err)
		err = heap_requests_check(c);
	if (!err)
		err = c->mode == HEAP_COUNT_SOMETIMES ? begin_duty(c) : place(c);
	c->running = !err;
	return err;
}

static int heap_place(void *capture, pid_t pid, uint64_t pc)
{
	struct capture_heap *c = capture;
	int done = watch_poll(&c->watch), err;

	err = done ? 0 : heap_requests_update(c);
	if (err)
		return err;
	if (!done)
		done = heap_probes_lead(&c->probes, &c->watch.target, pid, pc);
	tell_internal(c);
	return done < 0 ? watch_fail(&c->watch, done, "%s", c->probes.error) : done;
}

/* ---------------------------------------------------------------- over time ---- */

static void sweep(struct capture_heap *c, uint64_t now)
{
	if (now - c->swept_ns < SWEEP_NS && c->table.nr_gone < SWEEP_AT_ONCE)
		return;
	c->swept_ns = now;
	/* What the last process held stays: it is the end of the story. */
	heap_table_sweep(&c->table, c->watch.target.nr_procs > 0);
}

static int heap_poll(void *capture)
{
	struct capture_heap *c = capture;
	uint64_t now = now_ns();
	int err = watch_poll(&c->watch);

	c->failed = err != 0;
	if (err)
		return err;
	probe_execed(c);
	err = heap_requests_update(c);
	if (err)
		return err;
	heap_watch_poll(c, now);
	sweep(c, now);
	heap_series_take(&c->series, &c->table, &c->watch.target, now, false);
	if (c->record.writer)
		heap_record_poll(&c->record, &c->watch, now);
	return heap_duty_is_due(&c->duty, now) ? turn_window(c) : 0;
}

static int heap_stop(void *capture)
{
	struct capture_heap *c = capture;
	int err;

	if (!c->running)
		return 0;
	c->running = false;
	if (c->duty.open)
		close_window(c);
	enable(c, false);
	c->ended_ns = now_ns();
	/* This also waits for programs that are still running. */
	heap_probes_release(&c->probes);
	err = c->failed ? watch_consume(&c->watch) : watch_poll(&c->watch);
	if (!err && c->record.writer)
		heap_record_finish(&c->record, &c->watch, bpf_map__fd(c->bpf->maps.seqs),
				   c->ended_ns);
	heap_table_sweep(&c->table, c->watch.target.nr_procs > 0);
	heap_series_take(&c->series, &c->table, &c->watch.target, c->ended_ns, true);
	return err;
}

static uint64_t heap_count(void *capture)
{
	return capture_heap_count(capture);
}

static_assert(offsetof(struct capture_heap, watch) == 0, "as watch_op_* want it");

const struct capture_ops capture_heap_ops = {
	.add = heap_add,
	.start = heap_start,
	.place = heap_place,
	.poll = heap_poll,
	.stop = heap_stop,
	.fd = watch_op_fd,
	.alive = watch_op_alive,
	.knows = watch_op_knows,
	.count = heap_count,
	.error = watch_op_error,
	.unit = "allocations",
};
