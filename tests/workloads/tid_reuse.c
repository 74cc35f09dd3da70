/* SPDX-License-Identifier: MIT */
/* build: -O1 -pthread */
/*
 * Threads that have the same number, one after the other. Begins when a byte comes on standard input.
 * Each thread is called after its turn, "turn0" to "turn3", and calls getppid 101, 103, 107 or 109
 * times; says "turn N TID" for each, and at the end "done". Tells the kernel which number to give out
 * next (/proc/sys/kernel/ns_last_pid); somebody else may be faster, so it tries again.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TURNS 4
#define TRIES 1000

static const int calls[TURNS] = { 101, 103, 107, 109 };
static int turn, wanted;

static void *work(void *arg)
{
	int *tid = arg;
	char name[16];

	*tid = (int)syscall(SYS_gettid);
	if (wanted && *tid != wanted)
		return NULL;
	snprintf(name, sizeof(name), "turn%d", turn);
	prctl(PR_SET_NAME, name);
	for (int i = 0; i < calls[turn]; i++)
		syscall(SYS_getppid);
	return NULL;
}

static int run(void)
{
	pthread_t thread;
	int tid;

	if (pthread_create(&thread, NULL, work, &tid) || pthread_join(thread, NULL))
		exit(1);
	return tid;
}

static void want(int tid)
{
	FILE *f = fopen("/proc/sys/kernel/ns_last_pid", "w");

	if (!f || fprintf(f, "%d", tid - 1) < 0 || fclose(f))
		exit(2);
}

int main(void)
{
	char byte;

	puts("ready");
	fflush(stdout);
	if (read(STDIN_FILENO, &byte, 1) != 1)
		return 1;
	for (int tries = 0; turn < TURNS && tries < TRIES; tries++) {
		int tid;

		if (wanted)
			want(wanted);
		tid = run();
		if (wanted && tid != wanted)
			continue;
		wanted = tid;
		printf("turn %d %d\n", turn++, tid);
	}
	puts("done");
	fflush(stdout);
	return read(STDIN_FILENO, &byte, 1) != 1;
}
