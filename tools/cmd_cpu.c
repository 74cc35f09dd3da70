/* SPDX-License-Identifier: MIT */
/* periscope cpu: where a process's CPU time goes, by sampled stacks. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/capture_cpu.h"
#include "lib/cli_result.h"
#include "lib/stack_profile.h"
#include "lib/util.h"
#include "periscope.h"

#define DEFAULT_HZ 99

static const char usage_text[] =
	"usage: periscope cpu (-p PID[,PID...] | -n NAME | -- CMD [ARGS...]) [options] [DURATION]\n"
	"\n"
	"Samples what the threads of a process are doing while they run, with complete stacks,\n"
	"and reports where the CPU time goes. DURATION: 10, 10s, 500ms, 2m; without one, until\n"
	"the process exits or Ctrl-C.\n"
	"\n"
	"target:\n" CLI_HELP_TARGET "\n"
	"sampling:\n"
	"  -F HZ             samples a second and CPU (default 99)\n"
	"  --event EVENT     cpu-clock (a timer) or cycles (hardware; default where there is one)\n" CLI_HELP_STACKS
	"\n"
	"output (without -o and -f: a report on stdout):\n"
	"  -f                folded stacks on stdout\n"
	"  -o FILE           .pb.gz (pprof), .folded, .svg (flame graph), .speedscope.json,\n"
	"                    .txt (report); may be given several times\n"
	"  --format NAME     pprof, folded, svg, speedscope or text, whatever the file is called\n"
	"  --per-thread      one root for each thread in folded stacks and pictures\n" CLI_HELP_TOP
		CLI_HELP_STATS
	"  -v                what was loaded, and the addresses where walks failed\n" CLI_HELP_VERSION
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
	struct cli_common common;
	uint64_t frequency;
	unsigned int event; /* enum cpu_event */
	bool per_thread;
};

static const struct cli_choice events[] = {
	{ "cpu-clock", CPU_EVENT_CLOCK },
	{ "cycles", CPU_EVENT_CYCLES },
	{ 0 },
};

/* ---------------------------------------------------------------- the results ---- */

struct result {
	const struct options *o;
	struct capture_cpu *capture;
	struct cli_result common;
	struct capture_cpu_stats st;
	struct profile *profile;
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
	struct summary *s = &res->common.summary;

	summary_u64(s, "samples", st->samples);
	if (!res->o->common.kernel_only)
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
	summary_seconds(s, "seconds", res->common.run.ran_ns);
	summary_text(s, "event", event_name(capture_cpu_event(res->capture)));
	summary_u64(s, "hz", res->o->frequency);
	summary_u64(s, "processes", capture_cpu_target(res->capture)->nr_seen);
}

static int build_profile(struct result *res)
{
	int64_t period = 1000000000 / (int64_t)res->o->frequency;
	struct stack_profile_options so = {
		.weights = { 1, period },
		.per_thread = res->o->per_thread,
		.label_pid = capture_cpu_target(res->capture)->nr_seen > 1,
		.kernel = !res->o->common.user_only,
		.no_user = res->o->common.kernel_only,
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
	cli_result_times(&res->common, p);
	return stack_profile_fill(p, capture_cpu_stacks(res->capture),
				  &capture_cpu_target(res->capture)->objects, &so);
}

static int add_fields(struct result *res)
{
	uint64_t complete = res->st.by_end[UNWIND_COMPLETE], all = total(&res->st);
	struct fields *f = &res->common.fields;
	size_t threads;
	int err;

	err = stacks_threads(capture_cpu_stacks(res->capture), &threads);
	if (!err)
		err = fields_addf(f, "threads", "%zu seen running", threads);
	if (!err)
		err = fields_addf(f, "rate", "%" PRIu64 " Hz %s", res->o->frequency,
				  event_name(capture_cpu_event(res->capture)));
	if (!err)
		err = fields_addf(f, "samples", "%" PRIu64, res->st.samples);
	if (!err)
		err = fields_addf(f, "complete", "%" PRIu64 " (%.2f%%)", complete,
				  all ? 100.0 * (double)complete / (double)all : 0.0);
	if (!err)
		err = fields_addf(f, "lost", "%" PRIu64, res->st.lost);
	return err;
}

static int finish(struct result *res)
{
	struct write_options w = WRITE_OPTIONS_DEFAULT;
	int status, err;

	capture_cpu_stats(res->capture, &res->st);
	fill_summary(res);
	err = build_profile(res);
	if (!err)
		err = add_fields(res);
	if (err)
		return cli_fail("cannot build the profile: %s", strerror(-err));
	w.title = "CPU time by stack";
	status = cli_result_comments(&res->common, res->profile);
	if (!status)
		status = cli_result_write(&res->common,
					  (struct write_model){ .profile = res->profile }, &w);
	if (res->o->common.verbose)
		cli_result_print_objects(capture_cpu_target(res->capture),
					 capture_cpu_stacks(res->capture));
	return cli_result_end(&res->common, status);
}

static int run(void *arg)
{
	struct options *o = arg;
	const struct cli_target *t = &o->common.target;
	struct capture_cpu_options co = {
		.frequency = (unsigned int)o->frequency,
		.event = o->event,
		.user = !o->common.kernel_only,
		.kernel = !o->common.user_only,
		.children = t->children,
		.tids = t->tids.items,
		.nr_tids = t->tids.nr,
		.only = t->pids.nr == 1 && !t->children ? t->pids.items[0] : 0,
	};
	struct result res = { .o = o };
	int status;

	res.capture = capture_cpu_new(&co);
	if (!res.capture)
		return cli_fail("%s", capture_cpu_ops.error(NULL));
	status = cli_result_capture(&res.common, &o->common, &capture_cpu_ops, res.capture);
	if (!status)
		status = finish(&res);
	profile_free(res.profile);
	cli_result_release(&res.common);
	capture_cpu_free(res.capture);
	return status;
}

static int cpu_main(int argc, char **argv)
{
	struct options o = { .frequency = DEFAULT_HZ, .event = CPU_EVENT_AUTO };
	const struct cli_option rows[] = {
		{ 'F', NULL, CLI_NUMBER, .number = &o.frequency, .min = 1, .max = 1000000,
		  .wants = "a frequency in Hz from 1 to 1000000" },
		{ 0, "event", CLI_CHOICE, .choice = &o.event, .choices = events },
		{ 0, "per-thread", CLI_FLAG, .flag = &o.per_thread },
	};
	const struct cli_spec spec = {
		.usage = usage_text,
		.groups = CLI_CAPTURE,
		.options = rows,
		.nr_options = ARRAY_SIZE(rows),
		.common = &o.common,
		.run = run,
		.arg = &o,
	};

	return cli_main(&spec, argc, argv);
}

const struct command cmd_cpu = {
	.name = "cpu",
	.summary = "where CPU time goes: sampled stacks, complete, of a live process",
	.main = cpu_main,
};
