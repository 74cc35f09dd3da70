/* SPDX-License-Identifier: MIT */
#include "capture_cpu.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu.skel.h"
#include "process.h"
#include "util.h"

#define MAX_MAPPINGS 32768 /* of all processes together, 48 bytes each */
#define MAX_OBJECTS  4096
#define COUNT_BATCH  4096

/* Inode number of the initial PID namespace (linux/proc_ns.h, PROC_PID_INIT_INO). */
#define INITIAL_PIDNS 0xeffffffcU

struct capture_cpu {
	struct capture_cpu_options o;
	enum cpu_event event;
	struct cpu_bpf *bpf;
	struct target target;
	struct stacks stacks;
	struct ring_buffer *ring;
	struct perf_buffer *mmaps;
	int epoll_fd;
	int *event_fds; /* by CPU; -1: offline */
	int nr_cpus;
	struct bpf_link **links;
	uint64_t new_keys; /* stacks' keys in `counts`, since it was last emptied */
	uint64_t unmatched;
	uint64_t pauses;
	bool running;
	int callback_err;
	char error[512];
};

static char new_error[512];

static int fail(struct capture_cpu *c, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct capture_cpu *c, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->error, sizeof(c->error), fmt, ap);
	va_end(ap);
	return err;
}

static const char *cpu_error(const void *capture)
{
	const struct capture_cpu *c = capture;

	return c ? c->error : new_error;
}

static int on_event(void *arg, void *data, size_t size)
{
	struct capture_cpu *c = arg;
	const struct event_header *e = data;
	int err = 0;

	if (size < sizeof(*e))
		return 0;
	if (e->type == EVENT_STACK) {
		err = stacks_event(&c->stacks, data, size);
		c->new_keys++;
	} else {
		err = target_event(&c->target, e);
	}
	if (err && err != -EINVAL)
		c->callback_err = err;
	return 0;
}

/* PERF_RECORD_MMAP2 begins as all records with type, misc, size, then pid and tid. */
static enum bpf_perf_event_ret on_mmap(void *arg, int cpu, struct perf_event_header *h)
{
	struct capture_cpu *c = arg;
	struct {
		struct perf_event_header header;
		uint32_t pid, tid;
	} *r = (void *)h;

	(void)cpu;
	if (h->type == PERF_RECORD_MMAP2 && h->size >= sizeof(*r))
		target_mapped(&c->target, r->pid);
	return LIBBPF_PERF_EVENT_CONT;
}

/* ---------------------------------------------------------------- loading ---- */

static void set_knobs(struct capture_cpu *c)
{
	struct cpu_bpf *b = c->bpf;
	struct stat st;

	if (!stat("/proc/self/ns/pid", &st) && st.st_ino != INITIAL_PIDNS)
		b->rodata->targ_pidns = st.st_ino;
	b->rodata->targ_tgid = c->o.only;
	b->rodata->filter_tids = c->o.nr_tids > 0;
	b->rodata->follow_children = c->o.children;
	b->rodata->user_stacks = c->o.user;
	b->rodata->kernel_stacks = c->o.kernel;
	bpf_program__set_autoload(b->progs.target_fork, c->o.children);
	bpf_map__set_max_entries(b->maps.mappings, MAX_MAPPINGS);
	bpf_map__set_max_entries(b->maps.tables, MAX_OBJECTS);
	bpf_map__set_max_entries(b->maps.mmaps, libbpf_num_possible_cpus());
}

static int load(struct capture_cpu *c)
{
	char caps[128];
	int err;

	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return fail(
			c, -ENOENT,
			"this kernel has no BTF (/sys/kernel/btf/vmlinux; CONFIG_DEBUG_INFO_BTF)");
	if (process_missing_capabilities(caps, sizeof(caps)))
		return fail(c, -EPERM, "missing privilege: needs %s; run it with sudo", caps);
	c->bpf = cpu_bpf__open();
	if (!c->bpf)
		return fail(c, -errno, "cannot open the BPF object: %s", strerror(errno));
	set_knobs(c);
	err = cpu_bpf__load(c->bpf);
	if (err)
		return fail(c, err, "the kernel refused the BPF programs: %s", strerror(-err));
	for (size_t i = 0; i < c->o.nr_tids; i++) {
		__u32 tid = c->o.tids[i];
		__u8 one = 1;

		if (bpf_map__update_elem(c->bpf->maps.tids, &tid, sizeof(tid), &one, sizeof(one),
					 0))
			return fail(c, -errno, "too many threads are asked for");
	}
	return 0;
}

