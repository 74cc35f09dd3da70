/* SPDX-License-Identifier: MIT */
/* build: -O1 -pthread */
/*
 * When a byte comes on stdin, another thread than the first runs this program anew, in the same
 * process: after 13 calls of getppid by it, with 3 more threads that sleep. The new program says
 * "again", makes 17 calls of getppid and says "done"; then it waits. Each thread says who it is:
 * "thread NAME TID". If ARG is "probes", each call is between the probes execs:begin(number) and
 * execs:end(number), and either program waits before for somebody to listen to both.
 */
#define _SDT_HAS_SEMAPHORES 1
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/sdt.h>
#include <sys/syscall.h>

#include "workload.h"

#define BEFORE	 13
#define AFTER	 17
#define SLEEPERS 3

#define DECLARE_SEMAPHORE(name) \
	volatile unsigned short execs_##name##_semaphore __attribute__((section(".probes")))

DECLARE_SEMAPHORE(begin);
DECLARE_SEMAPHORE(end);

static char *again[] = { (char *)"exec_thread", (char *)"0", (char *)"again", NULL, NULL };
static pthread_barrier_t begun;
static int go[2];

static void say(const char *what)
{
	if (write(STDOUT_FILENO, what, strlen(what)) < 0)
		_exit(1);
}

static void call(int times, int listened)
{
	while (listened && (!execs_begin_semaphore || !execs_end_semaphore))
		usleep(1000);
	for (int i = 1; i <= times; i++) {
		STAP_PROBE1(execs, begin, i);
		syscall(SYS_getppid);
		STAP_PROBE1(execs, end, i);
	}
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
	call(BEFORE, again[3] != NULL);
	execv("/proc/self/exe", again);
	_exit(1);
	return arg;
}

static int second(int listened)
{
	prctl(PR_SET_NAME, "second");
	say("again\n");
	call(AFTER, listened);
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
		return second(argc > 3);
	if (!strcmp(workload_arg(argc, argv, ""), "probes"))
		again[3] = argv[2];
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
