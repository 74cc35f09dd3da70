/* SPDX-License-Identifier: MIT */
#include "cli_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int add_point(struct cli_request *r, enum request_role role, const char *option,
		     const char *text)
{
	struct request_point p;
	const char *why;
	int err = request_point_parse(&p, role, text, &why);

	if (err == -EINVAL)
		return cli_usage("%s: '%s' %s", option, text, why);
	if (!err)
		err = request_points_add(&r->points, &p);
	return err ? cli_fail("out of memory") : 0;
}

int cli_request_begin(void *object, const char *option, const char *value)
{
	struct cli_request *r = object;

	if (r->begin)
		return cli_usage("%s is given twice", option);
	r->begin = value;
	return add_point(r, ROLE_BEGIN, option, value);
}

int cli_request_end(void *object, const char *option, const char *value)
{
	struct cli_request *r = object;

	(void)option;
	r->ended = true;
	return add_point(r, ROLE_END, "--request", value);
}

int cli_request_run(void *object, const char *option, const char *value)
{
	return add_point(object, ROLE_RUN, option, value);
}

int cli_request_pause(void *object, const char *option, const char *value)
{
	return add_point(object, ROLE_PAUSE, option, value);
}

int cli_request_execute(void *object, const char *option, const char *value)
{
	return add_point(object, ROLE_EXECUTE, option, value);
}

char **cli_request_split(int argc, char **argv, int *ret_argc)
{
	static char end[] = "--request-end";
	char **args = calloc((size_t)argc * 2 + 1, sizeof(*args));
	int n = 0;

	for (int i = 0; args && i < argc; i++) {
		args[n++] = argv[i];
		if (!strcmp(argv[i], "--")) {
			while (++i < argc)
				args[n++] = argv[i];
			break;
		}
		if (!strcmp(argv[i], "--request") && i + 1 < argc)
			args[n++] = argv[++i];
		else if (strncmp(argv[i], "--request=", 10) != 0)
			continue;
		if (i + 1 < argc && argv[i + 1][0] != '-') {
			args[n++] = end;
			args[n++] = argv[++i];
		}
	}
	*ret_argc = n;
	return args;
}

int cli_request_check(struct cli_request *r)
{
	const char *why;

	if (!r->points.nr)
		return 0;
	if (!r->begin)
		return cli_usage("--run, --pause and --execute go with --request BEGIN END");
	if (!r->ended)
		return cli_usage(
			"--request wants two probes: what begins a request, and what ends it");
	if (request_points_check(&r->points, &why))
		return cli_usage("--request: %s", why);
	return 0;
}

void cli_request_release(struct cli_request *r)
{
	request_points_release(&r->points);
	*r = (struct cli_request){ 0 };
}