static int init_target(struct capture_cpu *c)
{
	struct target_maps maps = {
		.procs = bpf_map__fd(c->bpf->maps.procs),
		.mappings = bpf_map__fd(c->bpf->maps.mappings),
		.tables = bpf_map__fd(c->bpf->maps.tables),
		.max_mappings = MAX_MAPPINGS,
		.max_tables = MAX_OBJECTS,
	};
	int err = target_init(&c->target, &maps);

	return err ? fail(c, err, "cannot prepare the target: %s", strerror(-err)) : 0;
}

static int watch(struct capture_cpu *c, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

/*
 * The ring of our programs, and a dummy event on each CPU that carries the kernel's own records
 * of new executable mappings.
 */
static int open_buffers(struct capture_cpu *c)
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
	int err = 0;

	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	c->ring = ring_buffer__new(bpf_map__fd(c->bpf->maps.events), on_event, c, NULL);
	c->mmaps =
		perf_buffer__new_raw(bpf_map__fd(c->bpf->maps.mmaps), 8, &attr, on_mmap, c, NULL);
	if (c->epoll_fd < 0 || !c->ring || !c->mmaps)
		return fail(c, -errno, "cannot open the kernel's event buffers: %s",
			    strerror(errno));
	err = watch(c, ring_buffer__epoll_fd(c->ring));
	if (!err)
		err = watch(c, perf_buffer__epoll_fd(c->mmaps));
	return err ? fail(c, err, "cannot wait for events: %s", strerror(-err)) : 0;
}

struct capture_cpu *capture_cpu_new(const struct capture_cpu_options *o)
{
	struct capture_cpu *c = calloc(1, sizeof(*c));
	int err;

	if (!c) {
		snprintf(new_error, sizeof(new_error), "out of memory");
		errno = ENOMEM;
		return NULL;
	}
	c->o = *o;
	c->epoll_fd = -1;
	stacks_init(&c->stacks);
	err = load(c);
	if (!err)
		err = init_target(c);
	if (!err)
		err = open_buffers(c);
	if (err) {
		snprintf(new_error, sizeof(new_error), "%s", c->error);
		capture_cpu_free(c);
		errno = -err;
		return NULL;
	}
	return c;
}

static void close_events(struct capture_cpu *c)
{
	for (int i = 0; i < c->nr_cpus; i++) {
		bpf_link__destroy(c->links[i]);
		if (c->event_fds[i] >= 0)
			close(c->event_fds[i]);
	}
	free(c->links);
	free(c->event_fds);
	c->links = NULL;
	c->event_fds = NULL;
	c->nr_cpus = 0;
}

void capture_cpu_free(struct capture_cpu *c)
{
	if (!c)
		return;
	close_events(c);
	perf_buffer__free(c->mmaps);
	ring_buffer__free(c->ring);
	if (c->epoll_fd >= 0)
		close(c->epoll_fd);
	target_release(&c->target);
	stacks_release(&c->stacks);
	cpu_bpf__destroy(c->bpf);
	free(c);
}

static int cpu_add(void *capture, pid_t pid, bool before_exec)
{
	struct capture_cpu *c = capture;
	int err = before_exec ? target_add_before_exec(&c->target, pid)
			      : target_add(&c->target, pid);

	switch (err) {
	case 0:
		return 0;
	case -ESRCH:
		return fail(c, err, "no process with PID %d", pid);
	case -EACCES:
	case -EPERM:
		return fail(c, err, "no right to look at process %d; run it with sudo", pid);
	case -E2BIG:
		return fail(c, err, "too many processes");
	default:
		return fail(c, err, "cannot watch process %d: %s", pid, strerror(-err));
	}
}

/* ---------------------------------------------------------------- events ---- */

