/* SPDX-License-Identifier: MIT */
/* periscope flame: files of stacks, of any tool, as one picture or in another format. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cli.h"
#include "lib/merge.h"
#include "lib/read.h"
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
	"  --title TEXT      above the picture\n"
	"  -V, -h            version, this help\n"
	"\n"
	"examples:\n"
	"  periscope flame cpu.pb.gz -o cpu.svg\n"
	"  perf script | periscope flame - -o perf.svg\n"
	"  periscope flame monday.folded tuesday.folded -o both.svg --title 'Two days'\n";

struct options {
	struct cli_outputs outputs;
	const char *format, *type, *title;
	bool done;
};

enum { OPT_FORMAT = 256, OPT_TYPE, OPT_TITLE };

static const struct option long_options[] = {
	{ "format", required_argument, NULL, OPT_FORMAT },
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
	case OPT_FORMAT:
		o->format = optarg;
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
	if (optind == argc)
		return cli_usage("which file? Give profiles to read (see --help)");
	if (!o->outputs.nr)
		return cli_usage("where to? Give -o FILE.svg (see --help)");
	return 0;
}

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
	struct merge_fields fields = { 0 };
	int status = choose_type(o, p, &w);

	if (!status && merge_fields_init(&fields, p))
		status = cli_fail("out of memory");
	if (!status) {
		w.title = o->title;
		w.fields = fields.items;
		w.nr_fields = fields.nr;
		status = cli_outputs_write(&o->outputs, p, &w);
	}
	merge_fields_release(&fields);
	return status;
}

static int run(struct options *o, int nr, char **paths)
{
	struct profile *p = read_one(paths[0]);
	int status = 0;

	if (!p)
		return CLI_FAILED;
	for (int i = 1; i < nr && !status; i++)
		status = add_file(p, paths[i]);
	if (!status)
		status = write_all(o, p);
	profile_free(p);
	return status;
}

static int flame_main(int argc, char **argv)
{
	struct options o = { 0 };
	int status = parse(&o, argc, argv);

	if (!status && !o.done)
		status = cli_outputs_choose(&o.outputs, o.format);
	if (!status && !o.done)
		status = cli_outputs_open(&o.outputs);
	if (!status && !o.done)
		status = run(&o, argc - optind, argv + optind);
	cli_outputs_release(&o.outputs);
	return status;
}

const struct command cmd_flame = {
	.name = "flame",
	.summary = "a flame graph of profiles in files: pprof, folded stacks, perf script",
	.main = flame_main,
};
