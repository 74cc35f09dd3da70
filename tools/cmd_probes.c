/* SPDX-License-Identifier: MIT */
/* periscope probes: what can be probed in a process or a file, where, and at what price. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/attach.h"
#include "lib/cli_options.h"
#include "lib/images.h"
#include "lib/probe_list.h"
#include "lib/summary.h"
#include "lib/util.h"
#include "periscope.h"

static const char usage_text[] =
	"usage: periscope probes (-p PID | -n NAME | FILE) [GLOB] [options]\n"
	"\n"
	"Lists what can be probed: without GLOB the USDT probes that the programmers left, each\n"
	"with its arguments and where they are; with GLOB those and the functions that match it,\n"
	"each with the instruction that a probe would be put on. Of a process, all files that it\n"
	"has mapped. Nothing is attached.\n"
	"\n"
	"  GLOB              *, ? and [a-z] stand for what they do in a shell: 'handle_*',\n"
	"                    'lib:function' ('libc:mal*'), 'provider:probe' ('postgresql:query*')\n"
	"  -p PID            a process\n"
	"  -n NAME           the process of that name\n"
	"  --json            for programs\n"
	"  --measure         try what a hit costs on this machine, on periscope itself (as root)\n"
	"  -V, -h            version, this help\n"
	"\n"
	"A hit is emulated or single-stepped. emulated: the kernel does the work of the instruction\n"
	"below the probe itself. single-stepped: it runs the instruction elsewhere and traps again.\n"
	"+N is how far behind the function's entry the probe goes. Not everything can be asked for\n"
	"its returns: a return probe breaks C++ exceptions and coroutines that pass through.\n"
	"Exit status: 0 done, 1 could not or nothing matches, 2 usage.\n"
	"\n"
	"examples:\n"
	"  periscope probes -p 1234                      USDT probes of a process\n"
	"  periscope probes -p 1234 'handle_*'           functions of that name\n"
	"  periscope probes -p 1234 'libc:*alloc'        of one library\n"
	"  periscope probes /usr/bin/python3 --json      of a file\n";

struct options {
	struct cli_common common;
	bool json, measure;
	const char *file, *glob;
};

static int check(void *arg)
{
	struct options *o = arg;
	const struct cli_target *t = &o->common.target;
	char **args = o->common.args;
	int n = o->common.nr_args;

	if (t->tids.nr || t->children)
		return cli_usage("--tid and --children mean nothing here: a probe is in a file");
	if (!t->pids.nr && !t->name) {
		if (!n)
			return cli_usage("of what? Give -p PID, -n NAME or a file (see --help)");
		if (strspn(args[0], "0123456789") == strlen(args[0]) && access(args[0], F_OK))
			return cli_usage("did you mean -p %s?", args[0]);
		o->file = *args++;
		n--;
	}
	if (n > 1)
		return cli_usage("what is '%s'? One GLOB at a time (see --help)", args[1]);
	o->glob = n ? args[0] : NULL;
	return 0;
}

static int open_process(const struct options *o, struct images *ret)
{
	const struct cli_ids *pids = &o->common.target.pids;
	int err;

	if (pids->nr != 1)
		return cli_usage("one process at a time, please; these are %zu", pids->nr);
	err = images_of_process(ret, pids->items[0]);
	if (err == -ESRCH)
		return cli_fail("process %d has just exited", pids->items[0]);
	if (err == -EACCES || err == -EPERM)
		return cli_fail("no right to look at process %d; run it with sudo", pids->items[0]);
	return err ? cli_fail("cannot look at process %d: %s", pids->items[0], strerror(-err)) : 0;
}

static int open_file(const struct options *o, struct images *ret)
{
	int err = images_of_file(ret, o->file);

	if (err == -ENOEXEC)
		return cli_fail("'%s' is no ELF file: neither a program nor a library", o->file);
	if (err == -ENOTSUP)
		return cli_fail("'%s' is not a 64-bit little-endian file", o->file);
	if (err == -ENOENT && !strchr(o->file, '/'))
		return cli_fail("there is no file '%s'; in a process: -p PID '%s'", o->file,
				o->file);
	return err ? cli_fail("cannot open '%s': %s", o->file, strerror(-err)) : 0;
}

/* Nothing matched the GLOB: what was meant? */
static int fail_empty(const struct options *o, const struct images *images,
		      const struct probe_list *l)
{
	size_t lib_len;
	struct strbuf names;
	int status;

	functions_split(o->glob, &lib_len);
	strbuf_init(&names);
	if (probe_list_suggest(images, o->glob, PROBE_LIST_USDT | PROBE_LIST_FUNCTIONS, &names) > 0)
		status = cli_fail("nothing is called '%s'; similar: %s", o->glob,
				  strbuf_str(&names));
	else if (l->nr_of_provider)
		status = cli_fail(
			"no USDT probe of %.*s is called '%s'; it has %zu others: '%.*s:*'",
			(int)lib_len, o->glob, o->glob + lib_len + 1, l->nr_of_provider,
			(int)lib_len, o->glob);
	else if (lib_len && !l->nr_libraries)
		status =
			cli_fail("nothing is called '%s', and '%.*s' is neither a provider of USDT "
				 "probes nor the name of %s",
				 o->glob, (int)lib_len, o->glob,
				 o->file ? "this file" : "a file that is mapped");
	else
		status = cli_fail("neither a USDT probe nor a function is called '%s'", o->glob);
	strbuf_release(&names);
	return status;
}

