/* SPDX-License-Identifier: MIT */
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "compiler.h"
#include "connection.h"

/* How long stopping waits for answers to be read, in ms; and for idle connections to end. */
#define DRAIN_LIMIT 5000
#define DRAIN_IDLE  250

/* How often a draining loop looks at the clock, in ms. */
#define DRAIN_TICK 50

static void on_accept(h2o_socket_t *listener, const char *err);

static int64_t now_ms(void)
{
	return (int64_t)(clock_ns() / NS_PER_MS);
}

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) != 0)
		; /* EINTR, after a debugger for one */
}

void loop_connection_closed(struct loop *loop)
{
	if (loop->connections_open-- == loop->connections_max && loop->listener != NULL)
		h2o_socket_read_start(loop->listener, on_accept);
}

/*
 * One connection a turn. The loops share the listening socket and are all woken: who took a rush in
 * one go would keep it, and the others stay idle for as long as those connections live.
 */
static void on_accept(h2o_socket_t *listener, const char *err)
{
	struct loop *loop = listener->data;
	h2o_socket_t *sock;

	if (err != NULL || loop->connections_open >= loop->connections_max)
		return;
	sock = h2o_evloop_socket_accept(listener);
	if (sock == NULL)
		return;
	connection_new(loop, sock);
	/* at the limit no descriptor is left: waiting clients stay in the kernel's queue */
	if (++loop->connections_open == loop->connections_max)
		h2o_socket_read_stop(listener);
	h2o_accept(&loop->accept, sock);
}

static unsigned int share_of_connections(const struct config *config, unsigned int index)
{
	unsigned int rest = config->connections % config->threads;

	return config->connections / config->threads + (index < rest ? 1 : 0);
}

int loop_init(struct loop *loop, struct app *app, unsigned int index, int listen_fd)
{
	int err;

	memset(loop, 0, sizeof(*loop));
	loop->app = app;
	loop->index = index;
	loop->connections_max = share_of_connections(&app->config, index);
	err = db_init(&loop->db, app->config.db_path, DB_READER);
	if (err != 0)
		return err;
	loop->listen_fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, 0);
	if (loop->listen_fd < 0) {
		err = -errno;
		db_release(&loop->db);
		return err;
	}
	sem_init(&loop->ready, 0, 0);
	sem_init(&loop->drained, 0, 0);
	sem_init(&loop->finish, 0, 0);
	return 0;
}

void loop_release(struct loop *loop)
{
	sem_destroy(&loop->ready);
	sem_destroy(&loop->drained);
	sem_destroy(&loop->finish);
	if (loop->listen_fd >= 0)
		close(loop->listen_fd);
	db_release(&loop->db);
}

/*
 * Everything of h2o's is made and destroyed in the loop's own thread. Its sockets keep a pointer to
 * the buffer recycler of the thread that made them, which has no lock: sockets that main() made for
 * several loops would corrupt the heap.
 */
static void open_h2o(struct loop *loop)
{
	h2o_linklist_init_anchor(&loop->connections);
	loop->evloop = h2o_evloop_create();
	h2o_context_init(&loop->ctx, loop->evloop, loop->app->h2o);
	loop->accept.ctx = &loop->ctx;
	loop->accept.hosts = loop->app->h2o->hosts;
	loop->accept.ssl_ctx = loop->app->tls;
	h2o_timeout_init(loop->evloop, &loop->send_limit, CONNECTION_SEND_LIMIT);
	mailbox_init(&loop->mailbox, loop->ctx.queue);
	loop->listener =
		h2o_evloop_socket_create(loop->evloop, loop->listen_fd, H2O_SOCKET_FLAG_DONT_READ);
	loop->listener->data = loop;
	loop->listen_fd = -1;
	h2o_socket_read_start(loop->listener, on_accept);
}

static void close_h2o(struct loop *loop)
{
	mailbox_release(&loop->mailbox);
	h2o_timeout_dispose(loop->evloop, &loop->send_limit);
	h2o_context_dispose(&loop->ctx);
	h2o_evloop_destroy(loop->evloop);
}

static void close_listener(struct loop *loop)
{
	h2o_socket_t *listener = loop->listener;

	loop->listener = NULL; /* first: closing connections must not start it again */
	h2o_socket_read_stop(listener);
	h2o_socket_close(listener);
}

/* Runs until nothing is under way any more or the time is over. */
static void run_until_idle(struct loop *loop, int64_t limit_ms)
{
	int64_t end = now_ms() + limit_ms;

	while ((loop->connections_open > 0 || loop->mailbox.pending > 0) && now_ms() < end)
		h2o_evloop_run(loop->evloop, DRAIN_TICK);
}

/* Breaks the connections that are left; h2o notices and ends their requests. */
static void cut_connections(struct loop *loop)
{
	h2o_linklist_t *link;

	for (link = loop->connections.next; link != &loop->connections; link = link->next)
		connection_cut(container_of(link, struct connection, link));
}

static void drain(struct loop *loop)
{
	close_listener(loop);
	/* from now on answers say "Connection: close"; it does nothing to idle connections */
	h2o_context_request_shutdown(&loop->ctx);
	loop->ctx.http1.req_timeout.timeout = DRAIN_IDLE;
	run_until_idle(loop, DRAIN_LIMIT);
	cut_connections(loop);
	/* the jobs that are out come back in any case, and point into this loop */
	while (loop->connections_open > 0 || loop->mailbox.pending > 0)
		h2o_evloop_run(loop->evloop, DRAIN_TICK);
	/* sockets that were closed are freed in the next turn */
	h2o_evloop_run(loop->evloop, 0);
}

static void *loop_main(void *arg)
{
	struct loop *loop = arg;
	char name[16];

	snprintf(name, sizeof(name), "cw-loop-%u", loop->index);
	pthread_setname_np(pthread_self(), name);
	open_h2o(loop);
	sem_post(&loop->ready);
	while (!atomic_load(&loop->stopping))
		h2o_evloop_run(loop->evloop, INT32_MAX);
	drain(loop);
	sem_post(&loop->drained);
	wait_for(&loop->finish);
	close_h2o(loop);
	return NULL;
}

int loop_start(struct loop *loop)
{
	int err = pthread_create(&loop->thread, NULL, loop_main, loop);

	if (err != 0)
		return -err;
	wait_for(&loop->ready);
	return 0;
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stopping, true);
	h2o_multithread_send_message(&loop->mailbox.receiver, NULL);
}

void loop_wait_drained(struct loop *loop)
{
	wait_for(&loop->drained);
}

void loop_finish(struct loop *loop)
{
	sem_post(&loop->finish);
	pthread_join(loop->thread, NULL);
}

uint64_t loop_next_id(struct loop *loop)
{
	return (uint64_t)loop->index << 56 | ++loop->last_id;
}

uint64_t loop_next_connection_id(struct loop *loop)
{
	return (uint64_t)loop->index << 56 | ++loop->last_connection_id;
}
