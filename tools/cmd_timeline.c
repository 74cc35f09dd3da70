/* SPDX-License-Identifier: MIT */
/* periscope timeline: what the threads of a process did, event by event. */
#include "cmd_timeline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "lib/cli_result.h"
#include "lib/cli_trace.h"
#include "lib/timeline_profile.h"
#include "lib/util.h"
#include "lib/write_heaptrack.h"
#include "periscope.h"

#define DEFAULT_HZ	     99
#define DEFAULT_SECONDS	     10
#define DEFAULT_FUNCTIONS    1000
#define DEFAULT_AFTER_NS     500000000ULL
#define DEFAULT_COOLDOWN_NS  10000000000ULL
#define DEFAULT_KEEP	     10
#define DEFAULT_MAX_OVERHEAD 10

static const char usage_text[] =
	"usage: periscope timeline (-p PID[,PID...] | -n NAME | -- CMD [ARGS...]) [options] [DURATION]\n"
	"       periscope timeline -p PID --flight SIZE,TIME [--trigger CONDITION]... [options]\n"
	"       periscope timeline --dump [-p PID]\n"
	"       periscope timeline --limits SIZE,TIME [-p PID]\n"
	"\n"
	"Records what the threads of a process do, event by event: when they run, wait and why, who\n"
	"wakes them, system calls, page faults, block I/O, signals, CPU samples, the requests of a\n"
	"server that has probes for them. DURATION: 10, 10s, 500ms, 2m; without one, 10 s.\n"
	"\n"
	"target:\n" CLI_HELP_TARGET "\n"
	"what is recorded:\n"
	"  --events LIST     of sched, syscalls, faults, io, signals; all unless given\n"
	"  -F HZ             CPU samples a second and CPU (default 99; 0: none)\n"
	"  --func GLOB       calls of functions, as `handle_*` or `libc:fsync`; may be repeated\n"
	"  --usdt PATTERN    USDT probes, as `postgresql:query*`; may be repeated. Pairs like\n"
	"                    x__start and x__done become spans\n"
	"  --max-funcs N     more functions than that are refused (default 1000)\n"
	"  --alloc           count allocations and their bytes, by thread and request, and what of\n"
	"                    them is in use: costs three hits of probes for each block\n"
	"  --max-overhead P  leave the frees of --alloc out, or refuse it and --func, if they make the\n"
	"                    process's work take more than so many per cent longer (default 10)\n"
	"  --force           cost what it may\n"
	"  --no-stacks       no stacks where threads begin to wait\n"
	"  --request BEGIN END, --run PROBE, --pause PROBE, --force-returns   what a request is,\n"
	"                    as periscope requests has it. coworkingd's and PostgreSQL's are known\n"
	"  --only CONDITION  all events only while a request is open for which it holds:\n"
	"                    latency>20ms, status>=500, or 1/N for every Nth; of all other requests\n"
	"                    begin, end and sums. May be repeated: any of them\n"
	"\n"
	"output (without -o: a summary on stdout):\n"
	"  -o FILE           .periscope (the trace itself, for periscope convert), .html (a page to\n"
	"                    look at it, offline), .pftrace (Perfetto), .json (Chrome), .txt (the\n"
	"                    summary and tables); may be given several times\n" CLI_HELP_TOP "\n"
	"the flight recorder, which keeps the last SIZE or TIME in memory, whichever is less:\n"
	"  --flight SIZE,TIME   as 64MB,30s; runs until Ctrl-C, the target's\n"
	"                       end, or for DURATION\n"
	"  --trigger CONDITION  dump when latency>50ms, status>=500, blocked>100ms, runqueue>20ms,\n"
	"                       rss>512MB, signal, exit, oom, 'provider:probe(arg2>=500)' or\n"
	"                       'function(arg1==0)'; may be repeated\n"
	"  --before TIME, --after TIME   of the trigger, in its dump (all; 500ms)\n"
	"  --cooldown TIME      from a dump to the next trigger that counts (10s)\n"
	"  --keep N             dumps that stay, older ones are removed (10; 0: all)\n"
	"  --disk SIZE          that all dumps together may take; older ones are removed first\n"
	"  -o DIR               where dumps are written (the current directory)\n"
	"  --dump               tell the recorder of -p, or all, to dump now; prints the file's name.\n"
	"                       So does SIGUSR2, and coworkingd's GET /trace\n"
	"  --limits SIZE,TIME   other limits for a running recorder\n"
	"\n" CLI_HELP_STATS
	"  -v                what was loaded, and the addresses where walks failed\n" CLI_HELP_VERSION
	"\n"
	"The last line on stderr sums up: events recorded, events lost (which are marked in the\n"
	"trace where they are missing). Exit status: 0 done, 1 could not, 2 usage.\n"
	"\n"
	"examples:\n"
	"  periscope timeline -p 1234 5                          a summary of 5 seconds\n"
	"  periscope timeline -p 1234 5 -o t.pftrace             for ui.perfetto.dev\n"
	"  periscope timeline -p 1234 1h -o long.periscope       streams to the file\n"
	"  periscope timeline -p 1234 --func 'handle_*' 5 -o t.json\n"
	"  periscope timeline -p 1234 --flight 64MB,30s --trigger 'latency>50ms' -o /var/tmp\n";

