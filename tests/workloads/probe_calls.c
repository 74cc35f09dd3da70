/* SPDX-License-Identifier: MIT */
/*
 * Calls functions a known number of times, when told to: each line on stdin is one round, answered by
 * "done". In a round each of ARG threads (one without ARG) allocates and frees 1009 blocks, calls
 * twelve() 12 times with arguments that are known, and down(), which calls itself, to a depth of 200
 * once. A line "fork" forks: the child does the round and exits, then the parent answers; "exec"
 * starts the program anew in the same process. The first round runs before "ready", so that lazy
 * binding is over.
 *
 * case plain:
 */
#include "workload.h"

#include <pthread.h>
#include <sys/wait.h>

#define BLOCKS 1009
#define CALLS  12
#define DEPTH  200

static void *volatile block;

FRAME long twelve(long a, long b, long c, long d, long e, long f)
{
	sink += a + b + c + d + e + f;
	return a;
}

FRAME long down(long left)
{
	long below = left > 1 ? down(left - 1) : 0;

	STAY();
	return below + 1;
}

static void *work(void *arg)
{
	for (int i = 0; i < BLOCKS; i++) {
		block = malloc(100 + i % 7);
		free(block);
	}
	for (long i = 0; i < CALLS; i++)
		if (twelve(i, 2, 3, 4, 5, 6) != i)
			_exit(1);
	if (down(DEPTH) != DEPTH)
		_exit(1);
	return arg;
}

/* The threads are there for good: a thread's start and end allocate, too. */
static pthread_barrier_t begin, end;

static void *thread(void *arg)
{
	for (;;) {
		pthread_barrier_wait(&begin);
		work(NULL);
		pthread_barrier_wait(&end);
	}
	return arg;
}

static void do_round(int threads)
{
	if (threads > 1)
		pthread_barrier_wait(&begin);
	work(NULL);
	if (threads > 1)
		pthread_barrier_wait(&end);
}

static void fork_round(void)
{
	pid_t child = fork();

	if (!child) {
		work(NULL);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

static void say(const char *text)
{
	if (write(STDOUT_FILENO, text, strlen(text)) < 0)
		_exit(1);
}

int main(int argc, char **argv)
{
	int threads = atoi(workload_arg(argc, argv, "1"));
	pthread_t t;
	char line[16];
	ssize_t n;

	workload_start(argc, argv);
	pthread_barrier_init(&begin, NULL, threads);
	pthread_barrier_init(&end, NULL, threads);
	for (int i = 1; i < threads; i++)
		if (pthread_create(&t, NULL, thread, NULL))
			return 1;
	do_round(threads);
	workload_ready();
	while ((n = read(STDIN_FILENO, line, sizeof(line))) > 0) {
		if (line[0] == 'f')
			fork_round();
		else if (line[0] == 'e')
			execv("/proc/self/exe", argv);
		else
			do_round(threads);
		say("done\n");
	}
	return 0;
}
