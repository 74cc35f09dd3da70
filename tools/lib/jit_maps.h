/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_JIT_MAPS_H
#define PERISCOPE_JIT_MAPS_H

/*
 * The names of generated code, /tmp/perf-PID.map, are read when a capture is over. By then the
 * process may be gone, and its file, too: both are held from when code of no file is first seen.
 */

#include <stddef.h>
#include <sys/types.h>

#include "symbolizer.h"

struct jit_maps {
	struct jit_map *items;
	size_t nr, cap;
};

/* *j = { 0 } is empty. */
void jit_maps_release(struct jit_maps *j);

/* Process pid has generated code. To be called again when there is more: the file may come later. */
void jit_maps_hold(struct jit_maps *j, pid_t pid);

/* What the process, held or not, has written until now; NULL with errno ENOENT: nothing. */
struct perf_map *jit_maps_read(const struct jit_maps *j, pid_t pid);

#endif