static int print(const struct options *o, const struct probe_list *l,
		 const struct probe_list_source *from)
{
	struct strbuf text;
	int status = 0;

	strbuf_init(&text);
	if (o->json)
		probe_list_json(l, from, &text);
	else
		probe_list_text(l, from, &text);
	if (strbuf_error(&text))
		status = cli_fail("out of memory");
	else if (fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout))
		status = cli_fail("cannot write to standard output: %s", strerror(errno));
	strbuf_release(&text);
	return status;
}

static int measure(struct probe_cost *cost)
{
	int err = probe_cost_measure(cost);

	if (err == -ENOTSUP)
		return cli_fail("--measure knows no other machine than x86-64");
	return err ? cli_fail("cannot measure: %s", attach_error(err)) : 0;
}

static void print_summary(const struct images *images, const struct probe_list *l)
{
	struct summary s = { 0 };

	summary_u64(&s, "files", images->nr);
	summary_u64(&s, "usdt", l->nr_usdt);
	summary_u64(&s, "functions", l->nr_functions);
	if (images->nr_unreadable)
		summary_u64(&s, "unreadable-files", images->nr_unreadable);
	if (l->nr_bad_notes)
		summary_u64(&s, "bad-notes", l->nr_bad_notes);
	summary_print(&s, stderr);
	summary_release(&s);
}

static int list(const struct options *o, const struct images *images)
{
	struct probe_list_source from = { .name = o->file };
	struct probe_cost cost;
	struct probe_list l;
	int status = 0;

	if (o->measure) {
		status = measure(&cost);
		if (status)
			return status;
		from.cost = &cost;
	}
	if (!o->file)
		from.pid = o->common.target.pids.items[0];
	if (probe_list_init(&l, images, o->glob))
		return cli_fail("out of memory");
	if (!l.nr && o->glob)
		status = fail_empty(o, images, &l);
	else
		status = print(o, &l, &from);
	if (!status)
		print_summary(images, &l);
	probe_list_release(&l);
	return status;
}

static int run(void *arg)
{
	const struct options *o = arg;
	struct images images = { .root_fd = -1 };
	int status;

	status = o->file ? open_file(o, &images) : open_process(o, &images);
	if (status)
		return status;
	status = list(o, &images);
	images_release(&images);
	return status;
}

static int probes_main(int argc, char **argv)
{
	struct options o = { 0 };
	const struct cli_option rows[] = {
		{ 0, "json", CLI_FLAG, .flag = &o.json },
		{ 0, "measure", CLI_FLAG, .flag = &o.measure },
	};
	const struct cli_spec spec = {
		.usage = usage_text,
		.groups = CLI_TARGET | CLI_MAY_TARGET,
		.options = rows,
		.nr_options = ARRAY_SIZE(rows),
		.common = &o.common,
		.check = check,
		.run = run,
		.arg = &o,
	};

	return cli_main(&spec, argc, argv);
}

const struct command cmd_probes = {
	.name = "probes",
	.summary = "what can be probed: USDT probes and functions, where, and at what price",
	.main = probes_main,
};
