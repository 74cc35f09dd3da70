/* SPDX-License-Identifier: MIT */
#include "trace_file_symbols.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bpf/target.h"
#include "ksyms.h"
#include "object.h"
#include "symbolizer.h"
#include "trace_file_writer.h"
#include "util.h"

/* The generated code of the process whose frame came last: they come in runs. */
struct jit_names {
	struct perf_map *map;
	uint32_t pid;
};

static int kernel_frame(struct trace_writer *w, const struct ksyms *ksyms, uint32_t frame,
			uint64_t address)
{
	const char *module, *name = ksyms ? ksyms_lookup(ksyms, address, &module) : NULL;
	struct sym_frame line = { .function = name };

	return name ? trace_writer_symbol(w, frame, &line, 1) : 0;
}

static int bare_frame(struct trace_writer *w, const struct jit_maps *maps, struct jit_names *jit,
		      uint32_t frame, uint64_t address, uint32_t pid)
{
	struct sym_frame line = { 0 };

	if (jit->pid != pid) {
		perf_map_free(jit->map);
		jit->map = jit_maps_read(maps, (pid_t)pid);
		jit->pid = pid;
	}
	line.function = jit->map ? perf_map_lookup(jit->map, address) : NULL;
	return line.function ? trace_writer_symbol(w, frame, &line, 1) : 0;
}

static int object_frame(struct trace_writer *w, const struct object *o, uint32_t frame,
			uint64_t vaddr)
{
	const struct sym_frame *lines;
	int n;

	if (!o || !o->sym)
		return 0;
	n = sym_object_lookup(o->sym, vaddr, &lines);
	if (n == -ENOMEM)
		return n;
	return n > 0 ? trace_writer_symbol(w, frame, lines, (size_t)n) : 0;
}

int trace_symbols_write(struct trace_writer *w, const struct objects *objects,
			const struct ksyms *ksyms, uint32_t *next, uint32_t max)
{
	uint32_t nr = trace_writer_nr_frames(w);
	struct jit_names jit = { 0 };
	int err = 0;

	for (uint32_t done = 0; *next <= nr && (!max || done < max) && !err; done++, (*next)++) {
		uint32_t pid;
		uint64_t f = trace_writer_frame(w, *next, &pid);

		if (FRAME_IS_KERNEL(f))
			err = kernel_frame(w, ksyms, *next, f);
		else if (FRAME_OBJECT(f))
			err = object_frame(w, objects_by_id(objects, FRAME_OBJECT(f)), *next,
					   FRAME_ADDR(f));
		else
			err = bare_frame(w, &objects->jits, &jit, *next, FRAME_ADDR(f), pid);
	}
	perf_map_free(jit.map);
	return err;
}
