/* SPDX-License-Identifier: MIT */
/*
 * Forks: the parent allocates 1009 blocks of 48 bytes, then ARG children, one after the other, each
 * free them all, which are theirs as well, allocate 101 of 56 and free 50 of these. Before its last
 * step the parent frees 500 of its own; in the end it says "done" and stays, or with a third
 * argument exits.
 *
 * With "vfork" for ARG, 11 children allocate 7 blocks of 64 each in their parent's memory, which it
 * frees.
 */
#include <sys/wait.h>

#include "workload.h"

#define OWN 1009

static void *blocks[OWN];
static void *volatile block;

FRAME void parent_allocates(void)
{
	for (int i = 0; i < OWN; i++)
		blocks[i] = malloc(48);
}

FRAME void child_works(void)
{
	void *mine[101];

	for (int i = 0; i < OWN; i++)
		free(blocks[i]);
	for (int i = 0; i < 101; i++)
		mine[i] = malloc(56);
	for (int i = 0; i < 50; i++)
		free(mine[i]);
	STAY();
}

FRAME void borrows_memory(void)
{
	for (int i = 0; i < 7; i++)
		blocks[i] = malloc(64);
}

static void with_vfork(void)
{
	for (int i = 0; i < 11; i++) {
		pid_t pid = vfork();

		if (!pid) {
			borrows_memory();
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		for (int j = 0; j < 7; j++)
			free(blocks[j]);
	}
}

static void with_fork(int n)
{
	parent_allocates();
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (!pid) {
			child_works();
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	for (int i = 0; i < 500; i++)
		free(blocks[i]);
}

int main(int argc, char **argv)
{
	const char *arg = workload_arg(argc, argv, "1");
	char line[8];

	workload_start(argc, argv);
	workload_ready();
	/* Whoever starts it may look first: a line on stdin, or its end. */
	if (read(STDIN_FILENO, line, sizeof(line)) < 0)
		return 1;
	if (!strcmp(arg, "vfork"))
		with_vfork();
	else
		with_fork(atoi(arg));
	if (write(STDOUT_FILENO, "done\n", 5) != 5)
		return 1;
	while (argc < 4)
		pause();
	return 0;
}
