/* SPDX-License-Identifier: MIT */
/*
 * Works for 800 ms of CPU time, then becomes another program by execve: other mappings, another
 * name, the same PID.
 *
 * case plain: 800
 * stack: %main((;leaf_before)|(;cpu_ms(;.*)*))?
 * stack: %main;after_exec;leaf_after
 */
#include <time.h>

#include "workload.h"

static unsigned long cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000ul + now.tv_nsec / 1000000;
}

FRAME void leaf_before(void)
{
	for (int i = 0; i < 3000000; i++)
		STAY();
}

int main(int argc, char **argv)
{
	unsigned long until = cpu_ms() + strtoul(workload_arg(argc, argv, "800"), NULL, 10);
	char path[8192];

	workload_start(argc, argv);
	workload_sibling(path, sizeof(path), "exec_after");
	workload_ready();
	while (cpu_ms() < until)
		leaf_before();
	/* The alarm survives the exec; its handler is made anew. */
	execl(path, "exec_after", NULL);
	return 1;
}
