/* SPDX-License-Identifier: MIT */
/*
 * The one binary: finds the command in argv[1], or in argv[0] when it is installed as
 * periscope-COMMAND.
 */
#include "periscope.h"

#include <stdio.h>
#include <string.h>

#include "lib/cli.h"
#include "lib/util.h"

static const struct command *const commands[] = {
	&cmd_cpu,   &cmd_heap, &cmd_requests, &cmd_funcs,    &cmd_offcpu,
	&cmd_flame, &cmd_diff, &cmd_probes,   &cmd_timeline, &cmd_convert,
};

static void help(FILE *out)
{
	fputs("usage: periscope COMMAND [options]\n"
	      "\n"
	      "Looks into a live C or C++ process from outside: nothing to link, rebuild or restart.\n"
	      "\n"
	      "commands:\n",
	      out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n"
	      "  periscope COMMAND --help   what a command does, its options, examples\n"
	      "  periscope --version\n",
	      out);
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static int run(const struct command *c, int argc, char **argv)
{
	char name[64];

	snprintf(name, sizeof(name), "periscope %s", c->name);
	cli_set_name(name);
	return c->main(argc, argv);
}

int main(int argc, char **argv)
{
	const char *base = strrchr(argv[0], '/');
	const struct command *c;

	base = base ? base + 1 : argv[0];
	c = strncmp(base, "periscope-", 10) ? NULL : find(base + 10);
	if (c)
		return run(c, argc, argv);
	if (argc < 2) {
		help(stderr);
		return CLI_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		help(stdout);
		return CLI_OK;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("periscope " PERISCOPE_VERSION);
		return CLI_OK;
	}
	c = find(argv[1]);
	if (!c)
		return cli_usage("no command '%s' (see periscope --help)", argv[1]);
	return run(c, argc - 1, argv + 1);
}
