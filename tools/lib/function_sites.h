/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_FUNCTION_SITES_H
#define PERISCOPE_FUNCTION_SITES_H

/*
 * Functions of a target that a specification names (`function`, `lib:function`, globs in either),
 * each with the place where a probe goes and whether its return may be probed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "object.h"
#include "probe_site.h"

struct function_site {
	const struct object *object; /* borrowed */
	char *name;		     /* readable */
	uint64_t vaddr;
	struct probe_site site;	   /* valid when site_err is 0 */
	int site_err;		   /* why it cannot be probed: probe_site_error() */
	enum probe_return returns; /* valid with site */
	bool ifunc;		   /* a resolver: calls of what it chooses are not seen */
};

struct function_sites {
	struct function_site *items;
	size_t nr, cap;
};

struct function_wishes {
	uint8_t args;	    /* bit n: argument n must be readable at the site */
	bool returns;	    /* the return is to be probed, too, if it may be */
	bool force_returns; /* also where exceptions or coroutines might break them */
	size_t max;	    /* functions in the list; 0: no limit */
};

/*
 * Append the functions of an object that match spec. `all` are the objects of its process, `pid` a
 * process that maps it, to find its debug file by. An address that is in the list already is not
 * added again. Returns 0, possibly with none found; -E2BIG when there are more than the wished
 * maximum (*ret_found: how many of this object matched); -ENOMEM.
 */
int function_sites_find(struct function_sites *l, const struct object *object,
			const struct objects *all, pid_t pid, const char *spec,
			const struct function_wishes *w, size_t *ret_found);
void function_sites_release(struct function_sites *l);

#endif
