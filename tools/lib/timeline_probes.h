/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_TIMELINE_PROBES_H
#define PERISCOPE_TIMELINE_PROBES_H

/*
 * The probes of a timeline: finds them in the target's objects as these come to be known, and
 * attaches them. Which probe is which is told in records by its number, the index in `items`.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach.h"
#include "bpf/timeline.h"
#include "probe_budget.h"
#include "probe_site.h"
#include "target.h"
#include "timeline_roles.h"

struct timeline_probe {
	struct timeline_role_info role; /* its name is in `label` */
	char *label;			/* of the span, phase or instant; owned */
	char *provider;			/* or "function"; owned */
	char *full_name;		/* "provider:name", or the function's; owned */
	uint8_t nr_args;
	uint8_t is_signed; /* bit n: argument n */
	bool is_function;
	bool returns;	    /* its return is probed, too */
	bool stepped;	    /* PROBE_STEPPED */
	uint64_t wished_by; /* bit n: wish n */
};

/*
 * Somebody waits for a probe to be hit while a condition holds. If nobody else wants the probe,
 * that is all that is recorded of it, and of a function not its return.
 */
struct timeline_wish {
	const char *pattern; /* as of the below */
	bool usdt;
	bool optional; /* the target may have none */
	struct timeline_condition when;
};

struct timeline_probes_options {
	bool requests;			    /* the probes of TIMELINE_PROVIDER */
	const char *const *usdt;	    /* patterns of more: usdt_matches() */
	const char *const *functions;	    /* globs: functions_split() */
	const struct timeline_wish *wishes; /* at most 64 */
	size_t nr_usdt, nr_functions, nr_wishes;
	size_t max_functions; /* more are refused */
	bool all_processes;   /* attach to whoever maps the object: for --children */
	int usdt_prog, entry_prog, return_prog; /* descriptors of the programs */
	int sites_map, specs_map;
};

struct timeline_probes {
	struct timeline_probes_options o; /* arrays borrowed */
	struct timeline_probe *items;
	size_t nr, cap;
	size_t nr_objects; /* of the target, that were looked at */
	size_t nr_usdt;	   /* sites that are attached */
	size_t nr_functions;
	size_t nr_entry_only; /* functions whose returns cannot be probed */
	size_t nr_refused;    /* sites that could not be attached */
	size_t nr_matched;    /* functions, by all patterns together */
	/* Bit n: pattern n has matched something; those beyond the last bit are not told apart. */
	uint64_t usdt_found, functions_found, wishes_found;
	const char *refused;		      /* why the last of these was */
	bool away;			      /* only find them; timeline_probes_place() attaches */
	struct timeline_probes_object *found; /* not yet attached */
	size_t nr_found, cap_found;
	struct attach attach;
};

void timeline_probes_init(struct timeline_probes *p, const struct timeline_probes_options *o);

/*
 * Look at the objects of the target that are new, and attach unless away. Returns 0, -E2BIG for more
 * functions than allowed or more probes than there is room for, or another negative errno.
 */
int timeline_probes_update(struct timeline_probes *p, const struct target *t);

/* Attach what was found while away, which it is not any more. Returns 0 or a negative errno. */
int timeline_probes_place(struct timeline_probes *p, const struct target *t);

/*
 * List the functions that are found and not attached; entry_ns, return_ns: what the programs take for
 * a hit. Returns 0 or -ENOMEM.
 */
int timeline_probes_list(const struct timeline_probes *p, const struct target *t,
			 struct probe_budget *b, uint64_t entry_ns, uint64_t return_ns);

/*
 * All are bound to a task that is gone: a process's other thread than the first runs another program.
 * The next update finds them anew.
 */
void timeline_probes_forget(struct timeline_probes *p);

/* The first pattern that has matched nothing so far; NULL: each has. */
const char *timeline_probes_missing(const struct timeline_probes *p, bool *ret_is_function);

void timeline_probes_release(struct timeline_probes *p);

#endif
