/* SPDX-License-Identifier: MIT */
/* periscope cpu: where a process's CPU time goes, by sampled stacks. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "lib/capture_cpu.h"
#include "lib/cli.h"
#include "lib/cli_capture.h"
#include "lib/libbpf_log.h"
#include "lib/process.h"
#include "lib/stack_profile.h"
#include "lib/summary.h"
#include "lib/util.h"
#include "lib/write_folded.h"
#include "lib/write_text.h"
#include "periscope.h"

#define DEFAULT_HZ 99

static const char usage_text[] =
	"usage: periscope cpu (-p PID[,PID...] | -n NAME | -- CMD [ARGS...]) [options] [DURATION]\n"
	"\n"
	"Samples what the threads of a process are doing while they run, with complete stacks,\n"
	"and reports where the CPU time goes. DURATION: 10, 10s, 500ms, 2m; without one, until\n"
	"the process exits or Ctrl-C.\n"
	"\n"
	"target:\n"
	"  -p PID,...        processes by PID\n"
	"  -n NAME           all processes of that name\n"
	"  -- CMD ARGS...    start a command and watch it from its first instruction; it ends\n"
	"                    with the capture\n"
	"  --tid TID,...     only these threads\n"
	"  --children        its child processes, too, those of now and those to come\n"
	"\n"
	"sampling:\n"
	"  -F HZ             samples a second and CPU (default 99)\n"
	"  --event EVENT     cpu-clock (a timer) or cycles (hardware; default where there is one)\n"
	"  -U, -K            only user stacks, only kernel stacks\n"
	"\n"
	"output (without -o and -f: a report on stdout):\n"
	"  -f                folded stacks on stdout\n"
	"  -o FILE           .pb.gz (pprof), .folded, .svg (flame graph), .speedscope.json,\n"
	"                    .txt (report); may be given several times\n"
	"  --format NAME     pprof, folded, svg, speedscope or text, whatever the file is called\n"
	"  --per-thread      one root for each thread in folded stacks and pictures\n"
	"  --top N           rows of the report's tables (default 20)\n"
	"  --stats FILE      the summary as JSON\n"
	"  -v                what was loaded, and the addresses where walks failed\n"
	"  -V, -h            version, this help\n"
	"\n"
	"The last line on stderr sums up: samples taken, stacks that reach the outermost frame\n"
	"(complete), samples lost. Exit status: 0 done, 1 could not, 2 usage.\n"
	"\n"
	"examples:\n"
	"  periscope cpu -p 1234 10                      a report of the next 10 seconds\n"
	"  periscope cpu -n nginx 30 -o cpu.svg          a flame graph of all nginx processes\n"
	"  periscope cpu -p 1234 -F 999 5 -o cpu.pb.gz   for go tool pprof\n"
	"  periscope cpu -p 1234 10 -f | grep sqlite     folded stacks into a pipe\n"
	"  periscope cpu --children -- make -j2          a build, with all it starts\n";

struct options {
	struct cli_target target;
	struct cli_outputs outputs;
	uint64_t duration_ns;
	uint64_t frequency;
	enum cpu_event event;
	bool user_only, kernel_only, folded, per_thread, verbose, done;
	const char *format, *stats;
	uint64_t top;
};

enum { OPT_TID = 256, OPT_CHILDREN, OPT_EVENT, OPT_FORMAT, OPT_PER_THREAD, OPT_TOP, OPT_STATS };

static const struct option long_options[] = {
	{ "tid", required_argument, NULL, OPT_TID },
	{ "children", no_argument, NULL, OPT_CHILDREN },
	{ "event", required_argument, NULL, OPT_EVENT },
	{ "format", required_argument, NULL, OPT_FORMAT },
	{ "per-thread", no_argument, NULL, OPT_PER_THREAD },
	{ "top", required_argument, NULL, OPT_TOP },
	{ "stats", required_argument, NULL, OPT_STATS },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int parse_event(struct options *o, const char *text)
{
	if (!strcmp(text, "cpu-clock"))
		o->event = CPU_EVENT_CLOCK;
	else if (!strcmp(text, "cycles"))
		o->event = CPU_EVENT_CYCLES;
	else
		return cli_usage("--event is cpu-clock or cycles, not '%s'", text);
	return 0;
}

static int parse_option(struct options *o, int opt)
{
	switch (opt) {
	case 'p':
		return cli_ids_parse(&o->target.pids, "-p", optarg);
	case OPT_TID:
		return cli_ids_parse(&o->target.tids, "--tid", optarg);
	case 'n':
		o->target.name = optarg;
		return 0;
	case OPT_CHILDREN:
		o->target.children = true;
		return 0;
	case 'F':
		if (parse_u64(optarg, 1, 1000000, &o->frequency))
			return cli_usage("-F wants a frequency in Hz from 1 to 1000000, not '%s'",
					 optarg);
		return 0;
	case OPT_EVENT:
		return parse_event(o, optarg);
	case 'U':
		o->user_only = true;
		return 0;
	case 'K':
		o->kernel_only = true;
		return 0;
	case 'f':
		o->folded = true;
		return 0;
	case 'o':
		return cli_outputs_add(&o->outputs, optarg);
	case OPT_FORMAT:
		o->format = optarg;
		return 0;
	case OPT_PER_THREAD:
		o->per_thread = true;
		return 0;
	case OPT_TOP:
		if (parse_u64(optarg, 1, 100000, &o->top))
			return cli_usage("--top wants a number of rows, not '%s'", optarg);
		return 0;
	case OPT_STATS:
		o->stats = optarg;
		return 0;
	case 'v':
		o->verbose = true;
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
		return CLI_USAGE;
	}
}

/* `--` begins the command; getopt would drop it without a word, so it is looked for first. */
static int split_command(struct options *o, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		o->target.command = argv + i + 1;
		return i;
	}
	return argc;
}

