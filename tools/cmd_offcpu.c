/* SPDX-License-Identifier: MIT */
/* periscope offcpu: where a process's threads wait, and for what. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/capture_offcpu.h"
#include "lib/cli_result.h"
#include "lib/measure.h"
#include "lib/offcpu_profile.h"
#include "lib/offcpu_report.h"
#include "lib/report.h"
#include "lib/util.h"
#include "lib/write_folded.h"
#include "lib/write_pprof.h"
#include "lib/write_report.h"
#include "lib/write_speedscope.h"
#include "lib/write_svg.h"
#include "lib/write_text.h"
#include "periscope.h"

#define MAX_US (365ULL * 86400 * 1000000)

static const char usage_text[] =
	"usage: periscope offcpu (-p PID[,PID...] | -n NAME | -- CMD [ARGS...]) [options] [DURATION]\n"
	"\n"
	"Follows the threads of a process whenever they leave their CPU: how long they wait, for\n"
	"what, with which stack, and how long they then wait for a CPU. Every wait counts, not a\n"
	"sample of them, also those that began before the capture or end after it, with the part\n"
	"inside. DURATION: 10, 10s, 500ms, 2m; without one, until the process exits or Ctrl-C.\n"
	"\n"
	"target:\n" CLI_HELP_TARGET "\n"
	"which waits:\n"
	"  -m US, -M US      of at least, of at most so many microseconds, from leaving the CPU\n"
	"                    to being on one again\n"
	"  --reason R,...    futex, epoll, network, disk, sleep, page-fault, stopped, preempted,\n"
	"                    start (a new thread's first time), other\n"
	"  --state S,...     as ps has them: S sleeping, D uninterruptible, R runnable, T stopped\n"
	"  --no-idle         not those for work to come: epoll, poll, select, accept,\n"
	"                    with no request of the thread's in flight\n" CLI_HELP_STACKS
	"  --waker           who woke the thread: its stack, turned around, beyond a frame --\n"
	"\n"
	"output (without -o and -f: a report on stdout):\n"
	"  -f                folded stacks on stdout, in microseconds\n"
	"  -o FILE           .pb.gz (pprof), .folded, .svg (flame graph), .speedscope.json,\n"
	"                    .txt (report), .json (its tables); may be given several times\n"
	"  --format NAME     pprof, folded, svg, speedscope, text or json, whatever the file is\n"
	"                    called\n"
	"  --value VALUE     offcpu (default), blocked (until it was woken), runqueue (from then\n"
	"                    on, or from its preemption), waits (how many); pprof has them all\n"
	"  --per-thread      one root for each thread in folded stacks and pictures\n"
	"  --show-reason     the reason as the innermost frame, [futex]; pprof has it as a label\n" CLI_HELP_TOP
		CLI_HELP_STATS
	"  -v                what was loaded, and the addresses where walks failed\n" CLI_HELP_VERSION
	"\n"
	"The last line on stderr sums up: waits, stacks that reach the outermost frame (complete),\n"
	"waits that were not counted (lost), and for all threads together the seconds that they\n"
	"were blocked, waited for a CPU (runqueue) and ran. Exit status: 0 done, 1 could not, 2\n"
	"usage.\n"
	"\n"
	"examples:\n"
	"  periscope offcpu -p 1234 10                          a report of the next 10 seconds\n"
	"  periscope offcpu -p 1234 --no-idle 10 -o wait.svg    a flame graph without idle threads\n"
	"  periscope offcpu -p 1234 -m 10000 10 -f              waits of 10 ms and more\n"
	"  periscope offcpu -p 1234 --reason futex --waker 10   locks, and who lets go of them\n"
	"  periscope offcpu -- make                             where a build waits\n";

/* Of a list of words: the bits for the capture, and the words themselves for people. */
struct choice_list {
	uint32_t bits;
	const char *text; /* NULL: all */
};

struct options {
	struct cli_common common;
	uint64_t min_us, max_us;
	struct choice_list reasons, states;
	unsigned int value; /* enum offcpu_type */
	bool no_idle, wakers, per_thread, show_reason;
};

static const struct format formats[] = {
	{ "pprof", ".pb.gz", "pprof profile", .write = write_pprof },
	{ "folded", ".folded", "folded stacks", .write = write_folded },
	{ "svg", ".svg", "flame graph", .write = write_svg },
	{ "speedscope", ".speedscope.json", "speedscope profile", .write = write_speedscope },
	{ "json", ".json", "tables as JSON", .write_report = write_report_json },
	{ "text", ".txt", "report", .write = write_text, .write_report = write_report_text },
	{ 0 },
};

static const struct cli_choice values[] = {
	{ "offcpu", OFFCPU_TYPE_OFFCPU },
	{ "blocked", OFFCPU_TYPE_BLOCKED },
	{ "runqueue", OFFCPU_TYPE_RUNQUEUE },
	{ "waits", OFFCPU_TYPE_WAITS },
	{ 0 },
};

