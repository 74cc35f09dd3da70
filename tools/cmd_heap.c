/* SPDX-License-Identifier: MIT */
/* periscope heap: every allocation of a process, and what it holds. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/capture_heap.h"
#include "lib/cli_request.h"
#include "lib/cli_live.h"
#include "lib/cli_result.h"
#include "lib/heap_profile.h"
#include "lib/heap_report.h"
#include "lib/report.h"
#include "lib/util.h"
#include "lib/write_folded.h"
#include "lib/write_pprof.h"
#include "lib/write_report.h"
#include "lib/write_speedscope.h"
#include "lib/write_svg.h"
#include "lib/write_text.h"
#include "cmd_heap.h"
#include "cmd_heap_record.h"
#include "periscope.h"

struct options {
	struct cli_common common;
	struct cli_outputs outputs[HEAP_NR_VIEWS]; /* in place of common's */
	enum heap_view view;			   /* the last that was named */
	bool views[HEAP_NR_VIEWS];		   /* that were named */
	unsigned int type;			   /* enum heap_type */
	bool type_given;
	uint64_t min_size, max_size, max_live, temporary, older_ns;
	bool alloc_only, per_thread, delta, force, no_requests, verdicts;
	struct cli_request request;
	double duty, max_overhead; /* per cent */
	struct heap_recording record;
};

static const struct format formats[] = {
	{ "pprof", ".pb.gz", "pprof profile", .write = write_pprof },
	{ "folded", ".folded", "folded stacks", .write = write_folded },
	{ "charts", ".charts.svg", "histograms and growth", .write_report = write_report_svg },
	{ "svg", ".svg", "flame graph", .write = write_svg },
	{ "speedscope", ".speedscope.json", "speedscope profile", .write = write_speedscope },
	{ "json", ".json", "tables as JSON", .write_report = write_report_json },
	{ "text", ".txt", "report", .write = write_text, .write_report = write_report_text },
	{ 0 },
};

static const char *const view_names[HEAP_NR_VIEWS] = {
	[HEAP_VIEW_HEAP] = "heap",
	[HEAP_VIEW_PEAK] = "peak",
	[HEAP_VIEW_TEMPORARY] = "temporary",
	[HEAP_VIEW_OUTSTANDING] = "outstanding",
};

static const char *const view_titles[HEAP_NR_VIEWS] = {
	[HEAP_VIEW_PEAK] = "Memory held at its peak, by stack",
	[HEAP_VIEW_TEMPORARY] = "Temporary allocations by stack",
	[HEAP_VIEW_OUTSTANDING] = "Memory held for long, by stack",
};

/* ---------------------------------------------------------------- options ---- */

static int set_view(void *object, const char *option, const char *value)
{
	struct options *o = object;

	for (int i = 0; i < HEAP_NR_VIEWS; i++) {
		if (strcmp(view_names[i], value) != 0)
			continue;
		o->view = i;
		o->views[i] = true;
		return 0;
	}
	return cli_usage("%s is heap, peak, temporary or outstanding, not '%s'", option, value);
}

static int add_output(void *object, const char *option, const char *value)
{
	struct options *o = object;

	(void)option;
	return cli_outputs_add(&o->outputs[o->view], value);
}

static int set_type(void *object, const char *option, const char *value)
{
	struct options *o = object;

	for (unsigned int i = 0; i < HEAP_NR_TYPES; i++) {
		if (strcmp(heap_type_names[i], value) != 0)
			continue;
		o->type = i;
		o->type_given = true;
		return 0;
	}
	return cli_usage("%s is alloc_objects, alloc_space, inuse_objects or inuse_space, not '%s'",
			 option, value);
}

