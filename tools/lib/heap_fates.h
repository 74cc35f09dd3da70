/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_LIB_HEAP_FATES_H
#define PERISCOPE_LIB_HEAP_FATES_H

/* How freed blocks ended, as the kernel side has counted it (bpf/heap_fates.h). */

#include <stddef.h>

#include "bpf/heap_fates.h"

struct heap_fate_view {
	struct heap_fate_key key;
	struct heap_fate n;
};

struct heap_fates {
	struct heap_fate_view *items;
	size_t nr, cap;
};

/*
 * Read the map `fates`, which programs may be writing to: then an element may be missed, or seen
 * twice. Returns 0 or a negative errno. Release *ret on success.
 */
int heap_fates_read(struct heap_fates *ret, int map_fd);
void heap_fates_release(struct heap_fates *f);

#endif
