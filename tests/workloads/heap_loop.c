/* SPDX-License-Identifier: MIT */
/*
 * Allocates and frees one block after the other, ten frames deep, as fast as it can, and counts the
 * pairs in a file of 8 bytes that others may read meanwhile: what following a pair costs.
 *
 *	heap_loop SECONDS FILE
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>

#include "workload.h"

static void *volatile block;
static volatile uint64_t *count;

FRAME void pairs(void)
{
	while (running) {
		for (int i = 0; i < 16; i++) {
			block = malloc(100);
			free(block);
		}
		*count += 16;
	}
	STAY();
}

#define DEEPER(name, next)    \
	FRAME void name(void) \
	{                     \
		next();       \
		STAY();       \
	}

DEEPER(deep9, pairs)
DEEPER(deep8, deep9)
DEEPER(deep7, deep8)
DEEPER(deep6, deep7)
DEEPER(deep5, deep6)
DEEPER(deep4, deep5)

int main(int argc, char **argv)
{
	int fd = argc > 2 ? open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;

	workload_start(argc, argv);
	if (fd < 0 || ftruncate(fd, sizeof(*count)))
		return 2;
	count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (count == MAP_FAILED)
		return 1;
	workload_ready();
	deep4();
	STAY();
	return 0;
}
