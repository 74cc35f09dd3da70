/* SPDX-License-Identifier: MIT */
/* build: -O1 -pthread */
/*
 * When a byte comes on stdin, another thread than the first runs this program anew, in the same
 * process: after 13 calls of getppid by it, with 3 more threads that sleep. The new program says
 * "again", makes 17 calls of getppid and says "done"; then it waits. Each thread says who it is:
 * "thread NAME TID".
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "workload.h"

#define BEFORE	 13
#define AFTER	 17
#define SLEEPERS 3

static char *const again[] = { (char *)"exec_thread", (char *)"0", (char *)"again", NULL };
static pthread_barrier_t begun;
static int go[2];

static void say(const char *what)
{
	if (write(STDOUT_FILENO, what, strlen(what)) < 0)
		_exit(1);
}

static void say_who(const char *name)
{
	char line[64];

	prctl(PR_SET_NAME, name);
	snprintf(line, sizeof(line), "thread %s %ld\n", name, syscall(SYS_gettid));
	say(line);
	pthread_barrier_wait(&begun);
}

static void *sleeper(void *arg)
{
	say_who("sleeper");
	for (;;)
		pause();
	return arg;
}

static void *caller(void *arg)
{
	char byte;

	say_who("caller");
	if (read(go[0], &byte, 1) != 1)
		_exit(1);
	for (int i = 0; i < BEFORE; i++)
		syscall(SYS_getppid);
	execv("/proc/self/exe", again);
	_exit(1);
	return arg;
}

static int second(void)
{
	prctl(PR_SET_NAME, "second");
	say("again\n");
	for (int i = 0; i < AFTER; i++)
		syscall(SYS_getppid);
	say("done\n");
	for (;;)
		pause();
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t threads[SLEEPERS + 1];
	char byte;

	if (!strcmp(workload_arg(argc, argv, ""), "again"))
		return second();
	workload_start(argc, argv);
	if (pipe2(go, 02000000) || pthread_barrier_init(&begun, NULL, SLEEPERS + 2))
		return 1;
	for (int i = 0; i < SLEEPERS; i++)
		pthread_create(&threads[i], NULL, sleeper, NULL);
	pthread_create(&threads[SLEEPERS], NULL, caller, NULL);
	say_who("first");
	workload_ready();
	if (read(STDIN_FILENO, &byte, 1) != 1 || write(go[1], &byte, 1) != 1)
		return 1;
	for (;;)
		pause();
}