/* ---------------------------------------------------------------- options ---- */

static const struct {
	const char *name;
	unsigned int group;
} groups[] = {
	{ "sched", TIMELINE_GROUP_SCHED },     { "syscalls", TIMELINE_GROUP_SYSCALLS },
	{ "faults", TIMELINE_GROUP_FAULTS },   { "io", TIMELINE_GROUP_IO },
	{ "signals", TIMELINE_GROUP_SIGNALS },
};

static int parse_groups(const struct timeline_options *o, unsigned int *ret)
{
	unsigned int all = 0, chosen = 0;

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		all |= groups[i].group;
	for (size_t i = 0; i < o->events.nr; i++) {
		const char *at = o->events.items[i];

		while (*at) {
			size_t len = strcspn(at, ","), j = 0;

			while (j < ARRAY_SIZE(groups) &&
			       (strlen(groups[j].name) != len || strncmp(groups[j].name, at, len)))
				j++;
			if (j == ARRAY_SIZE(groups))
				return cli_usage("--events knows sched, syscalls, faults, io and "
						 "signals, not '%.*s'",
						 (int)len, at);
			chosen |= groups[j].group;
			at += len + (at[len] == ',');
		}
	}
	*ret = o->events.nr ? chosen : all;
	return 0;
}

/* What --alloc and --func will cost, before they do. */
static void tell(void *arg, const struct probe_budget_verdict *v)
{
	const struct timeline_options *o = arg;
	const char *about = v->at_least ? "at least" : "about";

	if (v->narrowed)
		fprintf(stderr,
			"%.0f calls a second: with the frees its work would take %s %.0f%% longer "
			"(--max-overhead %.0f%%, --force): allocations are counted, what is in use "
			"is not known; its work will take about %.0f%% longer\n",
			v->calls_per_s, about, v->asked, o->max_overhead, v->done);
	else
		fprintf(stderr, "%.0f calls a second: its work will take %s %.0f%% longer\n",
			v->calls_per_s, about, v->done);
}

void timeline_engine_options(struct timeline_options *o, struct capture_timeline_options *ret)
{
	const struct cli_target *t = &o->common.target;

	*ret = (struct capture_timeline_options){
		.watch = {
			.children = t->children,
			.only = t->pids.nr == 1 && !t->children ? t->pids.items[0] : 0,
			.tids = t->tids.items,
			.nr_tids = t->tids.nr,
		},
		.frequency = o->hz,
		.wait_stacks = !o->no_stacks,
		.requests = true,
		.points = o->request.points,
		.force_returns = o->force_returns,
		.allocs = o->allocs,
		.usdt = o->usdt.items,
		.nr_usdt = o->usdt.nr,
		.functions = o->functions.items,
		.nr_functions = o->functions.nr,
		.wishes = o->wishes,
		.nr_wishes = o->nr_wishes,
		.max_functions = o->max_functions,
		.max_overhead = o->force ? 0 : o->max_overhead,
		.tell = tell,
		.tell_arg = o,
		.only = o->only,
	};
	o->request.points = (struct request_points){ 0 }; /* the capture's now */
	parse_groups(o, &ret->groups);
}

