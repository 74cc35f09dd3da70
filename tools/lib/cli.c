/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "process.h"
#include "util.h"

static const char *cli_name = "periscope";

void cli_set_name(const char *name)
{
	cli_name = name;
}

static void print_error(const char *fmt, va_list ap)
{
	fprintf(stderr, "%s: ", cli_name);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

int cli_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_error(fmt, ap);
	va_end(ap);
	return CLI_FAILED;
}

int cli_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_error(fmt, ap);
	va_end(ap);
	return CLI_USAGE;
}

void cli_ids_release(struct cli_ids *ids)
{
	free(ids->items);
	*ids = (struct cli_ids){ 0 };
}

static int ids_add(struct cli_ids *ids, pid_t id)
{
	for (size_t i = 0; i < ids->nr; i++)
		if (ids->items[i] == id)
			return 0;
	if (array_grow((void **)&ids->items, ids->nr, &ids->cap, sizeof(*ids->items)))
		return cli_fail("out of memory");
	ids->items[ids->nr++] = id;
	return 0;
}

int cli_ids_parse(struct cli_ids *ids, const char *option, const char *text)
{
	char *copy = strdup(text), *item, *rest = copy;
	uint64_t id;
	int err = copy ? 0 : cli_fail("out of memory");

	while (!err && (item = strsep(&rest, ","))) {
		if (parse_u64(item, 1, INT32_MAX, &id))
			err = cli_usage("%s wants numbers of processes or threads, not '%s'",
					option, text);
		else
			err = ids_add(ids, id);
	}
	free(copy);
	return err;
}

void cli_target_release(struct cli_target *t)
{
	cli_ids_release(&t->pids);
	cli_ids_release(&t->tids);
}

static int check_process(pid_t *pid)
{
	struct process p;
	int err = process_init(&p, *pid);

	if (err == -ESRCH)
		return cli_fail("no process with PID %d", *pid);
	if (err)
		return cli_fail("cannot look at process %d: %s", *pid, strerror(-err));
	*pid = p.pid;
	err = p.kernel_thread ? -ECHILD : process_check_machine(p.pid);
	process_release(&p);
	switch (err) {
	case 0:
		return 0;
	case -ECHILD:
		return cli_fail(
			"%d is a kernel thread; only processes of user space can be watched", *pid);
	case -ENOTSUP:
		return cli_fail("process %d is 32-bit or of another architecture than this tool",
				*pid);
	case -EACCES:
	case -EPERM:
		if (!geteuid())
			return cli_fail("no right to look at process %d, not even as root: a user "
					"namespace or a security module forbids it",
					*pid);
		return cli_fail("no right to look at process %d; run it with sudo", *pid);
	case -ESRCH:
	case -ENOENT:
		return cli_fail("process %d has just exited", *pid);
	default:
		return cli_fail("cannot read the executable of process %d: %s", *pid,
				strerror(-err));
	}
}

static int take_name(struct cli_target *t)
{
	pid_t *list;
	size_t n;
	int err = process_find(t->name, &list, &n);

	if (err)
		return cli_fail("cannot read /proc: %s", strerror(-err));
	for (size_t i = 0; i < n && !err; i++)
		err = ids_add(&t->pids, list[i]);
	free(list);
	return err || n ? err : cli_fail("no process named '%s'", t->name);
}

static int take_threads(struct cli_target *t)
{
	struct process p;
	int err = 0;

	for (size_t i = 0; i < t->tids.nr && !err; i++) {
		pid_t tid = t->tids.items[i];
		bool found = false;

		for (size_t j = 0; j < t->pids.nr && !found; j++)
			found = process_has_thread(t->pids.items[j], tid);
		if (found)
			continue;
		if (t->pids.nr && !t->name && t->pids.items[0] != tid)
			return cli_fail("no thread %d in the processes named by -p", tid);
		if (process_init(&p, tid))
			return cli_fail("no thread with TID %d", tid);
		err = ids_add(&t->pids, p.pid);
		process_release(&p);
	}
	return err;
}

int cli_target_resolve(struct cli_target *t)
{
	int ways =
		(t->pids.nr || (t->tids.nr && !t->name)) + (t->name != NULL) + (t->command != NULL);
	int err = 0;

	if (ways != 1)
		return cli_usage(
			ways ? "-p, -n and -- CMD exclude each other"
			     : "which process? Give -p PID, -n NAME or -- CMD (see --help)");
	if (t->command)
		return t->tids.nr ? cli_usage("--tid needs a process that runs") : 0;
	if (t->name)
		err = take_name(t);
	if (!err && t->tids.nr)
		err = take_threads(t);
	for (size_t i = 0; i < t->pids.nr && !err; i++)
		err = check_process(&t->pids.items[i]);
	return err;
}