static int check(void *arg)
{
	struct options *o = arg;
	int status = 0;

	if (o->duty == 0)
		return cli_usage("--duty wants more than 0%% of the time");
	o->duty = MAX(o->duty, 0.0);
	o->alloc_only |= o->duty > 0;
	if (o->request.points.nr && (o->no_requests || o->duty > 0))
		return cli_usage("--request does not go with %s",
				 o->no_requests ? "--no-requests" : "--duty");
	status = cli_request_check(&o->request);
	if (status)
		return status;
	if (o->max_size && o->min_size > o->max_size)
		return cli_usage("-z is more than -Z");
	if (o->delta && !o->common.interval_ns)
		return cli_usage("--delta wants an interval (-i)");
	if (o->alloc_only && o->type_given && o->type > HEAP_ALLOC_SPACE)
		return cli_usage("without frees (--alloc-only, --duty) there is no %s",
				 heap_type_names[o->type]);
	if (o->alloc_only && o->verdicts)
		return cli_usage("without frees (--alloc-only, --duty) there are no verdicts");
	if (o->alloc_only && o->record.path)
		return cli_usage(
			"without frees (--alloc-only, --duty) there is nothing to --record");
	for (int i = 0; i < HEAP_NR_VIEWS && !status; i++) {
		if (o->alloc_only && i != HEAP_VIEW_HEAP && o->views[i])
			return cli_usage("without frees (--alloc-only, --duty) there is no view %s",
					 view_names[i]);
		o->outputs[i].formats = formats;
		status = cli_outputs_choose(&o->outputs[i], o->common.format);
	}
	if (o->alloc_only && !o->type_given)
		o->type = HEAP_ALLOC_SPACE;
	return status;
}

static bool has_outputs(const struct options *o)
{
	for (int i = 0; i < HEAP_NR_VIEWS; i++)
		if (o->outputs[i].nr)
			return true;
	return false;
}

/* ---------------------------------------------------------------- the results ---- */

struct result {
	struct options *o;
	struct capture_heap *capture;
	struct cli_result common;
	struct capture_heap_stats st;
	struct heap_snapshot snapshot;
	struct heap_snapshot before; /* of the last interval */
	struct cli_live live;
	uint64_t started_ns; /* CLOCK_MONOTONIC */
	unsigned int intervals;
};

static void summarize_duty(struct summary *s, const struct capture_heap_stats *st)
{
	char text[32];

	snprintf(text, sizeof(text), "%.1f", 100 * st->duty);
	summary_text(s, "duty-percent", text);
	summary_u64(s, "windows", st->windows);
	summary_u64(s, "counted", st->counted);
	if (st->error_percent < 0)
		return;
	snprintf(text, sizeof(text), "%.1f", st->error_percent);
	summary_text(s, "error-percent", text);
}

static void fill_summary(struct result *res)
{
	const struct capture_heap_stats *st = &res->st;
	struct summary *s = &res->common.summary;

	heap_summarize(s, st, !capture_heap_sees_frees(res->capture));
	if (st->duty > 0)
		summarize_duty(s, st);
	summary_seconds(s, "seconds", res->common.run.ran_ns);
	summary_u64(s, "threads", st->threads);
	summary_u64(s, "stacks", st->stacks);
	summary_u64(s, "probes", st->probes);
	if (st->stepped)
		summary_u64(s, "slow-probes", st->stepped);
	summary_u64(s, "processes", capture_heap_target(res->capture)->nr_seen);
	heap_recording_summarize(&res->o->record, res->capture, s);
}

static int make_profile(struct result *res, const struct heap_snapshot *s, enum heap_view view,
			struct profile **ret)
{
	const struct heap_profile_options po = {
		.view = view,
		.type = res->o->type,
		.alloc_only = !capture_heap_sees_frees(res->capture),
		.per_thread = res->o->per_thread,
		.older_ns = res->o->older_ns,
	};
	int err = heap_profile(res->capture, s, &po, ret);

	if (err)
		return cli_fail("cannot build the profile: %s", strerror(-err));
	cli_result_times(&res->common, *ret);
	return cli_result_comments(&res->common, *ret);
}

static int make_report(struct result *res, const struct heap_snapshot *s, bool brief,
		       struct report **ret)
{
	const struct heap_report_options ro = {
		.alloc_only = !capture_heap_sees_frees(res->capture),
		.brief = brief,
		.verdicts = res->o->verdicts,
		.estimated = res->o->duty > 0 || res->st.duty > 0,
		.started_ns = res->started_ns,
	};
	struct report *r = report_new();
	int err = r ? 0 : -errno;

	if (!err) {
		heap_report(r, res->capture, s, &ro);
		err = report_error(r);
	}
	if (err) {
		report_free(r);
		return cli_fail("cannot build the report: %s", strerror(-err));
	}
	*ret = r;
	return 0;
}

