/* SPDX-License-Identifier: MIT */
/*
 * When a line comes on stdin, allocates 101 blocks of 64 bytes and runs itself anew in the same
 * process; then allocates 211 of 80 and stays. If ARG is "thread", another thread than the first
 * does that, and the 211 come after another line.
 */
#include <pthread.h>

#include "workload.h"

static void *volatile block;
static char **again;

FRAME void before_exec(void)
{
	for (int i = 0; i < 101; i++)
		block = malloc(64);
}

FRAME void after_exec(void)
{
	for (int i = 0; i < 211; i++)
		block = malloc(80);
}

static void *run_again(void *arg)
{
	execv("/proc/self/exe", again);
	return arg;
}

int main(int argc, char **argv)
{
	const char *arg = workload_arg(argc, argv, "plain");
	char *next[] = { argv[0], argv[1], (char *)"again", NULL, NULL };
	pthread_t thread;
	char line[8];

	workload_start(argc, argv);
	if (!strcmp(arg, "again")) {
		if (argc > 3 && read(STDIN_FILENO, line, sizeof(line)) < 0)
			return 1;
		after_exec();
		if (write(STDOUT_FILENO, "done\n", 5) != 5)
			return 1;
		for (;;)
			pause();
	}
	workload_ready();
	if (read(STDIN_FILENO, line, sizeof(line)) < 0)
		return 1;
	before_exec();
	again = next;
	if (!strcmp(arg, "thread"))
		next[3] = (char *)"wait";
	if (next[3])
		pthread_create(&thread, NULL, run_again, NULL);
	else
		run_again(NULL);
	for (;;)
		pause();
}
