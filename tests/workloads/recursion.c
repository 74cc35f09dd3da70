/* SPDX-License-Identifier: MIT */
/*
 * A function that calls itself to a fixed depth, then spins.
 *
 * case plain: 43
 * stack: %main;descend{43};leaf
 *
 * case deep: 300
 * stack: %main;descend{300};leaf
 */
#include "workload.h"

FRAME void leaf(void)
{
	SPIN();
}

FRAME void descend(int left)
{
	if (left > 1)
		descend(left - 1);
	else
		leaf();
	STAY();
}

int main(int argc, char **argv)
{
	int depth = atoi(workload_arg(argc, argv, "43"));

	workload_start(argc, argv);
	workload_ready();
	descend(depth);
	STAY();
	return 0;
}
