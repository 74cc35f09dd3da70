/* SPDX-License-Identifier: MIT */
/* Allocates 1009 sets of three blocks of 40 bytes, each set freed in the order of allocation. */
#include "workload.h"

FRAME void sets_of_three(void)
{
	void *volatile blocks[3];

	for (int i = 0; i < 1009; i++) {
		for (int j = 0; j < 3; j++)
			blocks[j] = malloc(40);
		for (int j = 0; j < 3; j++)
			free(blocks[j]);
	}
}

int main(int argc, char **argv)
{
	workload_start(argc, argv);
	sets_of_three();
	workload_ready();
	return 0;
}
