/* SPDX-License-Identifier: MIT */
/* build: -fno-builtin -fplt -Wl,-z,lazy */
/*
 * Hot PLT stubs: tiny functions of libc called through lazily bound stubs, so that many samples land
 * in a stub, whose unwind rule is an expression of the instruction pointer.
 *
 * case plain:
 * stack: %main;hot_calls(;(abs|labs|llabs|ffs|toascii|htons|ntohs|.*plt.*))?
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <strings.h>

#include "workload.h"

FRAME void hot_calls(void)
{
	int n = 1;

	do {
		n = abs(n) + (int)labs(n) + ffs(n);
		n = toascii(n) + (int)llabs(n) + abs(n);
		n = ffs(n) + (int)labs(n) + abs(n);
	} while (running);
	sink += n;
}

int main(int argc, char **argv)
{
	workload_start(argc, argv);
	workload_ready();
	hot_calls();
	STAY();
	return 0;
}
