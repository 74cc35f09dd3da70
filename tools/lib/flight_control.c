/* SPDX-License-Identifier: MIT */
#include "flight_control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "util.h"

#define NAME "periscope-flight-"

/* How long a client may take to say what it wants. */
#define SAY_MS 50

/* unix(7): an abstract name begins with a NUL. */
static socklen_t address(struct sockaddr_un *a, pid_t pid)
{
	int n;

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	n = snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, NAME "%d", pid);
	return offsetof(struct sockaddr_un, sun_path) + 1 + n;
}

static void set_timeout(int fd, int option, unsigned int ms)
{
	struct timeval t = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, option, &t, sizeof(t));
}

int flight_control_init(struct flight_control *c)
{
	struct sockaddr_un a;
	socklen_t len = address(&a, getpid());

	*c = (struct flight_control){ .client = -1 };
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return -errno;
	if (bind(c->fd, (struct sockaddr *)&a, len) || listen(c->fd, 4)) {
		int err = -errno;

		flight_control_release(c);
		return err;
	}
	return 0;
}

void flight_control_release(struct flight_control *c)
{
	if (c->fd >= 0)
		close(c->fd);
	if (c->client >= 0)
		close(c->client);
	*c = (struct flight_control){ .fd = -1, .client = -1 };
}

static int may_speak(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) &&
	       (who.uid == 0 || who.uid == geteuid());
}

int flight_control_poll(struct flight_control *c, char *buf, size_t size)
{
	ssize_t n;

	if (c->client >= 0 || c->fd < 0)
		return 0;
	c->client = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
	if (c->client < 0)
		return 0;
	set_timeout(c->client, SO_RCVTIMEO, SAY_MS);
	set_timeout(c->client, SO_SNDTIMEO, SAY_MS);
	n = may_speak(c->client) ? recv(c->client, buf, size - 1, 0) : -1;
	if (n > 0) {
		buf[n] = '\0';
		return 1;
	}
	close(c->client);
	c->client = -1;
	return 0;
}

void flight_control_answer(struct flight_control *c, const char *fmt, ...)
{
	char text[FLIGHT_MESSAGE];
	va_list ap;

	if (c->client < 0)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* One who has left meanwhile needs no answer. */
	send(c->client, text, strlen(text), MSG_NOSIGNAL);
	close(c->client);
	c->client = -1;
}

int flight_recorders(pid_t **ret, size_t *ret_n)
{
	FILE *f = fopen("/proc/net/unix", "re");
	char line[512], *at;
	pid_t *list = NULL;
	size_t n = 0, cap = 0;
	int err = 0;

	if (!f)
		return -errno;
	/* Abstract names are shown with @ for their NUL; connected ends have the name, too. */
	while (!err && fgets(line, sizeof(line), f)) {
		pid_t pid;
		size_t i = 0;

		at = strstr(line, "@" NAME);
		if (!at)
			continue;
		pid = atoi(at + strlen("@" NAME));
		while (i < n && list[i] != pid)
			i++;
		if (i < n)
			continue;
		err = array_grow((void **)&list, n, &cap, sizeof(*list));
		if (!err)
			list[n++] = pid;
	}
	fclose(f);
	if (err) {
		free(list);
		return err;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

int flight_say(pid_t recorder, const char *message, char *answer, size_t size,
	       unsigned int timeout_ms)
{
	struct sockaddr_un a;
	socklen_t len = address(&a, recorder);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), err = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	set_timeout(fd, SO_RCVTIMEO, timeout_ms);
	set_timeout(fd, SO_SNDTIMEO, timeout_ms);
	if (connect(fd, (struct sockaddr *)&a, len) ||
	    send(fd, message, strlen(message), MSG_NOSIGNAL) < 0)
		err = -errno;
	if (!err) {
		n = recv(fd, answer, size - 1, 0);
		if (n > 0)
			answer[n] = '\0';
		else
			err = n < 0 && errno == EAGAIN ? -ETIMEDOUT : n < 0 ? -errno : -ECONNRESET;
	}
	close(fd);
	return err;
}
