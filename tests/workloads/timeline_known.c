/* SPDX-License-Identifier: MIT */
/* build: -O1 -pthread */
/*
 * A sequence of events that is known to the last one. Two threads, `main` and "partner", both on one
 * CPU or wherever; main does ROUNDS rounds, each a span of the probe pair known:round__start and
 * known:round__done, in this order and nothing else:
 *
 *	CALLS times getppid
 *	a sleep of SLEEP_NS
 *	a byte into the pipe, which wakes the partner out of its read
 *	a wait for the partner's answer in a read of another pipe
 *	SPINS calls of step(), a function that spins
 *
 * Begins when a byte comes on standard input; then prints a line for each round: "round N START
 * SLEPT ANSWERED END", times of CLOCK_MONOTONIC in ns, and at the end "done". The partner takes
 * HOLD_NS of CPU before it answers.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/sdt.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS	 13
#define CALLS	 7
#define SPINS	 11
#define SLEEP_NS 3000000
#define HOLD_NS	 2000000

static int to_partner[2], to_main[2];

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

__attribute__((noipa)) void step(uint64_t ns)
{
	uint64_t end = now() + ns;

	while (now() < end)
		;
}

static void *partner(void *arg)
{
	char byte;

	(void)arg;
	prctl(PR_SET_NAME, "partner");
	while (read(to_partner[0], &byte, 1) == 1) {
		step(HOLD_NS);
		if (write(to_main[1], &byte, 1) != 1)
			break;
	}
	return NULL;
}

static void one_round(unsigned int i, uint64_t *at)
{
	struct timespec pause = { .tv_nsec = SLEEP_NS };
	char byte = (char)i;

	at[0] = now();
	DTRACE_PROBE1(known, round__start, i);
	for (unsigned int n = 0; n < CALLS; n++)
		syscall(SYS_getppid);
	nanosleep(&pause, NULL);
	at[1] = now();
	if (write(to_partner[1], &byte, 1) != 1 || read(to_main[0], &byte, 1) != 1)
		exit(1);
	at[2] = now();
	for (unsigned int n = 0; n < SPINS; n++)
		step(20000);
	DTRACE_PROBE2(known, round__done, i, byte);
	at[3] = now();
}

int main(void)
{
	uint64_t at[ROUNDS][4];
	pthread_t thread;
	char byte;

	if (pipe(to_partner) || pipe(to_main) || pthread_create(&thread, NULL, partner, NULL))
		return 1;
	puts("ready");
	fflush(stdout);
	if (read(STDIN_FILENO, &byte, 1) != 1)
		return 1;
	for (unsigned int i = 0; i < ROUNDS; i++)
		one_round(i, at[i]);
	for (unsigned int i = 0; i < ROUNDS; i++)
		printf("round %u %ju %ju %ju %ju\n", i, at[i][0], at[i][1], at[i][2], at[i][3]);
	puts("done");
	fflush(stdout);
	if (read(STDIN_FILENO, &byte, 1) != 1)
		return 1;
	close(to_partner[1]);
	pthread_join(thread, NULL);
	return 0;
}
