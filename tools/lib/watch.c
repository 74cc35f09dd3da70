/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process.h"
#include "util.h"

#define MAX_MAPPINGS 32768 /* of all processes together, 48 bytes each */
#define MAX_OBJECTS  4000 /* an array under 32 KB lies where the processor finds its pages sooner */
#define DRAIN_BATCH  4096

/* Inode number of the initial PID namespace (linux/proc_ns.h, PROC_PID_INIT_INO). */
#define INITIAL_PIDNS 0xeffffffcU

static char last_error[512];

int watch_fail(struct watch *w, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->error, sizeof(w->error), fmt, ap);
	va_end(ap);
	memcpy(last_error, w->error, sizeof(last_error));
	return err;
}

const char *watch_error(const struct watch *w)
{
	return w ? w->error : last_error;
}

void watch_init(struct watch *w)
{
	*w = (struct watch){ .epoll_fd = -1 };
	stacks_init(&w->stacks);
}

void watch_release(struct watch *w)
{
	for (size_t i = 0; i < ARRAY_SIZE(w->links); i++)
		bpf_link__destroy(w->links[i]);
	perf_buffer__free(w->mmaps);
	ring_buffer__free(w->ring);
	if (w->epoll_fd >= 0)
		close(w->epoll_fd);
	target_release(&w->target);
	stack_feed_release(&w->feed);
	stacks_release(&w->stacks);
	watch_init(w);
}

/* ---------------------------------------------------------------- loading ---- */

int watch_check(struct watch *w)
{
	char caps[128];

	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return watch_fail(
			w, -ENOENT,
			"this kernel has no BTF (/sys/kernel/btf/vmlinux; CONFIG_DEBUG_INFO_BTF)");
	if (process_missing_capabilities(caps, sizeof(caps)))
		return watch_fail(w, -EPERM, "missing privilege: needs %s; run it with sudo", caps);
	return 0;
}

uint32_t watch_pidns(void)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) || st.st_ino == INITIAL_PIDNS)
		return 0;
	return st.st_ino;
}

int watch_prepare(struct watch *w, struct bpf_object *obj, const struct watch_options *o)
{
	static const struct {
		const char *map;
		unsigned int entries;
	} sizes[] = { { "mappings", MAX_MAPPINGS }, { "tables", MAX_OBJECTS } };
	struct bpf_program *fork = bpf_object__find_program_by_name(obj, "target_fork");
	struct bpf_map *mmaps = bpf_object__find_map_by_name(obj, "mmaps");
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sizes) && !err; i++)
		err = bpf_map__set_max_entries(bpf_object__find_map_by_name(obj, sizes[i].map),
					       sizes[i].entries);
	if (!err)
		err = bpf_map__set_max_entries(mmaps, libbpf_num_possible_cpus());
	if (!err)
		err = bpf_program__set_autoload(fork, o->children);
	return err ? watch_fail(w, err, "cannot prepare the BPF object: %s", strerror(-err)) : 0;
}

static int on_event(void *arg, void *data, size_t size)
{
	struct watch *w = arg;
	const struct event_header *e = data;
	int err = 0;

	if (size < sizeof(*e))
		return 0;
	if (e->type >= EVENT_ENGINE)
		err = w->on_record ? w->on_record(w->arg, e, size) : 0;
	else
		err = target_event(&w->target, e);
	if (err && err != -EINVAL)
		w->callback_err = err;
	return 0;
}

/* PERF_RECORD_MMAP2 begins as all records with type, misc, size, then pid and tid. */
static enum bpf_perf_event_ret on_mmap(void *arg, int cpu, struct perf_event_header *h)
{
	struct watch *w = arg;
	struct {
		struct perf_event_header header;
		uint32_t pid, tid;
	} *r = (void *)h;

	(void)cpu;
	if (h->type == PERF_RECORD_MMAP2 && h->size >= sizeof(*r))
		target_mapped(&w->target, r->pid);
	return LIBBPF_PERF_EVENT_CONT;
}

static int map_fd(const struct watch *w, const char *name)
{
	return bpf_object__find_map_fd_by_name(w->obj, name);
}

