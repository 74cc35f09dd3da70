/* SPDX-License-Identifier: MIT */
/* The course of a capture, with an engine that only counts what is asked of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/cli_capture.h"

struct engine {
	int fd;
	size_t alive;
	int added, started, polls, stopped, ticks;
	int exits_after;     /* polls; 0: never */
	int fails_after;     /* likewise */
	int tick_status;     /* of the third tick and all later ones */
	useconds_t start_us; /* that the start takes */
	uint64_t past_ns;    /* of all ticks together */
};

static int add(void *capture, pid_t pid, bool before_exec)
{
	struct engine *e = capture;

	assert_false(before_exec);
	e->added += pid == 7;
	return 0;
}

static int start(void *capture)
{
	struct engine *e = capture;

	e->started++;
	usleep(e->start_us);
	return 0;
}

static int poll_engine(void *capture)
{
	struct engine *e = capture;

	if (++e->polls == e->exits_after)
		e->alive = 0;
	return e->polls == e->fails_after ? -ENOMEM : 0;
}

static int stop(void *capture)
{
	((struct engine *)capture)->stopped++;
	return 0;
}

static int get_fd(const void *capture)
{
	return ((const struct engine *)capture)->fd;
}

static size_t alive(const void *capture)
{
	return ((const struct engine *)capture)->alive;
}

static const char *error(const void *capture)
{
	(void)capture;
	return "no reason";
}

static const struct capture_ops ops = {
	.add = add,
	.start = start,
	.poll = poll_engine,
	.stop = stop,
	.fd = get_fd,
	.alive = alive,
	.error = error,
	.unit = "things",
};

static int tick(void *arg, uint64_t past_ns)
{
	struct engine *e = arg;

	assert_int_equal(e->started, 1);
	assert_int_equal(e->stopped, 0);
	e->past_ns += past_ns;
	return ++e->ticks >= 3 ? e->tick_status : 0;
}

static int run(struct engine *e, uint64_t duration_ns, uint64_t interval_ns, struct cli_capture *c)
{
	static pid_t pid = 7;
	const struct cli_target target = { .pids = { .items = &pid, .nr = 1 } };
	int status;

	e->fd = eventfd(0, EFD_CLOEXEC);
	e->alive = 1;
	*c = (struct cli_capture){
		.ops = &ops,
		.capture = e,
		.target = &target,
		.duration_ns = duration_ns,
		.on_interval = interval_ns ? tick : NULL,
		.interval_arg = e,
		.interval_ns = interval_ns,
	};
	status = cli_capture_run(c);
	assert_int_equal(e->added, 1);
	assert_int_equal(e->started, 1);
	assert_int_equal(e->stopped, 1);
	close(e->fd);
	return status;
}

static void test_duration(void **state)
{
	struct engine e = { 0 };
	struct cli_capture c;

	(void)state;
	assert_int_equal(run(&e, 30000000, 0, &c), 0);
	assert_true(c.ran_ns >= 30000000);
	assert_false(c.target_exited || c.broken);
	assert_int_equal(e.ticks, 0);
}

static void test_exit(void **state)
{
	struct engine e = { .exits_after = 2 };
	struct cli_capture c;

	(void)state;
	assert_int_equal(run(&e, 0, 0, &c), 0);
	assert_true(c.target_exited);
	assert_int_equal(e.polls, 2);
}

/* It is stopped all the same, and there is something to be shown. */
static void test_failure(void **state)
{
	struct engine e = { .fails_after = 2 };
	struct cli_capture c;

	(void)state;
	assert_int_equal(run(&e, 0, 0, &c), 0);
	assert_true(c.broken);
	assert_false(c.target_exited);
	assert_int_equal(e.polls, 2);
}

/* As many as there are intervals, or fewer where the machine was late; never more. */
static void test_intervals(void **state)
{
	struct engine e = { 0 };
	struct cli_capture c;

	(void)state;
	assert_int_equal(run(&e, 200000000, 20000000, &c), 0);
	assert_true(e.ticks >= 1);
	assert_true((uint64_t)e.ticks <= c.ran_ns / 20000000);
}

/* What comes before the capture has begun is in no interval: rates would be too low. */
static void test_intervals_are_of_the_capture(void **state)
{
	struct engine e = { .start_us = 300000 };
	struct cli_capture c;

	(void)state;
	assert_int_equal(run(&e, 100000000, 20000000, &c), 0);
	assert_true(e.past_ns >= (uint64_t)e.ticks * 20000000);
	assert_true(e.past_ns <= c.ran_ns);
}

static void test_interval_ends_it(void **state)
{
	struct engine e = { .tick_status = CLI_FAILED };
	struct cli_capture c;

	(void)state;
	assert_int_equal(run(&e, 0, 5000000, &c), CLI_FAILED);
	assert_int_equal(e.ticks, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_intervals),
		cmocka_unit_test(test_intervals_are_of_the_capture),
		cmocka_unit_test(test_interval_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
