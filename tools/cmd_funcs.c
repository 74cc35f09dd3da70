/* SPDX-License-Identifier: MIT */
/* periscope funcs: calls of functions, counted and timed. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/capture_funcs.h"
#include "lib/cli_live.h"
#include "lib/cli_options.h"
#include "lib/cli_result.h"
#include "lib/formats.h"
#include "lib/func_report.h"
#include "lib/util.h"
#include "lib/write_folded.h"
#include "lib/write_pprof.h"
#include "lib/write_report.h"
#include "lib/write_speedscope.h"
#include "lib/write_svg.h"
#include "periscope.h"

#define DEFAULT_MAX_FUNCS    1000
#define DEFAULT_MAX_OVERHEAD 10

static const char usage_text[] =
	"usage: periscope funcs (-p PID[,PID...] | -n NAME) FUNCTION... [options] [DURATION]\n"
	"       periscope funcs FUNCTION... [options] [DURATION] -- CMD [ARGS...]\n"
	"\n"
	"Probes functions of a live process and counts and times each of their calls: how often,\n"
	"how long from call to return, how much of that on CPU. FUNCTION is a name as in the\n"
	"file or readable (C++, Rust), with * ? [a-z] as in a shell; lib:function for those of one\n"
	"library.\n"
	"\n"
	"target:\n"
	"  -p PID,...        processes by PID\n"
	"  -n NAME           all processes of that name\n"
	"  -- CMD ARGS...    start a command and watch it from its first instruction; it ends\n"
	"                    with the capture\n"
	"  --tid TID,...     only these threads\n"
	"  --children        its child processes, too, those of now and those to come\n"
	"\n"
	"what is looked at:\n"
	"  --stacks          who calls: the stack at each call\n"
	"  --arg N[:KIND]    count the values of the Nth argument (1 to 6), as a KIND: long (64\n"
	"                    bits, the default), ulong, int (32), uint, ptr, or str, the text that\n"
	"                    it points to; several times for several\n"
	"  --alloc           count allocations in calls that return: each costs a probe's hit\n"
	"  --entries         count calls, do not time them: half the cost, and no return probed\n"
	"  --force-returns   probe returns although C++ exceptions or coroutines may pass through:\n"
	"                    if one does, the target crashes\n"
	"  --max-funcs N     probe that many functions at most (default 1000)\n"
	"  --max-overhead P  make the process's work take at most so many per cent longer (default 10):\n"
	"                    if it would take more, count calls only, or refuse; what it is to cost\n"
	"                    is found out first, in half a second\n"
	"  --force           cost what it may\n"
	"\n"
	"output (without -o and -f: a report on stdout):\n"
	"  -i TIME           and every so often, the calls since the last time\n"
	"  -f                folded stacks on stdout, with the number of calls\n"
	"  -o FILE           .json (tables), .txt (report), .folded, .svg (flame graph), .pb.gz\n"
	"                    (pprof), .speedscope.json; may be given several times\n"
	"  --format NAME     json, text, folded, svg, pprof or speedscope\n"
	"  --per-thread      one root for each thread in folded stacks and pictures\n"
	"  --top N           rows of the report's tables (default 20)\n"
	"  --stats FILE      the summary as JSON\n"
	"  -v                what was not probed, and why\n"
	"  -V, -h            version, this help\n"
	"\n"
	"A return probe is placed only where it is safe; a function without one is counted. A call\n"
	"ends with its return: what an asynchronous handler goes on to do is not in its time.\n"
	"Exit status: 0 done, 1 could not, 2 usage.\n"
	"\n"
	"examples:\n"
	"  periscope funcs -n coworkingd 'handle_*' 10        a server's handlers\n"
	"  periscope funcs -p 1234 'libsqlite3:sqlite3_step' --stacks -o step.svg 10\n"
	"  periscope funcs -p 1234 libc:fopen --arg 1:str 10  which files\n";

struct options {
	struct cli_common common;
	const char **functions;
	size_t nr_functions, cap_functions;
	struct capture_funcs_options capture;
	uint64_t max_funcs;
	double max_overhead; /* per cent */
	bool per_thread, force;
};

static const struct format formats[] = {
	{ .name = "json",
	  .ending = ".json",
	  .what = "tables as JSON",
	  .write_report = write_report_json },
	{ .name = "text", .ending = ".txt", .what = "report", .write_report = write_report_text },
	{ .name = "folded", .ending = ".folded", .what = "folded stacks", .write = write_folded },
	{ .name = "svg", .ending = ".svg", .what = "flame graph", .write = write_svg },
	{ .name = "pprof", .ending = ".pb.gz", .what = "pprof profile", .write = write_pprof },
	{ .name = "speedscope",
	  .ending = ".speedscope.json",
	  .what = "speedscope profile",
	  .write = write_speedscope },
	{ 0 },
};

/* ---------------------------------------------------------------- options ---- */

