/* SPDX-License-Identifier: MIT */
/* periscope cpu: where a process's CPU time goes, by sampled stacks. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/capture_cpu.h"
#include "lib/capture_offcpu.h"
#include "lib/cli_result.h"
#include "lib/offcpu_profile.h"
#include "lib/offcpu_report.h"
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
	"  --wall            wall-clock time: waits, too. A sample of a running thread stands for\n"
	"                    1/HZ s, a wait counts as long as it was, to the nanosecond; together\n"
	"                    that is threads x time, but for the error of sampling. A frame at the\n"
	"                    end tells [runnable] and [blocked:REASON] from running; pprof has the\n"
	"                    label state, folded stacks are in microseconds\n"
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
	"  periscope cpu -p 1234 --wall 10 -o wall.svg   where all the time of all threads goes\n"
	"  periscope cpu --children -- make -j2          a build, with all it starts\n";

struct options {
	struct cli_common common;
	uint64_t frequency;
	unsigned int event; /* enum cpu_event */
	bool per_thread, wall;
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

static uint64_t total(const uint64_t *by_end)
{
	uint64_t n = 0;

	for (size_t i = 0; i < UNWIND_NR_ENDS; i++)
		n += by_end[i];
	return n;
}

/* Walks that reached the outermost frame, of those that were made. */
static int add_complete(struct fields *f, const uint64_t *by_end)
{
	uint64_t all = total(by_end);

	return fields_addf(f, "complete", "%" PRIu64 " (%.2f%%)", by_end[UNWIND_COMPLETE],
			   all ? 100.0 * (double)by_end[UNWIND_COMPLETE] / (double)all : 0.0);
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
		err = add_complete(f, res->st.by_end);
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
	if (!res->st.samples)
		fprintf(stderr, "no samples: the target used %.3f s of CPU time in these %.3f s\n",
			(double)res->st.cpu_ns / 1e9, (double)res->common.run.ran_ns / 1e9);
	return cli_result_end(&res->common, status);
}

static int run_cpu(struct options *o)
{
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

/* ---------------------------------------------------------------- wall-clock time ---- */

struct wall {
	const struct options *o;
	struct capture_offcpu *capture;
	struct cli_result common;
	struct capture_offcpu_stats st;
	struct profile *profile;
	int64_t period_ns;
};

static void fill_wall_summary(struct wall *wall)
{
	const struct capture_offcpu_stats *st = &wall->st;
	struct summary *s = &wall->common.summary;

	summary_u64(s, "samples", st->samples);
	summary_u64(s, "waits", st->all.waits);
	offcpu_summarize(s, st, !wall->o->common.kernel_only);
	summary_seconds(s, "sampled", st->samples * (uint64_t)wall->period_ns);
	summary_seconds(s, "running", st->running_ns);
	summary_seconds(s, "runnable", st->all.runnable);
	summary_seconds(s, "blocked", st->all.blocked);
	summary_seconds(s, "seconds", st->window_ns);
	summary_text(s, "event", event_name(capture_offcpu_event(wall->capture)));
	summary_u64(s, "hz", wall->o->frequency);
	summary_u64(s, "threads", st->threads);
	summary_u64(s, "processes", capture_offcpu_target(wall->capture)->nr_seen);
}

static int build_wall(struct wall *wall)
{
	struct offcpu_profile_options po = {
		.user = !wall->o->common.kernel_only,
		.kernel = !wall->o->common.user_only,
		.per_thread = wall->o->per_thread,
		.period_ns = wall->period_ns,
	};

	wall->profile = profile_new();
	if (!wall->profile)
		return -errno;
	cli_result_times(&wall->common, wall->profile);
	return offcpu_profile_wall(wall->profile, wall->capture, &po);
}

static int add_wall_fields(struct wall *wall)
{
	const struct capture_offcpu_stats *st = &wall->st;
	struct fields *f = &wall->common.fields;
	int err = fields_addf(f, "threads", "%zu", st->threads);

	if (!err)
		err = fields_addf(f, "running", "%.3fs, by %" PRIu64 " samples %.3fs",
				  (double)st->running_ns / 1e9, st->samples,
				  (double)st->samples * (double)wall->period_ns / 1e9);
	if (!err)
		err = fields_addf(f, "runnable", "%.3fs", (double)st->all.runnable / 1e9);
	if (!err)
		err = fields_addf(f, "blocked", "%.3fs", (double)st->all.blocked / 1e9);
	if (!err)
		err = fields_addf(f, "rate", "%" PRIu64 " Hz %s", wall->o->frequency,
				  event_name(capture_offcpu_event(wall->capture)));
	if (!err)
		err = add_complete(f, st->by_end);
	if (!err)
		err = fields_addf(f, "lost", "%" PRIu64, st->lost);
	return err;
}

static int finish_wall(struct wall *wall)
{
	struct write_options w = WRITE_OPTIONS_DEFAULT;
	int status, err;

	capture_offcpu_stats(wall->capture, &wall->st);
	fill_wall_summary(wall);
	err = build_wall(wall);
	if (!err)
		err = add_wall_fields(wall);
	if (err)
		return cli_fail("cannot build the profile: %s", strerror(-err));
	w.title = "Wall-clock time by stack: running by samples, waits as long as they were";
	w.folded_unit = 1000;
	status = cli_result_comments(&wall->common, wall->profile);
	if (!status)
		status = cli_result_write(&wall->common,
					  (struct write_model){ .profile = wall->profile }, &w);
	if (wall->o->common.verbose)
		cli_result_print_objects(capture_offcpu_target(wall->capture),
					 capture_offcpu_stacks(wall->capture));
	return cli_result_end(&wall->common, status);
}

static int run_wall(struct options *o)
{
	const struct cli_target *t = &o->common.target;
	struct capture_offcpu_options co = {
		.user = !o->common.kernel_only,
		.kernel = !o->common.user_only,
		.children = t->children,
		.tids = t->tids.items,
		.nr_tids = t->tids.nr,
		.only = t->pids.nr == 1 && !t->children ? t->pids.items[0] : 0,
		.reasons = CAPTURE_OFFCPU_ALL,
		.states = CAPTURE_OFFCPU_ALL,
		.max_ns = UINT64_MAX,
		.frequency = (unsigned int)o->frequency,
		.event = o->event,
	};
	struct wall wall = { .o = o, .period_ns = 1000000000 / (int64_t)o->frequency };
	int status;

	wall.capture = capture_offcpu_new(&co);
	if (!wall.capture)
		return cli_fail("%s", capture_offcpu_ops.error(NULL));
	status = cli_result_capture(&wall.common, &o->common, &capture_offcpu_ops, wall.capture);
	if (!status)
		status = finish_wall(&wall);
	profile_free(wall.profile);
	cli_result_release(&wall.common);
	capture_offcpu_free(wall.capture);
	return status;
}

/* ---------------------------------------------------------------- the command ---- */

static int run(void *arg)
{
	struct options *o = arg;

	return o->wall ? run_wall(o) : run_cpu(o);
}

static int cpu_main(int argc, char **argv)
{
	struct options o = { .frequency = DEFAULT_HZ, .event = CPU_EVENT_AUTO };
	const struct cli_option rows[] = {
		{ 'F', NULL, CLI_NUMBER, .number = &o.frequency, .min = 1, .max = 1000000,
		  .wants = "a frequency in Hz from 1 to 1000000" },
		{ 0, "event", CLI_CHOICE, .choice = &o.event, .choices = events },
		{ 0, "per-thread", CLI_FLAG, .flag = &o.per_thread },
		{ 0, "wall", CLI_FLAG, .flag = &o.wall },
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