static int parse(struct options *o, int argc, char **argv)
{
	int opt, err = 0;

	argc = split_command(o, argc, argv);
	if (o->target.command && !o->target.command[0])
		return cli_usage("-- wants a command");
	opterr = 0;
	while (!err && !o->done &&
	       (opt = getopt_long(argc, argv, ":p:n:F:UKfo:vVh", long_options, NULL)) != -1) {
		if (opt == ':')
			return cli_usage("%s wants a value (see --help)", argv[optind - 1]);
		if (opt == '?')
			return cli_usage("unknown option '%s' (see --help)", argv[optind - 1]);
		err = parse_option(o, opt);
	}
	if (err || o->done)
		return err;
	if (o->user_only && o->kernel_only)
		return cli_usage("-U and -K exclude each other");
	err = cli_duration(&o->target, argc - optind, argv + optind, &o->duration_ns);
	if (!err)
		err = cli_outputs_choose(&o->outputs, o->format);
	return err ? err : cli_target_resolve(&o->target);
}

/* ---------------------------------------------------------------- the results ---- */

struct result {
	const struct options *o;
	struct capture_cpu *capture;
	struct cli_capture run;
	struct capture_cpu_stats st;
	struct profile *profile;
	struct summary summary;
	char *command;
	char pids[64];
	char host[64];
};

static const char *event_name(enum cpu_event e)
{
	return e == CPU_EVENT_CYCLES ? "cycles" : "cpu-clock";
}

static uint64_t total(const struct capture_cpu_stats *st)
{
	uint64_t n = 0;

	for (size_t i = 0; i < UNWIND_NR_ENDS; i++)
		n += st->by_end[i];
	return n;
}

static void fill_summary(struct result *res)
{
	const struct capture_cpu_stats *st = &res->st;
	struct summary *s = &res->summary;

	summary_u64(s, "samples", st->samples);
	if (!res->o->kernel_only)
		summary_u64(s, "complete", st->by_end[UNWIND_COMPLETE]);
	summary_u64(s, "lost", st->lost);
	for (size_t i = UNWIND_COMPLETE + 1; i < UNWIND_NR_ENDS; i++)
		if (st->by_end[i])
			summary_u64(s, unwind_end_name(i), st->by_end[i]);
	if (st->guessed)
		summary_u64(s, "by-frame-pointer", st->guessed);
	if (st->lost_events)
		summary_u64(s, "lost-events", st->lost_events);
	if (st->pauses)
		summary_u64(s, "pauses", st->pauses);
	summary_seconds(s, "seconds", res->run.ran_ns);
	summary_text(s, "event", event_name(capture_cpu_event(res->capture)));
	summary_u64(s, "hz", res->o->frequency);
	summary_u64(s, "processes", capture_cpu_target(res->capture)->nr_seen);
}

