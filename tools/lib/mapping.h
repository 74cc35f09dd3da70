/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_MAPPING_H
#define PERISCOPE_MAPPING_H

/* The executable mappings of a process, from /proc/PID/maps, and the files behind them. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mapping {
	uint64_t start, end; /* addresses, end exclusive */
	uint64_t offset;     /* in the file */
	uint64_t inode;	     /* 0: no file (anonymous memory, [vdso], ...) */
	dev_t dev;
	char *path; /* as maps shows it, "" for anonymous; never NULL */
};

/*
 * Read the executable mappings of process pid in ascending order. Returns 0 and an array that
 * mappings_free releases; -ESRCH no such process, -EACCES without the right to look, others from
 * the system. A kernel thread and a process that is exiting have none: 0 and *ret_n 0.
 */
int mappings_read(pid_t pid, struct mapping **ret, size_t *ret_n);
void mappings_free(struct mapping *m, size_t n);

/*
 * Parse one line of /proc/PID/maps (proc(5)). Returns 0 with path allocated, -EINVAL, -ENOMEM;
 * *ret_prot gets PROT_* bits.
 */
int mapping_parse(const char *line, struct mapping *ret, int *ret_prot);

/*
 * Open the file that is mapped, not what its path leads to now: through /proc/PID/map_files,
 * else, where that is not allowed, by the path below the process's root if device and inode
 * agree. Returns a descriptor or a negative errno (-ESTALE: the path leads to another file).
 */
int mapping_open(pid_t pid, const struct mapping *m);

#endif
