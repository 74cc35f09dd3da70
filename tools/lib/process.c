/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <ctype.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

#define STATUS_MAX  65536
#define CMDLINE_MAX (4 << 20)

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF	    39
#endif

/* The value of a `Key:\tvalue` line of /proc/PID/status, or NULL. */
static const char *status_field(const char *status, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = status; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, len) && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " \t");
	}
	return NULL;
}

static char *read_proc(pid_t pid, const char *name, size_t max, size_t *ret_len)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return read_file_at(AT_FDCWD, path, max, ret_len);
}

static int read_status(struct process *p, pid_t pid)
{
	char *status = read_proc(pid, "status", STATUS_MAX, NULL);
	const char *f;
	int err = 0;

	if (!status)
		return errno == ENOENT ? -ESRCH : -errno;
	f = status_field(status, "State");
	if (!f || *f == 'Z' || *f == 'X')
		err = -ESRCH;
	f = status_field(status, "Tgid");
	p->pid = f ? atoi(f) : pid;
	f = status_field(status, "NSpid");
	/* The innermost namespace's number is the last on the line. */
	for (p->ns_pid = p->pid; f && isdigit((unsigned char)*f);) {
		p->ns_pid = atoi(f);
		f += strcspn(f, "\t\n");
		f += *f == '\t';
	}
	f = status_field(status, "Name");
	if (f)
		snprintf(p->comm, sizeof(p->comm), "%.*s", (int)strcspn(f, "\n"), f);
	/* A kernel thread has no memory, and so no VmSize line; nor has a process that is exiting. */
	p->kernel_thread = !status_field(status, "VmSize");
	free(status);
	return err;
}

static int read_command(struct process *p)
{
	char exe[4096], path[64];
	size_t len = 0;
	ssize_t n;
	char *tail;

	p->command = read_proc(p->pid, "cmdline", CMDLINE_MAX, &len);
	if (p->command && len) {
		while (len && !p->command[len - 1])
			len--;
		for (size_t i = 0; i < len; i++)
			if (!p->command[i] || p->command[i] == '\n')
				p->command[i] = ' ';
	} else {
		free(p->command);
		if (asprintf(&p->command, "[%s]", p->comm) < 0) {
			p->command = NULL;
			return -ENOMEM;
		}
	}
	snprintf(path, sizeof(path), "/proc/%d/exe", p->pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n < 0)
		return 0;
	exe[n] = '\0';
	tail = n > 10 ? exe + n - 10 : exe;
	if (!strcmp(tail, " (deleted)"))
		*tail = '\0';
	p->exe = strdup(exe);
	return p->exe ? 0 : -ENOMEM;
}

int process_init(struct process *p, pid_t pid)
{
	int err;

	*p = (struct process){ 0 };
	err = read_status(p, pid);
	if (!err)
		err = read_command(p);
	if (err)
		process_release(p);
	return err;
}

void process_release(struct process *p)
{
	free(p->command);
	free(p->exe);
	*p = (struct process){ 0 };
}

int process_check_machine(pid_t pid)
{
	unsigned char h[20];
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, h, sizeof(h));
	close(fd);
	if (n != (ssize_t)sizeof(h) || memcmp(h, ELFMAG, SELFMAG))
		return -ENOEXEC;
#if defined(__x86_64__)
	if (h[EI_CLASS] != ELFCLASS64 || (h[18] | h[19] << 8) != EM_X86_64)
		return -ENOTSUP;
#elif defined(__aarch64__)
	if (h[EI_CLASS] != ELFCLASS64 || (h[18] | h[19] << 8) != EM_AARCH64)
		return -ENOTSUP;
#endif
	return 0;
}

static bool has_name(pid_t pid, const char *name)
{
	struct process p;
	const char *base;
	bool same;

	if (process_init(&p, pid))
		return false;
	base = p.exe ? strrchr(p.exe, '/') : NULL;
	same = !p.kernel_thread && (!strcmp(p.comm, name) || (base && !strcmp(base + 1, name)));
	process_release(&p);
	return same;
}

