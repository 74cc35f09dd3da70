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
	if (!c->o.requests)
		return 0;
	return request_probes_prepare(c->bpf->progs.heap_request, c->bpf->maps.usdt_specs);
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
	int err;

	/* Where calls are counted a share of the time, these would cost all of the time. */
	if (!c->o.requests || c->mode == HEAP_COUNT_SOMETIMES)
		return 0;
	err = request_probes_follow(&c->requests, &c->watch.target);
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
