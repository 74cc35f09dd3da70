/* SPDX-License-Identifier: MIT */
/*
 * Threads that start while somebody watches: one after another, each works some milliseconds and
 * ends. Every sample belongs to a thread younger than the capture.
 *
 * case plain:
 * stack: %main
 * stack: %thread;short_lived;leaf
 * stack: %thread(;.*){0,5}
 * stack: .*clone3?
 * stack: %main;pthread_.*(;.*){0,8}
 * stack: %main;.*pthread_.*(;.*){0,8}
 */
#include <pthread.h>

#include "workload.h"

FRAME void leaf(void)
{
	for (int i = 0; i < 20000000; i++)
		__asm__ volatile("" ::: "memory");
}

FRAME void *short_lived(void *arg)
{
	leaf();
	STAY();
	return arg;
}

int main(int argc, char **argv)
{
	workload_start(argc, argv);
	workload_ready();
	while (running) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, short_lived, NULL))
			return 1;
		pthread_join(thread, NULL);
	}
	return 0;
}