/* ---------------------------------------------------------------- the command line ---- */

/* The words of a list, each by take(). */
static int for_words(const char *option, const char *text, struct choice_list *list,
		     int (*take)(const char *option, const char *word, size_t len, uint32_t *bits))
{
	int status = 0;

	list->text = text;
	for (const char *word = text; !status; word++) {
		size_t len = strcspn(word, ",");

		status = take(option, word, len, &list->bits);
		word += len;
		if (!*word)
			break;
	}
	return status;
}

static int take_reason(const char *option, const char *word, size_t len, uint32_t *bits)
{
	for (unsigned int i = 0; i < OFFCPU_RUNNING; i++) {
		const char *name = offcpu_reason_name(i);

		if (strlen(name) == len && !strncmp(name, word, len)) {
			*bits |= 1U << i;
			return 0;
		}
	}
	return cli_usage("%s: '%.*s' is no reason; there are futex, epoll, network, disk, sleep, "
			 "page-fault, stopped, preempted, start, other",
			 option, (int)len, word);
}

static int take_state(const char *option, const char *word, size_t len, uint32_t *bits)
{
	if (len != 1 || !strchr("SDRTP", *word))
		return cli_usage("%s: '%.*s' is no state; there are S, D, R, T, P", option,
				 (int)len, word);
	*bits |= 1U << (*word & 31);
	return 0;
}

static int parse_reasons(void *object, const char *option, const char *value)
{
	return for_words(option, value, object, take_reason);
}

static int parse_states(void *object, const char *option, const char *value)
{
	return for_words(option, value, object, take_state);
}

static int check(void *arg)
{
	const struct options *o = arg;

	if (o->max_us && o->min_us > o->max_us)
		return cli_usage("-m %" PRIu64 " is more than -M %" PRIu64, o->min_us, o->max_us);
	return 0;
}

/* ---------------------------------------------------------------- the results ---- */

struct result {
	const struct options *o;
	struct capture_offcpu *capture;
	struct cli_result common;
	struct capture_offcpu_stats st;
	struct profile *profile;
	struct report *report;
};

static void fill_summary(struct result *res)
{
	const struct capture_offcpu_stats *st = &res->st;
	struct summary *s = &res->common.summary;

	summary_u64(s, "waits", st->all.waits);
	offcpu_summarize(s, st, !res->o->common.kernel_only);
	summary_seconds(s, "blocked", st->all.blocked);
	summary_seconds(s, "runqueue", st->all.runnable);
	summary_seconds(s, "running", st->running_ns);
	summary_seconds(s, "seconds", st->window_ns);
	summary_u64(s, "threads", st->threads);
	summary_u64(s, "processes", capture_offcpu_target(res->capture)->nr_seen);
}

static int build_profile(struct result *res)
{
	const struct options *o = res->o;
	struct offcpu_profile_options po = {
		.user = !o->common.kernel_only,
		.kernel = !o->common.user_only,
		.per_thread = o->per_thread,
		.show_reason = o->show_reason,
	};
	struct profile *p = res->profile = profile_new();
	int err;

	if (!p)
		return -errno;
	cli_result_times(&res->common, p);
	err = offcpu_profile_waits(p, res->capture, &po);
	p->default_type = o->value;
	return err;
}

static int build_report(struct result *res)
{
	res->report = report_new();
	if (!res->report)
		return -errno;
	offcpu_report(res->report, res->capture);
	return report_error(res->report);
}

static int add_time(struct fields *f, const char *key, uint64_t ns)
{
	char text[MEASURE_LEN];

	measure_value(measure_for((int64_t)ns, "nanoseconds"), (int64_t)ns, text);
	return fields_add(f, key, text);
}

/* What was asked for, so that nobody takes a part for the whole. */
static int add_filters(struct result *res)
{
	const struct options *o = res->o;
	struct fields *f = &res->common.fields;
	int err = 0;

	if (o->reasons.text)
		err = fields_addf(f, "only", "reason %s", o->reasons.text);
	if (!err && o->states.text)
		err = fields_addf(f, "only", "state %s", o->states.text);
	if (!err && o->min_us)
		err = fields_addf(f, "only", "of %" PRIu64 " us and more", o->min_us);
	if (!err && o->max_us)
		err = fields_addf(f, "only", "of %" PRIu64 " us and less", o->max_us);
	if (!err && o->no_idle)
		err = fields_add(f, "without", "waits for work to come");
	return err;
}