static int parse_only(struct timeline_options *o)
{
	size_t n = o->only_texts.nr;
	const char *why;

	if (!n)
		return 0;
	o->only_items = calloc(n, sizeof(*o->only_items));
	if (!o->only_items)
		return cli_fail("out of memory");
	for (size_t i = 0; i < n; i++)
		if (only_parse(o->only_texts.items[i], &o->only_items[i], &why))
			return cli_usage("--only '%s' %s", o->only_texts.items[i], why);
	o->only = only_new(o->only_items, n);
	return o->only ? 0 : cli_fail("out of memory");
}

static int check(void *arg)
{
	struct timeline_options *o = arg;
	unsigned int chosen;
	int status = parse_groups(o, &chosen);

	if (!status)
		status = cli_request_check(&o->request);
	if (!status)
		status = parse_only(o);
	if (status)
		return status;
	if (o->dump && o->limits)
		return cli_usage("--dump and --limits exclude each other");
	if ((o->dump || o->limits) && o->flight)
		return cli_usage("--dump and --limits speak to a recorder that runs already");
	if (!o->flight && o->trigger_texts.nr)
		return cli_usage("--trigger is for --flight");
	if (o->flight) {
		if (o->outputs.nr > 1)
			return cli_usage("--flight writes to one folder, -o DIR");
		status = timeline_parse_flight("--flight", o->flight, &o->flight_bytes,
					       &o->flight_ns);
		if (!status)
			status = timeline_parse_triggers(o);
		return status;
	}
	if (!o->common.duration_ns && !o->common.target.command)
		o->common.duration_ns = DEFAULT_SECONDS * UINT64_C(1000000000);
	return 0;
}

/* ---------------------------------------------------------------- recording ---- */

void timeline_summary(struct cli_result *res, struct capture_timeline *c,
		      const struct timeline_options *o)
{
	struct summary *s = &res->summary;
	struct capture_timeline_stats st;
	struct only_stats kept;

	capture_timeline_stats(c, &st);
	summary_u64(s, "events", st.events);
	if (o->only) {
		only_stats(o->only, &kept);
		summary_u64(s, "left-out", st.left_out);
		summary_u64(s, "requests", kept.requests);
		summary_u64(s, "whole", kept.whole);
		if (kept.late)
			summary_u64(s, "late", kept.late);
		if (kept.cut)
			summary_u64(s, "cut", kept.cut);
	}
	summary_u64(s, "lost", st.lost);
	if (st.losses)
		summary_u64(s, "losses", st.losses);
	summary_u64(s, "stacks", st.stacks);
	summary_u64(s, "complete", st.by_end[UNWIND_COMPLETE]);
	for (size_t i = UNWIND_COMPLETE + 1; i < UNWIND_NR_ENDS; i++)
		if (st.by_end[i])
			summary_u64(s, unwind_end_name(i), st.by_end[i]);
	if (st.no_stack)
		summary_u64(s, "no-stack", st.no_stack);
	if (st.unread)
		summary_u64(s, "unreadable-arguments", st.unread);
	if (st.bad)
		summary_u64(s, "bad", st.bad);
	if (st.lost_events)
		summary_u64(s, "lost-events", st.lost_events);
	if (st.probes)
		summary_u64(s, "probes", st.probes);
	if (st.functions)
		summary_u64(s, "functions", st.functions);
	if (st.entry_only)
		summary_u64(s, "entry-only", st.entry_only);
	if (st.allocators)
		summary_u64(s, "allocs", st.allocs);
	if (st.allocs_missing)
		summary_u64(s, "lost-allocs", st.allocs_missing);
	if (st.untracked)
		summary_u64(s, "untracked-blocks", st.untracked);
	if (st.refused) {
		summary_u64(s, "refused", st.refused);
		fprintf(stderr, "%zu sites could not be probed: %s\n", st.refused, st.refused_why);
	}
}

void timeline_infos(struct capture_timeline *c, const struct timeline_options *o)
{
	char text[64];
	struct utsname u;

	if (!uname(&u)) {
		capture_timeline_info(c, "host", u.nodename);
		capture_timeline_info(c, "kernel", u.release);
		capture_timeline_info(c, "machine", u.machine);
	}
	capture_timeline_info(c, "periscope", PERISCOPE_VERSION);
	snprintf(text, sizeof(text), "%" PRIu64, o->hz);
	capture_timeline_info(c, "hz", text);
	if (o->flight)
		capture_timeline_info(c, "flight", o->flight);
	for (size_t i = 0; i < o->only_texts.nr; i++)
		capture_timeline_info(c, "only", o->only_texts.items[i]);
}

