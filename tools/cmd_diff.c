/* SPDX-License-Identifier: MIT */
/* periscope diff: what changed between two profiles, as a picture. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cli_options.h"
#include "lib/fields.h"
#include "lib/measure.h"
#include "lib/merge.h"
#include "lib/read.h"
#include "lib/util.h"
#include "periscope.h"

static const char usage_text[] =
	"usage: periscope diff BEFORE AFTER -o OUT.svg [options]\n"
	"\n"
	"A differential flame graph of two profiles (pprof, folded stacks, perf script): as wide as\n"
	"AFTER, orange where it grew, blue where it shrank, and what is gone in a strip of its own.\n"
	"\n"
	"  -o FILE           .svg; .pb.gz (pprof) and .speedscope.json hold both values or the\n"
	"                    second; may be given several times\n"
	"  --format NAME     svg, pprof or speedscope, whatever the file is called\n"
	"  --absolute        compare values as they are; without it, as if both had the same sum\n"
	"                    (the picture can be switched)\n"
	"  --type NAME       which of the profiles' values to compare: cpu, inuse_space, ...\n"
	"  --title TEXT      above the picture\n" CLI_HELP_VERSION "\n"
	"examples:\n"
	"  periscope diff monday.pb.gz tuesday.pb.gz -o diff.svg\n"
	"  periscope diff --absolute --type inuse_space a.pb.gz b.pb.gz -o growth.svg\n";

struct options {
	struct cli_common common;
	const char *type, *title;
	bool absolute;
};

static int add_side(struct fields *f, const char *side, const char *path, int64_t total,
		    const char *unit)
{
	char value[MEASURE_LEN], *text;
	int err;

	measure_value(measure_for(total, unit), total, value);
	if (asprintf(&text, "%s (%s%s)", path, value,
		     strcmp(unit, "count") != 0 ? "" : " samples") < 0)
		return -ENOMEM;
	err = fields_add(f, side, text);
	free(text);
	return err;
}

static int write_difference(struct options *o, const struct profile *p, char **paths)
{
	struct write_options w = WRITE_OPTIONS_DEFAULT;
	struct fields fields = { 0 };
	const char *unit = profile_str(p, p->types[1].unit);
	int status;

	if (add_side(&fields, "before", paths[0], profile_total(p, 0), unit) ||
	    add_side(&fields, "after", paths[1], profile_total(p, 1), unit)) {
		fields_release(&fields);
		return cli_fail("out of memory");
	}
	w.title = o->title ? o->title : "What changed, by stack";
	w.diff = o->absolute ? WRITE_DIFF_ABSOLUTE : WRITE_DIFF_NORMALIZED;
	w.type = 1;
	w.fields = fields.items;
	w.nr_fields = fields.nr;
	status = cli_outputs_write(&o->common.outputs, (struct write_model){ .profile = p }, &w);
	fields_release(&fields);
	return status;
}

static int check(void *arg)
{
	const struct options *o = arg;

	if (o->common.nr_args != 2)
		return cli_usage("which files? Give two profiles, before and after (see --help)");
	if (!o->common.outputs.nr)
		return cli_usage("where to? Give -o FILE.svg (see --help)");
	return 0;
}

static int run(void *arg)
{
	struct options *o = arg;
	char **paths = o->common.args;
	struct profile *sides[2] = { NULL, NULL }, *p = NULL;
	struct read_error error;
	int status = 0, err = 0;

	for (int i = 0; i < 2 && !status; i++)
		if (read_profile(paths[i], &sides[i], &error))
			status = cli_fail("cannot read '%s': %s", paths[i], error.text);
	if (!status)
		err = merge_difference(sides[0], sides[1], o->type, &p);
	if (err == -EINVAL && o->type)
		status = cli_fail("the profiles do not both have values '%s' of one unit", o->type);
	else if (err == -EINVAL)
		status = cli_fail("the profiles measure different things (see --type)");
	else if (err)
		status = cli_fail("cannot compare: %s", strerror(-err));
	if (!status)
		status = write_difference(o, p, paths);
	profile_free(p);
	profile_free(sides[0]);
	profile_free(sides[1]);
	return status;
}

static int diff_main(int argc, char **argv)
{
	struct options o = { 0 };
	const struct cli_option rows[] = {
		{ 0, "absolute", CLI_FLAG, .flag = &o.absolute },
		{ 0, "type", CLI_STRING, .string = &o.type },
		{ 0, "title", CLI_STRING, .string = &o.title },
	};
	const struct cli_spec spec = {
		.usage = usage_text,
		.groups = CLI_OUTPUT,
		.options = rows,
		.nr_options = ARRAY_SIZE(rows),
		.common = &o.common,
		.check = check,
		.run = run,
		.arg = &o,
	};

	return cli_main(&spec, argc, argv);
}

const struct command cmd_diff = {
	.name = "diff",
	.summary = "what changed between two profiles: a differential flame graph",
	.main = diff_main,
};