static int add_comments(struct result *res)
{
	char text[4096];
	int err;

	snprintf(text, sizeof(text), "command: %s", res->command);
	err = profile_comment(res->profile, text);
	snprintf(text, sizeof(text), "host: %s", res->host);
	if (!err)
		err = profile_comment(res->profile, text);
	for (size_t i = 0; i < res->summary.nr && !err; i++) {
		snprintf(text, sizeof(text), "%s: %s", res->summary.items[i].key,
			 res->summary.items[i].value);
		err = profile_comment(res->profile, text);
	}
	return err;
}

static int build_profile(struct result *res)
{
	int64_t period = 1000000000 / (int64_t)res->o->frequency;
	struct stack_profile_options so = {
		.weights = { 1, period },
		.per_thread = res->o->per_thread,
		.label_pid = capture_cpu_target(res->capture)->nr_seen > 1,
		.kernel = !res->o->user_only,
		.no_user = res->o->kernel_only,
	};
	struct profile *p = res->profile = profile_new();
	uint32_t type;
	int err;

	if (!p)
		return -errno;
	err = profile_type(p, "samples", "count", &type);
	if (!err)
		err = profile_type(p, "cpu", "nanoseconds", &type);
	if (err)
		return err;
	p->default_type = type;
	p->period_type = p->types[type];
	p->period = period;
	p->time_ns = res->run.started.tv_sec * INT64_C(1000000000) + res->run.started.tv_nsec;
	p->duration_ns = res->run.ran_ns;
	err = stack_profile_fill(p, capture_cpu_stacks(res->capture),
				 &capture_cpu_target(res->capture)->objects, &so);
	return err ? err : add_comments(res);
}

/* What the target was, for headers: taken before it can exit. */
static int describe_target(const struct options *o, struct result *res)
{
	struct process p;
	size_t len = 0;

	gethostname(res->host, sizeof(res->host) - 1);
	if (o->target.command) {
		res->command = cli_join(o->target.command);
		return res->command ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < o->target.pids.nr && len < sizeof(res->pids); i++)
		len += snprintf(res->pids + len, sizeof(res->pids) - len, "%s%d", i ? "," : "",
				o->target.pids.items[i]);
	if (process_init(&p, o->target.pids.items[0]))
		return 0;
	res->command = p.command;
	p.command = NULL;
	process_release(&p);
	return 0;
}

static size_t count_threads(const struct stacks *s)
{
	size_t n = 0;

	/* Few keys, or many of few threads: a quadratic look at the distinct ones is enough. */
	for (size_t i = 0; i < s->nr_counts; i++) {
		size_t j = i;

		while (j && s->counts[j - 1].key.tid != s->counts[i].key.tid)
			j--;
		n += !j;
	}
	return n;
}

static int write_results(struct result *res)
{
	const struct options *o = res->o;
	char samples[64], complete[64], rate[64], seconds[64], threads[64], lost[32];
	struct write_field fields[] = {
		{ "command", res->command }, { "pid", res->pids },     { "host", res->host },
		{ "threads", threads },	     { "duration", seconds },  { "rate", rate },
		{ "samples", samples },	     { "complete", complete }, { "lost", lost },
	};
	struct write_options w = WRITE_OPTIONS_DEFAULT;
	int status;

	snprintf(threads, sizeof(threads), "%zu seen running",
		 count_threads(capture_cpu_stacks(res->capture)));
	snprintf(seconds, sizeof(seconds), "%.2fs", (res->run.ran_ns) / 1e9);
	snprintf(rate, sizeof(rate), "%" PRIu64 " Hz %s", o->frequency,
		 event_name(capture_cpu_event(res->capture)));
	snprintf(samples, sizeof(samples), "%" PRIu64, res->st.samples);
	snprintf(complete, sizeof(complete), "%" PRIu64 " (%.2f%%)",
		 res->st.by_end[UNWIND_COMPLETE],
		 total(&res->st) ? 100.0 * res->st.by_end[UNWIND_COMPLETE] / total(&res->st) : 0.0);
	snprintf(lost, sizeof(lost), "%" PRIu64, res->st.lost);
	w.title = "CPU time by stack";
	w.fields = fields;
	w.nr_fields = ARRAY_SIZE(fields);
	w.top = o->top;
	status = cli_outputs_write((struct cli_outputs *)&o->outputs, res->profile, &w);
	if (!o->folded && o->outputs.nr)
		return status;
	w.width = cli_width(STDOUT_FILENO);
	w.color = cli_color(STDOUT_FILENO);
	return cli_stdout(o->folded ? write_folded : write_text, res->profile, &w) | status;
}

