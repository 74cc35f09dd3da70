/* SPDX-License-Identifier: MIT */
#include "loading.h"

#include <stddef.h>
#include <string.h>

#include "capture.h"
#include "load_order.h"

static const struct unwind_mapping *mapping_at(const struct target *t, pid_t pid, uint64_t addr)
{
	const struct target_process *p = target_find(t, pid);

	for (size_t i = 0; p && p->region && i < p->region->nr_maps; i++)
		if (addr >= p->region->maps[i].start && addr < p->region->maps[i].end)
			return &p->region->maps[i];
	return NULL;
}

/* musl's ld-musl-x86_64.so.1 is, or leads to, its libc.so; glibc's are ld-linux*, ld.so and ld-2.*. */
static bool is_libc(const struct target *t, uint32_t id)
{
	const struct object *o = objects_by_id(&t->objects, id);
	const char *name = o ? strrchr(o->path, '/') : NULL;

	return name && (!strncmp(name, "/ld-musl", 8) || !strncmp(name, "/libc.", 6));
}

bool loading_is_over(const struct target *t, pid_t pid, uint64_t pc)
{
	const struct unwind_mapping *m = mapping_at(t, pid, pc);
	uint64_t linker;

	if (pc == CAPTURE_PC_LOADED || load_order_linker(pid, &linker) || !linker)
		return true;
	return m && (m->bias != linker || is_libc(t, m->object));
}