/* Write a view to these files, and to standard output if it is wanted there. */
static int write_view(struct result *res, const struct heap_snapshot *s, enum heap_view view,
		      struct cli_outputs *to, bool to_stdout)
{
	struct write_options w = WRITE_OPTIONS_DEFAULT;
	struct cli_outputs *common = &res->o->common.outputs;
	struct write_model m = { 0 };
	struct profile *p = NULL;
	struct report *r = NULL;
	int status = make_profile(res, s, view, &p);

	if (!status)
		status = make_report(res, s, false, &r);
	if (!status) {
		m.profile = p;
		m.report = r;
		w.title = view_titles[view];
		/* Folded stacks show what pictures do, not the first type. */
		w.type = p->default_type;
		*common = *to;
		common->formats = formats;
		status = to_stdout ? cli_result_write(&res->common, m, &w)
				   : cli_result_write_files(&res->common, m, &w);
		*common = (struct cli_outputs){ 0 };
	}
	profile_free(p);
	report_free(r);
	return status;
}

/* How far the sum may be off is at the end of a line, where it must not be cut off. */
static int add_estimate(struct fields *f, const struct capture_heap_stats *st)
{
	if (st->error_percent < 0)
		return fields_addf(f, "estimated",
				   "from %" PRIu64
				   " in %zu window%s: too few to tell how near it is",
				   st->counted, st->windows, st->windows == 1 ? "" : "s");
	return fields_addf(f, "estimated",
			   "from %" PRIu64 " in %zu windows, %.1f%% of the time: may be %.0f%% off",
			   st->counted, st->windows, 100 * st->duty, st->error_percent);
}

static int add_fields(struct result *res)
{
	const struct capture_heap_stats *st = &res->st;
	uint64_t complete = st->by_end[UNWIND_COMPLETE];
	struct fields *f = &res->common.fields;
	int err;

	err = fields_addf(f, "allocations", "%" PRIu64 " by %zu threads", st->sum.allocs,
			  st->threads);
	if (!err && capture_heap_sees_frees(res->capture))
		err = fields_addf(f, "in use", "%" PRId64 " blocks, %" PRId64 " bytes",
				  st->sum.live, st->sum.live_bytes);
	if (!err && st->duty > 0)
		err = add_estimate(f, st);
	if (!err)
		err = fields_addf(f, "complete", "%" PRIu64 " (%.2f%%)", complete,
				  st->sum.allocs ? 100.0 * (double)complete / (double)st->sum.allocs
						 : 0.0);
	if (!err)
		err = fields_addf(f, "lost", "%" PRIu64, heap_lost(st));
	return err;
}

static int finish(struct result *res)
{
	struct options *o = res->o;
	int status = 0, err;

	err = capture_heap_stats(res->capture, &res->st);
	if (!err)
		err = capture_heap_snapshot(res->capture, &res->snapshot);
	if (!err)
		err = add_fields(res);
	if (err)
		return cli_fail("cannot read the results: %s", strerror(-err));
	fill_summary(res);
	for (int i = 0; i < HEAP_NR_VIEWS; i++) {
		bool to_stdout = i == (int)o->view && (o->common.folded || !has_outputs(o));

		if (to_stdout || o->outputs[i].nr)
			status |= write_view(res, &res->snapshot, i, &o->outputs[i], to_stdout);
	}
	if (o->request.begin && !capture_heap_routes(res->capture))
		fputs("no requests: what is named by --request was not found in the command\n",
		      stderr);
	if (o->common.verbose)
		cli_result_print_objects(capture_heap_target(res->capture),
					 capture_heap_stacks(res->capture));
	return cli_result_end(&res->common, status);
}

/* ---------------------------------------------------------------- intervals ---- */

/* heap.pb.gz: heap.3.pb.gz; to be freed. */
static char *numbered(const struct cli_output *out, unsigned int number)
{
	size_t len = strlen(out->path), ending = strlen(out->format->ending);
	char *path;

	if (len <= ending || strcmp(out->path + len - ending, out->format->ending) != 0)
		ending = 0;
	if (asprintf(&path, "%.*s.%u%s", (int)(len - ending), out->path, number,
		     out->path + len - ending) < 0)
		return NULL;
	return path;
}

