/* SPDX-License-Identifier: MIT */
#include "capture_cpu.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu.skel.h"
#include "util.h"
#include "watch.h"

struct capture_cpu {
	struct capture_cpu_options o;
	struct watch watch;
	enum cpu_event event;
	struct cpu_bpf *bpf;
	int *event_fds; /* by CPU; -1: offline */
	int nr_cpus;
	struct bpf_link **links;
	uint64_t emptied_at; /* watch.new_stacks when `counts` was last emptied */
	uint64_t unmatched;
	uint64_t pauses;
	bool running;
};

static const char *cpu_error(const void *capture)
{
	const struct capture_cpu *c = capture;

	return watch_error(c ? &c->watch : NULL);
}

/* ---------------------------------------------------------------- loading ---- */

static int load(struct capture_cpu *c)
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
	c->bpf = cpu_bpf__open();
	if (!c->bpf)
		return watch_fail(&c->watch, -errno, "cannot open the BPF object: %s",
				  strerror(errno));
	WATCH_KNOBS(c->bpf, &wo);
	c->bpf->rodata->user_stacks = c->o.user;
	c->bpf->rodata->kernel_stacks = c->o.kernel;
	err = watch_prepare(&c->watch, c->bpf->obj, &wo);
	if (err)
		return err;
	err = cpu_bpf__load(c->bpf);
	if (err)
		return watch_fail(&c->watch, err, "the kernel refused the BPF programs: %s",
				  strerror(-err));
	return watch_open(&c->watch, c->bpf->obj, &wo, NULL, NULL);
}

struct capture_cpu *capture_cpu_new(const struct capture_cpu_options *o)
{
	struct capture_cpu *c = calloc(1, sizeof(*c));
	struct watch none;
	int err;

	if (!c) {
		errno = -watch_fail(&none, -ENOMEM, "out of memory");
		return NULL;
	}
	c->o = *o;
	watch_init(&c->watch);
	err = load(c);
	if (err) {
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
	watch_release(&c->watch);
	cpu_bpf__destroy(c->bpf);
	free(c);
}

static int cpu_add(void *capture, pid_t pid, bool before_exec)
{
	struct capture_cpu *c = capture;

	return watch_add(&c->watch, pid, before_exec);
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
		return watch_fail(
			&c->watch, err,
			"the kernel refused %u Hz (kernel.perf_event_max_sample_rate is the most)",
			c->o.frequency);
	if (err == -EACCES || err == -EPERM)
		return watch_fail(&c->watch, err,
				  "missing privilege: perf events need CAP_PERFMON");
	if (err == -ENOENT || err == -EOPNOTSUPP)
		return watch_fail(&c->watch, err, "this machine has no such event");
	return watch_fail(&c->watch, err, "cannot open a perf event: %s", strerror(-err));
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
	return watch_fail(&c->watch, err, "cannot attach to CPU %d: %s", cpu, strerror(-err));
}

static int cpu_start(void *capture)
{
	struct capture_cpu *c = capture;
	int err = 0, n = libbpf_num_possible_cpus();

	if (n <= 0)
		return watch_fail(&c->watch, -ENODEV, "cannot tell how many CPUs there are");
	c->event_fds = malloc(n * sizeof(*c->event_fds));
	c->links = calloc(n, sizeof(*c->links));
	if (!c->event_fds || !c->links)
		return watch_fail(&c->watch, -ENOMEM, "out of memory");
	for (int i = 0; i < n; i++)
		c->event_fds[i] = -1;
	c->nr_cpus = n;
	err = watch_start(&c->watch);
	if (err)
		return err;
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

static int take_count(void *arg, const void *key, const void *value)
{
	struct capture_cpu *c = arg;
	uint64_t n = *(const uint64_t *)value;

	if (stacks_count(&c->watch.stacks, key, n))
		c->unmatched += n;
	return 0;
}

/* Empty `counts`. Only while no sample can come. */
static int collect_counts(struct capture_cpu *c)
{
	int err = watch_drain(bpf_map__fd(c->bpf->maps.counts), sizeof(struct stack_key),
			      sizeof(uint64_t), take_count, c);

	c->emptied_at = c->watch.new_stacks;
	return err ? watch_fail(&c->watch, err, "cannot collect: %s", strerror(-err)) : 0;
}

static int cpu_fd(const void *capture)
{
	const struct capture_cpu *c = capture;

	return c->watch.epoll_fd;
}

static int cpu_poll(void *capture)
{
	struct capture_cpu *c = capture;
	int err = watch_poll(&c->watch);

	if (err || c->watch.new_stacks - c->emptied_at <= STACK_MAX_KEYS / 2)
		return err;
	enable(c, false);
	err = watch_consume(&c->watch);
	if (!err)
		err = collect_counts(c);
	c->pauses++;
	enable(c, true);
	return err;
}

static size_t cpu_alive(const void *capture)
{
	const struct capture_cpu *c = capture;

	return c->watch.target.nr_procs;
}

static bool cpu_knows(const void *capture, pid_t pid)
{
	const struct capture_cpu *c = capture;

	return target_knows(&c->watch.target, pid);
}

static int cpu_stop(void *capture)
{
	struct capture_cpu *c = capture;
	int err;

	if (!c->running)
		return 0;
	c->running = false;
	enable(c, false);
	err = watch_consume(&c->watch);
	return err ? err : collect_counts(c);
}

void capture_cpu_stats(struct capture_cpu *c, struct capture_cpu_stats *ret)
{
	*ret = (struct capture_cpu_stats){
		.samples = watch_stat(&c->watch, STAT_SAMPLES),
		.lost_ring = watch_stat(&c->watch, STAT_LOST_RING),
		.lost_counts = watch_stat(&c->watch, STAT_LOST_COUNTS),
		.lost_scratch = watch_stat(&c->watch, STAT_LOST_SCRATCH),
		.lost_events = watch_stat(&c->watch, STAT_LOST_EVENTS),
		.pauses = c->pauses,
	};
	ret->lost = ret->lost_ring + ret->lost_counts + ret->lost_scratch + c->unmatched;
	stacks_by_end(&c->watch.stacks, ret->by_end);
	for (size_t i = 0; i < c->watch.stacks.nr_counts; i++)
		if (c->watch.stacks.items[c->watch.stacks.counts[i].stack].guessed)
			ret->guessed += c->watch.stacks.counts[i].count;
}

const struct stacks *capture_cpu_stacks(const struct capture_cpu *c)
{
	return &c->watch.stacks;
}

const struct target *capture_cpu_target(const struct capture_cpu *c)
{
	return &c->watch.target;
}

enum cpu_event capture_cpu_event(const struct capture_cpu *c)
{
	return c->event;
}

static uint64_t cpu_count(void *capture)
{
	struct capture_cpu *c = capture;

	return watch_stat(&c->watch, STAT_SAMPLES);
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
