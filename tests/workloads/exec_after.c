/* SPDX-License-Identifier: MIT */
/*
 * What exec_mid becomes.
 *
 * case plain:
 * stack: %main;after_exec;leaf_after
 */
#include "workload.h"

FRAME void leaf_after(void)
{
	SPIN();
}

FRAME void after_exec(void)
{
	leaf_after();
	STAY();
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	signal(SIGTERM, workload_stop);
	signal(SIGALRM, workload_stop);
	workload_ready();
	after_exec();
	STAY();
	return 0;
}
