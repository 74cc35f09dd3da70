/* SPDX-License-Identifier: MIT */
/*
 * Allocates and frees without end, in steady(): with "busy" as fast as it can, with "paced" 40 blocks
 * of 100 bytes each millisecond, which any probe leaves room for.
 *
 * case busy: busy
 * stack: %main;steady
 *
 * case paced: paced
 * stack: %main;steady
 */
#include <time.h>

#include "workload.h"

static void *volatile block;

FRAME void steady(long pause_ns)
{
	struct timespec pause = { .tv_nsec = pause_ns };

	while (running) {
		for (int i = 0; i < 40; i++) {
			block = malloc(100);
			free(block);
		}
		if (pause_ns)
			nanosleep(&pause, NULL);
	}
}

int main(int argc, char **argv)
{
	workload_start(argc, argv);
	workload_ready();
	steady(strcmp(workload_arg(argc, argv, "busy"), "paced") ? 0 : 1000000);
	return 0;
}
