/* SPDX-License-Identifier: MIT */
#include "heap_fates.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#include "util.h"

void heap_fates_release(struct heap_fates *f)
{
	free(f->items);
	*f = (struct heap_fates){ 0 };
}

int heap_fates_read(struct heap_fates *ret, int map_fd)
{
	struct heap_fate_key key, last, *from = NULL;
	struct heap_fates f = { 0 };

	while (!bpf_map_get_next_key(map_fd, from, &key)) {
		struct heap_fate_view v = { .key = key };

		if (array_grow((void **)&f.items, f.nr, &f.cap, sizeof(*f.items))) {
			heap_fates_release(&f);
			return -ENOMEM;
		}
		last = key;
		from = &last;
		if (bpf_map_lookup_elem(map_fd, &key, &v.n))
			v.n = (struct heap_fate){ 0 };
		f.items[f.nr++] = v;
	}
	if (errno != ENOENT) {
		heap_fates_release(&f);
		return -errno;
	}
	*ret = f;
	return 0;
}
