/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_MAP_SETTER_H
#define PERISCOPE_MAP_SETTER_H

/*
 * Puts maps into an array of maps without the wait that goes with it. The kernel sets the elements
 * at once, but keeps whoever asked until no program can still be using an old one
 * (maybe_wait_bpf_programs(), kernel/bpf/syscall.c), which takes 5 to 40 ms. Meanwhile a library
 * that was just loaded would be unknown to the walks in it. So a thread asks and waits, and we go
 * on as soon as the elements are there.
 */

#include <stddef.h>
#include <stdint.h>

struct map_setter {
	int array_fd; /* borrowed */
	struct map_setter_job *jobs;
	size_t nr_jobs;
};

void map_setter_init(struct map_setter *s, int array_fd);

/* Waits for the threads. */
void map_setter_release(struct map_setter *s);

/*
 * Set elements ids[i] of the array, which must be empty, to the maps of fds[i]. The descriptors are
 * closed in any case. Returns 0 when the elements are set, or a negative errno.
 */
int map_setter_set(struct map_setter *s, const uint32_t *ids, const int *fds, size_t n);

#endif