/* 1, 2:str */
static int call_arg(void *object, const char *option, const char *value)
{
	struct options *o = object;
	struct func_arg arg = { .kind = FUNC_ARG_LONG };
	unsigned int kind = 0;
	const char *colon = value[0] ? value + 1 : value;

	if (value[0] < '1' || value[0] > '6' || (*colon && *colon != ':'))
		return cli_usage("%s wants an argument's number from 1 to 6, and maybe its kind, "
				 "2:str, not '%s'",
				 option, value);
	arg.number = value[0] - '1';
	if (*colon) {
		while (kind <= FUNC_ARG_TEXT && strcmp(colon + 1, func_arg_kind_name(kind)))
			kind++;
		if (kind > FUNC_ARG_TEXT)
			return cli_usage("%s: an argument is long, ulong, int, uint, ptr or str, "
					 "not '%s'",
					 option, colon + 1);
		arg.kind = kind;
	}
	if (o->capture.nr_args >= FUNCS_MAX_ARGS)
		return cli_usage("%s: %d at most", option, FUNCS_MAX_ARGS);
	o->capture.args[o->capture.nr_args++] = arg;
	return 0;
}

static bool is_duration(const char *text)
{
	uint64_t ns;

	return parse_duration(text, &ns) != -EINVAL;
}

/* Arguments are functions, and the last one may be the duration. */
static int take_arguments(struct options *o)
{
	struct cli_common *c = &o->common;
	int n = c->nr_args, nr_durations = 0, status = 0;

	for (int i = 0; i < n && !status; i++) {
		if (!is_duration(c->args[i]))
			continue;
		if (nr_durations++)
			return cli_usage("one duration at most, not '%s' as well", c->args[i]);
		status = cli_duration(&c->target, 1, &c->args[i], &c->duration_ns);
	}
	for (int i = 0; i < n && !status; i++) {
		if (is_duration(c->args[i]))
			continue;
		if (array_grow((void **)&o->functions, o->nr_functions, &o->cap_functions,
			       sizeof(*o->functions)))
			return cli_fail("out of memory");
		o->functions[o->nr_functions++] = c->args[i];
	}
	return status;
}

static int check(void *arg)
{
	struct options *o = arg;
	int status = take_arguments(o);

	if (status)
		return status;
	if (!o->nr_functions)
		return cli_usage("of which functions? 'handle_*', lib:function (see --help)");
	if (o->capture.entries && o->capture.allocs)
		return cli_usage(
			"--entries and --alloc exclude each other: a call ends with its return");
	if (o->capture.entries && o->capture.force_returns)
		return cli_usage("--entries and --force-returns exclude each other");
	if (o->common.interval_ns && o->common.folded)
		return cli_usage("-i prints tables and -f folded stacks, both on stdout");
	return 0;
}

/* ---------------------------------------------------------------- the results ---- */

struct result {
	struct options *o;
	struct capture_funcs *capture;
	struct cli_result common;
	struct cli_live live;
	struct report *report;
	struct profile *profile;
	char comm[16]; /* of the first process */
};

static int show_interval(void *arg, uint64_t past_ns)
{
	struct result *res = arg;
	struct write_options w = { .top = (unsigned int)res->o->common.top };
	struct func_result *results;
	struct report *report;
	char title[64];
	size_t n;
	int status;

	if (capture_funcs_interval(res->capture, &results, &n))
		return cli_fail("%s", capture_funcs_ops.error(res->capture));
	snprintf(title, sizeof(title), "Calls of the last %.1f s", (double)past_ns / 1e9);
	report = func_report_table(results, n, past_ns, title);
	status = report ? cli_live_show(&res->live, report, &w)
			: cli_fail("cannot build the report: %s", strerror(errno));
	report_free(report);
	func_results_free(results, n);
	return status;
}

static void fill_summary(struct result *res, const struct capture_funcs_stats *st)
{
	struct summary *s = &res->common.summary;

	summary_u64(s, "calls", st->calls);
	summary_u64(s, "returns", st->returns);
	summary_u64(s, "missing-returns", st->missing);
	summary_u64(s, "open", st->open);
	summary_u64(s, "lost", st->lost + st->lost_buckets + st->lost_stacks + st->lost_values);
	if (st->stray)
		summary_u64(s, "stray-returns", st->stray);
	if (st->unreported)
		summary_u64(s, "unreported", st->unreported);
	if (st->lost)
		summary_u64(s, "lost-threads", st->lost);
	if (st->lost_buckets)
		summary_u64(s, "lost-times", st->lost_buckets);
	if (st->lost_stacks)
		summary_u64(s, "lost-stacks", st->lost_stacks);
	if (st->lost_values)
		summary_u64(s, "lost-values", st->lost_values);
	if (st->lost_args)
		summary_u64(s, "unknown-arguments", st->lost_args);
	if (st->lost_events)
		summary_u64(s, "lost-events", st->lost_events);
	if (st->unmatched)
		summary_u64(s, "unmatched-names", st->unmatched);
	summary_u64(s, "functions", st->functions);
	summary_u64(s, "timed", st->timed);
	summary_seconds(s, "seconds", res->common.run.ran_ns);
	summary_u64(s, "processes", capture_funcs_target(res->capture)->nr_seen);
}

