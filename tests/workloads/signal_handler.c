/* SPDX-License-Identifier: MIT */
/*
 * A signal interrupts a spinning function under twenty frames, at whatever instruction it happens to
 * be; the handler spins. The alternative stack lies in another mapping than the thread's own. In
 * "raise" the signal comes out of a system call, and the walk goes on through libc.
 *
 * case plain: plain
 * stack: %main;descend{20};interrupted;%signal;on_signal;handler_leaf
 *
 * case altstack: altstack
 * stack: %main;descend{20};interrupted;%signal;on_signal;handler_leaf
 *
 * case raise: raise
 * stack: %main;descend{20};raising;.*(raise|kill).*{1,5};%signal;on_signal;handler_leaf
 */
#include <sys/time.h>

#include "workload.h"

static char alternative[65536] __attribute__((aligned(4096)));

FRAME void handler_leaf(void)
{
	workload_ready();
	SPIN();
}

FRAME void on_signal(int sig)
{
	(void)sig;
	handler_leaf();
	STAY();
}

FRAME void interrupted(void)
{
	const struct itimerval soon = { .it_value = { .tv_usec = 20000 } };

	setitimer(ITIMER_VIRTUAL, &soon, NULL);
	SPIN();
}

FRAME void raising(void)
{
	raise(SIGVTALRM);
	STAY();
}

FRAME void descend(int left, void (*last)(void))
{
	if (left > 1)
		descend(left - 1, last);
	else
		last();
	STAY();
}

int main(int argc, char **argv)
{
	const char *how = workload_arg(argc, argv, "plain");
	struct sigaction action = { .sa_handler = on_signal };
	const stack_t stack = { .ss_sp = alternative, .ss_size = sizeof(alternative) };

	workload_start(argc, argv);
	if (!strcmp(how, "altstack")) {
		if (sigaltstack(&stack, NULL))
			return 1;
		action.sa_flags = SA_ONSTACK;
	}
	if (sigaction(SIGVTALRM, &action, NULL))
		return 1;
	descend(20, strcmp(how, "raise") ? interrupted : raising);
	STAY();
	return 0;
}
