/* SPDX-License-Identifier: MIT */
/*
 * Functions that are called known numbers of times, and measure themselves: "sum KEY VALUE",
 * "latency NS". Arguments: SECONDS KIND N. With 0 seconds it begins at once and exits when it is done;
 * else SIGUSR1 begins, any number of times, and it stays.
 *
 *   times N     half_sleep() and spin_for(), N calls each
 *   recurse N   N times a recursion 200 deep of nested(), each with a call of at_bottom()
 *   args N      takes(number, text): N times 3 for every text of five, in turn
 *   callers N   leaf() 7 * N times by caller_a(), 11 * N times by caller_b()
 *   threads N   four threads call busy() N times each
 *   jumps N     leaves() leaves by longjmp N times, returns() returns N times, below the same caller
 *   tail N      first() calls last() by a jump, N times
 *   allocs N    allocates() N times, by twice() every second time
 *   exits N     N threads end inside of ends_inside()
 */
#include "workload.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define MS 1000000ULL

static uint64_t clock_of(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static uint64_t now(void)
{
	return clock_of(CLOCK_MONOTONIC);
}

static uint64_t cpu(void)
{
	return clock_of(CLOCK_THREAD_CPUTIME_ID);
}

static void say(const char *key, uint64_t value)
{
	printf("sum %s %llu\n", key, (unsigned long long)value);
}

static void burn(uint64_t ns)
{
	uint64_t begin = cpu();

	do {
		for (int i = 0; i < 200; i++)
			sink++;
	} while (cpu() - begin < ns);
}

/* What they say of themselves is within what a probe sees, by a microsecond. */
static uint64_t own_ns, own_cpu_ns;

FRAME void half_sleep(void)
{
	struct timespec t = { .tv_nsec = 10 * MS };
	uint64_t began = now(), began_cpu = cpu();

	nanosleep(&t, NULL);
	burn(10 * MS);
	own_cpu_ns += cpu() - began_cpu;
	own_ns += now() - began;
}

FRAME uint64_t spin_for(uint64_t ns)
{
	uint64_t began = now();

	burn(ns);
	return now() - began;
}

static unsigned int next_random(void)
{
	static unsigned int state = 2463534242u;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static void times(unsigned long n)
{
	uint64_t spent = 0;

	own_ns = own_cpu_ns = 0;
	for (unsigned long i = 0; i < n; i++) {
		uint64_t ns = 200000, took;

		half_sleep();
		for (unsigned int k = next_random() % 300; k; k--)
			ns += ns / 99;
		took = spin_for(ns);
		printf("latency %llu\n", (unsigned long long)took);
		spent += took;
	}
	say("half_ns", own_ns);
	say("half_cpu", own_cpu_ns);
	say("spin_ns", spent);
}

FRAME void at_bottom(void)
{
	sink++;
}

FRAME void nested(int deeper)
{
	if (deeper)
		nested(deeper - 1);
	else
		at_bottom();
	STAY();
}

static void recurse(unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		nested(199);
}

FRAME void takes(int number, const char *text)
{
	sink += number + text[0];
}

static void args(unsigned long n)
{
	static const char *const texts[] = { "alpha", "beta", "", "x; y\n\x1b[1m\xff\\",
					     "alpha beta" };

	for (unsigned long i = 0; i < n; i++)
		for (int j = 0; j < 3; j++)
			takes(-(int)(i % 7), texts[i % 5]);
}

FRAME void leaf(void)
{
	sink++;
}

FRAME void caller_a(unsigned long n)
{
	for (unsigned long i = 0; i < 7 * n; i++)
		leaf();
	STAY();
}

FRAME void caller_b(unsigned long n)
{
	for (unsigned long i = 0; i < 11 * n; i++)
		leaf();
	STAY();
}

static void callers(unsigned long n)
{
	caller_a(n);
	caller_b(n);
}

FRAME void busy(void)
{
	for (int i = 0; i < 1000; i++)
		sink++;
}

static void *call_busy(void *n)
{
	for (unsigned long i = 0; i < *(unsigned long *)n; i++)
		busy();
	return NULL;
}

static void run_threads(unsigned long n)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, call_busy, &n))
			_exit(1);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

static jmp_buf out;

FRAME void leaves(void)
{
	STAY();
	longjmp(out, 1);
}

FRAME void returns(void)
{
	STAY();
}

static void jumps(unsigned long n)
{
	for (volatile unsigned long i = 0; i < n; i++) {
		if (!setjmp(out))
			leaves();
		returns();
	}
}

FRAME void last(void)
{
	STAY();
}

/* Ends in a jump to last(). */
FRAME void first(void)
{
	STAY();
	last();
}

static void tail(unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		first();
}

FRAME void ends_inside(void)
{
	STAY();
	pthread_exit(NULL);
}

static void *call_end(void *arg)
{
	ends_inside();
	return arg;
}

static void exits(unsigned long n)
{
	pthread_t t;

	for (unsigned long i = 0; i < n; i++)
		if (pthread_create(&t, NULL, call_end, NULL) || pthread_join(t, NULL))
			_exit(1);
}

/* Four allocations, of 100, 300, 21 and 1000 bytes. */
FRAME void allocates(void)
{
	void *volatile p = malloc(100);
	void *q = realloc(p, 300);

	free(q);
	p = calloc(3, 7);
	free(p);
	if (posix_memalign(&q, 64, 1000))
		_exit(1);
	p = q;
	free(p);
	STAY();
}

FRAME void twice(void)
{
	allocates();
	allocates();
	STAY();
}

static void allocs(unsigned long n)
{
	for (unsigned long i = 0; i < n; i += 2)
		twice();
}

static volatile int go;

static void on_go(int sig)
{
	(void)sig;
	go++;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(unsigned long n);
	} kinds[] = { { "times", times },     { "recurse", recurse },	  { "args", args },
		      { "callers", callers }, { "threads", run_threads }, { "jumps", jumps },
		      { "tail", tail },	      { "exits", exits },	  { "allocs", allocs } };
	bool at_once = argc > 1 && !strcmp(argv[1], "0");

	if (argc != 4)
		return 2;
	signal(SIGUSR1, on_go);
	workload_start(argc, argv);
	workload_ready();
	for (;;) {
		while (!at_once && !go)
			usleep(1000);
		for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
			if (!strcmp(argv[2], kinds[i].name))
				kinds[i].run(strtoul(argv[3], NULL, 10));
		puts("done");
		fflush(stdout);
		go = 0;
		if (at_once)
			return 0;
	}
}
