/* SPDX-License-Identifier: MIT */
/* Routes and states as a profile. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "request_names.h"
#include "request_report.h"

static int add_location(struct profile *p, const char *name, uint32_t *ret)
{
	struct profile_function f = { 0 };
	struct profile_line line = { 0 };
	int err = profile_string(p, name, &f.name);

	f.system_name = f.name;
	if (!err)
		err = profile_function(p, &f, &line.function);
	return err ? err : profile_location(p, 0, PROFILE_NONE, &line, 1, ret);
}

static int add_time(struct profile *p, uint32_t comm, const char *route, const char *state,
		    uint64_t ns, uint64_t requests)
{
	uint32_t stack[2];
	struct profile_sample_key key = { .locations = stack, .nr_locations = 2, .comm = comm };
	int64_t values[] = { (int64_t)(ns / 1000), (int64_t)requests };
	int err = add_location(p, state, &stack[0]);

	if (!err)
		err = add_location(p, route, &stack[1]);
	return err ? err : profile_add(p, &key, values);
}

int request_profile(struct profile *p, const struct request_table *t, const char *comm)
{
	uint32_t type, root;
	int err = profile_type(p, "time", "microseconds", &type);

	if (!err)
		err = profile_type(p, "requests", "count", &type);
	if (!err)
		err = profile_string(p, comm, &root);
	for (size_t i = 0; i < t->nr_routes && !err; i++) {
		const struct request_route_stats *s = &t->routes[i];
		const char *method = request_method(t, s->method);
		char *name;

		if (asprintf(&name, "%s%s%s", method, *method ? " " : "", s->name) < 0)
			return -ENOMEM;
		for (size_t j = 0; j < STATE_NR && !err; j++)
			if (s->states[j])
				err = add_time(p, root, name, requests_state_name(j), s->states[j],
					       j == STATE_ON_CPU ? s->count - s->split : 0);
		if (!err && s->split)
			err = add_time(p, root, name, "not known", s->split_ns, s->split);
		free(name);
	}
	return err;
}
