/* SPDX-License-Identifier: MIT */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

/* The child's exit status when exec failed, as in shells. */
#define EXEC_FAILED 127

#define GRACE_MS    1000

static void child(int go_fd, int err_fd, char *const argv[])
{
	sigset_t none;
	char go;
	int err;

	sigemptyset(&none);
	if (read(go_fd, &go, 1) != 1)
		_exit(EXEC_FAILED);
	close(go_fd);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Being traced makes exec end in a stop, the only one that we ask for. */
	if (!ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		execvp(argv[0], argv);
	err = errno;
	if (write(err_fd, &err, sizeof(err)) < 0)
		_exit(EXEC_FAILED - 1);
	_exit(EXEC_FAILED);
}

int launch_init(struct launch *l, char *const argv[])
{
	int go[2], errs[2];

	*l = (struct launch){ .pid = -1, .go_fd = -1, .error_fd = -1 };
	if (pipe2(go, O_CLOEXEC))
		return -errno;
	if (pipe2(errs, O_CLOEXEC)) {
		int err = -errno;

		close(go[0]);
		close(go[1]);
		return err;
	}
	l->pid = fork();
	if (!l->pid) {
		close(go[1]);
		close(errs[0]);
		child(go[0], errs[1], argv);
	}
	close(go[0]);
	close(errs[1]);
	l->go_fd = go[1];
	l->error_fd = errs[0];
	return l->pid < 0 ? -errno : 0;
}

int launch_exec(struct launch *l)
{
	int status, err = 0;
	ssize_t n;

	if (write(l->go_fd, "", 1) != 1)
		return -errno;
	close(l->go_fd);
	l->go_fd = -1;
	while (waitpid(l->pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFSTOPPED(status))
		return 0;
	l->reaped = 1;
	l->status = status;
	n = read(l->error_fd, &err, sizeof(err));
	return n == sizeof(err) ? -err : -ECHILD;
}

/* With PTRACE_O_TRACESYSGOOD a stop at a system call is no SIGTRAP that somebody sent. */
#define SYSCALL_STOP (SIGTRAP | 0x80)

/*
 * Wait for the next stop, until the time is over (0: without end). Returns 0 and the stop's signal;
 * -ETIMEDOUT, -ECHILD when it has ended, others from the system.
 */
static int next_stop(struct launch *l, uint64_t until_ns, int *ret_signal)
{
	unsigned int us = 10;
	int status;
	pid_t pid;

	for (;;) {
		pid = waitpid(l->pid, &status, until_ns ? WNOHANG : 0);
		if (pid < 0 && errno != EINTR)
			return -errno;
		if (pid == l->pid)
			break;
		if (until_ns && now_ns() >= until_ns)
			return -ETIMEDOUT;
		usleep(us);
		us = MIN(2 * us, 1000U);
	}
	if (WIFSTOPPED(status)) {
		*ret_signal = WSTOPSIG(status);
		return 0;
	}
	l->reaped = 1;
	l->status = status;
	return -ECHILD;
}

/* Run on to a stop of one kind; other signals that come reach the command. */
static int run_to(struct launch *l, int signal, uint64_t until_ns)
{
	int got = 0, err;

	do {
		if (ptrace(PTRACE_SYSCALL, l->pid, NULL, (long)(got == SYSCALL_STOP ? 0 : got)))
			return -errno;
		err = next_stop(l, until_ns, &got);
	} while (!err && got != signal);
	return err;
}

/* It runs: make it stand still by a signal that it does not get to see. */
static int halt(struct launch *l)
{
	int signal, err;

	if (kill(l->pid, SIGSTOP))
		return -errno;
	err = next_stop(l, 0, &signal);
	return err || signal == SIGSTOP ? err : run_to(l, SIGSTOP, 0);
}

int launch_step(struct launch *l, uint64_t timeout_ns, uint64_t *ret_pc)
{
	struct __ptrace_syscall_info info = { 0 };
	int err;

	if (ptrace(PTRACE_SETOPTIONS, l->pid, NULL, PTRACE_O_TRACESYSGOOD))
		return -errno;
	err = run_to(l, SYSCALL_STOP, now_ns() + timeout_ns);
	if (err == -ETIMEDOUT) {
		err = halt(l);
		return err ? err : -ETIMEDOUT;
	}
	if (!err && ptrace(PTRACE_GET_SYSCALL_INFO, l->pid, sizeof(info), &info) < 0)
		err = -errno;
	if (!err)
		*ret_pc = info.instruction_pointer;
	return err;
}

int launch_run(struct launch *l)
{
	return ptrace(PTRACE_DETACH, l->pid, NULL, NULL) ? -errno : 0;
}

int launch_reap(struct launch *l, int wait)
{
	if (!l->reaped && waitpid(l->pid, &l->status, wait ? 0 : WNOHANG) == l->pid)
		l->reaped = 1;
	return l->reaped;
}

void launch_release(struct launch *l)
{
	if (l->go_fd >= 0) {
		close(l->go_fd); /* end of file: the child exits without exec */
		launch_reap(l, 1);
	}
	if (l->pid > 0 && !launch_reap(l, 0)) {
		kill(l->pid, SIGTERM);
		for (int i = 0; i < GRACE_MS && !launch_reap(l, 0); i++)
			usleep(1000);
		if (!l->reaped)
			kill(l->pid, SIGKILL);
		launch_reap(l, 1);
	}
	if (l->error_fd >= 0)
		close(l->error_fd);
	l->go_fd = l->error_fd = -1;
}
