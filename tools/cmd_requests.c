/* SPDX-License-Identifier: MIT */
/* periscope requests: what becomes of each request of a server, by route. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/capture_requests.h"
#include "lib/cli_live.h"
#include "lib/cli_options.h"
#include "lib/cli_request.h"
#include "lib/cli_result.h"
#include "lib/formats.h"
#include "lib/request_report.h"
#include "lib/util.h"
#include "lib/write_folded.h"
#include "lib/write_pprof.h"
#include "lib/write_report.h"
#include "lib/write_svg.h"
#include "periscope.h"

#define DEFAULT_SLOWEST	     10
#define DEFAULT_MAX_OVERHEAD 10 /* per cent, of --alloc */

static const char usage_text[] =
	"usage: periscope requests (-p PID[,PID...] | -n NAME | -- CMD [ARGS...]) [options]\n"
	"                          [DURATION]\n"
	"\n"
	"Follows each request of a server by its probes, from the outside: how many of each route,\n"
	"how long they took, where the time went (on CPU, runnable, blocked and why, in queues,\n"
	"behind the loop) and what it was spent on. coworkingd's and PostgreSQL's probes are\n"
	"known (its statements, simple, prepared or in pipelines, by their text); for other\n"
	"programs, name what begins and ends a request.\n"
	"\n"
	"target:\n"
	"  -p PID,...        processes by PID\n"
	"  -n NAME           all processes of that name\n"
	"  -- CMD ARGS...    start a command and watch it from its first instruction; it ends\n"
	"                    with the capture\n"
	"  --children        its child processes, too, those of now and those to come\n"
	"\n"
	"what a request is:\n"
	"  --request BEGIN END   USDT probes, `provider:probe`, or functions, `function` or\n"
	"                    `library:function`. (arg1) behind one says which argument is the\n"
	"                    request's id, without it the thread is; (arg1, arg2:str) gives it a\n"
	"                    name, `int` for a number; (arg1, arg3:status) in END a status.\n"
	"                    END may be `return`, of the function that begins it, or `null`: when\n"
	"                    BEGIN has another name or NULL, as what sets a status has\n"
	"  --execute PROBE   before `null`: what was told last is executed; what never is has a row\n"
	"                    of its own\n"
	"  --run PROBE, --pause PROBE   a thread begins, and stops, to work on the request (arg1)\n"
	"  --force-returns   `return` although exceptions or coroutines may break it\n"
	"\n"
	"what is looked at:\n"
	"  --phases          also probes that only tell phases apart (authorization, JSON)\n"
	"  --alloc           count allocations and their bytes: each costs a probe's hit\n"
	"  --max-overhead P  refuse --alloc if it makes the process's work take more than so many per\n"
	"                    cent longer (default 10); found out first, in half a second\n"
	"  --force           cost what it may\n"
	"  --syscalls        count system calls; felt by every process of the machine\n"
	"  --slow TIME       the slowest that took that long, as waterfalls: 50ms\n"
	"  --status CODE     the slowest that ended so, as waterfalls: 500, 5xx\n"
	"  --slowest N       how many (default 10)\n"
	"\n"
	"output (without -o and -f: a report on stdout):\n"
	"  -i TIME           and every so often, the requests since the last time\n"
	"  -f                folded stacks on stdout: route;state, in microseconds\n"
	"  -o FILE           .json (tables), .txt (report), .folded, .svg (flame graph), .pb.gz\n"
	"                    (pprof); may be given several times\n"
	"  --format NAME     json, text, folded, svg or pprof, whatever the file is called\n"
	"  --top N           rows of the report's tables (default 20)\n"
	"  --stats FILE      the summary as JSON\n"
	"  -v                what is probed\n"
	"  -V, -h            version, this help\n"
	"\n"
	"The last line on stderr sums up: requests seen from beginning to end, those in flight at\n"
	"the start (no-start) and at the end (open), lost. Exit status: 0 done, 1 could not, 2 usage.\n"
	"\n"
	"examples:\n"
	"  periscope requests -n coworkingd 10            a report of the next 10 seconds\n"
	"  periscope requests -n coworkingd -i 1          a table that refreshes\n"
	"  periscope requests -n coworkingd --slow 50ms 60   what the slowest did, and where they waited\n"
	"  periscope requests -n postgres --children 10   PostgreSQL's statements, by their text\n"
	"  periscope requests -n nginx 10 --request 'ngx_http_process_request(arg1)' \\\n"
	"                                  'ngx_http_free_request(arg1)'\n";

struct options {
	struct cli_common common;
	struct cli_request request;
	bool phases, syscalls, allocs, force_returns, force;
	double max_overhead; /* per cent */
	uint64_t slow_ns, slowest;
	int64_t status_min, status_max;
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
	{ 0 },
};