static int open_event(const struct capture_cpu *c, enum cpu_event event, int cpu)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = event == CPU_EVENT_CYCLES ? PERF_TYPE_HARDWARE : PERF_TYPE_SOFTWARE,
		.config = event == CPU_EVENT_CYCLES ? (uint64_t)PERF_COUNT_HW_CPU_CYCLES
						    : (uint64_t)PERF_COUNT_SW_CPU_CLOCK,
		.sample_freq = c->o.frequency,
		.freq = 1,
		.disabled = 1,
		.exclude_hv = 1,
		.exclude_idle = 1,
	};
	int fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int explain_event(struct capture_cpu *c, int err)
{
	if (err == -EINVAL)
		return fail(
			c, err,
			"the kernel refused %u Hz (kernel.perf_event_max_sample_rate is the most)",
			c->o.frequency);
	if (err == -EACCES || err == -EPERM)
		return fail(c, err, "missing privilege: perf events need CAP_PERFMON");
	if (err == -ENOENT || err == -EOPNOTSUPP)
		return fail(c, err, "this machine has no such event");
	return fail(c, err, "cannot open a perf event: %s", strerror(-err));
}

static enum cpu_event choose_event(const struct capture_cpu *c)
{
	int fd;

	if (c->o.event != CPU_EVENT_AUTO)
		return c->o.event;
	fd = open_event(c, CPU_EVENT_CYCLES, 0);
	if (fd < 0)
		return CPU_EVENT_CLOCK;
	close(fd);
	return CPU_EVENT_CYCLES;
}

static int attach_cpu(struct capture_cpu *c, int cpu)
{
	int fd = open_event(c, c->event, cpu), err;

	if (fd == -ENODEV) /* offline */
		return 0;
	if (fd < 0)
		return explain_event(c, fd);
	c->event_fds[cpu] = fd;
	/* Enables the event, too. The descriptor stays ours. */
	c->links[cpu] = bpf_program__attach_perf_event(c->bpf->progs.cpu_sample, fd);
	if (c->links[cpu])
		return 0;
	err = -errno;
	return fail(c, err, "cannot attach to CPU %d: %s", cpu, strerror(-err));
}

static int cpu_start(void *capture)
{
	struct capture_cpu *c = capture;
	int err = 0, n = libbpf_num_possible_cpus();

	if (n <= 0)
		return fail(c, -ENODEV, "cannot tell how many CPUs there are");
	c->event_fds = malloc(n * sizeof(*c->event_fds));
	c->links = calloc(n, sizeof(*c->links));
	if (!c->event_fds || !c->links)
		return fail(c, -ENOMEM, "out of memory");
	for (int i = 0; i < n; i++)
		c->event_fds[i] = -1;
	c->nr_cpus = n;
	c->bpf->links.target_exec = bpf_program__attach(c->bpf->progs.target_exec);
	c->bpf->links.target_exit = bpf_program__attach(c->bpf->progs.target_exit);
	if (c->o.children)
		c->bpf->links.target_fork = bpf_program__attach(c->bpf->progs.target_fork);
	if (!c->bpf->links.target_exec || !c->bpf->links.target_exit ||
	    (c->o.children && !c->bpf->links.target_fork))
		return fail(c, -errno, "cannot attach to scheduler events: %s", strerror(errno));
	c->event = choose_event(c);
	for (int i = 0; i < n && !err; i++)
		err = attach_cpu(c, i);
	c->running = !err;
	return err;
}

static void enable(struct capture_cpu *c, bool on)
{
	for (int i = 0; i < c->nr_cpus; i++)
		if (c->event_fds[i] >= 0)
			ioctl(c->event_fds[i], on ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE,
			      0);
}

/* ---------------------------------------------------------------- collecting ---- */

static void take_count(struct capture_cpu *c, const struct stack_key *key, uint64_t n)
{
	if (stacks_count(&c->stacks, key, n))
		c->unmatched += n;
}

/*
 * Empty `counts`. Only while no sample can come: a count that a program adds to an element which
 * we have just read and deleted would be gone.
 */
static int collect_counts(struct capture_cpu *c)
{
	int fd = bpf_map__fd(c->bpf->maps.counts), err = 0;
	struct stack_key *keys = calloc(COUNT_BATCH, sizeof(*keys));
	__u64 *values = calloc(COUNT_BATCH, sizeof(*values));
	__u32 token, n, *in = NULL;

	if (!keys || !values)
		err = -ENOMEM;
	while (!err) {
		n = COUNT_BATCH;
		if (bpf_map_lookup_and_delete_batch(fd, in, &token, keys, values, &n, NULL))
			err = -errno;
		/* ENOENT: that was the last batch; n of it are there. */
		if (!err || err == -ENOENT)
			for (__u32 i = 0; i < n; i++)
				take_count(c, &keys[i], values[i]);
		in = &token;
	}
	free(keys);
	free(values);
	c->new_keys = 0;
	return err == -ENOENT ? 0 : err;
}