static uint64_t realtime_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

static bool is_trace(const char *path)
{
	static const char ending[] = ".periscope";
	size_t len = strlen(path);

	return len >= sizeof(ending) && !strcmp(path + len - (sizeof(ending) - 1), ending);
}

static int capture(struct timeline_options *o, struct capture_timeline *c,
		   struct trace_chunks *file)
{
	struct cli_result res = { 0 };
	int status;

	if (capture_timeline_open(c, file))
		return cli_fail("%s", capture_timeline_ops.error(c));
	timeline_infos(c, o);
	status = cli_result_capture(&res, &o->common, &capture_timeline_ops, c);
	if (!status) {
		fputs(capture_timeline_notes(c), stderr);
		timeline_summary(&res, c, o);
		summary_u64(&res.summary, "bytes", trace_file_bytes(file));
		if (o->common.verbose)
			cli_result_print_objects(capture_timeline_target(c),
						 capture_timeline_stacks(c));
		status = cli_result_end(&res, status);
	}
	cli_result_release(&res);
	return status;
}

/*
 * Record into a file, which is there from the first moment on, so that a kill leaves what was
 * recorded; but not if it cannot be begun.
 */
static int record(struct timeline_options *o, const char *path)
{
	struct capture_timeline_options co;
	struct capture_timeline *c;
	struct trace_chunks *file;
	uint64_t start, end;
	int status, err;

	timeline_engine_options(o, &co);
	c = capture_timeline_new(&co);
	if (!c)
		return cli_fail("%s", capture_timeline_ops.error(NULL));
	err = trace_file_create(path, now_ns(), realtime_ns(), &file);
	if (err) {
		capture_timeline_free(c);
		return cli_fail("cannot write '%s': %s", path, strerror(-err));
	}
	status = capture(o, c, file);
	capture_timeline_span(c, &start, &end);
	capture_timeline_free(c);
	err = trace_file_close(file);
	if (err && !status)
		status = cli_fail("cannot write '%s': %s", path, strerror(-err));
	if (!start)
		unlink(path);
	return status;
}

/* Of -o the trace itself; the rest is made from it. */
static int sort_outputs(struct timeline_options *o)
{
	int status = 0;

	for (size_t i = 0; i < o->outputs.nr && !status; i++) {
		const char *path = o->outputs.items[i];

		if (!is_trace(path))
			status = cli_outputs_add(&o->common.outputs, path);
		else if (o->trace)
			status = cli_usage("one .periscope file at a time, not '%s' and '%s'",
					   o->trace, path);
		else
			o->trace = path;
	}
	o->common.outputs.formats = timeline_formats;
	if (!status)
		status = cli_outputs_choose(&o->common.outputs, NULL);
	for (size_t i = 0; i < o->common.outputs.nr && !status; i++)
		if (o->common.outputs.items[i].format->write_timeline == write_heaptrack)
			status = cli_usage("a timeline is not made into '%s': that is of "
					   "periscope heap --record",
					   o->common.outputs.items[i].path);
	return status;
}

/* A place for a trace that nobody asked to keep. Returns an exit status. */
static int temporary(char *path, size_t size)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	snprintf(path, size, "%s/periscope.XXXXXX", dir && *dir ? dir : "/var/tmp");
	fd = mkstemp(path);
	if (fd < 0)
		return cli_fail("cannot write '%s': %s (TMPDIR says where)", path, strerror(errno));
	close(fd);
	return 0;
}

static int convert(const struct timeline_options *o, const char *path)
{
	struct cli_trace trace = {
		.path = path,
		.profile = TIMELINE_CPU,
		.top = (unsigned int)o->common.top,
	};
	int status = cli_trace_open(&trace);

	if (!status && o->common.outputs.nr)
		status = cli_trace_write(&trace, (struct cli_outputs *)&o->common.outputs);
	else if (!status)
		status = cli_trace_stdout(&trace, "text");
	cli_trace_close(&trace);
	return status;
}