/* ---------------------------------------------------------------- options ---- */

/* 404, or 5xx */
static int call_status(void *object, const char *option, const char *value)
{
	struct options *o = object;
	uint64_t n;

	if (strlen(value) == 3 && value[0] >= '1' && value[0] <= '5' && !strcmp(value + 1, "xx")) {
		o->status_min = 100 * (value[0] - '0');
		o->status_max = o->status_min + 99;
		return 0;
	}
	if (parse_u64(value, 1, INT64_MAX, &n))
		return cli_usage("%s wants a status, 404, or a class, 5xx, not '%s'", option,
				 value);
	o->status_min = o->status_max = (int64_t)n;
	return 0;
}

static int check(void *arg)
{
	struct options *o = arg;

	if (o->common.target.tids.nr)
		return cli_usage("--tid: a request may pass through any thread");
	if (o->common.interval_ns && o->common.folded)
		return cli_usage("-i prints tables and -f folded stacks, both on stdout");
	if (o->request.points.nr && o->phases)
		return cli_usage("--phases: only programs that are known tell their phases");
	return cli_request_check(&o->request);
}

/* ---------------------------------------------------------------- the results ---- */

struct result {
	struct options *o;
	struct capture_requests *capture;
	struct cli_result common;
	struct cli_live live;
	struct request_report report;
	struct profile *profile;
	char comm[16]; /* of the first process */
};

static int show_interval(void *arg, uint64_t past_ns)
{
	struct result *res = arg;
	struct write_options w = { .top = (unsigned int)res->o->common.top };
	struct request_report report = { 0 };
	struct request_table table;
	char title[64];
	int err, status = 0;

	err = capture_requests_interval(res->capture, &table);
	snprintf(title, sizeof(title), "Requests of the last %.1f s", (double)past_ns / 1e9);
	if (!err)
		err = request_report_init_table(
			&report, &table, capture_requests_points(res->capture), past_ns, title);
	if (!err)
		status = cli_live_show(&res->live, report.report, &w);
	request_report_release(&report);
	request_table_release(&table);
	return err ? cli_fail("cannot build the report: %s", strerror(-err)) : status;
}

static void fill_summary(struct summary *s, const struct capture_requests_stats *st,
			 const struct cli_result *common, const struct target *target)
{
	summary_u64(s, "requests", st->requests);
	summary_u64(s, "no-start", st->no_start);
	summary_u64(s, "open", st->open);
	summary_u64(s, "lost", st->lost);
	if (st->not_executed)
		summary_u64(s, "not-executed", st->not_executed);
	if (st->reused)
		summary_u64(s, "reused-ids", st->reused);
	if (st->thread_gone)
		summary_u64(s, "thread-exited", st->thread_gone);
	if (st->helpers)
		summary_u64(s, "helpers", st->helpers);
	if (st->lost_open)
		summary_u64(s, "lost-too-many-open", st->lost_open);
	if (st->lost_ring)
		summary_u64(s, "lost-records", st->lost_ring);
	if (st->lost_threads)
		summary_u64(s, "lost-threads", st->lost_threads);
	if (st->lost_details)
		summary_u64(s, "lost-details", st->lost_details);
	if (st->lost_statements)
		summary_u64(s, "lost-statements", st->lost_statements);
	if (st->lost_stacks)
		summary_u64(s, "lost-stacks", st->lost_stacks);
	if (st->lost_events)
		summary_u64(s, "lost-events", st->lost_events);
	if (st->bad_arguments)
		summary_u64(s, "unreadable-arguments", st->bad_arguments);
	if (st->stray_ends)
		summary_u64(s, "stray-returns", st->stray_ends);
	if (st->unreported)
		summary_u64(s, "unreported", st->unreported);
	if (st->unsettled)
		summary_u64(s, "unsettled", st->unsettled);
	if (st->inconsistent)
		summary_u64(s, "inconsistent", st->inconsistent);
	if (st->damaged)
		summary_u64(s, "damaged", st->damaged);
	summary_u64(s, "matched", st->matched);
	summary_u64(s, "hits", st->hits);
	summary_u64(s, "sites", st->sites);
	summary_seconds(s, "seconds", common->run.ran_ns);
	summary_u64(s, "processes", target->nr_seen);
}

static int build(struct result *res)
{
	struct profile *p = res->profile = profile_new();
	int err = p ? 0 : -errno;

	if (!err)
		err = request_report_init(&res->report, res->capture, res->common.run.ran_ns);
	if (!err)
		err = request_profile(p, capture_requests_table(res->capture), res->comm);
	if (!err)
		cli_result_times(&res->common, p);
	return err;
}

