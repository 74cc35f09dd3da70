/* SPDX-License-Identifier: MIT */
/*
 * libc's qsort calls back; the comparison spins. glibc 2.36 sorts by merging: of 64 elements the
 * first comparison happens at the 6th level of the recursion. Where libc's debug information is
 * installed, each level shows the next call of itself inlined.
 *
 * case plain:
 * stack: %main;sort_all;.*qsort.*{1,2};msort_with_tmp.*{6};compare;leaf
 * stack: %main;sort_all;.*qsort.*{1,2};msort_with_tmp.*{12};compare;leaf
 */
#include "workload.h"

FRAME void leaf(void)
{
	SPIN();
}

FRAME int compare(const void *a, const void *b)
{
	leaf();
	STAY();
	return *(const int *)a - *(const int *)b;
}

FRAME void sort_all(int *numbers, size_t nr)
{
	qsort(numbers, nr, sizeof(*numbers), compare);
	STAY();
}

int main(int argc, char **argv)
{
	int numbers[64];

	for (int i = 0; i < 64; i++)
		numbers[i] = i * 37 % 64;
	workload_start(argc, argv);
	workload_ready();
	sort_all(numbers, 64);
	STAY();
	return 0;
}
