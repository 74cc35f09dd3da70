/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_ATTACH_H
#define PERISCOPE_ATTACH_H

/*
 * Attaches a BPF program to many places of an object's code at once, each with a cookie. By one
 * uprobe_multi link (kernel 6.6, bpf(2) BPF_LINK_CREATE with BPF_TRACE_UPROBE_MULTI) where the
 * kernel has them: one such link is detached in the time of a single perf uprobe. Else by a perf
 * uprobe a site. The kernel is asked which, not its version.
 *
 * A program has to be loaded for the one or the other: write it as SEC("uprobe") (never
 * SEC("uprobe/PATH:FUNC"), which libbpf would attach itself; return probes are SEC("uprobe"), too:
 * which one it is, is said when attaching), and between the skeleton's open and load call
 * attach_prepare() on it. bpf_get_attach_cookie() works either way.
 *
 * Sites are in files, not in paths: the object's open descriptor is what is attached to, so that a
 * library which was upgraded or deleted since the process mapped it is still the right one (open
 * it by mapping_open(), as struct object does; a path may lead to another file, on which an
 * attach succeeds and sees nothing). Offsets are in bytes of the file.
 *
 * Links are descriptors: when this process dies, however it dies, no probe stays.
 *
 * Which processes. With a PID, the kernel puts its breakpoints into that process only; they follow
 * its exec (a file that it maps later is probed when it is mapped), but not its forks: a child
 * hits each site once at most, and no program runs. With pid -1 every process that maps the file,
 * now or later, has the breakpoints, and the program must tell its own by `procs`: then strangers
 * pay for a hit, too (a malloc of the libc that all share: all processes of the machine). So for
 * --children: -1 for the target's own executable and for what only it maps; for libraries that
 * others use, either -1, exact but felt by others, or a further attach_sites() for each child
 * at its EVENT_FORK, which misses what the child does in its first milliseconds. Semaphores of
 * USDT probes follow the same rule: they are raised in the processes that have the breakpoints.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bpf_program;
struct elf_file;

enum attach_kind {
	ATTACH_MULTI, /* one uprobe_multi link for all sites of an object */
	ATTACH_PERF,  /* a perf uprobe and a link for each site */
};

/*
 * What this kernel has; asked once. uprobe_multi links of kernels that take a PID for a thread's
 * (6.6 to 6.9, before it was repaired) do not count. attach_force_perf() makes it ATTACH_PERF, for
 * tests; call it before anything is loaded.
 */
enum attach_kind attach_kind(void);
void attach_force_perf(void);

/* Between open and load: see above. Returns 0 or a negative errno. */
int attach_prepare(struct bpf_program *prog);
/* The expected_attach_type of programs that are loaded without libbpf's objects. */
unsigned int attach_type(void);

struct attach_site {
	uint64_t offset;    /* of the instruction, in the file */
	uint64_t semaphore; /* offset in the file of a USDT probe's 16-bit semaphore; 0: none */
	uint64_t cookie;
	int err; /* set by attach_sites: 0 attached, or why not */
};

/* What is attached; zero-initialised is empty. Detach by attach_release. */
struct attach {
	int *fds; /* links; for perf uprobes, one for each site */
	size_t nr, cap;
};

struct attach_to {
	struct elf_file *elf; /* opened from a file; borrowed during the call */
	int prog_fd;
	pid_t pid;    /* -1: all processes */
	bool returns; /* run the program when the function returns that was entered by the site */
};

/*
 * Attach to n sites. A site that the kernel refuses has its err set and does not keep the others
 * from being attached. The kernel looks at the instruction only where the file is mapped; in a
 * process that maps it later, a site that it dislikes then is silently not there. (So ask
 * probe_site first.)
 *
 * Returns how many sites were attached, possibly 0; or a negative errno, then none of these sites
 * is, each one's err is that too, and what was attached by earlier calls stays: -ESRCH no such
 * process, -EPERM, -ENOMEM, -ENOTSUP the object has no file (the vDSO), -ENODEV no kind of uprobe
 * in this kernel.
 */
int attach_sites(struct attach *a, const struct attach_to *to, struct attach_site *sites, size_t n);

/* `from` gives all that it has to `to`, and is empty then; for lack of memory it is detached. */
void attach_move(struct attach *to, struct attach *from);

/* Detach all: takes tens of ms for a multi link, 0.1 s for each perf uprobe. a is empty then. */
void attach_release(struct attach *a);

/* Why a site or a whole call failed, for a message. Never NULL; valid until the next call. */
const char *attach_error(int err);

#endif