static int finish(struct result *res)
{
	struct write_options w = WRITE_OPTIONS_DEFAULT;
	struct capture_requests_stats st;
	struct write_model model;
	int status, err;

	capture_requests_stats(res->capture, &st);
	fill_summary(&res->common.summary, &st, &res->common,
		     capture_requests_target(res->capture));
	err = build(res);
	if (!err)
		err = fields_addf(&res->common.fields, "requests", "%" PRIu64, st.requests);
	if (!err)
		err = fields_addf(&res->common.fields, "lost", "%" PRIu64, st.lost);
	if (err)
		return cli_fail("cannot build the report: %s", strerror(-err));
	fputs(capture_requests_notes(res->capture), stderr);
	w.title = "Requests";
	model = (struct write_model){ .profile = res->profile, .report = res->report.report };
	status = cli_result_comments(&res->common, res->profile);
	if (!status)
		status = cli_result_write(&res->common, model, &w);
	return cli_result_end(&res->common, status);
}

/* What --alloc will cost, before it does. */
static void tell(void *arg, const struct probe_budget_verdict *v)
{
	(void)arg;
	fprintf(stderr, "%.0f allocations a second: its work will take %s %.0f%% longer\n",
		v->calls_per_s, v->at_least ? "at least" : "about", v->done);
}

static int run(void *arg)
{
	struct options *o = arg;
	const struct cli_target *t = &o->common.target;
	bool details = o->slow_ns || o->status_max;
	struct capture_requests_options co = {
		.points = o->request.points,
		.phases = o->phases,
		.syscalls = o->syscalls,
		.allocs = o->allocs,
		.force_returns = o->force_returns,
		.children = t->children,
		.only = t->pids.nr == 1 && !t->children ? t->pids.items[0] : 0,
		.nr_details = details ? o->slowest : 0,
		.slow_ns = o->slow_ns,
		.status_min = o->status_min,
		.status_max = o->status_max,
		.max_overhead = o->force ? 0 : o->max_overhead,
		.tell = tell,
	};
	struct result res = { .o = o };
	int status;

	cli_result_comm(t, res.comm);
	o->request.points = (struct request_points){ 0 }; /* the capture's now */
	res.capture = capture_requests_new(&co);
	if (!res.capture)
		return cli_fail("%s", capture_requests_ops.error(NULL));
	cli_live_init(&res.live, STDOUT_FILENO);
	res.common.run.on_interval = show_interval;
	res.common.run.interval_arg = &res;
	status = cli_result_capture(&res.common, &o->common, &capture_requests_ops, res.capture);
	cli_live_clear(&res.live);
	if (!status)
		status = finish(&res);
	request_report_release(&res.report);
	profile_free(res.profile);
	cli_result_release(&res.common);
	capture_requests_free(res.capture);
	return status;
}

static int requests_main(int argc, char **argv)
{
	struct options o = { .slowest = DEFAULT_SLOWEST, .max_overhead = DEFAULT_MAX_OVERHEAD };
	const struct cli_option rows[] = {
		CLI_REQUEST_OPTIONS(&o.request),
		{ 0, "force-returns", CLI_FLAG, .flag = &o.force_returns },
		{ 0, "phases", CLI_FLAG, .flag = &o.phases },
		{ 0, "syscalls", CLI_FLAG, .flag = &o.syscalls },
		{ 0, "alloc", CLI_FLAG, .flag = &o.allocs },
		{ 0, "max-overhead", CLI_PERCENT, .percent = &o.max_overhead, .max = 1000000 },
		{ 0, "force", CLI_FLAG, .flag = &o.force },
		{ 0, "slow", CLI_TIME, .number = &o.slow_ns, .min = 1 },
		{ 0, "status", CLI_CALL, .object = &o, .call = call_status },
		{ 0, "slowest", CLI_NUMBER, .number = &o.slowest, .min = 1, .max = 1000,
		  .wants = "a number from 1 to 1000" },
	};
	const struct cli_spec spec = {
		.usage = usage_text,
		.groups = (CLI_CAPTURE & ~CLI_STACKS) | CLI_INTERVAL,
		.options = rows,
		.nr_options = ARRAY_SIZE(rows),
		.formats = formats,
		.common = &o.common,
		.check = check,
		.run = run,
		.arg = &o,
	};
	char **args = cli_request_split(argc, argv, &argc);
	int status = args ? cli_main(&spec, argc, args) : cli_fail("out of memory");

	cli_request_release(&o.request);
	free(args);
	return status;
}

const struct command cmd_requests = {
	.name = "requests",
	.summary = "what becomes of each request: latency by route, and where its time goes",
	.main = requests_main,
};
