/* SPDX-License-Identifier: MIT */
/* periscope flame: files of stacks, of any tool, as one picture or in another format. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cli_options.h"
#include "lib/fields.h"
#include "lib/merge.h"
#include "lib/read.h"
#include "lib/util.h"
#include "periscope.h"

static const char usage_text[] =
	"usage: periscope flame FILE... -o OUT [options]\n"
	"\n"
	"Makes a flame graph of profiles in files: pprof (.pb.gz), folded stacks, or the text of\n"
	"perf script, told apart by what is in them. Several files are added up. FILE - is\n"
	"standard input. Nothing is captured; no privileges are needed.\n"
	"\n"
	"  -o FILE           .svg (flame graph), .speedscope.json, .folded, .pb.gz (pprof), .txt\n"
	"                    (report); may be given several times\n"
	"  --format NAME     svg, speedscope, folded, pprof or text, whatever the file is called\n"
	"  --type NAME       which of a profile's values to show: cpu, inuse_space, ...\n"
	"  --title TEXT      above the picture\n" CLI_HELP_VERSION "\n"
	"examples:\n"
	"  periscope flame cpu.pb.gz -o cpu.svg\n"
	"  perf script | periscope flame - -o perf.svg\n"
	"  periscope flame monday.folded tuesday.folded -o both.svg --title 'Two days'\n";

struct options {
	struct cli_common common;
	const char *type, *title;
};

/* NULL after the message. */
static struct profile *read_one(const char *path)
{
	struct read_error error;
	struct profile *p = NULL;

	if (!read_profile(path, &p, &error))
		return p;
	cli_fail("cannot read '%s': %s", path, error.text);
	return NULL;
}

static int add_file(struct profile *sum, const char *path)
{
	struct profile *more = read_one(path);
	int err;

	if (!more)
		return CLI_FAILED;
	err = merge_profile(sum, more);
	profile_free(more);
	if (err == -EINVAL)
		return cli_fail("'%s' measures something else than the files before", path);
	return err ? cli_fail("cannot add '%s': %s", path, strerror(-err)) : 0;
}

static int choose_type(const struct options *o, const struct profile *p, struct write_options *w)
{
	char known[256] = "";
	size_t len = 0;

	if (!o->type)
		return 0;
	for (size_t i = 0; i < p->nr_types; i++) {
		const char *name = profile_str(p, p->types[i].name);

		if (!strcmp(name, o->type)) {
			w->type = (uint32_t)i;
			return 0;
		}
		if (len < sizeof(known))
			len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s",
						len ? ", " : "", name);
	}
	return cli_usage("no values '%s'; there are %s", o->type, known);
}

static int write_all(struct options *o, const struct profile *p)
{
	struct write_options w = WRITE_OPTIONS_DEFAULT;
	struct fields fields = { 0 };
	int status = choose_type(o, p, &w);

	if (!status && fields_add_profile(&fields, p))
		status = cli_fail("out of memory");
	if (!status) {
		w.title = o->title;
		w.fields = fields.items;
		w.nr_fields = fields.nr;
		status = cli_outputs_write(&o->common.outputs, (struct write_model){ .profile = p },
					   &w);
	}
	fields_release(&fields);
	return status;
}

static int check(void *arg)
{
	const struct options *o = arg;

	if (!o->common.nr_args)
		return cli_usage("which file? Give profiles to read (see --help)");
	if (!o->common.outputs.nr)
		return cli_usage("where to? Give -o FILE.svg (see --help)");
	return 0;
}

static int run(void *arg)
{
	struct options *o = arg;
	struct profile *p = read_one(o->common.args[0]);
	int status = 0;

	if (!p)
		return CLI_FAILED;
	for (int i = 1; i < o->common.nr_args && !status; i++)
		status = add_file(p, o->common.args[i]);
	if (!status)
		status = write_all(o, p);
	profile_free(p);
	return status;
}

static int flame_main(int argc, char **argv)
{
	struct options o = { 0 };
	const struct cli_option rows[] = {
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

const struct command cmd_flame = {
	.name = "flame",
	.summary = "a flame graph of profiles in files: pprof, folded stacks, perf script",
	.main = flame_main,
};
