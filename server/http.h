/* SPDX-License-Identifier: MIT */
/*
 * HTTP requests and responses as the rest of the server sees them. Only http.c and http_refusals.c
 * know h2o's; everything here is plain data and plain text.
 *
 * A request is answered by exactly one http_send_*(), at once by its handler or later by the done()
 * of a job, which holds the request meanwhile. The client may be gone by then: the http_send_*()
 * then do nothing, but param, body and query are gone too, so a done() works on what its job
 * carries.
 *
 * All functions run in the thread of the request's loop.
 */
#ifndef COWORKING_HTTP_H
#define COWORKING_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compiler.h"
#include "errors.h"
#include "probes.h"
#include "values.h"

/* Bodies beyond this are answered 413 without being read. */
#define HTTP_BODY_MAX (64 * 1024)

/*
 * Request lines and headers beyond this are answered 431. They have been read by then: the library
 * itself stops at 100 headers and 408 KiB.
 */
#define HTTP_HEAD_MAX (16 * 1024)

/* How long a connection may take to send a request, or idle between two, in ms. */
#define HTTP_IDLE_TIMEOUT 10000

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_DELETE,
	HTTP_OPTIONS,
	HTTP_OTHER,
};

struct connection;
struct route;

struct request {
	struct app *app;
	struct db *db;		 /* the loop's reader */
	struct mailbox *mailbox; /* the loop's */
	uint64_t id;		 /* unique in the process; the loop's number on top */
	enum http_method method;
	const char *param; /* the path's :id, decoded; NULL if the route has none */
	const char *body;  /* never NULL, not terminated */
	size_t body_len;
	char user_id[UUID_SIZE]; /* who sends it, on routes that need to know */

	const struct route *route; /* NULL for none */
	unsigned int retry_after;  /* seconds, for the answers that say so; 0 means one */

	/* http.c's own */
	struct st_h2o_req_t *h2o; /* NULL once the client is gone or answered */
	struct connection *conn;  /* gone when h2o is NULL, but for what was no HTTP */
	unsigned int refs;
	bool answered, aborted, keepalive;
	int status;
	size_t bytes_sent;
	uint64_t begin; /* for the probes, as the next */
	struct probe_account account;
	char id_text[17];
	char allow[64];
};

/* The server's settings of h2o, to be freed by http_conf_free(); NULL if this libh2o does not do. */
struct st_h2o_globalconf_t *http_conf_new(void);
void http_conf_free(struct st_h2o_globalconf_t *conf);

/* Keeps a request in memory, for a job that will answer it; http_put() ends that. */
struct request *http_hold(struct request *r);
void http_put(struct request *r);

/*
 * The parameter of this name in the query, decoded. -ENOENT if it is not there, -EINVAL if it is
 * malformed or does not fit.
 */
int http_query(const struct request *r, const char *name, char *ret, size_t size);

/* The same for a number of min to max; *ret stays what it was if the parameter is not there. */
int http_query_number(const struct request *r, const char *name, unsigned int min, unsigned int max,
		      unsigned int *ret);

/*
 * The value of the Authorization header, inside the request and not terminated. -ENOENT if there is
 * none, -EINVAL if there are several.
 */
int http_authorization(const struct request *r, const char **ret, size_t *ret_len);

/*
 * Writes the address of the client, without its port, and returns its length: 4 or 16, 0 if it
 * cannot be told.
 */
size_t http_peer(const struct request *r, unsigned char address[static 16]);

/* Answers 200 with a file that may be cached; data must stay where it is for ever. */
STEP void http_send_file(struct request *r, const char *type, const char *data, size_t len);

/* Answers with a JSON value, whose reference it takes; NULL (no memory) is answered 500. */
STEP void http_send_json(struct request *r, int status, json_t *value);

/* Answers without a body. */
STEP void http_send_empty(struct request *r, int status);

/* Answers with an error; message overrides the table's if not NULL. */
STEP void http_send_error(struct request *r, enum api_error error, const char *message);

#endif
