/* SPDX-License-Identifier: MIT */
/*
 * Two coroutines, each on a stack of its own, that hand over to each other inside hand_over(), by
 * swapcontext: each call of it returns on another stack than the one that came after it.
 *
 * case plain:
 */
#include "workload.h"

#include <ucontext.h>

static ucontext_t contexts[2];
static char stacks[2][65536];

FRAME long hand_over(int to)
{
	swapcontext(&contexts[!to], &contexts[to]);
	STAY();
	return to;
}

static void coroutine(int self)
{
	while (running) {
		if (hand_over(!self) != !self)
			_exit(1);
		usleep(1000);
	}
}

int main(int argc, char **argv)
{
	workload_start(argc, argv);
	for (int i = 0; i < 2; i++) {
		getcontext(&contexts[i]);
		contexts[i].uc_stack.ss_sp = stacks[i];
		contexts[i].uc_stack.ss_size = sizeof(stacks[i]);
		makecontext(&contexts[i], (void (*)(void))coroutine, 1, i);
	}
	workload_ready();
	setcontext(&contexts[0]);
	return 1;
}
