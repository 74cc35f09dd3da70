/* SPDX-License-Identifier: MIT */
/*
 * First allocates and frees 1009 blocks of 48 bytes; then holds 100003 of 32. If ARG is "wait", that
 * comes after a line on stdin, and is followed by "done" and a wait for another line.
 */
#include <stdbool.h>

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
	bool wait = !strcmp(workload_arg(argc, argv, ""), "wait");
	char line[8];

	workload_start(argc, argv);
	if (wait) {
		workload_ready();
		if (read(STDIN_FILENO, line, sizeof(line)) < 0)
			return 1;
	}
	few();
	many();
	if (!wait)
		workload_ready();
	else if (write(STDOUT_FILENO, "done\n", 5) != 5 ||
		 read(STDIN_FILENO, line, sizeof(line)) < 0)
		return 1;
	return 0;
}
