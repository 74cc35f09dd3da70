/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_MEMORY_CGROUP_H
#define PERISCOPE_MEMORY_CGROUP_H

/*
 * How much memory this process may have, by the control group that it is in: what BPF maps take counts
 * towards the group of who makes them (Linux 5.11), so that a kernel with gigabytes to spare may refuse
 * a map.
 */

#include <stddef.h>
#include <stdint.h>

/*
 * The tightest limit in bytes of the memory cgroup (version 1 or 2) that `proc`, a file as
 * /proc/self/cgroup, names, and of those it is in (Documentation/admin-guide/cgroup-v1/memory.rst,
 * cgroup-v2.rst). `mounted` is where they are mounted: /sys/fs/cgroup. The group that has it is named
 * in ret_path, cut off if there is too little room. Returns 0, and leaves ret_path alone, when there is
 * no limit or none that can be read.
 */
uint64_t memory_cgroup_limit(const char *proc, const char *mounted, char *ret_path, size_t size);

#endif