static int record_and_convert(struct timeline_options *o)
{
	char made[4096] = "";
	int status = sort_outputs(o);

	if (!status)
		status = cli_outputs_open(&o->common.outputs);
	if (!status && !o->trace)
		status = temporary(made, sizeof(made));
	if (!status)
		status = record(o, o->trace ? o->trace : made);
	if (!status && (o->common.outputs.nr || !o->trace))
		status = convert(o, o->trace ? o->trace : made);
	if (*made)
		unlink(made);
	return status;
}

static int run(void *arg)
{
	struct timeline_options *o = arg;

	if (o->dump || o->limits)
		return timeline_speak(o);
	if (!o->common.target.pids.nr && !o->common.target.command)
		return cli_usage("which process? Give -p PID, -n NAME or -- CMD (see --help)");
	return o->flight ? timeline_fly(o) : record_and_convert(o);
}

static void release(struct timeline_options *o)
{
	for (size_t i = 0; i < o->nr_triggers; i++)
		trigger_release(&o->triggers[i]);
	free(o->triggers);
	free(o->wishes);
	only_free(o->only);
	free(o->only_items);
	free(o->only_texts.items);
	free(o->outputs.items);
	free(o->events.items);
	free(o->functions.items);
	free(o->usdt.items);
	free(o->trigger_texts.items);
	cli_request_release(&o->request);
}

static int timeline_main(int argc, char **argv)
{
	struct timeline_options o = {
		.hz = DEFAULT_HZ,
		.max_functions = DEFAULT_FUNCTIONS,
		.after_ns = DEFAULT_AFTER_NS,
		.cooldown_ns = DEFAULT_COOLDOWN_NS,
		.keep = DEFAULT_KEEP,
		.max_overhead = DEFAULT_MAX_OVERHEAD,
	};
	const struct cli_option rows[] = {
		{ 'o', NULL, CLI_STRINGS, .strings = &o.outputs },
		{ 'F', NULL, CLI_NUMBER, .number = &o.hz, .max = 1000000,
		  .wants = "a frequency in Hz from 0 to 1000000" },
		{ 0, "events", CLI_STRINGS, .strings = &o.events },
		{ 0, "func", CLI_STRINGS, .strings = &o.functions },
		{ 0, "usdt", CLI_STRINGS, .strings = &o.usdt },
		{ 0, "max-funcs", CLI_NUMBER, .number = &o.max_functions, .min = 1,
		  .max = TIMELINE_MAX_SITES },
		CLI_REQUEST_OPTIONS(&o.request),
		{ 0, "force-returns", CLI_FLAG, .flag = &o.force_returns },
		{ 0, "alloc", CLI_FLAG, .flag = &o.allocs },
		{ 0, "max-overhead", CLI_PERCENT, .percent = &o.max_overhead, .max = 1000000 },
		{ 0, "force", CLI_FLAG, .flag = &o.force },
		{ 0, "no-stacks", CLI_FLAG, .flag = &o.no_stacks },
		{ 0, "only", CLI_STRINGS, .strings = &o.only_texts },
		{ 0, "flight", CLI_STRING, .string = &o.flight },
		{ 0, "trigger", CLI_STRINGS, .strings = &o.trigger_texts },
		{ 0, "before", CLI_TIME, .number = &o.before_ns },
		{ 0, "after", CLI_TIME, .number = &o.after_ns },
		{ 0, "cooldown", CLI_TIME, .number = &o.cooldown_ns },
		{ 0, "keep", CLI_NUMBER, .number = &o.keep, .max = 1000000 },
		{ 0, "disk", CLI_SIZE, .number = &o.disk },
		{ 0, "dump", CLI_FLAG, .flag = &o.dump },
		{ 0, "limits", CLI_STRING, .string = &o.limits },
	};
	const struct cli_spec spec = {
		.usage = usage_text,
		.groups = CLI_TARGET | CLI_MAY_TARGET | CLI_COMMAND | CLI_DURATION | CLI_TOP |
			  CLI_STATS | CLI_VERBOSE,
		.options = rows,
		.nr_options = ARRAY_SIZE(rows),
		.common = &o.common,
		.check = check,
		.run = run,
		.arg = &o,
	};
	char **args = cli_request_split(argc, argv, &argc);
	int status = args ? cli_main(&spec, argc, args) : cli_fail("out of memory");

	release(&o);
	free(args);
	return status;
}

const struct command cmd_timeline = {
	.name = "timeline",
	.summary = "what its threads did, event by event; a flight recorder",
	.main = timeline_main,
};