static int open_target(struct watch *w, bool only)
{
	struct target_maps maps = {
		.procs = map_fd(w, "procs"),
		.mappings = map_fd(w, "mappings"),
		.tables = map_fd(w, "tables"),
		.only = only ? map_fd(w, "only") : -1,
		.max_mappings = MAX_MAPPINGS,
		.max_tables = MAX_OBJECTS,
	};
	int err = target_init(&w->target, &maps);

	return err ? watch_fail(w, err, "cannot prepare the target: %s", strerror(-err)) : 0;
}

int watch_fd(struct watch *w, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	if (!epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &e))
		return 0;
	return watch_fail(w, -errno, "cannot wait for events: %s", strerror(errno));
}

/*
 * The ring of our programs, and a dummy event on each CPU that carries the kernel's own records
 * of new executable mappings.
 */
static int open_buffers(struct watch *w)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = PERF_SAMPLE_TID,
		.sample_period = 1,
		.mmap = 1,
		.mmap2 = 1,
		.wakeup_events = 1,
	};
	int err;

	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->ring = ring_buffer__new(map_fd(w, "events"), on_event, w, NULL);
	w->mmaps = perf_buffer__new_raw(map_fd(w, "mmaps"), 8, &attr, on_mmap, w, NULL);
	if (w->epoll_fd < 0 || !w->ring || !w->mmaps)
		return watch_fail(w, -errno, "cannot open the kernel's event buffers: %s",
				  strerror(errno));
	err = watch_fd(w, ring_buffer__epoll_fd(w->ring));
	return err ? err : watch_fd(w, perf_buffer__epoll_fd(w->mmaps));
}

int watch_open(struct watch *w, struct bpf_object *obj, const struct watch_options *o,
	       watch_record_fn on_record, void *arg)
{
	int err;

	w->obj = obj;
	w->children = o->children;
	w->on_record = on_record;
	w->arg = arg;
	for (size_t i = 0; i < o->nr_tids; i++) {
		__u32 tid = o->tids[i];
		__u8 one = 1;

		if (bpf_map_update_elem(map_fd(w, "tids"), &tid, &one, 0))
			return watch_fail(w, -errno, "too many threads are asked for");
	}
	err = stack_feed_init(&w->feed, map_fd(w, "stacks"), map_fd(w, "stack_log"));
	if (err)
		return watch_fail(w, err, "cannot map the stacks: %s", strerror(-err));
	err = open_target(w, o->only);
	return err ? err : open_buffers(w);
}

/* ---------------------------------------------------------------- the target ---- */

int watch_add(struct watch *w, pid_t pid, bool before_exec)
{
	int err = before_exec ? target_add_before_exec(&w->target, pid)
			      : target_add(&w->target, pid);

	switch (err) {
	case 0:
		return 0;
	case -ESRCH:
		return watch_fail(w, err, "no process with PID %d", pid);
	case -EACCES:
	case -EPERM:
		return watch_fail(w, err, "no right to look at process %d; run it with sudo", pid);
	case -E2BIG:
		return watch_fail(w, err, "too many processes");
	default:
		return watch_fail(w, err, "cannot watch process %d: %s", pid, strerror(-err));
	}
}

int watch_start(struct watch *w)
{
	static const char *const names[] = { "target_exec", "target_exit", "target_fork" };
	size_t n = w->children ? 3 : 2;

	for (size_t i = 0; i < n; i++) {
		w->links[i] =
			bpf_program__attach(bpf_object__find_program_by_name(w->obj, names[i]));
		if (!w->links[i])
			return watch_fail(w, -errno, "cannot attach to scheduler events: %s",
					  strerror(errno));
	}
	return 0;
}

int watch_consume(struct watch *w)
{
	int err;

	perf_buffer__consume(w->mmaps);
	ring_buffer__consume(w->ring);
	err = w->callback_err;
	/* After the ring: what a record there names was sent before it. */
	if (!err)
		err = stack_feed_read(&w->feed, &w->stacks, &w->new_stacks);
	return err ? watch_fail(w, err, "cannot collect: %s", strerror(-err)) : 0;
}

/* Has it exited? Also if its parent has not waited for it so far, which a signal would not tell. */
static bool has_exited(const struct target_process *p)
{
	struct pollfd poll_fd = { .fd = p->pidfd, .events = POLLIN };

	return p->pidfd >= 0 && poll(&poll_fd, 1, 0) > 0;
}

