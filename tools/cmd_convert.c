/* SPDX-License-Identifier: MIT */
/* periscope convert: a recorded timeline in other formats, all of it or a part. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cli_options.h"
#include "lib/cli_trace.h"
#include "lib/util.h"
#include "periscope.h"

static const char usage_text[] =
	"usage: periscope convert FILE.periscope [-o OUT]... [options]\n"
	"\n"
	"Writes a timeline that periscope timeline recorded, on any machine, in other formats.\n"
	"Without -o: a report on standard output. Of a recording of periscope heap --record: what\n"
	"heaptrack_gui opens.\n"
	"\n"
	"  -o FILE           .html (a page to look at it, offline), .pftrace (ui.perfetto.dev),\n"
	"                    .json (Chrome's trace events), .txt (report); of a profile: .pb.gz\n"
	"                    (pprof), .folded, .svg (flame graph), .speedscope.json; of a heap:\n"
	"                    .heaptrack.gz; may be given several times\n"
	"  --format NAME     html, pftrace, chrome, text, tables (the report as JSON), pprof,\n"
	"                    folded, svg, speedscope or heaptrack, whatever the file is called\n"
	"  --profile KIND    which profile: network, sync, syscall, scheduler (time that threads\n"
	"                    waited, by stack) or cpu (samples; default)\n"
	"  -f                the profile as folded stacks on standard output\n"
	"  --from T, --to T  only what happened between, since the trace's begin: 1.5s, 200ms\n"
	"  --route PATTERN   only requests of these routes ('GET /rooms*'), and what threads did\n"
	"                    for them\n"
	"  --slower T        only requests that took at least that long, likewise\n"
	"  --tid TID,...     only these threads, and all requests\n" CLI_HELP_TOP CLI_HELP_VERSION
	"\n"
	"examples:\n"
	"  periscope convert t.periscope\n"
	"  periscope convert t.periscope -o t.html\n"
	"  periscope convert t.periscope -o t.pftrace -o t.txt\n"
	"  periscope convert t.periscope --slower 50ms -o slow.json\n"
	"  periscope convert t.periscope --profile sync -o locks.pb.gz\n"
	"  periscope convert h.periscope -o h.heaptrack.gz\n";

struct options {
	struct cli_common common;
	struct cli_trace trace;
	struct cli_ids tids;
	unsigned int profile;
};

/* A time since the begin; 0 is one, too, in whatever unit. */
static int parse_time(void *object, const char *option, const char *value)
{
	uint64_t *ns = object;
	int err = parse_duration(value, ns);

	if (err == -ERANGE && strspn(value, "0."))
		err = strtod(value, NULL) > 0 ? err : 0;
	else if (!err)
		return 0;
	if (err)
		return cli_usage("%s wants a time like 1.5s or 200ms, not '%s'", option, value);
	*ns = 0;
	return 0;
}

static int parse_tids(void *object, const char *option, const char *value)
{
	return cli_ids_parse(object, option, value);
}

static int check(void *arg)
{
	struct options *o = arg;
	const struct timeline_filter *f = &o->trace.view.filter;

	if (!o->common.nr_args)
		return cli_usage("which trace? Give a FILE.periscope (see --help)");
	if (o->common.nr_args > 1)
		return cli_usage("one trace at a time, not '%s' and '%s'", o->common.args[0],
				 o->common.args[1]);
	if (f->to && f->to <= f->from)
		return cli_usage("--to must be after --from");
	return 0;
}

static int convert(struct options *o)
{
	const struct trace *t = o->trace.view.trace;
	int status = 0;

	if (o->trace.view.filter.from >= t->end - t->start && t->end > t->start)
		return cli_fail("--from is after the end: '%s' spans %.3fs", o->trace.path,
				(double)(t->end - t->start) / 1e9);
	if (o->common.outputs.nr)
		status = cli_trace_write(&o->trace, &o->common.outputs);
	if (!status && o->common.folded)
		status = cli_trace_stdout(&o->trace, "folded");
	else if (!status && !o->common.outputs.nr)
		status = cli_trace_stdout(&o->trace, o->common.format ? o->common.format : "text");
	return status;
}

static int run(void *arg)
{
	struct options *o = arg;
	int status;

	o->trace.path = o->common.args[0];
	o->trace.profile = o->profile;
	o->trace.top = (unsigned int)o->common.top;
	o->trace.view.filter.tids = (const uint32_t *)o->tids.items;
	o->trace.view.filter.nr_tids = o->tids.nr;
	status = cli_trace_open(&o->trace);
	if (!status)
		status = convert(o);
	cli_trace_close(&o->trace);
	return status;
}

static int convert_main(int argc, char **argv)
{
	static const struct cli_choice profiles[] = {
		{ "network", TIMELINE_NETWORK },  { "sync", TIMELINE_SYNC },
		{ "syscall", TIMELINE_SYSCALLS }, { "scheduler", TIMELINE_SCHEDULER },
		{ "cpu", TIMELINE_CPU },	  { 0 },
	};
	struct options o = { .profile = TIMELINE_CPU };
	struct timeline_filter *f = &o.trace.view.filter;
	const struct cli_option rows[] = {
		{ 0, "profile", CLI_CHOICE, .choice = &o.profile, .choices = profiles },
		{ 0, "from", CLI_CALL, .object = &f->from, .call = parse_time },
		{ 0, "to", CLI_CALL, .object = &f->to, .call = parse_time },
		{ 0, "route", CLI_STRING, .string = &f->route },
		{ 0, "slower", CLI_TIME, .number = &f->slower },
		{ 0, "tid", CLI_CALL, .object = &o.tids, .call = parse_tids },
	};
	const struct cli_spec spec = {
		.usage = usage_text,
		.groups = CLI_OUTPUT | CLI_FOLDED | CLI_TOP,
		.options = rows,
		.nr_options = ARRAY_SIZE(rows),
		.formats = timeline_formats,
		.common = &o.common,
		.check = check,
		.run = run,
		.arg = &o,
	};
	int status = cli_main(&spec, argc, argv);

	cli_ids_release(&o.tids);
	return status;
}

const struct command cmd_convert = {
	.name = "convert",
	.summary =
		"a recorded timeline in other formats: a page, Perfetto, Chrome, a report, profiles",
	.main = convert_main,
};
