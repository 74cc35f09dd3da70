/* SPDX-License-Identifier: MIT */
#include "attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "elf.h"
#include "util.h"

/* include/uapi/linux/bpf.h of Linux 6.6; Debian 12's is of 6.1. */
#define TRACE_UPROBE_MULTI  48	/* BPF_TRACE_UPROBE_MULTI, of enum bpf_attach_type */
#define UPROBE_MULTI_RETURN 1	/* BPF_F_UPROBE_MULTI_RETURN */
#define KERNEL_ENOTSUPP	    524 /* linux/errno.h: what the kernel's uprobes answer for EOPNOTSUPP */
#define MAX_CLOSERS	    8
#define PROGRAM_LICENSE	    "GPL"

/* union bpf_attr's link_create with uprobe_multi in it, up to the last member. */
struct multi_link_attr {
	uint32_t prog_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t flags;
	uint64_t path; /* the following three are arrays of cnt elements, or 0 */
	uint64_t offsets;
	uint64_t ref_ctr_offsets;
	uint64_t cookies;
	uint32_t cnt;
	uint32_t multi_flags;
	uint32_t pid; /* 0: all */
	uint32_t reserved;
};

static int multi_link_create(const struct multi_link_attr *attr)
{
	int fd = syscall(SYS_bpf, BPF_LINK_CREATE, attr, sizeof(*attr));

	return fd < 0 ? -errno : fd;
}

/* ---------------------------------------------------------------- features ---- */

/*
 * With a directory for a file a kernel that knows these links answers EBADF, one that does not
 * EINVAL. With a negative PID besides, one that takes PIDs for what they are finds that wrong first
 * (Linux 6.10, "bpf: Fix multi-uprobe PID filtering logic", and stable kernels of then); one of
 * before the repair would run our programs for the main thread alone.
 */
static bool has_multi(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = TRACE_UPROBE_MULTI);
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	uint64_t offset = 0;
	struct multi_link_attr attr = {
		.attach_type = TRACE_UPROBE_MULTI,
		.path = (uintptr_t) "/",
		.offsets = (uintptr_t)&offset,
		.cnt = 1,
	};
	int prog, without_pid, with_pid;

	prog = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "multi_probe", PROGRAM_LICENSE, insns,
			     ARRAY_SIZE(insns), &opts);
	if (prog < 0)
		return false;
	attr.prog_fd = prog;
	without_pid = multi_link_create(&attr);
	attr.pid = -1;
	with_pid = multi_link_create(&attr);
	close(prog);
	return without_pid == -EBADF && with_pid == -EINVAL;
}

static int known_kind = -1; /* enum attach_kind, once it was asked for */

enum attach_kind attach_kind(void)
{
	if (known_kind < 0)
		known_kind = has_multi() ? ATTACH_MULTI : ATTACH_PERF;
	return known_kind;
}

void attach_force_perf(void)
{
	known_kind = ATTACH_PERF;
}

unsigned int attach_type(void)
{
	return attach_kind() == ATTACH_MULTI ? TRACE_UPROBE_MULTI : 0;
}

int attach_prepare(struct bpf_program *prog)
{
	int err;

	bpf_program__set_autoattach(prog, false);
	err = bpf_program__set_type(prog, BPF_PROG_TYPE_KPROBE);
	return err ? err : bpf_program__set_expected_attach_type(prog, attach_type());
}

/* ---------------------------------------------------------------- uprobe_multi ---- */

static int keep(struct attach *a, int fd)
{
	int err = array_grow((void **)&a->fds, a->nr, &a->cap, sizeof(*a->fds));

	if (err) {
		close(fd);
		return err;
	}
	a->fds[a->nr++] = fd;
	return 0;
}

/* Is it an error of one site, which others do not have? */
static bool is_of_site(int err)
{
	return err == -EINVAL || err == -EOPNOTSUPP || err == -KERNEL_ENOTSUPP || err == -EIO;
}

/* The arrays that the kernel reads, of all sites. */
struct multi_arrays {
	uint64_t *offsets, *semaphores, *cookies;
	bool has_semaphores;
};

