/* SPDX-License-Identifier: MIT */
#include "connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "compiler.h"
#include "http.h"
#include "loop.h"
#include "probes.h"

static void on_close(void *data)
{
	struct connection *conn = data;

	h2o_timeout_unlink(&conn->sending);
	if (conn->refused != NULL)
		http_put(conn->refused);
	PROBE(conn__close, conn->id, conn->requests, conn->bytes_in, conn->bytes_out);
	h2o_linklist_unlink(&conn->link);
	loop_connection_closed(conn->loop);
	free(conn->refusal);
	free(conn);
}

static void on_send_limit(h2o_timeout_entry_t *entry)
{
	connection_cut(container_of(entry, struct connection, sending));
}

struct connection *connection_new(struct loop *loop, h2o_socket_t *sock)
{
	/* h2o_mem_alloc ends the process without memory, as everything in h2o does */
	struct connection *conn = h2o_mem_alloc(sizeof(*conn));

	*conn = (struct connection){
		.loop = loop,
		.fd = h2o_socket_get_fd(sock),
		.id = loop_next_connection_id(loop),
		.sending.cb = on_send_limit,
	};
	h2o_linklist_insert(&loop->connections, &conn->link);
	sock->on_close.cb = on_close;
	sock->on_close.data = conn;
	PROBE(conn__open, conn->id, loop->index, conn->fd);
	return conn;
}

struct connection *connection_of(h2o_conn_t *conn)
{
	return connection_of_socket(conn->callbacks->get_socket(conn));
}

struct connection *connection_of_socket(h2o_socket_t *sock)
{
	return sock->on_close.data;
}

void connection_count_request(struct connection *conn, size_t body_len)
{
	conn->requests++;
	conn->bytes_in += body_len;
}

void connection_answer_begin(struct connection *conn, size_t body_len)
{
	conn->bytes_out += body_len;
	h2o_timeout_link(conn->loop->evloop, &conn->loop->send_limit, &conn->sending);
}

void connection_answer_end(struct connection *conn)
{
	h2o_timeout_unlink(&conn->sending);
}

void connection_cut(struct connection *conn)
{
	shutdown(conn->fd, SHUT_RDWR);
}

bool connection_broken(const struct connection *conn)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
	       info.tcpi_state == TCP_CLOSE;
}