static void report_failures(const struct result *res)
{
	const struct target *t = capture_cpu_target(res->capture);
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	fprintf(stderr, "objects: %zu, unwind tables: %.1f KB, peak memory: %ld MB\n",
		t->objects.nr, t->objects.table_bytes / 1024.0, ru.ru_maxrss / 1024);
	for (size_t i = 0; i < t->objects.nr; i++) {
		const struct object *obj = t->objects.items[i];

		fprintf(stderr, "  %s: ", obj->path);
		if (obj->err)
			fprintf(stderr, "cannot be read: %s\n", strerror(-obj->err));
		else if (obj->table_err)
			fprintf(stderr, "no unwind table: %s\n", strerror(-obj->table_err));
		else
			fprintf(stderr,
				"%u rows, %zu that cannot be expressed, %zu damaged entries\n",
				obj->nr_rows, obj->nr_unsupported, obj->nr_bad);
	}
	stack_failures_print(capture_cpu_stacks(res->capture), &t->objects, stderr);
}

static int finish(struct result *res)
{
	int status, err;

	capture_cpu_stats(res->capture, &res->st);
	fill_summary(res);
	err = build_profile(res);
	if (err)
		return cli_fail("cannot build the profile: %s", strerror(-err));
	status = write_results(res);
	if (res->o->verbose)
		report_failures(res);
	if (res->run.target_exited && !res->o->target.command)
		fprintf(stderr, "the target has exited; this is what was seen of it\n");
	if (!status && res->o->stats)
		status = summary_write_json(&res->summary, res->o->stats);
	summary_print(&res->summary, stderr);
	return status;
}

static int run(const struct options *o)
{
	struct capture_cpu_options co = {
		.frequency = o->frequency,
		.event = o->event,
		.user = !o->kernel_only,
		.kernel = !o->user_only,
		.children = o->target.children,
		.tids = o->target.tids.items,
		.nr_tids = o->target.tids.nr,
		.only = o->target.pids.nr == 1 && !o->target.children ? o->target.pids.items[0] : 0,
	};
	struct result res = { .o = o };
	int status;

	res.capture = capture_cpu_new(&co);
	if (!res.capture)
		return cli_fail("%s", capture_cpu_ops.error(NULL));
	res.run = (struct cli_capture){
		.ops = &capture_cpu_ops,
		.capture = res.capture,
		.target = &o->target,
		.duration_ns = o->duration_ns,
	};
	status = describe_target(o, &res) ? cli_fail("out of memory") : cli_capture_run(&res.run);
	if (res.run.command_pid)
		snprintf(res.pids, sizeof(res.pids), "%d", res.run.command_pid);
	if (!status)
		status = finish(&res);
	profile_free(res.profile);
	summary_release(&res.summary);
	free(res.command);
	capture_cpu_free(res.capture);
	return status;
}

static int cpu_main(int argc, char **argv)
{
	struct options o = { .frequency = DEFAULT_HZ };
	int status = parse(&o, argc, argv);

	libbpf_log_init(o.verbose);
	if (!status && !o.done)
		status = cli_outputs_open(&o.outputs);
	if (!status && !o.done)
		status = run(&o);
	cli_outputs_release(&o.outputs);
	cli_target_release(&o.target);
	return status;
}

const struct command cmd_cpu = {
	.name = "cpu",
	.summary = "where CPU time goes: sampled stacks, complete, of a live process",
	.main = cpu_main,
};
