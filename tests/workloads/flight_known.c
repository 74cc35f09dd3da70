/* SPDX-License-Identifier: MIT */
/* build: -O1 -pthread */
/*
 * What the triggers of a flight recorder wait for, each on demand. Reads letters from standard input,
 * does what they stand for, and answers with lines, the last "done". Requests are told by coworkingd's
 * probes (server/probes.h), with numbers that go on from 1, and worked on by the thread "guilty":
 *
 *	f  10000 requests, of which the 6007th sleeps in slow_here(); "slow ID NS" for each that took
 *	   longer than SLOW_NS by its own clock
 *	s  100 requests, of which the 37th ends with the status 503; "failed ID"
 *	t  requests with the status 500 for a second, one each millisecond at most; "told N"
 *	b  a request that waits WAIT_NS for a byte of the main thread's
 *	c  check(code) 1000 times, with code 0 the 613th time only and -5 the 614th; "zero TID"
 *	m  64 MB more memory, touched
 *	r  a thread of a real-time policy keeps the CPU of "guilty" for WAIT_NS, which wants it; "waited
 *	   NS", what it had to wait by its own clock, at least
 *	k  SIGUSR1, which has a handler
 *	x  exit_group
 *	d  a null pointer in crash_here()
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sdt.h>
#include <time.h>
#include <unistd.h>

#define MS	UINT64_C(1000000)
#define SLOW_NS (150 * MS)
#define WAIT_NS (400 * MS)

static int to_guilty[2], to_main[2], bytes[2];
static uint64_t next_id;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

static void sleep_ns(uint64_t ns)
{
	struct timespec t = { ns / 1000000000, ns % 1000000000 };

	nanosleep(&t, NULL);
}

static uint64_t begin_request(const char *path)
{
	uint64_t id = ++next_id;

	DTRACE_PROBE6(coworking, request__start, id, 1, 0, path, 1, 0);
	return id;
}

static void end_request(uint64_t id, int status)
{
	DTRACE_PROBE1(coworking, request__pause, id);
	DTRACE_PROBE6(coworking, request__done, id, 1, status, 17, 0, 0);
}

__attribute__((noipa)) void slow_here(void)
{
	sleep_ns(WAIT_NS);
}

static void fast_and_slow(void)
{
	for (unsigned int i = 1; i <= 10000; i++) {
		uint64_t begin = now(), id = begin_request(i == 6007 ? "/slow" : "/fast"), ns;

		if (i == 6007)
			slow_here();
		end_request(id, 200);
		ns = now() - begin;
		if (ns > SLOW_NS)
			printf("slow %ju %ju\n", id, ns);
	}
}

static void one_fails(void)
{
	for (unsigned int i = 1; i <= 100; i++) {
		uint64_t id = begin_request("/status");

		end_request(id, i == 37 ? 503 : 200);
		if (i == 37)
			printf("failed %ju\n", id);
	}
}

static void many_fail(void)
{
	uint64_t begin = now();
	unsigned int n = 0;

	while (now() - begin < 1000 * MS) {
		end_request(begin_request("/failing"), 500);
		n++;
		sleep_ns(MS / 2);
	}
	printf("told %u\n", n);
}

__attribute__((noipa)) void wait_here(void)
{
	char byte;

	if (read(bytes[0], &byte, 1) != 1)
		exit(1);
}

__attribute__((noipa)) int check(int code)
{
	return code * 3;
}

static void check_many(void)
{
	for (int i = 1; i <= 1000; i++)
		check(i == 613 ? 0 : i == 614 ? -5 : i);
	printf("zero %d\n", gettid());
}

__attribute__((noipa)) int crash_here(volatile int *p)
{
	return *p + 1;
}

static void *keeper(void *arg)
{
	struct sched_param p = { .sched_priority = 1 };
	uint64_t end;

	pthread_setschedparam(pthread_self(), SCHED_FIFO, &p);
	sem_post(arg);
	end = now() + WAIT_NS;
	while (now() < end)
		;
	return NULL;
}

/* Both on one CPU: as soon as the keeper has its policy, nobody else runs there. */
static void wait_for_cpu(void)
{
	cpu_set_t before, one;
	pthread_t thread;
	uint64_t begin;
	sem_t ready;

	pthread_getaffinity_np(pthread_self(), sizeof(before), &before);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &before))
			CPU_SET(i, &one);
	pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
	sem_init(&ready, 0, 0);
	begin = now();
	if (pthread_create(&thread, NULL, keeper, &ready))
		exit(1);
	while (sem_wait(&ready))
		;
	printf("waited %ju\n", now() - begin);
	pthread_join(thread, NULL);
	pthread_setaffinity_np(pthread_self(), sizeof(before), &before);
}

static void more_memory(void)
{
	char *p = malloc(64 << 20);

	if (!p)
		exit(1);
	memset(p, 1, 64 << 20);
	__asm__ volatile("" ::"r"(p) : "memory");
}

static void on_usr1(int signal)
{
	(void)signal;
}

static void blocked(void)
{
	uint64_t id = begin_request("/blocked");

	wait_here();
	end_request(id, 200);
}

static void obey(char letter)
{
	switch (letter) {
	case 'f':
		fast_and_slow();
		break;
	case 's':
		one_fails();
		break;
	case 't':
		many_fail();
		break;
	case 'b':
		blocked();
		break;
	case 'c':
		check_many();
		break;
	case 'm':
		more_memory();
		break;
	case 'r':
		wait_for_cpu();
		break;
	case 'k':
		raise(SIGUSR1);
		break;
	case 'd':
		crash_here(NULL);
		break;
	case 'x':
		_exit(3);
	default:
		break;
	}
}

static void *guilty(void *arg)
{
	char letter;

	(void)arg;
	prctl(PR_SET_NAME, "guilty");
	while (read(to_guilty[0], &letter, 1) == 1) {
		obey(letter);
		if (write(to_main[1], &letter, 1) != 1)
			exit(1);
	}
	return NULL;
}

int main(void)
{
	pthread_t thread;
	char letter;

	signal(SIGUSR1, on_usr1);
	if (pipe(to_guilty) || pipe(to_main) || pipe(bytes) ||
	    pthread_create(&thread, NULL, guilty, NULL))
		return 1;
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &letter, 1) == 1) {
		if (write(to_guilty[1], &letter, 1) != 1)
			return 1;
		if (letter == 'b') {
			sleep_ns(WAIT_NS);
			if (write(bytes[1], &letter, 1) != 1)
				return 1;
		}
		if (read(to_main[0], &letter, 1) != 1)
			return 1;
		puts("done");
		fflush(stdout);
	}
	return 0;
}
