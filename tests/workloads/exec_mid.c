/* SPDX-License-Identifier: MIT */
/*
 * Works for 800 ms of CPU time, with 0 until SIGUSR1, then becomes another program by execve: other
 * mappings, another name, the same PID.
 *
 * case plain: 800
 * stack: %main((;leaf_before)|(;cpu_ms(;.*)*))?
 * stack: %main;after_exec;leaf_after
 */
#include <time.h>

#include "workload.h"

static volatile sig_atomic_t told;

static void on_signal(int signo)
{
	(void)signo;
	told = 1;
}

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
	unsigned long for_ms = strtoul(workload_arg(argc, argv, "800"), NULL, 10);
	unsigned long until = cpu_ms() + for_ms;
	char path[8192];

	workload_start(argc, argv);
	workload_sibling(path, sizeof(path), "exec_after");
	signal(SIGUSR1, on_signal);
	workload_ready();
	while (for_ms ? cpu_ms() < until : !told)
		leaf_before();
	/* The alarm survives the exec; its handler is made anew. */
	execl(path, "exec_after", NULL);
	return 1;
}