static int multi_arrays_init(struct multi_arrays *m, const struct attach_site *sites, size_t n)
{
	uint64_t *all = calloc(3 * n, sizeof(*all));

	if (!all)
		return -ENOMEM;
	*m = (struct multi_arrays){ all, all + n, all + 2 * n, false };
	for (size_t i = 0; i < n; i++) {
		m->offsets[i] = sites[i].offset;
		m->semaphores[i] = sites[i].semaphore;
		m->cookies[i] = sites[i].cookie;
		m->has_semaphores |= sites[i].semaphore != 0;
	}
	return 0;
}

/*
 * One link for sites [first, first + n); where the kernel refuses some of them, and it does not say
 * which, halves until each refused one is alone. Links of halves are kept: there are few, and to
 * make one of them would take longer than to detach them.
 */
static int multi_attach(struct attach *a, const struct multi_link_attr *common,
			const struct multi_arrays *m, struct attach_site *sites, size_t first,
			size_t n)
{
	struct multi_link_attr attr = *common;
	int fd, err;

	attr.offsets = (uintptr_t)(m->offsets + first);
	attr.cookies = (uintptr_t)(m->cookies + first);
	attr.ref_ctr_offsets = m->has_semaphores ? (uintptr_t)(m->semaphores + first) : 0;
	attr.cnt = n;
	fd = multi_link_create(&attr);
	if (fd >= 0) {
		for (size_t i = first; i < first + n; i++)
			sites[i].err = 0;
		return keep(a, fd);
	}
	if (!is_of_site(fd))
		return fd;
	if (n == 1) {
		sites[first].err = fd;
		return 0;
	}
	err = multi_attach(a, common, m, sites, first, n / 2);
	return err ? err : multi_attach(a, common, m, sites, first + n / 2, n - n / 2);
}

static int attach_multi(struct attach *a, const struct attach_to *to, const char *path,
			struct attach_site *sites, size_t n)
{
	struct multi_link_attr common = {
		.prog_fd = to->prog_fd,
		.attach_type = TRACE_UPROBE_MULTI,
		.path = (uintptr_t)path,
		.multi_flags = to->returns ? UPROBE_MULTI_RETURN : 0,
		.pid = to->pid < 0 ? 0 : to->pid,
	};
	struct multi_arrays m;
	int err;

	err = multi_arrays_init(&m, sites, n);
	if (err)
		return err;
	err = multi_attach(a, &common, &m, sites, 0, n);
	free(m.offsets);
	return err;
}

/* ---------------------------------------------------------------- perf uprobes ---- */

/* The number in a file of sysfs, after `skip` ("config:"). Returns it or a negative errno. */
static int sysfs_number(const char *path, const char *skip)
{
	uint64_t value;
	char *text, *end, *digits;
	int err;

	text = read_file_at(-1, path, 4096, NULL);
	if (!text)
		return -errno;
	digits = text + (strncmp(text, skip, strlen(skip)) ? 0 : strlen(skip));
	end = digits + strspn(digits, "0123456789");
	*end = '\0';
	err = parse_u64(digits, 0, INT32_MAX, &value);
	free(text);
	return err ? err : (int)value;
}

#define UPROBE_PMU "/sys/bus/event_source/devices/uprobe/"

/* attr of a uprobe event on `path`; offset and semaphore are still to be set. */
static int perf_attr(struct perf_event_attr *attr, const struct attach_to *to, const char *path)
{
	int type = sysfs_number(UPROBE_PMU "type", "");
	int retprobe = sysfs_number(UPROBE_PMU "format/retprobe", "config:");

	if (type < 0 || retprobe < 0 || retprobe > 63)
		return -ENODEV;
	*attr = (struct perf_event_attr){
		.size = sizeof(*attr),
		.type = type,
		.config = to->returns ? 1ULL << retprobe : 0,
		.config1 = (uintptr_t)path,
		.disabled = 1,
	};
	return 0;
}

