/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_OBJECT_H
#define PERISCOPE_OBJECT_H

/*
 * The objects (executables, libraries, the vDSO) that the watched processes map: each file once,
 * however many processes and mappings there are, with its ELF file kept open, so that a process
 * that has exited and a file that was replaced still symbolize; and its unwind table in the
 * kernel, in a map of its own.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "elf.h"
#include "jit_maps.h"
#include "map_setter.h"
#include "mapping.h"
#include "symbolizer.h"
#include "unwind_table.h"

struct object {
	uint32_t id; /* in frames, and the index in the `tables` map; never 0 */
	char *path;  /* as its first process sees it */
	bool is_vdso;
	dev_t dev; /* identity: a file rewritten in place differs in size or time */
	ino_t ino;
	off_t size;
	struct timespec mtime;
	struct elf_file *elf;	   /* NULL: could not be opened or is not ELF; see err */
	struct sym_object *sym;	   /* NULL with elf */
	int err;		   /* 0, or why there is no elf */
	int table_err;		   /* 0, or why there is no unwind table (unwind_table_init) */
	struct unwind_table table; /* its words are the kernel's memory, mapped; NULL: none */
	struct mapping first;	   /* the mapping it was first seen in; its path is unused */
};

struct objects {
	struct object **items; /* items[i]->id == i + 1 */
	size_t nr, cap;
	size_t max; /* the `tables` map's size; objects beyond it have no unwind table */
	struct map_setter setter; /* of the `tables` map */
	struct symbolizer *symbolizer;
	struct jit_maps jits; /* names of code that is in no object */
	uint64_t table_bytes; /* of all unwind tables */
	/* Tables made since the last objects_publish: their ids and map descriptors. */
	uint32_t *new_ids;
	int *new_fds;
	size_t nr_new, cap_new_ids, cap_new_fds;
};

/* tables_fd: the array of maps; its max_entries. Returns 0 or a negative errno. */
int objects_init(struct objects *o, int tables_fd, size_t max_tables);
void objects_release(struct objects *o);

/*
 * The object that mapping m of process pid maps, opened and given its unwind table if it is new.
 * Returns 0, with *ret NULL for anonymous memory; or a negative errno for a failure of ours
 * (-ENOMEM, no BPF memory). A file that cannot be read gives an object that says so.
 */
int objects_get(struct objects *o, pid_t pid, const struct mapping *m, struct object **ret);

/* Hand the new tables to the kernel, all at once. Returns 0 or a negative errno. */
int objects_publish(struct objects *o);

/* By the id in a frame; NULL for 0 and ids never given. */
struct object *objects_by_id(const struct objects *o, uint32_t id);

#endif
