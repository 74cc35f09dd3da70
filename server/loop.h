/* SPDX-License-Identifier: MIT */
/*
 * An event loop in a thread of its own: it accepts connections, runs the handlers of their
 * requests, and reads the database on its own connection. Loops share nothing but struct app and
 * the listening address, each with its own copy of the descriptor; whichever is idle accepts.
 *
 * Promises: no more than its share of connections is open; loop_stop() lets the requests under way
 * be answered, and cuts off clients that do not read their answers after DRAIN_LIMIT.
 *
 * Stopping takes two steps, because the worker threads wake a loop through its message queue and
 * may still be doing so when their last message has already been read: all loops drain, then the
 * workers stop, then the loops take their queues down.
 */
#ifndef COWORKING_LOOP_H
#define COWORKING_LOOP_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "app.h"
#include "db.h"
#include "evloop.h"
#include "job.h"

struct loop {
	struct app *app;
	unsigned int index;
	pthread_t thread;
	int listen_fd; /* -1 once listener has it */
	h2o_evloop_t *evloop;
	h2o_context_t ctx;
	h2o_accept_ctx_t accept;
	h2o_socket_t *listener;
	h2o_linklist_t connections;
	h2o_timeout_t send_limit; /* of the answers on their way */
	unsigned int connections_open, connections_max;
	struct db db;
	struct mailbox mailbox;
	uint64_t last_id, last_connection_id;
	atomic_bool stopping;
	sem_t ready, drained, finish; /* each posted once */
};

/*
 * Prepares a loop, without starting it. listen_fd is copied; it must not block. 0 or a negative
 * errno, with a reason in loop->db.error if it is the database's, and nothing to release.
 */
int loop_init(struct loop *loop, struct app *app, unsigned int index, int listen_fd);

/* Ends a loop whose thread does not run. */
void loop_release(struct loop *loop);

/* Starts the thread and waits until it can take jobs back. 0 or a negative errno. */
int loop_start(struct loop *loop);

/* Asks the loop to drain; at once, from any thread. */
void loop_stop(struct loop *loop);

/* Waits until a stopped loop has no connections and no jobs left. */
void loop_wait_drained(struct loop *loop);

/* Ends the thread of a drained loop. Nobody may send it anything any more. */
void loop_finish(struct loop *loop);

/* A new request id: the loop's number in the top byte, then a count. Loop's thread only. */
uint64_t loop_next_id(struct loop *loop);

/* The same for a connection, counted apart. */
uint64_t loop_next_connection_id(struct loop *loop);

/* A connection of this loop is gone: there is room for another one. */
void loop_connection_closed(struct loop *loop);

#endif
