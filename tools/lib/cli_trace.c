/* SPDX-License-Identifier: MIT */
#include "cli_trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fields.h"
#include "profile.h"
#include "timeline_report.h"
#include "util.h"
#include "write_heaptrack.h"
#include "write_report.h"

#define SLOWEST	   10  /* requests shown one by one */
#define FILE_WIDTH 160 /* columns of a report that nobody sees the width of: all of its tables */

int cli_trace_open(struct cli_trace *t)
{
	struct read_error error = { "" };
	int named;

	if (trace_open(t->path, &t->view.trace, &error))
		return cli_fail("cannot read '%s': %s", t->path, error.text);
	named = trace_symbolize(t->view.trace);
	return named < 0 ? cli_fail("out of memory") : 0;
}

void cli_trace_close(struct cli_trace *t)
{
	trace_close(t->view.trace);
	t->view.trace = NULL;
}

/* What the formats need; each is made once, when the first asks for it. */
struct models {
	struct cli_trace *t;
	struct profile *profile;
	struct timeline_report report, tables; /* for people, for programs */
	bool has_report, has_tables;
	struct fields fields;
	struct write_options options;
};

static void models_release(struct models *m)
{
	profile_free(m->profile);
	if (m->has_report)
		timeline_report_release(&m->report);
	if (m->has_tables)
		timeline_report_release(&m->tables);
	fields_release(&m->fields);
}

static int models_init(struct models *m, struct cli_trace *t)
{
	static const char *const shown[] = { "command", "pid", "host", "kernel" };
	const struct trace *trace = t->view.trace;
	int err = 0;

	*m = (struct models){ .t = t, .options = WRITE_OPTIONS_DEFAULT };
	for (size_t i = 0; i < ARRAY_SIZE(shown) && !err; i++) {
		const char *value = trace_info(trace, shown[i]);

		err = value ? fields_add(&m->fields, shown[i], value) : 0;
	}
	if (!err)
		err = fields_addf(&m->fields, "duration", "%.2fs",
				  (double)(trace->end - trace->start) / 1e9);
	m->options.fields = m->fields.items;
	m->options.nr_fields = m->fields.nr;
	m->options.top = t->top;
	m->options.width = FILE_WIDTH;
	return err;
}

static const char *profile_title(enum timeline_profile_kind kind)
{
	static const char *const titles[TIMELINE_NR_PROFILES] = {
		[TIMELINE_NETWORK] = "Waiting for the network",
		[TIMELINE_SYNC] = "Waiting for other threads",
		[TIMELINE_SYSCALLS] = "Blocked in system calls",
		[TIMELINE_SCHEDULER] = "Waiting for a CPU",
		[TIMELINE_CPU] = "CPU time by stack",
	};

	return titles[kind];
}

static int make_report(struct models *m, bool for_programs, const struct report **ret)
{
	struct timeline_report *r = for_programs ? &m->tables : &m->report;
	bool *has = for_programs ? &m->has_tables : &m->has_report;
	size_t slowest = m->t->top ? m->t->top : SLOWEST;
	int err = *has ? 0 : timeline_report_init(r, &m->t->view, slowest, for_programs);

	*has = *has || !err;
	*ret = err ? NULL : r->report;
	return err;
}

/* A recording of allocations is no timeline. Returns 0 or an exit status after the message. */
static int check_format(const struct cli_trace *t, const struct format *f)
{
	const struct timeline_filter *filter = &t->view.filter;
	bool heaptrack = f->write_timeline == write_heaptrack;

	if (!heaptrack && trace_is_heap(t->view.trace))
		return cli_fail(
			"'%s' is of periscope heap --record: -o FILE.heaptrack.gz is made of "
			"it, for heaptrack_gui and heaptrack_print",
			t->path);
	if (heaptrack && (filter->route || filter->slower))
		return cli_fail(
			"allocations can be chosen by --from, --to and --tid, not by requests");
	return 0;
}

static int write_one(struct models *m, const struct format *f, struct sink *out)
{
	struct cli_trace *t = m->t;
	const struct report *report = NULL;
	int err = 0;

	if (f->write && !m->profile)
		err = timeline_profile(&t->view, t->profile, &m->profile);
	if (f->write_report)
		err = make_report(m, f->write_report == write_report_json, &report);
	if (err)
		return err;
	m->options.title = f->write ? profile_title(t->profile) : "Timeline";
	return format_write(f,
			    (struct write_model){
				    .profile = m->profile, .report = report, .timeline = &t->view },
			    &m->options, out);
}

/* Whose fault it was. */
static int fail(const struct cli_trace *t, const char *path, int err)
{
	if (t->view.trace->err == -EFBIG)
		return cli_fail(
			"cannot read '%s': it says more than can be true: too many threads or "
			"requests, or parts of one time",
			t->path);
	if (t->view.trace->err)
		return cli_fail("cannot read '%s': %s", t->path, strerror(-t->view.trace->err));
	if (err == -ENODATA)
		return cli_fail(
			"'%s' holds no allocations: periscope heap --record makes files that do",
			t->path);
	return cli_fail("cannot write %s: %s", path, strerror(-err));
}

/* After the file has been read. */
static void print_notes(const struct cli_trace *t)
{
	const struct trace *trace = t->view.trace;
	const struct trace_damage *d = &trace->damage;

	if (!trace->complete)
		fprintf(stderr, "'%s' was not finished: this is what there is of it\n", t->path);
	if (d->chunks || d->bytes || d->entries || d->events || d->missing)
		fprintf(stderr,
			"'%s' is damaged: parts=%" PRIu64 " missing=%" PRIu64
			" bytes-passed-over=%" PRIu64 "\n",
			t->path, d->chunks + d->entries + d->events, d->missing, d->bytes);
	if (d->unknown)
		fprintf(stderr, "'%s' is of a newer version: left out %" PRIu64 " things\n",
			t->path, d->unknown);
}

int cli_trace_write(struct cli_trace *t, struct cli_outputs *o)
{
	struct models m;
	int err = models_init(&m, t), status = 0;
	char name[256];

	for (size_t i = 0; i < o->nr && !err && !status; i++) {
		struct cli_output *out = &o->items[i];

		status = check_format(t, out->format);
		if (status)
			break;
		err = write_one(&m, out->format, output_sink(out->output));
		if (!err)
			err = output_commit(out->output);
		if (!err)
			continue;
		snprintf(name, sizeof(name), "'%s'", out->path);
		status = fail(t, name, err);
		err = 0;
	}
	models_release(&m);
	if (err)
		return cli_fail("out of memory");
	if (!status)
		print_notes(t);
	return status;
}

int cli_trace_stdout(struct cli_trace *t, const char *format)
{
	const struct format *f = NULL;
	struct output *out = NULL;
	struct models m;
	int err = models_init(&m, t);

	if (!err)
		err = format_find(timeline_formats, "", format, &f);
	if (!err)
		err = output_open("-", &out);
	if (!err && check_format(t, f)) {
		output_free(out);
		models_release(&m);
		return 1;
	}
	if (!err) {
		if (isatty(STDOUT_FILENO) || getenv("COLUMNS"))
			m.options.width = cli_width(STDOUT_FILENO);
		m.options.color = cli_color(STDOUT_FILENO);
		m.options.unicode = cli_unicode();
		err = write_one(&m, f, output_sink(out));
		if (!err)
			err = output_commit(out);
	}
	output_free(out);
	models_release(&m);
	if (err)
		return fail(t, "to standard output", err);
	print_notes(t);
	return 0;
}
