/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SYM_POOL_H
#define PERISCOPE_SYM_POOL_H

/*
 * Memory of a symbolizer's answers: frames and strings that live as long as it does, every string
 * once. Names are demangled when they come in, so each is demangled once too.
 */

#include "dedup.h"

#include <stddef.h>

struct sym_chunk;

struct sym_name {
	const char *linkage;  /* as in the file */
	const char *function; /* readable; same pointer as linkage when equal */
};

struct sym_pool {
	struct sym_chunk *chunks; /* newest first */
	struct sym_name *names;
	size_t nr_names, cap_names;
	struct dedup index;
};

void sym_pool_init(struct sym_pool *p);
void sym_pool_release(struct sym_pool *p);
/* Memory aligned for any structure, freed with the pool. NULL when there is none. */
void *sym_pool_alloc(struct sym_pool *p, size_t size);
/* One copy of s (what is over 8 KB is cut off), not demangled. NULL when there is no memory. */
const char *sym_pool_string(struct sym_pool *p, const char *s);
/* The same for a function's name. Returns 0 or -ENOMEM. */
int sym_pool_name(struct sym_pool *p, const char *linkage, struct sym_name *ret);

#endif
