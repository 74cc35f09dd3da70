/* SPDX-License-Identifier: MIT */
/*
 * A parent that sleeps and children that work: two forked before "ready", the first of which forks a
 * grandchild; one more a second and a half after "ready", which only a capture that follows forks sees.
 *
 * case plain:
 * stack: %main;child_a;leaf_a
 * stack: %main;child_a;grandchild;leaf_g
 * stack: %main;child_b;leaf_b
 * stack: %main;child_late;leaf_late
 */
#include <sys/prctl.h>

#include "workload.h"

#define LEAF(name)            \
	FRAME void name(void) \
	{                     \
		SPIN();       \
	}

LEAF(leaf_a)
LEAF(leaf_b)
LEAF(leaf_g)
LEAF(leaf_late)

/* Forks; the child never outlives its parent, and returns 1. */
static int begin_child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		_exit(1);
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid == 0;
}

FRAME void grandchild(void)
{
	leaf_g();
	STAY();
}

FRAME void child_a(void)
{
	if (begin_child())
		grandchild();
	else
		leaf_a();
	STAY();
}

FRAME void child_b(void)
{
	leaf_b();
	STAY();
}

FRAME void child_late(void)
{
	leaf_late();
	STAY();
}

int main(int argc, char **argv)
{
	workload_start(argc, argv);
	if (begin_child())
		child_a();
	else if (begin_child())
		child_b();
	else {
		usleep(200000);
		workload_ready();
		usleep(1500000);
		if (begin_child())
			child_late();
		while (running)
			pause();
	}
	return 0;
}