static int cpu_fd(const void *capture)
{
	const struct capture_cpu *c = capture;

	return c->epoll_fd;
}

/* Records of exits may be lost in a full ring; a process descriptor cannot be. */
static void reap(struct capture_cpu *c)
{
	/* Backwards: one that is taken out is replaced by the last. */
	for (size_t i = c->target.nr_procs; i--;) {
		struct target_process *p = c->target.procs[i];

		if (p->pidfd >= 0 && syscall(SYS_pidfd_send_signal, p->pidfd, 0, NULL, 0) &&
		    errno == ESRCH)
			target_exited(&c->target, p->pid);
	}
}

static int cpu_poll(void *capture)
{
	struct capture_cpu *c = capture;
	int err;

	perf_buffer__consume(c->mmaps);
	ring_buffer__consume(c->ring);
	err = c->callback_err;
	if (!err)
		err = target_update(&c->target);
	if (!err && c->new_keys > STACK_MAX_KEYS / 2) {
		enable(c, false);
		ring_buffer__consume(c->ring);
		err = collect_counts(c);
		c->pauses++;
		enable(c, true);
	}
	reap(c);
	return err ? fail(c, err, "cannot collect: %s", strerror(-err)) : 0;
}

static size_t cpu_alive(const void *capture)
{
	const struct capture_cpu *c = capture;

	return c->target.nr_procs;
}

static bool cpu_knows(const void *capture, pid_t pid)
{
	const struct capture_cpu *c = capture;

	return target_knows(&c->target, pid);
}

static int cpu_stop(void *capture)
{
	struct capture_cpu *c = capture;
	int err;

	if (!c->running)
		return 0;
	c->running = false;
	enable(c, false);
	perf_buffer__consume(c->mmaps);
	ring_buffer__consume(c->ring);
	err = c->callback_err;
	if (!err)
		err = collect_counts(c);
	return err ? fail(c, err, "cannot collect: %s", strerror(-err)) : 0;
}

static uint64_t read_stat(struct capture_cpu *c, __u32 which)
{
	uint64_t values[1024], sum = 0;
	int n = libbpf_num_possible_cpus();

	if (n <= 0 || n > (int)ARRAY_SIZE(values) ||
	    bpf_map__lookup_elem(c->bpf->maps.stats, &which, sizeof(which), values,
				 n * sizeof(*values), 0))
		return 0;
	for (int i = 0; i < n; i++)
		sum += values[i];
	return sum;
}

void capture_cpu_stats(struct capture_cpu *c, struct capture_cpu_stats *ret)
{
	*ret = (struct capture_cpu_stats){
		.samples = read_stat(c, STAT_SAMPLES),
		.lost_ring = read_stat(c, STAT_LOST_RING),
		.lost_counts = read_stat(c, STAT_LOST_COUNTS),
		.lost_scratch = read_stat(c, STAT_LOST_SCRATCH),
		.lost_events = read_stat(c, STAT_LOST_EVENTS),
		.pauses = c->pauses,
	};
	ret->lost = ret->lost_ring + ret->lost_counts + ret->lost_scratch + c->unmatched;
	stacks_by_end(&c->stacks, ret->by_end);
	for (size_t i = 0; i < c->stacks.nr_counts; i++)
		if (c->stacks.items[c->stacks.counts[i].stack].guessed)
			ret->guessed += c->stacks.counts[i].count;
}

const struct stacks *capture_cpu_stacks(const struct capture_cpu *c)
{
	return &c->stacks;
}

const struct target *capture_cpu_target(const struct capture_cpu *c)
{
	return &c->target;
}

enum cpu_event capture_cpu_event(const struct capture_cpu *c)
{
	return c->event;
}

static uint64_t cpu_count(void *capture)
{
	return read_stat(capture, STAT_SAMPLES);
}

const struct capture_ops capture_cpu_ops = {
	.add = cpu_add,
	.start = cpu_start,
	.poll = cpu_poll,
	.stop = cpu_stop,
	.fd = cpu_fd,
	.alive = cpu_alive,
	.knows = cpu_knows,
	.count = cpu_count,
	.error = cpu_error,
	.unit = "samples",
};
