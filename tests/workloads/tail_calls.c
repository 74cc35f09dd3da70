/* SPDX-License-Identifier: MIT */
/*
 * Functions that end in a jump to another leave no frame: of outer, middle, inner and leaf, each
 * jumping to the next, only leaf is on the stack. What calls in the ordinary way stays.
 *
 * case plain:
 * stack: %main;caller;leaf
 */
#include "workload.h"

FRAME unsigned long leaf(unsigned long n)
{
	SPIN();
	return n;
}

FRAME unsigned long inner(unsigned long n)
{
	return leaf(n * 3);
}

FRAME unsigned long middle(unsigned long n)
{
	return inner(n + 1);
}

FRAME unsigned long outer(unsigned long n)
{
	return middle(n ^ 5);
}

FRAME void caller(unsigned long n)
{
	sink += outer(n);
}

int main(int argc, char **argv)
{
	workload_start(argc, argv);
	workload_ready();
	caller(argc);
	STAY();
	return 0;
}
