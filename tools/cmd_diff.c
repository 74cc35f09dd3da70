/* SPDX-License-Identifier: MIT */
/* periscope diff: what changed between two profiles, as a picture. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cli.h"
#include "lib/measure.h"
#include "lib/merge.h"
#include "lib/read.h"
#include "periscope.h"

static const char usage_text[] =
	"usage: periscope diff BEFORE AFTER -o OUT.svg [options]\n"
	"\n"
	"A differential flame graph of two profiles (pprof, folded stacks, perf script): as wide as\n"
	"AFTER, orange where it grew, blue where it shrank, and what is gone in a strip of its own.\n"
	"\n"
	"  -o FILE           .svg; .pb.gz (pprof) and .speedscope.json hold both values or the\n"
	"                    second; may be given several times\n"
	"  --absolute        compare values as they are; without it, as if both had the same sum\n"
	"                    (the picture can be switched)\n"
	"  --type NAME       which of the profiles' values to compare: cpu, inuse_space, ...\n"
	"  --title TEXT      above the picture\n"
	"  -V, -h            version, this help\n"
	"\n"
	"examples:\n"
	"  periscope diff monday.pb.gz tuesday.pb.gz -o diff.svg\n"
	"  periscope diff --absolute --type inuse_space a.pb.gz b.pb.gz -o growth.svg\n";

struct options {
	struct cli_outputs outputs;
	const char *type, *title;
	bool absolute, done;
};

enum { OPT_ABSOLUTE = 256, OPT_TYPE, OPT_TITLE };

static const struct option long_options[] = {
	{ "absolute", no_argument, NULL, OPT_ABSOLUTE },
	{ "type", required_argument, NULL, OPT_TYPE },
	{ "title", required_argument, NULL, OPT_TITLE },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int parse_option(struct options *o, int opt, char **argv)
{
	switch (opt) {
	case 'o':
		return cli_outputs_add(&o->outputs, optarg);
	case OPT_ABSOLUTE:
		o->absolute = true;
		return 0;
	case OPT_TYPE:
		o->type = optarg;
		return 0;
	case OPT_TITLE:
		o->title = optarg;
		return 0;
	case 'V':
		puts("periscope " PERISCOPE_VERSION);
		o->done = true;
		return 0;
	case 'h':
		fputs(usage_text, stdout);
		o->done = true;
		return 0;
	default:
		return cli_usage("unknown option or missing value: '%s' (see --help)",
				 argv[optind - 1]);
	}
}

static int parse(struct options *o, int argc, char **argv)
{
	int opt, err = 0;

	opterr = 0;
	while (!err && !o->done &&
	       (opt = getopt_long(argc, argv, "o:Vh", long_options, NULL)) != -1)
		err = parse_option(o, opt, argv);
	if (err || o->done)
		return err;
	if (argc - optind != 2)
		return cli_usage("which files? Give two profiles, before and after (see --help)");
	if (!o->outputs.nr)
		return cli_usage("where to? Give -o FILE.svg (see --help)");
	return 0;
}

static int add_side(struct merge_fields *f, const char *side, const char *path, int64_t total,
		    const char *unit)
{
	char value[MEASURE_LEN], *text;
	int err;

	measure_value(measure_for(total, unit), total, value);
	if (asprintf(&text, "%s (%s%s)", path, value,
		     strcmp(unit, "count") != 0 ? "" : " samples") < 0)
		return -ENOMEM;
	err = merge_fields_add(f, side, text);
	free(text);
	return err;
}

static int write_difference(struct options *o, const struct profile *p, char **paths)
{
	struct write_options w = WRITE_OPTIONS_DEFAULT;
	struct merge_fields fields = { 0 };
	const char *unit = profile_str(p, p->types[1].unit);
	int status;

	if (add_side(&fields, "before", paths[0], profile_total(p, 0), unit) ||
	    add_side(&fields, "after", paths[1], profile_total(p, 1), unit)) {
		merge_fields_release(&fields);
		return cli_fail("out of memory");
	}
	w.title = o->title ? o->title : "What changed, by stack";
	w.diff = o->absolute ? WRITE_DIFF_ABSOLUTE : WRITE_DIFF_NORMALIZED;
	w.type = 1;
	w.fields = fields.items;
	w.nr_fields = fields.nr;
	status = cli_outputs_write(&o->outputs, p, &w);
	merge_fields_release(&fields);
	return status;
}

static int run(struct options *o, char **paths)
{
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
	int status = parse(&o, argc, argv);

	if (!status && !o.done)
		status = cli_outputs_choose(&o.outputs, NULL);
	if (!status && !o.done)
		status = cli_outputs_open(&o.outputs);
	if (!status && !o.done)
		status = run(&o, argv + optind);
	cli_outputs_release(&o.outputs);
	return status;
}

const struct command cmd_diff = {
	.name = "diff",
	.summary = "what changed between two profiles: a differential flame graph",
	.main = diff_main,
};
