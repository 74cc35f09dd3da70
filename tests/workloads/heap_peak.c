/* SPDX-License-Identifier: MIT */
/* build: -O1 -pthread */
/*
 * A heap of known height. When a byte comes on stdin, with 101 blocks of 1,009 bytes from before:
 *
 *	131 blocks of 4,096 bytes by another thread		536,576
 *	a block of 103 bytes, made one of 1,000,003		1,536,579	the most
 *	that freed, the 131 by this thread, the 101		0
 *	calloc, posix_memalign, aligned_alloc, reallocarray	17 * 59 + 8,209 + 4,096 + 19 * 61
 *	all freed but the first					1,003
 *	a realloc that fails, blocks of no bytes		1,003		the last
 *
 * and says "done". Nothing else is allocated in between. Then it waits.
 */
#include <pthread.h>
#include <stdint.h>

#include "workload.h"

#define BEFORE 101
#define MANY   131

static void *before[BEFORE], *many[MANY];
static pthread_barrier_t turn;
static volatile size_t too_much = SIZE_MAX / 4;
static void *volatile block; /* so that no call is optimised away */

static void check(int ok)
{
	if (!ok)
		_exit(1);
}

static void *other(void *arg)
{
	pthread_barrier_wait(&turn);
	for (int i = 0; i < MANY; i++) {
		many[i] = malloc(4096);
		check(many[i] != NULL);
	}
	pthread_barrier_wait(&turn);
	for (;;)
		pause();
	return arg;
}

static void rise(void)
{
	void *grown;

	block = malloc(103);
	grown = realloc(block, 1000003);
	check(grown != NULL);
	block = grown;
	free(block);
	for (int i = 0; i < MANY; i++)
		free(many[i]);
	for (int i = 0; i < BEFORE; i++)
		free(before[i]);
}

FRAME void cannot_grow(void *old)
{
	void *grown = realloc(old, too_much);

	check(!grown);
	free(grown);
}

static void other_kinds(void)
{
	void *kept = calloc(17, 59), *aligned = aligned_alloc(64, 4096), *posix = NULL;

	check(kept && aligned && !posix_memalign(&posix, 128, 8209));
	block = reallocarray(NULL, 19, 61);
	free(block);
	free(aligned);
	free(posix);
	block = kept;
	block = kept;
	cannot_grow(kept);
	for (int i = 0; i < 7; i++) {
		block = malloc(0);
		free(block);
	}
	free(NULL);
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char byte;

	workload_start(argc, argv);
	check(!pthread_barrier_init(&turn, NULL, 2));
	check(!pthread_create(&thread, NULL, other, NULL));
	for (int i = 0; i < BEFORE; i++)
		before[i] = malloc(1009);
	workload_ready();
	check(read(STDIN_FILENO, &byte, 1) == 1);
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	rise();
	other_kinds();
	check(write(STDOUT_FILENO, "done\n", 5) == 5);
	for (;;)
		pause();
}
