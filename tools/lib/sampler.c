/* SPDX-License-Identifier: MIT */
#include "sampler.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "watch.h"

void sampler_init(struct sampler *s, enum cpu_event event, unsigned int frequency)
{
	*s = (struct sampler){ .event = event, .frequency = frequency };
}

void sampler_release(struct sampler *s)
{
	for (int i = 0; i < s->nr_cpus; i++) {
		/* A link closes the event's descriptor, too. */
		if (s->links[i])
			bpf_link__destroy(s->links[i]);
		else if (s->fds[i] >= 0)
			close(s->fds[i]);
	}
	free(s->links);
	free(s->fds);
	sampler_init(s, s->event, s->frequency);
}

static int open_event(const struct sampler *s, enum cpu_event event, int cpu)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = event == CPU_EVENT_CYCLES ? PERF_TYPE_HARDWARE : PERF_TYPE_SOFTWARE,
		.config = event == CPU_EVENT_CYCLES ? (uint64_t)PERF_COUNT_HW_CPU_CYCLES
						    : (uint64_t)PERF_COUNT_SW_CPU_CLOCK,
		.sample_freq = s->frequency,
		.freq = 1,
		.disabled = 1,
		.exclude_hv = 1,
		.exclude_idle = 1,
	};
	int fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int explain(const struct sampler *s, struct watch *w, int err)
{
	if (err == -EINVAL)
		return watch_fail(
			w, err,
			"the kernel refused %u Hz (kernel.perf_event_max_sample_rate is the most)",
			s->frequency);
	if (err == -EACCES || err == -EPERM)
		return watch_fail(w, err, "missing privilege: perf events need CAP_PERFMON");
	if (err == -ENOENT || err == -EOPNOTSUPP)
		return watch_fail(w, err, "this machine has no such event");
	return watch_fail(w, err, "cannot open a perf event: %s", strerror(-err));
}

static enum cpu_event choose_event(const struct sampler *s)
{
	int fd;

	if (s->event != CPU_EVENT_AUTO)
		return s->event;
	fd = open_event(s, CPU_EVENT_CYCLES, 0);
	if (fd < 0)
		return CPU_EVENT_CLOCK;
	close(fd);
	return CPU_EVENT_CYCLES;
}

static int attach_cpu(struct sampler *s, struct watch *w, struct bpf_program *program, int cpu)
{
	int fd = open_event(s, s->event, cpu), err;

	if (fd == -ENODEV) /* offline */
		return 0;
	if (fd < 0)
		return explain(s, w, fd);
	s->fds[cpu] = fd;
	/* Enables the event, too. */
	s->links[cpu] = bpf_program__attach_perf_event(program, fd);
	if (s->links[cpu])
		return 0;
	err = -errno;
	return watch_fail(w, err, "cannot attach to CPU %d: %s", cpu, strerror(-err));
}

int sampler_open(struct sampler *s, struct watch *w, struct bpf_program *program)
{
	int err = 0, n = libbpf_num_possible_cpus();

	if (n <= 0)
		return watch_fail(w, -ENODEV, "cannot tell how many CPUs there are");
	s->fds = malloc(n * sizeof(*s->fds));
	s->links = calloc(n, sizeof(*s->links));
	if (!s->fds || !s->links)
		return watch_fail(w, -ENOMEM, "out of memory");
	for (int i = 0; i < n; i++)
		s->fds[i] = -1;
	s->nr_cpus = n;
	s->event = choose_event(s);
	for (int i = 0; i < n && !err; i++)
		err = attach_cpu(s, w, program, i);
	return err;
}

void sampler_enable(const struct sampler *s, bool on)
{
	for (int i = 0; i < s->nr_cpus; i++)
		if (s->fds[i] >= 0)
			ioctl(s->fds[i], on ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE, 0);
}
