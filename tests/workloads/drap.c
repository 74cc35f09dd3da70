/* SPDX-License-Identifier: MIT */
/* build: -mstackrealign */
/*
 * Frames realigned to more than the ABI's 16 bytes: the CFA is then not %rsp or %rbp plus a number
 * but what a saved register in the frame holds (an expression with a dereference).
 *
 * case plain: plain
 * stack: %main;aligned_array;leaf
 *
 * case alloca: alloca
 * stack: %main;aligned_alloca;leaf
 *
 * case nested: nested
 * stack: %main;nested;aligned_array;leaf
 */
#include <alloca.h>

#include "workload.h"

FRAME void leaf(void *buf)
{
	*(volatile char *)buf = 1;
	SPIN();
}

FRAME void aligned_array(void)
{
	char buf[256] __attribute__((aligned(128)));

	leaf(buf);
	sink += buf[0];
}

FRAME void aligned_alloca(size_t size, long a, long b, long c, long d, long e, long on_stack)
{
	char buf[256] __attribute__((aligned(64)));
	char *more = alloca(size);

	more[0] = 1;
	leaf(buf);
	sink += buf[0] + more[0] + a + b + c + d + e + on_stack;
}

FRAME void nested(size_t size)
{
	char buf[64] __attribute__((aligned(256)));
	char *more = alloca(size);

	more[0] = buf[0] = 1;
	__asm__ volatile("" ::"r"(buf), "r"(more) : "memory");
	aligned_array();
	sink += buf[0] + more[0];
}

int main(int argc, char **argv)
{
	const char *how = workload_arg(argc, argv, "plain");

	workload_start(argc, argv);
	workload_ready();
	if (!strcmp(how, "alloca"))
		aligned_alloca(1000 + argc, 1, 2, 3, 4, 5, 6);
	else if (!strcmp(how, "nested"))
		nested(3000 + argc);
	else
		aligned_array();
	STAY();
	return 0;
}
