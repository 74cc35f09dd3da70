/* SPDX-License-Identifier: MIT */
/*
 * A thousand threads: 997 sleep, three are busy, each in a function of its own, which share the
 * CPUs evenly.
 *
 * case plain:
 * stack: %thread;busy_(one|two|three);leaf_(one|two|three)
 */
#include <pthread.h>

#include "workload.h"

#define THREADS 1000

static pthread_barrier_t all_here;

#define BUSY(name)                                              \
	FRAME void leaf_##name(void)                            \
	{                                                       \
		unsigned long own = 0;                          \
		do                                              \
			__asm__ volatile("inc %0" : "+r"(own)); \
		while (running);                                \
	}                                                       \
	FRAME void *busy_##name(void *arg)                      \
	{                                                       \
		pthread_barrier_wait(&all_here);                \
		leaf_##name();                                  \
		return arg;                                     \
	}

BUSY(one)
BUSY(two)
BUSY(three)

FRAME void *idle(void *arg)
{
	pthread_barrier_wait(&all_here);
	while (running)
		pause();
	return arg;
}

int main(int argc, char **argv)
{
	void *(*busy[])(void *) = { busy_one, busy_two, busy_three };
	pthread_attr_t attr;
	pthread_t thread;

	workload_start(argc, argv);
	if (pthread_barrier_init(&all_here, NULL, THREADS + 1) || pthread_attr_init(&attr) ||
	    pthread_attr_setstacksize(&attr, 65536))
		return 1;
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread, &attr, i < 3 ? busy[i] : idle, NULL))
			return 1;
	pthread_barrier_wait(&all_here);
	/* The last of the sleepers may still be on its way to pause(). */
	usleep(200000);
	workload_ready();
	while (running)
		pause();
	return 0;
}
