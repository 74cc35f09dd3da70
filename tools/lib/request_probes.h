/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_REQUEST_PROBES_H
#define PERISCOPE_REQUEST_PROBES_H

/*
 * From points (request_spec.h) to probes in the target: finds them in its objects, tells the BPF
 * side what each site means and where its arguments are, attaches. Objects that the target maps
 * later are looked at when they come.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach.h"
#include "object.h"
#include "request_spec.h"
#include "strbuf.h"
#include "target.h"

struct bpf_map;
struct bpf_program;

struct request_probes {
	/* Set by the caller before the first update; borrowed. */
	int prog_fd, roles_fd, specs_fd;
	uint32_t first_id;	  /* of sites; of roles it is element 0 */
	const char *other_preset; /* its provider's probes are somebody else's; NULL: none */
	pid_t pid;		  /* of the only process; -1: all that map a file */
	bool force_returns;
	enum request_probing probing; /* of a preset */
	uint32_t roles;		      /* only points of these roles, a bit each; 0: of all */
	/* The user's points, or empty: those of the first preset whose probes are found. */
	struct request_points points;
	bool preset; /* they are a preset's */

	size_t nr_objects;   /* looked at so far */
	uint32_t nr_ids;     /* elements of roles and specs in use */
	size_t *nr_by_point; /* sites of each point */
	size_t nr_sites;
	struct attach attach;
	struct strbuf notes; /* lines: what could not be probed, and why */
	struct strbuf seen;  /* some of the target's USDT probes */
	size_t nr_seen;
	char error[512];
};

/*
 * Before load: the program that hits of these probes run, which is not loaded otherwise, and the map
 * of where their arguments are. Returns 0 or a negative errno.
 */
int request_probes_prepare(struct bpf_program *prog, struct bpf_map *specs);

void request_probes_init(struct request_probes *p);
/* Detaches. */
void request_probes_release(struct request_probes *p);

/*
 * Probe the objects that are new since the last time; pid: a process that maps them. Returns 0, or
 * a negative errno and p->error.
 */
int request_probes_update(struct request_probes *p, const struct objects *objects, pid_t pid);

/* The same of whatever the target maps, if there is anything new. */
int request_probes_follow(struct request_probes *p, const struct target *t);

/*
 * Those of the only process are bound to a task that is gone: another thread than the first runs another
 * program. The next update finds them anew.
 */
void request_probes_forget(struct request_probes *p);

/*
 * Is everything there without which no request can be seen? Returns 0, or -ENOENT and p->error, a
 * sentence that says what is missing and what there is. pid: of the target, 0 when it is gone.
 */
int request_probes_check(struct request_probes *p, pid_t pid);

#endif
