/* SPDX-License-Identifier: MIT */
/*
 * A client's connection, from its being accepted by a loop until h2o closes the socket.
 *
 * Promises what libh2o 2.2.5 does not: an answer is taken within CONNECTION_SEND_LIMIT, however
 * slowly the client reads, or the connection is cut. (How long a request may take to come, and how
 * long a connection may idle, is h2o's to limit, by HTTP_IDLE_TIMEOUT.)
 *
 * All functions run in the thread of the connection's loop.
 */
#ifndef COWORKING_CONNECTION_H
#define COWORKING_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "evloop.h"

/* How long a client may take to read one answer, in ms. */
#define CONNECTION_SEND_LIMIT 20000

struct loop;
struct request;

struct connection {
	h2o_linklist_t link; /* of the loop's */
	struct loop *loop;
	int fd; /* h2o's, to be shut down but never closed by us */
	uint64_t id, requests, bytes_in, bytes_out;
	h2o_timeout_entry_t sending; /* linked while an answer is on its way */

	/* the answer to what was no HTTP, its last one; both until it is closed */
	struct request *refused;
	char *refusal;
};

/* Makes a connection of an accepted socket, which keeps it until it is closed. */
struct connection *connection_new(struct loop *loop, h2o_socket_t *sock);

/* The connection behind h2o's, and behind a socket that a loop accepted. */
struct connection *connection_of(h2o_conn_t *conn);
struct connection *connection_of_socket(h2o_socket_t *sock);

/* Counts a request, and what was read of its body. */
void connection_count_request(struct connection *conn, size_t body_len);

/* An answer with a body of so many bytes goes out; and it is sent, or given up. */
void connection_answer_begin(struct connection *conn, size_t body_len);
void connection_answer_end(struct connection *conn);

/* Breaks the connection: h2o notices, ends its request, and closes the socket. */
void connection_cut(struct connection *conn);

/* Whether the client has broken the connection, as far as the kernel knows; a system call. */
bool connection_broken(const struct connection *conn);

#endif