static int write_numbered(struct result *res, const struct heap_snapshot *s, enum heap_view view)
{
	const struct cli_outputs *from = &res->o->outputs[view];
	struct cli_outputs to = { .formats = formats };
	char *paths[64] = { NULL };
	int status = 0;

	for (size_t i = 0; i < MIN(from->nr, ARRAY_SIZE(paths)) && !status; i++) {
		paths[i] = numbered(&from->items[i], res->intervals);
		status = paths[i] ? cli_outputs_add(&to, paths[i]) : cli_fail("out of memory");
		if (!status && to.items)
			to.items[i].format = from->items[i].format;
	}
	if (!status)
		status = cli_outputs_open(&to);
	if (!status)
		status = write_view(res, s, view, &to, false);
	cli_outputs_release(&to);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		free(paths[i]);
	return status;
}

static int show(struct result *res, const struct heap_snapshot *s)
{
	struct write_options w = WRITE_OPTIONS_DEFAULT;
	struct report *r = NULL;
	int status = make_report(res, s, true, &r);

	if (status)
		return status;
	w.title = res->o->delta ? "Allocations of the interval" : "Allocations so far";
	w.top = (unsigned int)res->o->common.top;
	status = cli_live_show(&res->live, r, &w);
	report_free(r);
	return status;
}

static int on_interval(void *arg, uint64_t past_ns)
{
	struct result *res = arg;
	struct heap_snapshot now, shown;
	int status = 0, err;

	(void)past_ns; /* heap's tables are of amounts, not of rates */
	/* Twice: one is what is shown, the other what the next is measured by. */
	err = capture_heap_snapshot(res->capture, &now);
	if (err)
		return cli_fail("cannot read the results: %s", strerror(-err));
	err = heap_snapshot_copy(&shown, &now);
	if (err) {
		heap_snapshot_release(&now);
		return cli_fail("out of memory");
	}
	if (res->o->delta)
		heap_snapshot_since(&shown, &res->before);
	heap_snapshot_release(&res->before);
	res->before = now;
	res->intervals++;
	if (!has_outputs(res->o))
		status = show(res, &shown);
	for (int i = 0; i < HEAP_NR_VIEWS && !status; i++)
		if (res->o->outputs[i].nr)
			status = write_numbered(res, &shown, i);
	heap_snapshot_release(&shown);
	return status;
}

/* What it will cost, and what is therefore done: before it is done. */
static void tell(void *arg, const struct heap_cost *cost, enum heap_mode mode, double duty)
{
	const struct options *o = arg;

	if (mode == HEAP_FOLLOW_ALL ||
	    (o->alloc_only && o->duty <= 0 && mode == HEAP_COUNT_CALLS)) {
		fprintf(stderr, "%.0f allocations a second: its work will take %s %.0f%% longer\n",
			cost->allocs_per_s, cost->at_least ? "at least" : "about",
			mode == HEAP_FOLLOW_ALL ? cost->full : cost->calls_only);
		return;
	}
	if (!o->alloc_only)
		fprintf(stderr,
			"%.0f allocations a second: to follow them would make its work take %s%.0f%% "
			"longer (--max-overhead %.0f%%, --force): calls are counted, without frees\n",
			cost->allocs_per_s, cost->at_least ? "at least " : "", cost->full,
			o->max_overhead);
	if (mode == HEAP_COUNT_SOMETIMES)
		fprintf(stderr,
			"they are counted %.1f%% of the time, which will make its work take about "
			"%.0f%% longer: figures are estimates\n",
			100 * duty, duty * cost->calls_only);
	else
		fprintf(stderr, "which will make its work take about %.0f%% longer\n",
			cost->calls_only);
}

/* Has nothing been asked for that cannot be had without frees? */
static bool may_narrow(const struct options *o)
{
	if (o->record.path)
		return false;
	for (int i = 0; i < HEAP_NR_VIEWS; i++)
		if (i != HEAP_VIEW_HEAP && o->views[i])
			return false;
	return !o->verdicts && (!o->type_given || o->type <= HEAP_ALLOC_SPACE);
}

static int open_outputs(struct options *o)
{
	int status = 0;

	for (int i = 0; i < HEAP_NR_VIEWS && !status; i++)
		status = cli_outputs_open(&o->outputs[i]);
	return status;
}

