/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_FUNC_PROBES_H
#define PERISCOPE_FUNC_PROBES_H

/*
 * The probes of a capture of functions: which functions of the target's objects match, where each is
 * probed, whether its return is, too. Objects that the target maps later are looked at when they
 * come.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "attach.h"
#include "capture_funcs.h"
#include "function_sites.h"
#include "object.h"
#include "probe_budget.h"
#include "strbuf.h"

struct func_probes {
	const struct capture_funcs_options *o; /* borrowed */
	size_t *matches;		       /* functions of each of o->specs */
	/* Set by the caller before the first update; borrowed. */
	int call_prog, return_prog, infos_fd;

	struct function_sites sites; /* by the functions' numbers */
	size_t nr_objects;	     /* looked at so far */
	size_t nr_attached;	     /* of sites */
	size_t nr_timed;
	struct attach attach;
	struct strbuf notes; /* lines: what could not be probed, and why */
	char error[512];
};

/* Returns 0 or -ENOMEM, with nothing to release. */
int func_probes_init(struct func_probes *p, const struct capture_funcs_options *o);
/* Detaches. */
void func_probes_release(struct func_probes *p);

/*
 * Look for functions in the objects that are new since the last time; pid: a process that maps them.
 * func_probes_attach() then probes those that were found. Return 0, or a negative errno and p->error.
 */
int func_probes_find(struct func_probes *p, const struct objects *objects, pid_t pid);
int func_probes_attach(struct func_probes *p);

/* What will be probed, for who asks what it costs. Returns 0 or -ENOMEM. */
int func_probes_list(const struct func_probes *p, struct probe_budget *b);

/*
 * Is any function probed? Returns 0, or -ENOENT and p->error, a sentence that says what could have
 * been meant. pid: of the target, 0 when it is gone.
 */
int func_probes_check(struct func_probes *p, pid_t pid);

/*
 * Append those of the names asked for that no function has so far, in quotes, separated by ", ".
 * Returns how many there are. b may be NULL.
 */
size_t func_probes_unmatched(const struct func_probes *p, struct strbuf *b);

/* Is the function's return probed? */
bool func_probes_is_timed(const struct func_probes *p, const struct function_site *f);

#endif
