/* SPDX-License-Identifier: MIT */
#include "capture_heap.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap.skel.h"
#include "heap_probes.h"
#include "process.h"
#include "util.h"

#define MAX_POINTS    2048
#define POINT_NS      100000000ULL
#define SWEEP_NS      1000000000ULL
#define SWEEP_AT_ONCE 1000 /* spaces: with so many gone, sweep whatever the time */

#define EXEC_NS	      5000000000ULL

/* A process that runs another program: its allocator may be another, too. */
struct execed {
	pid_t pid;
	uint32_t generation; /* of the mappings that it was looked for in */
	uint64_t until_ns;
};

struct capture_heap {
	struct capture_heap_options o;
	struct watch watch;
	struct heap_bpf *bpf;
	struct heap_table table;
	struct heap_probes probes;
	struct bpf_link *links[3];
	struct heap_thread_name *threads; /* by serial number */
	size_t nr_threads, cap_threads;
	struct execed *execed;
	size_t nr_execed, cap_execed;
	struct heap_point *points;
	size_t nr_points;
	uint64_t point_ns; /* between two of them */
	uint64_t swept_ns;
	uint64_t unprobed; /* processes whose allocator was not found */
	bool running;
};

static const char *heap_error(const void *capture)
{
	const struct capture_heap *c = capture;

	return watch_error(c ? &c->watch : NULL);
}

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
	b->rodata->alloc_only = c->o.alloc_only;
	b->rodata->nr_buckets = nr_buckets(c);
	bpf_program__set_autoload(b->progs.heap_fork, c->o.watch.children);
	err = bpf_map__set_max_entries(b->maps.live, nr_buckets(c));
	if (!err)
		err = attach_prepare(b->progs.heap_call);
	if (!err)
		err = attach_prepare(b->progs.heap_return);
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
	if (array_grow((void **)&c->execed, c->nr_execed, &c->cap_execed, sizeof(*c->execed)))
		return -ENOMEM;
	c->execed[c->nr_execed++] =
		(struct execed){ .pid = (pid_t)e->tgid, .until_ns = now_ns() + EXEC_NS };
	return 0;
}

static int on_record(void *arg, const struct event_header *e, size_t size)
{
	if (e->type == HEAP_EVENT_THREAD && size >= sizeof(struct heap_thread_event))
		return on_thread(arg, (const struct heap_thread_event *)e);
	if (e->type == HEAP_EVENT_GONE)
		return on_gone(arg, e);
	return 0;
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
		return watch_fail(&c->watch, err,
				  "no kernel memory for %lu live blocks (%lu MB): lower --max-live",
				  c->o.max_live, nr_buckets(c) * sizeof(struct heap_bucket) >> 20);
	if (err)
		return watch_fail(&c->watch, err, "the kernel refused the BPF programs: %s",
				  strerror(-err));
	err = open_table(c);
	return err ? err : watch_open(&c->watch, c->bpf->obj, &c->o.watch, on_record, c);
}

struct capture_heap *capture_heap_new(const struct capture_heap_options *o)
{
	struct capture_heap *c = calloc(1, sizeof(*c));
	struct watch none;
	int err;

	if (!c) {
		errno = -watch_fail(&none, -ENOMEM, "out of memory");
		return NULL;
	}
	c->o = *o;
	if (!c->o.max_live)
		c->o.max_live = HEAP_MAX_LIVE;
	watch_init(&c->watch);
	c->point_ns = POINT_NS;
	c->points = calloc(MAX_POINTS, sizeof(*c->points));
	err = c->points ? load(c) : no_memory(c);
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
	for (size_t i = 0; i < ARRAY_SIZE(c->links); i++)
		bpf_link__destroy(c->links[i]);
	watch_release(&c->watch);
	heap_table_release(&c->table);
	heap_bpf__destroy(c->bpf);
	free(c->threads);
	free(c->execed);
	free(c->points);
	free(c);
}

/* ---------------------------------------------------------------- probes ---- */

/* Frees by the allocator's own objects are told apart from the program's. */
static void tell_internal(struct capture_heap *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->probes.nr_probed; i++) {
		uint32_t object = c->probes.probed[i].object;
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

/* Returns whether to look again when there are new mappings. */
static bool probe_execed_one(struct capture_heap *c, struct execed *e, uint64_t now)
{
	const struct target_process *p = target_find(&c->watch.target, e->pid);
	uint32_t generation = p && p->region ? p->region->generation : 0;

	if (!p)
		return false;
	if (generation != e->generation) {
		e->generation = generation;
		if (!heap_probes_add(&c->probes, &c->watch.target, e->pid))
			return false;
	}
	if (now < e->until_ns)
		return true;
	c->unprobed++;
	return false;
}

/* Processes that run another program: look until their allocators are mapped. */
static void probe_execed(struct capture_heap *c, uint64_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < c->nr_execed; i++)
		if (probe_execed_one(c, &c->execed[i], now))
			c->execed[n++] = c->execed[i];
	if (n != c->nr_execed)
		tell_internal(c);
	c->nr_execed = n;
}

