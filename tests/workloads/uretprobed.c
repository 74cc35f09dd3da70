/* SPDX-License-Identifier: MIT */
/*
 * Goes down twelve levels, works some 10 ms there, comes back up, over and over. A test puts a return
 * probe on descend while it runs, which replaces the return addresses of its frames. "tail" goes
 * through a function that jumps to descend and is probed too: two return instances, one stack slot.
 *
 * case plain: plain
 * stack: %main(;descend){0,12}(;leaf)?
 *
 * case tail: tail
 * stack: %main(;jump_to_descend)?(;descend){0,12}(;leaf)?
 */
#include "workload.h"

FRAME void leaf(void)
{
	for (int i = 0; i < 5000000; i++)
		STAY();
}

FRAME void descend(int left)
{
	if (left > 1)
		descend(left - 1);
	else
		leaf();
	STAY();
}

FRAME void jump_to_descend(int left)
{
	descend(left + 1);
}

int main(int argc, char **argv)
{
	void (*enter)(int) = descend;
	int depth = 12;

	workload_start(argc, argv);
	if (!strcmp(workload_arg(argc, argv, "plain"), "tail")) {
		enter = jump_to_descend;
		depth = 11;
	}
	workload_ready();
	while (running)
		enter(depth);
	return 0;
}