/*
 * Records of exits may be lost in a full ring, and one may exit before there are any; a process
 * descriptor cannot be lost.
 */
static void reap(struct watch *w)
{
	/* Backwards: one that is taken out is replaced by the last. */
	for (size_t i = w->target.nr_procs; i--;) {
		const struct target_process *p = w->target.procs[i];

		if (has_exited(p))
			target_exited(&w->target, p->pid);
	}
}

int watch_poll(struct watch *w)
{
	int err = watch_consume(w);

	if (err)
		return err;
	err = target_update(&w->target);
	if (err)
		return watch_fail(w, err, "cannot follow the target: %s", strerror(-err));
	reap(w);
	return 0;
}

/* ---------------------------------------------------------------- operations ---- */

int watch_op_fd(const void *capture)
{
	const struct watch *w = capture;

	return w->epoll_fd;
}

size_t watch_op_alive(const void *capture)
{
	const struct watch *w = capture;

	return w->target.nr_procs;
}

bool watch_op_knows(const void *capture, pid_t pid)
{
	const struct watch *w = capture;

	return target_knows(&w->target, pid);
}

const char *watch_op_error(const void *capture)
{
	return watch_error(capture);
}

/* ---------------------------------------------------------------- maps ---- */

#define HASH_NODE   48 /* struct htab_elem without key and value */
#define HASH_BUCKET 16 /* struct bucket */

static uint64_t map_bytes(const struct bpf_map *m, uint64_t cpus)
{
	uint64_t entries = bpf_map__max_entries(m), buckets = 1;
	uint64_t key = (bpf_map__key_size(m) + 7) & ~7U, value = (bpf_map__value_size(m) + 7) & ~7U;

	while (buckets < entries)
		buckets *= 2;
	switch (bpf_map__type(m)) {
	case BPF_MAP_TYPE_HASH:
		/* Others are filled as the need arises. */
		return buckets * HASH_BUCKET +
		       (bpf_map__map_flags(m) & BPF_F_NO_PREALLOC
				? 0
				: (entries + cpus) * (HASH_NODE + key + value));
	case BPF_MAP_TYPE_PERCPU_ARRAY:
		return entries * value * cpus;
	case BPF_MAP_TYPE_RINGBUF:
		return entries;
	default:
		return entries * value;
	}
}

uint64_t watch_maps_bytes(const struct bpf_object *obj)
{
	uint64_t cpus = MAX(libbpf_num_possible_cpus(), 1), sum = 0;
	struct bpf_map *m;

	bpf_object__for_each_map(m, obj) if (bpf_map__autocreate(m)) sum += map_bytes(m, cpus);
	return sum;
}

uint64_t watch_sum(int fd, uint32_t which)
{
	uint64_t values[1024], sum = 0;
	int n = libbpf_num_possible_cpus();

	if (n <= 0 || n > (int)ARRAY_SIZE(values) || bpf_map_lookup_elem(fd, &which, values))
		return 0;
	for (int i = 0; i < n; i++)
		sum += values[i];
	return sum;
}

uint64_t watch_stat(const struct watch *w, uint32_t which)
{
	return watch_sum(map_fd(w, "stats"), which);
}

int watch_drain(int map_fd, size_t key_size, size_t value_size,
		int (*fn)(void *arg, const void *key, const void *value), void *arg)
{
	char *keys = calloc(DRAIN_BATCH, key_size), *values = calloc(DRAIN_BATCH, value_size);
	__u32 token, n, *in = NULL;
	int err = keys && values ? 0 : -ENOMEM, fn_err = 0;

	while (!err) {
		n = DRAIN_BATCH;
		if (bpf_map_lookup_and_delete_batch(map_fd, in, &token, keys, values, &n, NULL))
			err = -errno;
		/* ENOENT: that was the last batch; n of it are there. */
		if (!err || err == -ENOENT)
			for (__u32 i = 0; i < n && !fn_err; i++)
				fn_err = fn(arg, keys + i * key_size, values + i * value_size);
		in = &token;
	}
	free(keys);
	free(values);
	return err == -ENOENT ? fn_err : err;
}