static int heap_add(void *capture, pid_t pid, bool before_exec)
{
	struct capture_heap *c = capture;
	int err = watch_add(&c->watch, pid, before_exec);

	return err || !c->running || before_exec ? err : probe(c, pid);
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

static int heap_start(void *capture)
{
	struct capture_heap *c = capture;
	const struct target *t = &c->watch.target;
	int err;

	c->probes.call_prog = bpf_program__fd(c->bpf->progs.heap_call);
	c->probes.return_prog = bpf_program__fd(c->bpf->progs.heap_return);
	c->probes.alloc_only = c->o.alloc_only;
	c->probes.everywhere = c->o.watch.children || t->nr_procs > HEAP_PROBES_OWN;
	/* Ours before watch's: what they look up is deleted there. */
	err = attach_tracepoints(c);
	if (!err)
		err = watch_start(&c->watch);
	for (size_t i = 0; i < t->nr_procs && !err; i++)
		if (t->procs[i]->region)
			err = probe(c, t->procs[i]->pid);
	if (err)
		return err;
	/* All probes are in place at once: no free is missed of what was seen allocated. */
	__atomic_store_n(&c->bpf->bss->enabled, true, __ATOMIC_SEQ_CST);
	c->running = true;
	return 0;
}

static int heap_place(void *capture, pid_t pid, uint64_t pc)
{
	struct capture_heap *c = capture;
	int done = watch_poll(&c->watch);

	if (!done)
		done = heap_probes_place(&c->probes, &c->watch.target, pid, pc);
	tell_internal(c);
	return done < 0 ? watch_fail(&c->watch, done, "%s", c->probes.error) : done;
}

/* ---------------------------------------------------------------- over time ---- */

static uint64_t read_rss(pid_t pid)
{
	unsigned long pages = 0;
	char path[64];
	char *text;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	text = read_file_at(-1, path, 4096, NULL);
	if (text && sscanf(text, "%*u %lu", &pages) != 1)
		pages = 0;
	free(text);
	return (uint64_t)pages * sysconf(_SC_PAGESIZE);
}

static void take_point(struct capture_heap *c, uint64_t now)
{
	const struct target *t = &c->watch.target;
	struct heap_point *p;
	struct heap_counts sum;

	if (c->nr_points == MAX_POINTS) {
		/* Half as many, and from now on half as often. */
		for (size_t i = 0; i < MAX_POINTS / 2; i++)
			c->points[i] = c->points[2 * i];
		c->nr_points = MAX_POINTS / 2;
		c->point_ns *= 2;
	}
	heap_table_sum(&c->table, &sum);
	p = &c->points[c->nr_points++];
	*p = (struct heap_point){
		.time_ns = now,
		.allocs = sum.allocs,
		.alloc_bytes = sum.alloc_bytes,
		.live = sum.live,
		.live_bytes = sum.live_bytes,
	};
	for (size_t i = 0; i < t->nr_procs; i++)
		p->rss_bytes += read_rss(t->procs[i]->pid);
}

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

	if (err)
		return err;
	probe_execed(c, now);
	sweep(c, now);
	if (!c->nr_points || now - c->points[c->nr_points - 1].time_ns >= c->point_ns)
		take_point(c, now);
	return 0;
}

static int heap_stop(void *capture)
{
	struct capture_heap *c = capture;
	int err;

	if (!c->running)
		return 0;
	c->running = false;
	__atomic_store_n(&c->bpf->bss->enabled, false, __ATOMIC_SEQ_CST);
	/* This also waits for programs that are still running. */
	heap_probes_release(&c->probes);
	err = watch_poll(&c->watch);
	heap_table_sweep(&c->table, c->watch.target.nr_procs > 0);
	take_point(c, now_ns());
	return err;
}

/* ---------------------------------------------------------------- results ---- */

int capture_heap_snapshot(const struct capture_heap *c, struct heap_snapshot *ret)
{
	int err = heap_table_snapshot(&c->table, ret);

	/* Nobody is left: what they held at their exits is what there was at the end. */
	if (!err && !c->watch.target.nr_procs)
		heap_snapshot_keep_exited(ret);
	return err;
}