static int build(struct result *res)
{
	int err;

	res->profile = profile_new();
	if (!res->profile)
		return -errno;
	res->report = func_report(res->capture, res->common.run.ran_ns);
	if (!res->report)
		return -errno;
	err = func_profile(res->profile, res->capture, res->comm, res->o->per_thread);
	if (!err)
		cli_result_times(&res->common, res->profile);
	return err;
}

static int finish(struct result *res)
{
	struct write_options w = WRITE_OPTIONS_DEFAULT;
	struct capture_funcs_stats st;
	struct write_model model = { 0 };
	int status, err;

	capture_funcs_stats(res->capture, &st);
	fill_summary(res, &st);
	err = build(res);
	if (!err)
		err = fields_addf(&res->common.fields, "calls", "%" PRIu64, st.calls);
	if (!err)
		err = fields_addf(&res->common.fields, "functions", "%zu, %zu of them timed",
				  st.functions, st.timed);
	if (err)
		return cli_fail("cannot build the report: %s", strerror(-err));
	if (res->o->common.verbose)
		fputs(capture_funcs_notes(res->capture), stderr);
	w.title = "Calls of functions";
	model.profile = res->profile;
	model.report = res->report;
	status = cli_result_comments(&res->common, res->profile);
	if (!status)
		status = cli_result_write(&res->common, model, &w);
	return cli_result_end(&res->common, status);
}

/* What it will cost, before it does. */
static void tell(void *arg, const struct probe_budget_verdict *v)
{
	const struct options *o = arg;

	if (v->narrowed)
		fprintf(stderr,
			"%.0f calls a second: to time them would make its work take %s%.0f%% longer "
			"(--max-overhead %.0f%%, --force): they are counted only\n",
			v->calls_per_s, v->at_least ? "at least " : "", v->asked, o->max_overhead);
	fprintf(stderr, "%.0f calls a second: its work will take %s %.0f%% longer\n",
		v->calls_per_s, v->at_least ? "at least" : "about", v->done);
}

static int run(void *arg)
{
	struct options *o = arg;
	const struct cli_target *t = &o->common.target;
	struct result res = { .o = o };
	int status;

	o->capture.specs = o->functions;
	o->capture.nr_specs = o->nr_functions;
	o->capture.max_funcs = o->max_funcs;
	o->capture.max_overhead = o->force ? 0 : o->max_overhead;
	o->capture.tell = tell;
	o->capture.tell_arg = o;
	o->capture.children = t->children;
	o->capture.only = t->pids.nr == 1 && !t->children ? t->pids.items[0] : 0;
	o->capture.tids = t->tids.items;
	o->capture.nr_tids = t->tids.nr;
	cli_result_comm(t, res.comm);
	res.capture = capture_funcs_new(&o->capture);
	if (!res.capture)
		return cli_fail("%s", capture_funcs_ops.error(NULL));
	cli_live_init(&res.live, STDOUT_FILENO);
	res.common.run.on_interval = show_interval;
	res.common.run.interval_arg = &res;
	status = cli_result_capture(&res.common, &o->common, &capture_funcs_ops, res.capture);
	cli_live_clear(&res.live);
	if (!status)
		status = finish(&res);
	report_free(res.report);
	profile_free(res.profile);
	cli_result_release(&res.common);
	capture_funcs_free(res.capture);
	return status;
}

static int funcs_main(int argc, char **argv)
{
	struct options o = { .max_funcs = DEFAULT_MAX_FUNCS, .max_overhead = DEFAULT_MAX_OVERHEAD };
	const struct cli_option rows[] = {
		{ 0, "stacks", CLI_FLAG, .flag = &o.capture.stacks },
		{ 0, "arg", CLI_CALL, .object = &o, .call = call_arg },
		{ 0, "alloc", CLI_FLAG, .flag = &o.capture.allocs },
		{ 0, "entries", CLI_FLAG, .flag = &o.capture.entries },
		{ 0, "force-returns", CLI_FLAG, .flag = &o.capture.force_returns },
		{ 0, "max-funcs", CLI_NUMBER, .number = &o.max_funcs, .min = 1, .max = 1000000,
		  .wants = "a number of functions from 1 to 1000000" },
		{ 0, "max-overhead", CLI_PERCENT, .percent = &o.max_overhead, .max = 1000000 },
		{ 0, "force", CLI_FLAG, .flag = &o.force },
		{ 0, "per-thread", CLI_FLAG, .flag = &o.per_thread },
	};
	const struct cli_spec spec = {
		.usage = usage_text,
		.groups = (CLI_CAPTURE & ~(CLI_STACKS | CLI_DURATION)) | CLI_INTERVAL,
		.options = rows,
		.nr_options = ARRAY_SIZE(rows),
		.formats = formats,
		.common = &o.common,
		.check = check,
		.run = run,
		.arg = &o,
	};
	int status = cli_main(&spec, argc, argv);

	free(o.functions);
	return status;
}

const struct command cmd_funcs = {
	.name = "funcs",
	.summary = "calls of functions by name: counted, timed, with callers and arguments",
	.main = funcs_main,
};
