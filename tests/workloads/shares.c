/* SPDX-License-Identifier: MIT */
/*
 * Four functions with the same body do 53, 29, 13 and 5 units of work in each round of 100 units, in
 * an order shuffled anew each round, so that no sampling period can beat with the rounds. A unit is
 * the same number of turns of the same aligned loop, some 20 microseconds.
 *
 * case plain:
 * stack: %main(;(alpha|beta|gamma_|delta))?
 * share: alpha 53
 * share: beta 29
 * share: gamma_ 13
 * share: delta 5
 */
#include "workload.h"

#define UNITS	   100
#define UNIT_TURNS 50000

/* Written in assembly so that the four loops are the same bytes at the same alignment. */
#define WORK_UNIT()                                                                       \
	do {                                                                              \
		unsigned long turns = UNIT_TURNS;                                         \
		__asm__ volatile(".p2align 6\n1:\tdec %0\n\tjnz 1b" : "+r"(turns)::"cc"); \
	} while (0)

FRAME __attribute__((aligned(64))) void alpha(void)
{
	WORK_UNIT();
}

FRAME __attribute__((aligned(64))) void beta(void)
{
	WORK_UNIT();
}

FRAME __attribute__((aligned(64))) void gamma_(void)
{
	WORK_UNIT();
}

FRAME __attribute__((aligned(64))) void delta(void)
{
	WORK_UNIT();
}

static unsigned int next_random(void)
{
	static unsigned int state = 2463534242u;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

int main(int argc, char **argv)
{
	static const struct {
		void (*run)(void);
		int units;
	} shares[] = { { alpha, 53 }, { beta, 29 }, { gamma_, 13 }, { delta, 5 } };
	void (*units[UNITS])(void);
	int nr = 0;

	workload_start(argc, argv);
	for (size_t i = 0; i < sizeof(shares) / sizeof(*shares); i++)
		for (int j = 0; j < shares[i].units; j++)
			units[nr++] = shares[i].run;

	workload_ready();
	while (running) {
		for (int i = UNITS - 1; i > 0; i--) {
			unsigned int j = next_random() % (i + 1);
			void (*other)(void) = units[j];

			units[j] = units[i];
			units[i] = other;
		}
		for (int i = 0; i < UNITS; i++)
			units[i]();
	}
	return 0;
}