static int perf_attach_one(struct attach *a, struct perf_event_attr attr,
			   const struct attach_to *to, const struct attach_site *site)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .perf_event.bpf_cookie = site->cookie);
	int shift, event, link, err;

	attr.config2 = site->offset;
	if (site->semaphore) {
		shift = sysfs_number(UPROBE_PMU "format/ref_ctr_offset", "config:");
		if (shift < 0 || shift > 63 || site->semaphore > UINT64_MAX >> shift)
			return -EOPNOTSUPP;
		attr.config |= site->semaphore << shift;
	}
	event = syscall(SYS_perf_event_open, &attr, to->pid < 0 ? -1 : to->pid,
			to->pid < 0 ? 0 : -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (event < 0)
		return -errno;
	link = bpf_link_create(to->prog_fd, event, BPF_PERF_EVENT, &opts);
	err = link < 0 ? -errno : 0;
	if (!err && ioctl(event, PERF_EVENT_IOC_ENABLE, 0))
		err = -errno;
	close(event); /* the link keeps it */
	if (err && link >= 0)
		close(link);
	return err ? err : keep(a, link);
}

static int attach_perf(struct attach *a, const struct attach_to *to, const char *path,
		       struct attach_site *sites, size_t n)
{
	struct perf_event_attr attr;
	int err;

	err = perf_attr(&attr, to, path);
	for (size_t i = 0; i < n && !err; i++) {
		sites[i].err = perf_attach_one(a, attr, to, &sites[i]);
		if (sites[i].err && !is_of_site(sites[i].err))
			err = sites[i].err;
	}
	return err;
}

/* ---------------------------------------------------------------- both ---- */

static void *close_link(void *arg)
{
	close((int)(intptr_t)arg);
	return NULL;
}

/*
 * Closing a link waits until no CPU can be in its programs any more. Links that are closed at the
 * same time wait for the same moment: two or three take half as long. (Perf uprobes take turns at
 * a lock, so it is no use to them, and no harm.)
 */
static void detach_from(struct attach *a, size_t first)
{
	pthread_t threads[MAX_CLOSERS];

	while (a->nr > first) {
		size_t n = MIN(a->nr - first, (size_t)MAX_CLOSERS), started = 0;

		for (size_t i = 1; i < n; i++)
			if (pthread_create(&threads[started], NULL, close_link,
					   (void *)(intptr_t)a->fds[--a->nr]))
				close(a->fds[a->nr]);
			else
				started++;
		close(a->fds[--a->nr]);
		while (started)
			pthread_join(threads[--started], NULL);
	}
}

int attach_sites(struct attach *a, const struct attach_to *to, struct attach_site *sites, size_t n)
{
	size_t before = a->nr, attached = 0;
	char path[64];
	int err;

	if (!n)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", to->elf->fd);
	if (to->elf->fd < 0)
		err = -ENOTSUP;
	else if (attach_kind() == ATTACH_MULTI)
		err = attach_multi(a, to, path, sites, n);
	else
		err = attach_perf(a, to, path, sites, n);
	if (err) {
		detach_from(a, before);
		for (size_t i = 0; i < n; i++)
			sites[i].err = err;
		return err;
	}
	for (size_t i = 0; i < n; i++)
		attached += !sites[i].err;
	return attached;
}

void attach_move(struct attach *to, struct attach *from)
{
	for (size_t i = 0; i < from->nr; i++)
		keep(to, from->fds[i]);
	free(from->fds);
	*from = (struct attach){ 0 };
}

void attach_release(struct attach *a)
{
	detach_from(a, 0);
	free(a->fds);
	*a = (struct attach){ 0 };
}

const char *attach_error(int err)
{
	switch (err) {
	case -ESRCH:
		return "no such process";
	case -EPERM:
	case -EACCES:
		return "missing privilege: uprobes need CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN";
	case -ENODEV:
		return "this kernel has no uprobes (CONFIG_UPROBE_EVENTS)";
	case -EOPNOTSUPP:
	case -KERNEL_ENOTSUPP:
		return "the kernel refuses to probe this instruction";
	case -EINVAL:
		return "the kernel refuses this place (outside the file, or its semaphore differs "
		       "from that of another probe there)";
	case -EBADF:
		return "what is mapped is no regular file";
	default:
		return strerror(-err);
	}
}
