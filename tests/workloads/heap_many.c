/* SPDX-License-Identifier: MIT */
/* First allocates and frees 1009 blocks of 48 bytes; then holds 100003 of 32. */
#include "workload.h"

static void *volatile block;

FRAME void few(void)
{
	for (int i = 0; i < 1009; i++) {
		block = malloc(48);
		free(block);
	}
}

FRAME void many(void)
{
	for (int i = 0; i < 100003; i++)
		block = malloc(32);
}

int main(int argc, char **argv)
{
	workload_start(argc, argv);
	few();
	many();
	workload_ready();
	return 0;
}
