/* SPDX-License-Identifier: MIT */
/*
 * The heap engine's requests: probes of the target that tell which request each thread works on
 * (bpf/heap_requests.bpf.h). A target without such probes is followed all the same.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "capture_heap_impl.h"
#include "util.h"

/* Of all that a program tells of its requests, this is enough. */
#define ROLES                                                                    \
	(1U << ROLE_BEGIN | 1U << ROLE_RUN | 1U << ROLE_PAUSE | 1U << ROLE_END | \
	 1U << ROLE_STATUS | 1U << ROLE_EXECUTE)

int heap_requests_prepare(struct capture_heap *c)
{
	struct heap_bpf *b = c->bpf;
	int err;

	if (!c->o.requests)
		return 0;
	err = bpf_program__set_autoload(b->progs.heap_request, true);
	if (!err)
		err = attach_prepare(b->progs.heap_request);
	if (!err)
		err = bpf_map__set_max_entries(b->maps.usdt_specs, REQUEST_MAX_PROBES);
	return err;
}

int heap_requests_open(struct capture_heap *c)
{
	struct heap_bpf *b = c->bpf;
	int err = heap_routes_init(&c->routes, bpf_map__fd(b->maps.heap_routes));

	if (err || !c->o.requests)
		return err;
	c->routes.points = &c->requests.points;
	c->requests.roles = ROLES;
	c->requests.prog_fd = bpf_program__fd(b->progs.heap_request);
	c->requests.roles_fd = bpf_map__fd(b->maps.roles);
	c->requests.specs_fd = bpf_map__fd(b->maps.usdt_specs);
	c->requests.pid = c->o.watch.only ? c->o.watch.only : -1;
	return 0;
}

int heap_requests_update(struct capture_heap *c)
{
	const struct target *t = &c->watch.target;
	int err;

	/* Where calls are counted a share of the time, these would cost all of the time. */
	if (!c->o.requests || c->mode == HEAP_COUNT_SOMETIMES || !t->nr_procs ||
	    c->requests.nr_objects == t->objects.nr)
		return 0;
	err = request_probes_update(&c->requests, &t->objects, t->procs[0]->pid);
	return err ? watch_fail(&c->watch, err, "%s", c->requests.error) : 0;
}

int heap_requests_check(struct capture_heap *c)
{
	const struct target *t = &c->watch.target;
	int err;

	/* Of a command that has not begun, nothing is known yet; what a preset names is not a must. */
	if (!c->o.requests || c->requests.preset || !c->requests.points.nr || !t->objects.nr)
		return 0;
	err = request_probes_check(&c->requests, t->nr_procs ? t->procs[0]->pid : 0);
	return err ? watch_fail(&c->watch, err, "%s", c->requests.error) : 0;
}

const struct heap_routes *capture_heap_routes(const struct capture_heap *c)
{
	return c->requests.nr_sites ? &c->routes : NULL;
}
