/* SPDX-License-Identifier: MIT */
#include "cli_capture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch.h"
#include "loop.h"
#include "process.h"
#include "util.h"

#define POLL_NS	    100000000ULL
#define PROGRESS_NS 1000000000ULL
#define EXEC_NS	    1000000000ULL
#define STEP_NS	    200000000ULL

struct session {
	struct cli_capture *c;
	struct launch launch;
	struct loop loop;
	uint64_t started_ns, interval_began_ns;
	bool launched;
};

static int fail(const struct session *s)
{
	return cli_fail("%s", s->c->ops->error(s->c->capture));
}

/*
 * Lead the command's dynamic linker from system call to system call until all probes are placed, so
 * that constructors pass them. One that ends meanwhile is no error of ours.
 */
static int place_probes(struct session *s)
{
	const struct capture_ops *ops = s->c->ops;
	int placed = ops->place ? 0 : 1, err = 0;
	uint64_t pc = 0;

	while (!placed && !err) {
		placed = ops->place(s->c->capture, s->launch.pid, pc);
		if (placed)
			break;
		err = launch_step(&s->launch, STEP_NS, &pc);
		/* Whatever computes for so long is the program. */
		if (err == -ETIMEDOUT)
			placed = ops->place(s->c->capture, s->launch.pid, CAPTURE_PC_LOADED);
	}
	return placed < 0 ? placed : 0;
}

static int start_command(struct session *s)
{
	const struct capture_ops *ops = s->c->ops;
	char *const *command = s->c->target->command;
	uint64_t deadline;
	int err;

	err = launch_init(&s->launch, command);
	if (err)
		return cli_fail("cannot fork: %s", strerror(-err));
	s->launched = true;
	s->c->command_pid = s->launch.pid;
	if (ops->add(s->c->capture, s->launch.pid, true) || ops->start(s->c->capture))
		return fail(s);
	err = launch_exec(&s->launch);
	if (err)
		return cli_fail("cannot run '%s': %s", command[0], strerror(-err));
	/* It stands at its first instruction: learn its mappings before it goes on. */
	deadline = now_ns() + EXEC_NS;
	while (!ops->knows(s->c->capture, s->launch.pid) && now_ns() < deadline)
		if (ops->poll(s->c->capture))
			return fail(s);
	if (place_probes(s))
		return fail(s);
	if (ops->begin && ops->begin(s->c->capture))
		return fail(s);
	err = s->launch.reaped ? 0 : launch_run(&s->launch);
	return err ? cli_fail("cannot let '%s' run: %s", command[0], strerror(-err)) : 0;
}

/*
 * With --children, those that are there already. Before the start, which looks at what it has to do
 * with, and after it, so that one forked meanwhile is either found here or was taken in at its fork.
 * One that exits in between is no error.
 */
static int add_descendants(const struct session *s)
{
	const struct cli_ids *pids = &s->c->target->pids;
	pid_t *list = NULL;
	size_t n = 0;
	int err = 0;

	for (size_t i = 0; i < pids->nr && !err; i++) {
		err = process_descendants(pids->items[i], &list, &n);
		if (err)
			return cli_fail("cannot read /proc: %s", strerror(-err));
		for (size_t j = 0; j < n && !err; j++) {
			if (s->c->ops->knows(s->c->capture, list[j]))
				continue;
			err = s->c->ops->add(s->c->capture, list[j], false);
			if (err == -ESRCH)
				err = 0;
		}
		free(list);
	}
	return err ? fail(s) : 0;
}

static int start(struct session *s)
{
	const struct cli_target *t = s->c->target;
	int err = 0;

	clock_gettime(CLOCK_REALTIME, &s->c->started);
	if (t->command) {
		err = start_command(s);
		s->started_ns = now_ns();
		return err;
	}
	for (size_t i = 0; i < t->pids.nr && !err; i++)
		err = s->c->ops->add(s->c->capture, t->pids.items[i], false);
	if (err)
		return fail(s);
	err = t->children ? add_descendants(s) : 0;
	if (err)
		return err;
	err = s->c->ops->start(s->c->capture);
	s->started_ns = now_ns();
	if (err)
		return fail(s);
	return t->children ? add_descendants(s) : 0;
}

static void show_progress(const struct session *s)
{
	fprintf(stderr, "\r\033[K%.0f s, %" PRIu64 " %s; Ctrl-C ends",
		(now_ns() - s->started_ns) / 1e9, s->c->ops->count(s->c->capture), s->c->ops->unit);
}

/* What is due by the clock. Returns 0 or an exit status. */
static int tick(struct session *s, uint64_t *next)
{
	uint64_t interval = s->c->on_interval ? s->c->interval_ns : PROGRESS_NS, now = now_ns();

	if (now < *next)
		return 0;
	*next += ((now - *next) / interval + 1) * interval;
	if (s->c->on_interval) {
		uint64_t past = now - s->interval_began_ns;

		s->interval_began_ns = now;
		return s->c->on_interval(s->c->interval_arg, past);
	}
	if (isatty(STDERR_FILENO))
		show_progress(s);
	return 0;
}

static int collect(struct session *s)
{
	const struct capture_ops *ops = s->c->ops;
	uint64_t end = s->c->duration_ns ? s->started_ns + s->c->duration_ns : UINT64_MAX, now;
	uint64_t next = s->started_ns + (s->c->on_interval ? s->c->interval_ns : PROGRESS_NS);
	int status = 0;

	s->interval_began_ns = s->started_ns;
	while (!status && !s->loop.signal && ops->alive(s->c->capture) && (now = now_ns()) < end) {
		s->c->broken = loop_once(&s->loop, MIN(MIN(end, next), now + POLL_NS)) ||
			       ops->poll(s->c->capture);
		if (s->c->broken) {
			fail(s);
			break;
		}
		if (s->launched)
			launch_reap(&s->launch, 0);
		status = tick(s, &next);
	}
	s->c->ran_ns = now_ns() - s->started_ns;
	s->c->target_exited = !ops->alive(s->c->capture);
	if (!s->c->on_interval && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	if (!ops->stop(s->c->capture))
		return status;
	return s->c->broken ? CLI_FAILED : fail(s); /* one line for what broke it */
}

int cli_capture_run(struct cli_capture *c)
{
	struct session s = { .c = c };
	int status, err;

	err = loop_init(&s.loop);
	if (err)
		return cli_fail("cannot wait for signals: %s", strerror(-err));
	err = loop_add(&s.loop, c->ops->fd(c->capture), c->ops->poll, c->capture);
	status = err ? cli_fail("cannot wait for events: %s", strerror(-err)) : start(&s);
	if (!status && c->verbose)
		fputs("capturing\n", stderr);
	if (!status)
		status = collect(&s);
	if (s.launched)
		launch_release(&s.launch);
	loop_release(&s.loop);
	return status;
}