static int add_fields(struct result *res)
{
	const struct capture_offcpu_stats *st = &res->st;
	struct fields *f = &res->common.fields;
	int err = fields_addf(f, "threads", "%zu", st->threads);

	if (!err)
		err = add_filters(res);
	if (!err)
		err = fields_addf(f, "waits", "%" PRIu64, (uint64_t)st->all.waits);
	if (!err)
		err = add_time(f, "blocked", st->all.blocked);
	if (!err)
		err = add_time(f, "run queue", st->all.runnable);
	if (!err)
		err = add_time(f, "running", st->running_ns);
	if (!err)
		err = fields_addf(f, "complete", "%" PRIu64, st->by_end[UNWIND_COMPLETE]);
	if (!err)
		err = fields_addf(f, "lost", "%" PRIu64, st->lost);
	return err;
}

static int finish(struct result *res)
{
	static const char *const titles[OFFCPU_NR_TYPES] = {
		[OFFCPU_TYPE_WAITS] = "Waits by stack",
		[OFFCPU_TYPE_BLOCKED] = "Blocked time by stack: until the thread was woken",
		[OFFCPU_TYPE_RUNQUEUE] = "Run-queue time by stack: ready, without a CPU",
		[OFFCPU_TYPE_OFFCPU] = "Off-CPU time by stack: blocked, or ready without a CPU",
	};
	struct write_options w = WRITE_OPTIONS_DEFAULT;
	int status, err;

	capture_offcpu_stats(res->capture, &res->st);
	fill_summary(res);
	err = build_profile(res);
	if (!err)
		err = build_report(res);
	if (!err)
		err = add_fields(res);
	if (err)
		return cli_fail("cannot build the profile: %s", strerror(-err));
	w.type = res->o->value;
	w.title = titles[res->o->value];
	w.folded_unit = res->o->value == OFFCPU_TYPE_WAITS ? 1 : 1000;
	status = cli_result_comments(&res->common, res->profile);
	if (!status)
		status = cli_result_write(
			&res->common,
			(struct write_model){ .profile = res->profile, .report = res->report }, &w);
	if (res->o->common.verbose)
		cli_result_print_objects(capture_offcpu_target(res->capture),
					 capture_offcpu_stacks(res->capture));
	return cli_result_end(&res->common, status);
}

static int run(void *arg)
{
	struct options *o = arg;
	const struct cli_target *t = &o->common.target;
	struct capture_offcpu_options co = {
		.user = !o->common.kernel_only,
		.kernel = !o->common.user_only,
		.wakers = o->wakers,
		.children = t->children,
		.tids = t->tids.items,
		.nr_tids = t->tids.nr,
		.only = t->pids.nr == 1 && !t->children ? t->pids.items[0] : 0,
		.reasons = o->reasons.text ? o->reasons.bits : CAPTURE_OFFCPU_ALL,
		.states = o->states.text ? o->states.bits : CAPTURE_OFFCPU_ALL,
		.no_idle = o->no_idle,
		.min_ns = o->min_us * 1000,
		.max_ns = o->max_us ? o->max_us * 1000 : UINT64_MAX,
	};
	struct result res = { .o = o };
	int status;

	res.capture = capture_offcpu_new(&co);
	if (!res.capture)
		return cli_fail("%s", capture_offcpu_ops.error(NULL));
	status = cli_result_capture(&res.common, &o->common, &capture_offcpu_ops, res.capture);
	if (!status)
		status = finish(&res);
	profile_free(res.profile);
	report_free(res.report);
	cli_result_release(&res.common);
	capture_offcpu_free(res.capture);
	return status;
}

static int offcpu_main(int argc, char **argv)
{
	struct options o = { .value = OFFCPU_TYPE_OFFCPU };
	const struct cli_option rows[] = {
		{ 'm', NULL, CLI_NUMBER, .number = &o.min_us, .max = MAX_US,
		  .wants = "a number of microseconds" },
		{ 'M', NULL, CLI_NUMBER, .number = &o.max_us, .min = 1, .max = MAX_US,
		  .wants = "a number of microseconds from 1" },
		{ 0, "reason", CLI_CALL, .object = &o.reasons, .call = parse_reasons },
		{ 0, "state", CLI_CALL, .object = &o.states, .call = parse_states },
		{ 0, "no-idle", CLI_FLAG, .flag = &o.no_idle },
		{ 0, "waker", CLI_FLAG, .flag = &o.wakers },
		{ 0, "value", CLI_CHOICE, .choice = &o.value, .choices = values },
		{ 0, "per-thread", CLI_FLAG, .flag = &o.per_thread },
		{ 0, "show-reason", CLI_FLAG, .flag = &o.show_reason },
	};
	const struct cli_spec spec = {
		.usage = usage_text,
		.groups = CLI_CAPTURE,
		.options = rows,
		.nr_options = ARRAY_SIZE(rows),
		.formats = formats,
		.common = &o.common,
		.check = check,
		.run = run,
		.arg = &o,
	};

	return cli_main(&spec, argc, argv);
}

const struct command cmd_offcpu = {
	.name = "offcpu",
	.summary = "where threads wait, and for what: every wait of a live process, by stack",
	.main = offcpu_main,
};
