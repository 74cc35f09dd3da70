/* SPDX-License-Identifier: MIT */
/*
 * Frames larger than what a copy of the stack (65,528 bytes at most) or a 14-bit field of 8-byte
 * units (131,064 bytes) can reach: by alloca, where the CFA comes from %rbp, and by arrays, where it
 * is %rsp plus a large number.
 *
 * case alloca_70k: alloca 70000
 * stack: %main;with_alloca;leaf
 *
 * case alloca_1m: alloca 1048576
 * stack: %main;with_alloca;leaf
 *
 * case array_70k: array_70k
 * stack: %main;with_array_70k;leaf
 *
 * case array_1m: array_1m
 * stack: %main;with_array_1m;leaf
 */
#include <alloca.h>

#include "workload.h"

FRAME void leaf(char *buf)
{
	buf[0] = 1;
	SPIN();
}

FRAME void with_alloca(size_t size)
{
	char *buf = alloca(size);

	buf[size - 1] = 1;
	leaf(buf);
	sink += buf[0];
}

FRAME void with_array_70k(void)
{
	char buf[70000];

	leaf(buf);
	sink += buf[0];
}

FRAME void with_array_1m(void)
{
	char buf[1048576];

	leaf(buf);
	sink += buf[0];
}

int main(int argc, char **argv)
{
	const char *how = workload_arg(argc, argv, "alloca");

	workload_start(argc, argv);
	workload_ready();
	if (!strcmp(how, "array_70k"))
		with_array_70k();
	else if (!strcmp(how, "array_1m"))
		with_array_1m();
	else
		with_alloca(argc > 3 ? strtoul(argv[3], NULL, 10) : 70000);
	STAY();
	return 0;
}
