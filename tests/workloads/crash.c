/* SPDX-License-Identifier: MIT */
/* build: -O1 -pthread */
/*
 * Dies of a null pointer in crash_here(), called by crash_caller(), in the thread "doomed", when a
 * byte comes on standard input; the main thread waits for it in wait_here().
 */
#include <pthread.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

__attribute__((noipa)) int crash_here(volatile int *p)
{
	return *p + 1;
}

__attribute__((noipa)) int crash_caller(volatile int *p)
{
	return crash_here(p) * 2;
}

static void *doomed(void *arg)
{
	char byte;

	prctl(PR_SET_NAME, "doomed");
	puts("ready");
	fflush(stdout);
	if (read(STDIN_FILENO, &byte, 1) == 1)
		return (void *)(long)crash_caller(arg);
	return NULL;
}

__attribute__((noipa)) int wait_here(pthread_t thread)
{
	return pthread_join(thread, NULL) * 3;
}

int main(void)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, doomed, NULL) || wait_here(thread);
}
