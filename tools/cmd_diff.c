/* SPDX-License-Identifier: MIT */
/* periscope diff: what changed between two profiles, as tables and as a picture. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cli_options.h"
#include "lib/diff_report.h"
#include "lib/fields.h"
#include "lib/measure.h"
#include "lib/merge.h"
#include "lib/read.h"
#include "lib/report.h"
#include "lib/util.h"
#include "lib/write_pprof.h"
#include "lib/write_report.h"
#include "lib/write_speedscope.h"
#include "lib/write_svg.h"
#include "periscope.h"

static const char usage_text[] =
	"usage: periscope diff BEFORE AFTER [-o OUT.svg] [options]\n"
	"\n"
	"What changed between two profiles (pprof, folded stacks, perf script). On standard output the\n"
	"functions that grew or shrank most; as a picture a differential flame graph: as wide as\n"
	"AFTER, orange where it grew, blue where it shrank, and what is gone in a strip of its own.\n"
	"\n"
	"  -o FILE           .svg (flame graph), .txt (tables), .json (tables, too); .pb.gz (pprof) and\n"
	"                    .speedscope.json hold both values or the second; may be given several times\n"
	"  --format NAME     svg, text, json, pprof or speedscope, whatever the file is called\n"
	"  --absolute        compare values as they are; without it, as if both had the same sum\n"
	"                    (the picture can be switched)\n"
	"  --type NAME       which of the profiles' values to compare: cpu, inuse_space, ...\n"
	"  --top N           rows of a table (20)\n"
	"  --title TEXT      above the picture\n" CLI_HELP_VERSION "\n"
	"examples:\n"
	"  periscope diff before.pb.gz after.pb.gz\n"
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

static const struct format formats[] = {
	{ "svg", ".svg", "flame graph", .write = write_svg },
	{ "pprof", ".pb.gz", "pprof profile", .write = write_pprof },
	{ "speedscope", ".speedscope.json", "speedscope profile", .write = write_speedscope },
	{ "json", ".json", "tables as JSON", .write_report = write_report_json },
	{ "text", ".txt", "tables", .write_report = write_report_text },
	{ 0 },
};

static int describe(struct fields *f, const struct profile *p, char **paths)
{
	const char *unit = profile_str(p, p->types[1].unit);
	int err = add_side(f, "before", paths[0], profile_total(p, 0), unit);

	return err ? err : add_side(f, "after", paths[1], profile_total(p, 1), unit);
}

static int write_difference(struct options *o, const struct profile *p, char **paths)
{
	struct write_options w = WRITE_OPTIONS_DEFAULT;
	struct write_model m = { .profile = p, .report = NULL };
	struct fields fields = { 0 };
	struct report *r = report_new();
	int status = 0;

	if (!r || describe(&fields, p, paths) || diff_report(r, p, o->absolute) ||
	    report_error(r)) {
		status = cli_fail("out of memory");
		goto cleanup;
	}
	m.report = r;
	w.title = o->title ? o->title : "What changed, by stack";
	w.diff = o->absolute ? WRITE_DIFF_ABSOLUTE : WRITE_DIFF_NORMALIZED;
	w.type = 1;
	w.top = o->common.top;
	w.fields = fields.items;
	w.nr_fields = fields.nr;
	if (o->common.outputs.nr)
		status = cli_outputs_write(&o->common.outputs, m, &w);
	else
		status = cli_stdout(&o->common.outputs,
				    o->common.format ? o->common.format : "text", m, &w);
cleanup:
	report_free(r);
	fields_release(&fields);
	return status;
}

static int check(void *arg)
{
	const struct options *o = arg;

	if (o->common.nr_args != 2)
		return cli_usage("which files? Give two profiles, before and after (see --help)");
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
		.groups = CLI_OUTPUT | CLI_TOP,
		.formats = formats,
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
	.summary = "what changed between two profiles: tables, a differential flame graph",
	.main = diff_main,
};
