/* SPDX-License-Identifier: MIT */
/*
 * Allocates what is known in advance: how much in all, at the highest point, freed at once, and never
 * freed. One thread, and when its work is over it says
 *
 *	totals ALLOCATIONS BYTES TEMPORARY PEAK LEAKED
 *
 * by its own count (PEAK and LEAKED in bytes), then "done". Nothing else is allocated meanwhile.
 *
 *	heap_totals SECONDS TIMES	does its work when a line comes on stdin; the pairs of hot() so
 *					many times 211
 */
#include "workload.h"

static unsigned long allocs, bytes, temporary, peak, held;
static void *volatile last;
static void *volatile kept[211];

static void *took(void *p, size_t size)
{
	if (!p)
		_exit(1);
	allocs++;
	bytes += size;
	held += size;
	if (held > peak)
		peak = held;
	last = p;
	return p;
}

static void gave(void *p, size_t size)
{
	if (last == p)
		temporary++;
	last = NULL;
	free(p);
	held -= size;
}

/* 211 times: freed at once. */
FRAME void hot(void)
{
	for (int i = 0; i < 211; i++)
		gave(took(malloc(61), 61), 61);
}

/* 101 blocks at once, which are freed in the order they came in. */
FRAME void high(void)
{
	for (int i = 0; i < 101; i++)
		kept[i] = took(malloc(1009), 1009);
	for (int i = 0; i < 101; i++)
		gave(kept[i], 1009);
}

/* 13 blocks that grow, by four steps each: 52 allocations, of which 39 end in a realloc. */
FRAME void grow(void)
{
	static const size_t sizes[] = { 17, 1019, 4003, 20011 };

	for (int i = 0; i < 13; i++) {
		void *p = took(malloc(sizes[0]), sizes[0]);

		for (int j = 1; j < 4; j++) {
			void *old = p;

			p = realloc(p, sizes[j]);
			if (last == old)
				temporary++;
			held -= sizes[j - 1];
			took(p, sizes[j]);
		}
		gave(p, sizes[3]);
	}
}

/* 53 blocks, of which 6 stay. */
FRAME void leak(void)
{
	for (int i = 0; i < 53; i++)
		kept[i] = took(calloc(1, 997), 997);
	for (int i = 0; i < 47; i++)
		gave(kept[i], 997);
}

FRAME void work(long times)
{
	leak();
	for (long i = 0; i < times; i++)
		hot();
	high();
	grow();
	STAY();
}

int main(int argc, char **argv)
{
	char line[160];
	int n;

	workload_start(argc, argv);
	workload_ready();
	if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
		return 0;
	work(argc > 2 ? atol(argv[2]) : 1);
	n = snprintf(line, sizeof(line), "totals %lu %lu %lu %lu %lu\ndone\n", allocs, bytes,
		     temporary, peak, held);
	if (write(STDOUT_FILENO, line, n) != n)
		return 1;
	return read(STDIN_FILENO, line, sizeof(line)) < 0;
}
