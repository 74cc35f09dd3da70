/* SPDX-License-Identifier: MIT */
#include "timeline_told.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "timeline_records.h"
#include "trace_file_symbols.h"
#include "util.h"

struct telling {
	struct timeline_told *told;
	const struct watch *watch;
	struct trace_writer *writer;
};

static int tell_objects(struct telling *c)
{
	const struct objects *all = &c->watch->target.objects;
	int err = 0;

	while (c->told->nr_objects < all->nr && !err) {
		const struct object *obj = all->items[c->told->nr_objects++];
		struct trace_object o = {
			.object = obj->id,
			.path = obj->path,
			.build_id = obj->elf ? obj->elf->build_id : NULL,
			.build_id_len = obj->elf ? obj->elf->build_id_len : 0,
			.vdso = obj->is_vdso,
			.start = obj->first.start,
			.end = obj->first.end,
			.offset = obj->first.offset,
		};
		uint64_t vaddr;

		if (obj->elf && !elf_offset_to_vaddr(obj->elf, obj->first.offset, &vaddr))
			o.bias = obj->first.start - vaddr;
		err = trace_writer_object(c->writer, &o);
	}
	return err;
}

static int tell_region(struct telling *c, const struct target_process *p)
{
	const struct objects *all = &c->watch->target.objects;
	uint64_t now = now_ns(), offset;
	int err = 0;

	for (size_t i = 0; i < p->region->nr_maps && !err; i++) {
		const struct unwind_mapping *m = &p->region->maps[i];
		const struct object *obj = objects_by_id(all, m->object);

		if (!obj || !obj->elf || elf_vaddr_to_offset(obj->elf, m->start - m->bias, &offset))
			offset = 0;
		err = trace_writer_mapping(c->writer, p->pid, now, m->start, m->end, offset,
					   m->object);
	}
	return err;
}

static int tell_mappings(struct telling *c)
{
	for (size_t i = 0; i < c->watch->target.nr_procs; i++) {
		const struct target_process *p = c->watch->target.procs[i];
		size_t at = 0;
		int err;

		if (!p->region)
			continue;
		while (at < c->told->nr && c->told->items[at].pid != (uint32_t)p->pid)
			at++;
		if (at < c->told->nr && c->told->items[at].generation == p->region->generation)
			continue;
		if (at == c->told->nr) {
			err = array_grow((void **)&c->told->items, c->told->nr, &c->told->cap,
					 sizeof(*c->told->items));
			if (err)
				return err;
			c->told->items[c->told->nr++].pid = p->pid;
		}
		c->told->items[at].generation = p->region->generation;
		err = tell_region(c, p);
		if (err)
			return err;
	}
	return 0;
}

static int tell_stacks(struct telling *c)
{
	const struct stacks *s = &c->watch->stacks;
	int err = 0;

	while (c->told->nr_stacks < s->nr && !err) {
		const struct stack *st = &s->items[c->told->nr_stacks];
		struct trace_stack t = {
			.hash = st->hash,
			.frames = s->frames + st->first_frame,
			.nr_frames = st->nr_frames,
			.end = st->end,
			.guessed = st->guessed,
		};

		/* A new stack comes with the first thread that had it. */
		if (c->told->nr_stacks < s->nr_counts)
			t.pid = s->counts[c->told->nr_stacks].key.tgid;
		err = trace_writer_stack(c->writer, &t);
		c->told->nr_stacks++;
	}
	return err;
}

int timeline_tell_stacks(struct timeline_told *told, const struct watch *watch,
			 struct trace_writer *writer)
{
	struct telling c = { told, watch, writer };
	int err = tell_objects(&c);

	if (!err)
		err = tell_mappings(&c);
	return err ? err : tell_stacks(&c);
}

int timeline_tell(struct timeline_told *told, const struct watch *watch,
		  struct trace_writer *writer, const struct ksyms *ksyms, uint32_t max_symbols)
{
	int err = timeline_tell_stacks(told, watch, writer);

	if (!told->next_symbol)
		told->next_symbol = 1;
	if (!err)
		err = trace_symbols_write(writer, &watch->target.objects, ksyms, &told->next_symbol,
					  max_symbols);
	return err;
}

int timeline_tell_losses(struct trace_writer *writer, int seqs_fd, uint64_t ended)
{
	uint64_t seqs[TIMELINE_MAX_CPUS];
	int n = libbpf_num_possible_cpus(), err = 0;
	__u32 zero = 0;

	if (n <= 0 || n > TIMELINE_MAX_CPUS || bpf_map_lookup_elem(seqs_fd, &zero, seqs))
		return -ENODEV;
	for (int i = 0; i < n && !err; i++)
		if (seqs[i])
			err = trace_writer_lost(writer, i, seqs[i], ended);
	return err;
}

void timeline_told_release(struct timeline_told *told)
{
	free(told->items);
	*told = (struct timeline_told){ 0 };
}