static uint64_t sum_cpus(int fd, uint32_t which)
{
	uint64_t values[1024], sum = 0;
	int n = libbpf_num_possible_cpus();

	if (n <= 0 || n > (int)ARRAY_SIZE(values) || bpf_map_lookup_elem(fd, &which, values))
		return 0;
	for (int i = 0; i < n; i++)
		sum += values[i];
	return sum;
}

static uint64_t missed_hits(int prog_fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 size = sizeof(info);

	return bpf_obj_get_info_by_fd(prog_fd, &info, &size) ? 0 : info.recursion_misses;
}

static void count_stacks(const struct capture_heap *c, const struct heap_snapshot *s,
			 struct capture_heap_stats *ret)
{
	const struct stacks *stacks = &c->watch.stacks;

	for (size_t i = 0; i < s->nr; i++) {
		const struct heap_site_view *v = &s->items[i];
		ssize_t at = v->key.stack ? stacks_find(stacks, v->key.stack) : -1;

		if (!v->index)
			ret->no_site += v->n.allocs;
		if (at < 0) {
			ret->no_stack += v->n.allocs;
			continue;
		}
		ret->by_end[stacks->items[at].end] += v->n.allocs;
		if (stacks->items[at].guessed)
			ret->guessed += v->n.allocs;
	}
}

int capture_heap_stats(struct capture_heap *c, struct capture_heap_stats *ret)
{
	int fd = bpf_map__fd(c->bpf->maps.heap_stats);
	struct heap_snapshot s;
	int err = capture_heap_snapshot(c, &s);

	if (err)
		return err;
	*ret = (struct capture_heap_stats){
		.sum = s.sum,
		.failed = sum_cpus(fd, HEAP_STAT_FAILED),
		.filtered = sum_cpus(fd, HEAP_STAT_FILTERED),
		.missed = sum_cpus(fd, HEAP_STAT_MISSED) + sum_cpus(fd, HEAP_STAT_ABORTED),
		.no_thread = sum_cpus(fd, HEAP_STAT_NO_THREAD),
		.nested = sum_cpus(fd, HEAP_STAT_NESTED),
		.before = sum_cpus(fd, HEAP_STAT_BEFORE),
		.inherited = sum_cpus(fd, HEAP_STAT_INHERITED),
		.internal = sum_cpus(fd, HEAP_STAT_INTERNAL),
		.unknown = sum_cpus(fd, HEAP_STAT_UNKNOWN),
		.reused = sum_cpus(fd, HEAP_STAT_REUSED),
		.lost_events = watch_stat(&c->watch, STAT_LOST_EVENTS),
		.missed_hits = missed_hits(bpf_program__fd(c->bpf->progs.heap_call)) +
			       missed_hits(bpf_program__fd(c->bpf->progs.heap_return)),
		.unprobed = c->unprobed,
		.sites = s.nr,
		.stacks = c->watch.stacks.nr,
		.threads = c->nr_threads ? c->nr_threads - 1 : 0,
		.probes = c->probes.nr_sites,
		.stepped = c->probes.nr_stepped,
		.everywhere = c->probes.everywhere,
	};
	count_stacks(c, &s, ret);
	heap_snapshot_release(&s);
	return 0;
}

const struct stacks *capture_heap_stacks(const struct capture_heap *c)
{
	return &c->watch.stacks;
}

const struct heap_thread_name *capture_heap_thread(const struct capture_heap *c, uint32_t serial)
{
	static const struct heap_thread_name unknown;

	return serial < c->nr_threads ? &c->threads[serial] : &unknown;
}

const struct target *capture_heap_target(const struct capture_heap *c)
{
	return &c->watch.target;
}

const struct heap_table *capture_heap_table(const struct capture_heap *c)
{
	return &c->table;
}

const struct heap_point *capture_heap_points(const struct capture_heap *c, size_t *ret_n)
{
	*ret_n = c->nr_points;
	return c->points;
}

static int heap_fd(const void *capture)
{
	const struct capture_heap *c = capture;

	return c->watch.epoll_fd;
}

static size_t heap_alive(const void *capture)
{
	const struct capture_heap *c = capture;

	return c->watch.target.nr_procs;
}

static bool heap_knows(const void *capture, pid_t pid)
{
	const struct capture_heap *c = capture;

	return target_knows(&c->watch.target, pid);
}

static uint64_t heap_count(void *capture)
{
	const struct capture_heap *c = capture;
	struct heap_counts sum;

	heap_table_sum(&c->table, &sum);
	return sum.allocs;
}

const struct capture_ops capture_heap_ops = {
	.add = heap_add,
	.start = heap_start,
	.place = heap_place,
	.poll = heap_poll,
	.stop = heap_stop,
	.fd = heap_fd,
	.alive = heap_alive,
	.knows = heap_knows,
	.count = heap_count,
	.error = heap_error,
	.unit = "allocations",
};
