/* SPDX-License-Identifier: MIT */
/*
 * Time in children that share their parent's memory. "child" prints "ready" in the vfork child, and
 * the line before tells its PID: the stack is the parent's, walked in another process. "loop" is
 * vfork and _exit over and over, so that samples land in vfork's own code, where the return address
 * is in a register. "spawn" is posix_spawn, whose child runs on a stack of its own.
 *
 * case child: child
 * stack: %main;in_child;forever
 *
 * case loop: loop
 * stack: %main;fork_loop(;.*(fork|wait|exit).*){0,2}(;leaf)?
 *
 * case spawn: spawn
 * stack: %main;spawn_loop(;.*)*
 * stack: .*clone.*;__spawni_child(;.*)*
 */
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "workload.h"

FRAME void leaf(void)
{
	for (int i = 0; i < 100000; i++)
		STAY();
}

FRAME void forever(void)
{
	SPIN();
}

static void say_pid(void)
{
	char line[32];
	int len = snprintf(line, sizeof(line), "pid %d\n", getpid());

	if (write(STDOUT_FILENO, line, len) != len)
		_exit(1);
}

FRAME void in_child(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		say_pid();
		workload_ready();
		forever();
		_exit(0);
	}
	STAY();
}

FRAME void fork_loop(void)
{
	while (running) {
		pid_t pid = vfork();

		if (pid == 0) {
			leaf();
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

FRAME void spawn_loop(void)
{
	char name[] = "true", *argv[] = { name, NULL }, *envp[] = { NULL };

	while (running) {
		pid_t pid;

		if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, envp) == 0)
			waitpid(pid, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	const char *how = workload_arg(argc, argv, "child");

	workload_start(argc, argv);
	if (!strcmp(how, "child")) {
		in_child();
	} else {
		workload_ready();
		if (!strcmp(how, "loop"))
			fork_loop();
		else
			spawn_loop();
	}
	STAY();
	return 0;
}