static int run(void *arg)
{
	struct options *o = arg;
	const struct cli_target *t = &o->common.target;
	struct capture_heap_options co = {
		.watch = { .children = t->children,
			   .tids = t->tids.items,
			   .nr_tids = t->tids.nr,
			   .only = t->pids.nr == 1 && !t->children ? t->pids.items[0] : 0 },
		.max_live = o->max_live,
		.min_size = o->min_size,
		.max_size = o->max_size,
		.temporary = (uint32_t)o->temporary,
		.peak = o->views[HEAP_VIEW_PEAK],
		.record = o->record.path != NULL,
		.alloc_only = o->alloc_only,
		.duty = o->duty / 100,
		.max_overhead = o->force ? 0 : o->max_overhead,
		.may_narrow = may_narrow(o),
		.requests = !o->no_requests,
		.fates = o->verdicts,
		.points = o->request.points,
		.tell = tell,
		.tell_arg = o,
	};
	struct result res = { .o = o, .started_ns = now_ns() };
	int status = open_outputs(o);

	cli_live_init(&res.live, STDOUT_FILENO);
	res.common.run.on_interval = on_interval;
	res.common.run.interval_arg = &res;

	if (!status) {
		o->request.points = (struct request_points){ 0 }; /* the capture's now */
		res.capture = capture_heap_new(&co);
		if (!res.capture)
			status = cli_fail("%s", capture_heap_ops.error(NULL));
	}
	if (!status)
		status = heap_recording_open(&o->record, res.capture);
	if (!status)
		status =
			cli_result_capture(&res.common, &o->common, &capture_heap_ops, res.capture);
	cli_live_clear(&res.live);
	if (!status)
		status = finish(&res);
	heap_snapshot_release(&res.snapshot);
	heap_snapshot_release(&res.before);
	cli_result_release(&res.common);
	status = heap_recording_close(&o->record, res.capture, status);
	capture_heap_free(res.capture);
	return status;
}

static int heap_main(int argc, char **argv)
{
	struct options o = {
		.type = HEAP_INUSE_SPACE,
		.older_ns = 5000000000ULL,
		.max_overhead = 30,
		.duty = -1, /* not given */
	};
	const struct cli_option rows[] = {
		{ 'z', NULL, CLI_SIZE, .number = &o.min_size },
		{ 'Z', NULL, CLI_SIZE, .number = &o.max_size, .min = 1 },
		{ 0, "alloc-only", CLI_FLAG, .flag = &o.alloc_only },
		{ 0, "max-live", CLI_NUMBER, .number = &o.max_live, .min = 1, .max = 1000000000 },
		{ 0, "temporary", CLI_NUMBER, .number = &o.temporary, .max = 1000000 },
		{ 0, "view", CLI_CALL, .object = &o, .call = set_view },
		{ 0, "sample-index", CLI_CALL, .object = &o, .call = set_type },
		{ 0, "older", CLI_TIME, .number = &o.older_ns },
		{ 'o', NULL, CLI_CALL, .object = &o, .call = add_output },
		{ 0, "per-thread", CLI_FLAG, .flag = &o.per_thread },
		{ 0, "delta", CLI_FLAG, .flag = &o.delta },
		{ 0, "duty", CLI_PERCENT, .percent = &o.duty, .min = 0, .max = 100 },
		{ 0, "max-overhead", CLI_PERCENT, .percent = &o.max_overhead, .max = 1000000 },
		{ 0, "force", CLI_FLAG, .flag = &o.force },
		{ 0, "record", CLI_STRING, .string = &o.record.path },
		{ 0, "verdicts", CLI_FLAG, .flag = &o.verdicts },
		{ 0, "no-requests", CLI_FLAG, .flag = &o.no_requests },
		CLI_REQUEST_OPTIONS(&o.request),
	};
	const struct cli_spec spec = {
		.usage = heap_usage_text,
		.groups = (CLI_CAPTURE & ~CLI_STACKS) | CLI_INTERVAL,
		.options = rows,
		.nr_options = ARRAY_SIZE(rows),
		.common = &o.common,
		.check = check,
		.run = run,
		.arg = &o,
	};
	char **args = cli_request_split(argc, argv, &argc);
	int status = args ? cli_main(&spec, argc, args) : cli_fail("out of memory");

	for (int i = 0; i < HEAP_NR_VIEWS; i++)
		cli_outputs_release(&o.outputs[i]);
	cli_request_release(&o.request);
	free(args);
	return status;
}

const struct command cmd_heap = {
	.name = "heap",
	.summary = "every allocation, with complete stacks, and what is held, peaked, leaks",
	.main = heap_main,
};