int cli_duration(const struct cli_target *t, int argc, char **argv, uint64_t *ret_ns)
{
	bool named = t->pids.nr || t->tids.nr || t->name || t->command;
	uint64_t number;
	int err;

	*ret_ns = 0;
	if (!argc)
		return 0;
	if (!named && !parse_u64(argv[0], 1, INT32_MAX, &number))
		return cli_usage("which process? Did you mean -p %s?", argv[0]);
	if (argc > 1)
		return cli_usage("one duration at most, not '%s %s'", argv[0], argv[1]);
	err = parse_duration(argv[0], ret_ns);
	if (err == -ERANGE)
		return cli_usage("a duration is more than 0 and at most a year, not '%s'", argv[0]);
	if (err)
		return cli_usage("'%s' is no duration (10, 10s, 500ms, 2m)", argv[0]);
	return 0;
}

int cli_outputs_add(struct cli_outputs *o, const char *path)
{
	if (array_grow((void **)&o->items, o->nr, &o->cap, sizeof(*o->items)))
		return cli_fail("out of memory");
	o->items[o->nr++] = (struct cli_output){ .path = path };
	return 0;
}

static const struct format *formats_of(const struct cli_outputs *o)
{
	return o->formats ? o->formats : profile_formats;
}

static int unknown_format(const struct cli_outputs *o, const char *path, const char *format)
{
	char known[256] = "";
	size_t len = 0;

	for (const struct format *f = formats_of(o); f->name && len < sizeof(known); f++)
		if (format || f->ending)
			len += snprintf(known + len, sizeof(known) - len, "%s%s", len ? ", " : "",
					format ? f->name : f->ending);
	if (format)
		return cli_usage("no format '%s'; there are %s", format, known);
	return cli_usage("no format by the ending of '%s'; there are %s (or --format)", path,
			 known);
}

int cli_outputs_choose(struct cli_outputs *o, const char *format)
{
	for (size_t i = 0; i < o->nr; i++)
		if (format_find(formats_of(o), o->items[i].path, format, &o->items[i].format))
			return unknown_format(o, o->items[i].path, format);
	return 0;
}

int cli_outputs_open(struct cli_outputs *o)
{
	int err;

	for (size_t i = 0; i < o->nr; i++) {
		err = output_open(o->items[i].path, &o->items[i].output);
		if (err)
			return cli_fail("cannot write '%s': %s", o->items[i].path, strerror(-err));
	}
	return 0;
}

int cli_outputs_write(struct cli_outputs *o, struct write_model m, const struct write_options *w)
{
	int status = 0, err;

	for (size_t i = 0; i < o->nr; i++) {
		struct cli_output *out = &o->items[i];

		err = format_write(out->format, m, w, output_sink(out->output));
		if (!err)
			err = output_commit(out->output);
		if (err)
			status = cli_fail("cannot write '%s': %s", out->path, strerror(-err));
	}
	return status;
}

int cli_stdout(const struct cli_outputs *o, const char *format, struct write_model m,
	       const struct write_options *w)
{
	const struct format *f;
	struct output *out;
	int err = format_find(formats_of(o), "", format, &f);

	if (!err)
		err = output_open("-", &out);
	if (!err) {
		err = format_write(f, m, w, output_sink(out));
		if (!err)
			err = output_commit(out);
		output_free(out);
	}
	return err ? cli_fail("cannot write to standard output: %s", strerror(-err)) : 0;
}

void cli_outputs_release(struct cli_outputs *o)
{
	for (size_t i = 0; i < o->nr; i++)
		output_free(o->items[i].output);
	free(o->items);
	*o = (struct cli_outputs){ 0 };
}

char *cli_join(char *const *words)
{
	size_t len = 1;
	char *text, *end;

	for (char *const *w = words; *w; w++)
		len += strlen(*w) + 1;
	text = malloc(len);
	if (!text)
		return NULL;
	*text = '\0';
	end = text;
	for (char *const *w = words; *w; w++)
		end = stpcpy(stpcpy(end, w == words ? "" : " "), *w);
	return text;
}

unsigned int cli_width(int fd)
{
	const char *columns = getenv("COLUMNS");
	struct winsize ws;
	uint64_t n;

	if (!ioctl(fd, TIOCGWINSZ, &ws) && ws.ws_col)
		return ws.ws_col;
	if (columns && !parse_u64(columns, 20, 10000, &n))
		return n;
	return 80;
}

bool cli_color(int fd)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return isatty(fd) && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

bool cli_unicode(void)
{
	/* In this order (POSIX.1-2017, 8.2); the names alone, since the locale may not be installed. */
	static const char *const variables[] = { "LC_ALL", "LC_CTYPE", "LANG" };

	for (size_t i = 0; i < ARRAY_SIZE(variables); i++) {
		const char *locale = getenv(variables[i]);

		if (locale && *locale)
			return strcasestr(locale, "utf-8") || strcasestr(locale, "utf8");
	}
	return false;
}
