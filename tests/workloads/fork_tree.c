/* SPDX-License-Identifier: MIT */
/*
 * A parent that sleeps and children that work: two before "ready", the first of which has forked a
 * grandchild that works, too; one more a second and a half after "ready", which only a capture that
 * follows forks sees.
 *
 * case plain:
 * stack: %main;child_a;leaf_a
 * stack: %main;child_a;grandchild;leaf_g
 * stack: %main;child_b;leaf_b
 * stack: %main;child_late;leaf_late
 */
#include <sys/mman.h>
#include <sys/prctl.h>

#include "workload.h"

static volatile unsigned long *turns; /* of each leaf; seen by all */

enum { LEAF_A, LEAF_B, LEAF_G, LEAF_LATE, NR_LEAFS };

#define LEAF(name, i)               \
	FRAME void name(void)       \
	{                           \
		do {                \
			turns[i]++; \
		} while (running);  \
	}

LEAF(leaf_a, LEAF_A)
LEAF(leaf_b, LEAF_B)
LEAF(leaf_g, LEAF_G)
LEAF(leaf_late, LEAF_LATE)

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
	turns = mmap(NULL, NR_LEAFS * sizeof(*turns), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (turns == MAP_FAILED)
		return 1;
	if (begin_child())
		child_a();
	else if (begin_child())
		child_b();
	else {
		while (!turns[LEAF_A] || !turns[LEAF_B] || !turns[LEAF_G])
			usleep(1000);
		workload_ready();
		usleep(1500000);
		if (begin_child())
			child_late();
		while (running)
			pause();
	}
	return 0;
}
