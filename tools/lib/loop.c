/* SPDX-License-Identifier: MIT */
#include "loop.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "util.h"

static int on_signal(void *arg)
{
	struct loop *l = arg;
	struct signalfd_siginfo info;

	if (read(l->signal_fd, &info, sizeof(info)) == sizeof(info))
		l->signal = info.ssi_signo;
	return 0;
}

int loop_init(struct loop *l)
{
	sigset_t set;
	int err;

	*l = (struct loop){ .epoll_fd = -1, .signal_fd = -1 };
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, &l->old_mask))
		return -errno;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	err = l->epoll_fd < 0 || l->signal_fd < 0 ? -errno
						  : loop_add(l, l->signal_fd, on_signal, l);
	if (err)
		loop_release(l);
	return err;
}

void loop_release(struct loop *l)
{
	if (l->signal_fd >= 0)
		close(l->signal_fd);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	l->signal_fd = l->epoll_fd = -1;
	sigprocmask(SIG_SETMASK, &l->old_mask, NULL);
}

int loop_add(struct loop *l, int fd, loop_fn fn, void *arg)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = l->nr_fds };

	if (l->nr_fds == LOOP_MAX_FDS)
		return -ENOSPC;
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &e))
		return -errno;
	l->fds[l->nr_fds].fd = fd;
	l->fds[l->nr_fds].fn = fn;
	l->fds[l->nr_fds++].arg = arg;
	return 0;
}

int loop_once(struct loop *l, uint64_t until_ns)
{
	struct epoll_event events[LOOP_MAX_FDS];
	uint64_t now = now_ns();
	int timeout = 0, n, err;

	if (until_ns > now)
		timeout = MIN((until_ns - now + 999999) / 1000000, (uint64_t)INT_MAX);
	n = epoll_wait(l->epoll_fd, events, LOOP_MAX_FDS, timeout);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		uint32_t at = events[i].data.u32;

		err = l->fds[at].fn(l->fds[at].arg);
		if (err < 0)
			return err;
	}
	return 0;
}
