/* SPDX-License-Identifier: MIT */
/*
 * A thread spins in the first function it runs, or in the last: the destructor of a thread-specific
 * key, which libc calls after the thread's function has returned; or in a cleanup handler, to which
 * pthread_exit has jumped back.
 *
 * case first: first
 * stack: %thread;first_function
 *
 * case last: last
 * stack: %thread;.*tsd.*{1,2};destructor;last_leaf
 *
 * case cleanup: cleanup
 * stack: %thread;exiting;cleanup;last_leaf
 */
#include <pthread.h>

#include "workload.h"

FRAME void last_leaf(void)
{
	workload_ready();
	SPIN();
}

FRAME void destructor(void *value)
{
	(void)value;
	last_leaf();
	STAY();
}

FRAME void cleanup(void *value)
{
	(void)value;
	last_leaf();
	STAY();
}

FRAME void *first_function(void *arg)
{
	workload_ready();
	SPIN();
	return arg;
}

FRAME void *short_function(void *arg)
{
	pthread_key_t key;

	if (pthread_key_create(&key, destructor) || pthread_setspecific(key, &key))
		exit(1);
	return arg;
}

FRAME void *exiting(void *arg)
{
	pthread_cleanup_push(cleanup, arg);
	pthread_exit(arg);
	pthread_cleanup_pop(0);
	return arg;
}

int main(int argc, char **argv)
{
	const char *how = workload_arg(argc, argv, "first");
	void *(*function)(void *) = first_function;
	pthread_t thread;

	workload_start(argc, argv);
	if (!strcmp(how, "last"))
		function = short_function;
	else if (!strcmp(how, "cleanup"))
		function = exiting;
	if (pthread_create(&thread, NULL, function, NULL))
		return 1;
	pthread_join(thread, NULL);
	return 0;
}
