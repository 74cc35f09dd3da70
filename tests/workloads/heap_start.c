/* SPDX-License-Identifier: MIT */
/*
 * Allocates before main and after it: 1013 blocks of 24 bytes in a constructor, freed in a
 * destructor, which allocates 211 of 40 bytes itself; main allocates 31 of 72.
 */
#include "workload.h"

static void *blocks[1013];
static void *volatile block;

FRAME void before_main(void)
{
	for (int i = 0; i < 1013; i++)
		blocks[i] = malloc(24);
}

FRAME void after_main(void)
{
	for (int i = 0; i < 211; i++)
		block = malloc(40);
	for (int i = 0; i < 1013; i++)
		free(blocks[i]);
}

__attribute__((constructor)) static void construct(void)
{
	before_main();
	STAY();
}

__attribute__((destructor)) static void destruct(void)
{
	after_main();
	STAY();
}

FRAME void in_main(void)
{
	for (int i = 0; i < 31; i++)
		block = malloc(72);
}

int main(int argc, char **argv)
{
	workload_start(argc, argv);
	in_main();
	workload_ready();
	return 0;
}
