/* SPDX-License-Identifier: MIT */
#include "cli_result.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "process.h"
#include "profile.h"
#include "stack_profile.h"
#include "target.h"

/* Before the capture: afterwards the process may be gone. */
static int describe_target(struct cli_result *r)
{
	const struct cli_target *t = &r->common->target;
	struct process p;
	size_t len = 0;

	gethostname(r->host, sizeof(r->host) - 1);
	if (t->command) {
		r->command = cli_join(t->command);
		return r->command ? 0 : cli_fail("out of memory");
	}
	for (size_t i = 0; i < t->pids.nr && len < sizeof(r->pids); i++)
		len += (size_t)snprintf(r->pids + len, sizeof(r->pids) - len, "%s%d", i ? "," : "",
					t->pids.items[i]);
	if (process_init(&p, t->pids.items[0]))
		return 0;
	r->command = p.command;
	p.command = NULL;
	process_release(&p);
	return 0;
}

static int add_fields(struct cli_result *r)
{
	int err = r->command ? fields_add(&r->fields, "command", r->command) : 0;

	if (!err)
		err = fields_add(&r->fields, "pid", r->pids);
	if (!err)
		err = fields_add(&r->fields, "host", r->host);
	if (!err)
		err = fields_addf(&r->fields, "duration", "%.2fs", (double)r->run.ran_ns / 1e9);
	return err ? cli_fail("out of memory") : 0;
}

int cli_result_capture(struct cli_result *r, struct cli_common *common,
		       const struct capture_ops *ops, void *capture)
{
	int status;

	r->common = common;
	r->run = (struct cli_capture){
		.ops = ops,
		.capture = capture,
		.target = &common->target,
		.duration_ns = common->duration_ns,
		.verbose = common->verbose,
		.on_interval = common->interval_ns ? r->run.on_interval : NULL,
		.interval_arg = r->run.interval_arg,
		.interval_ns = common->interval_ns,
	};
	status = describe_target(r);
	if (!status)
		status = cli_capture_run(&r->run);
	if (r->run.command_pid)
		snprintf(r->pids, sizeof(r->pids), "%d", r->run.command_pid);
	return status ? status : add_fields(r);
}

static int add_comment(struct profile *p, const char *key, const char *value)
{
	char *text;
	int err;

	if (!value)
		return 0;
	if (asprintf(&text, "%s: %s", key, value) < 0)
		return -1;
	err = profile_comment(p, text);
	free(text);
	return err;
}

int cli_result_comments(const struct cli_result *r, struct profile *p)
{
	int err = add_comment(p, "command", r->command);

	if (!err)
		err = add_comment(p, "host", r->host);
	for (size_t i = 0; i < r->summary.nr && !err; i++)
		err = add_comment(p, r->summary.items[i].key, r->summary.items[i].value);
	return err ? cli_fail("out of memory") : 0;
}

void cli_result_times(const struct cli_result *r, struct profile *p)
{
	p->time_ns = r->run.started.tv_sec * INT64_C(1000000000) + r->run.started.tv_nsec;
	p->duration_ns = (int64_t)r->run.ran_ns;
}

int cli_result_write_files(struct cli_result *r, struct write_model m, struct write_options *w)
{
	struct cli_common *c = r->common;

	w->fields = r->fields.items;
	w->nr_fields = r->fields.nr;
	w->top = (unsigned int)c->top;
	return cli_outputs_write(&c->outputs, m, w);
}

int cli_result_write(struct cli_result *r, struct write_model m, struct write_options *w)
{
	struct cli_common *c = r->common;
	int status = cli_result_write_files(r, m, w);

	if (!c->folded && c->outputs.nr)
		return status;
	w->width = cli_width(STDOUT_FILENO);
	w->color = cli_color(STDOUT_FILENO);
	w->unicode = cli_unicode();
	return cli_stdout(&c->outputs, c->folded ? "folded" : "text", m, w) | status;
}

void cli_result_comm(const struct cli_target *t, char ret[16])
{
	const char *slash, *name = "?";
	struct process p;

	if (t->command) {
		slash = strrchr(t->command[0], '/');
		name = slash ? slash + 1 : t->command[0];
	}
	snprintf(ret, 16, "%.15s", name);
	if (t->command || !t->pids.nr || process_init(&p, t->pids.items[0]))
		return;
	snprintf(ret, 16, "%.15s", p.comm);
	process_release(&p);
}

int cli_result_end(struct cli_result *r, int status)
{
	if (r->run.broken)
		fputs("this is what was seen until then\n", stderr);
	else if (r->run.target_exited && !r->common->target.command)
		fprintf(stderr, "the target has exited; this is what was seen of it\n");
	if (!status && r->common->stats)
		status = summary_write_json(&r->summary, r->common->stats);
	summary_print(&r->summary, stderr);
	return r->run.broken ? CLI_FAILED : status;
}

void cli_result_print_objects(const struct target *t, const struct stacks *s)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	fprintf(stderr, "objects: %zu, unwind tables: %.1f KB, peak memory: %ld MB\n",
		t->objects.nr, (double)t->objects.table_bytes / 1024.0, ru.ru_maxrss / 1024);
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
				obj->table.nr_rows, obj->table.nr_unsupported, obj->table.nr_bad);
	}
	stack_failures_print(s, &t->objects, stderr);
}

void cli_result_release(struct cli_result *r)
{
	summary_release(&r->summary);
	fields_release(&r->fields);
	free(r->command);
}