int process_find(const char *name, pid_t **ret, size_t *ret_n)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	pid_t *list = NULL;
	size_t n = 0, cap = 0;
	uint64_t pid;
	int err = 0;

	if (!dir)
		return -errno;
	while (!err && (d = readdir(dir))) {
		if (parse_u64(d->d_name, 1, INT32_MAX, &pid) || (pid_t)pid == getpid() ||
		    !has_name(pid, name))
			continue;
		err = array_grow((void **)&list, n, &cap, sizeof(*list));
		if (!err)
			list[n++] = pid;
	}
	closedir(dir);
	if (err) {
		free(list);
		return err;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

static pid_t parent_of(pid_t pid)
{
	char *status = read_proc(pid, "status", STATUS_MAX, NULL);
	const char *f = status ? status_field(status, "PPid") : NULL;
	pid_t parent = f ? atoi(f) : 0;

	free(status);
	return parent;
}

struct kinship {
	pid_t pid, parent;
};

static int read_kinships(struct kinship **ret, size_t *ret_n)
{
	DIR *dir = opendir("/proc");
	struct kinship *list = NULL;
	size_t n = 0, cap = 0;
	struct dirent *d;
	uint64_t pid;
	int err = 0;

	if (!dir)
		return -errno;
	while (!err && (d = readdir(dir))) {
		if (parse_u64(d->d_name, 1, INT32_MAX, &pid))
			continue;
		err = array_grow((void **)&list, n, &cap, sizeof(*list));
		if (!err)
			list[n++] = (struct kinship){ pid, parent_of(pid) };
	}
	closedir(dir);
	if (err) {
		free(list);
		return err;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

int process_descendants(pid_t pid, pid_t **ret, size_t *ret_n)
{
	struct kinship *all = NULL;
	pid_t *found;
	size_t n = 0, nr = 0;
	int err = read_kinships(&all, &n);

	if (err)
		return err;
	found = malloc((n + 1) * sizeof(*found));
	if (!found) {
		free(all);
		return -ENOMEM;
	}
	/* Generation by generation: the children of pid, then of each that was found. */
	for (size_t done = 0; done <= nr; done++) {
		pid_t parent = done ? found[done - 1] : pid;

		for (size_t i = 0; i < n; i++) {
			if (all[i].parent != parent || !all[i].pid)
				continue;
			found[nr++] = all[i].pid;
			all[i].pid = 0;
		}
	}
	free(all);
	*ret = found;
	*ret_n = nr;
	return 0;
}

bool process_has_thread(pid_t pid, pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, tid);
	return !access(path, F_OK);
}

const char *process_missing_capabilities(char *buf, size_t size)
{
	static const struct {
		int bit;
		const char *name;
	} wanted[] = {
		{ CAP_BPF, "CAP_BPF" },
		{ CAP_PERFMON, "CAP_PERFMON" },
		{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE" },
	};
	char *status = read_proc(getpid(), "status", STATUS_MAX, NULL);
	const char *f = status ? status_field(status, "CapEff") : NULL;
	uint64_t have = f ? strtoull(f, NULL, 16) : 0;
	size_t len = 0;

	free(status);
	buf[0] = '\0';
	/* CAP_SYS_ADMIN includes what Linux 5.8 split off as CAP_BPF and CAP_PERFMON. */
	if (have >> CAP_SYS_ADMIN & 1)
		have |= (uint64_t)1 << CAP_BPF | (uint64_t)1 << CAP_PERFMON;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!(have >> wanted[i].bit & 1) && len < size)
			len += snprintf(buf + len, size - len, "%s%s", len ? ", " : "",
					wanted[i].name);
	return len ? buf : NULL;
}

uint64_t process_cpu_ns(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}
