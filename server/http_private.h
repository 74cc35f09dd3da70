/* SPDX-License-Identifier: MIT */
/*
 * What the files that know h2o's requests share: http.c, and http_refusals.c for what h2o answers
 * without asking anybody. All others see http.h alone.
 */
#ifndef COWORKING_HTTP_PRIVATE_H
#define COWORKING_HTTP_PRIVATE_H

#include "connection.h"
#include "evloop.h"
#include "http.h"

/* A new request on a connection, to be ended by http_put(). */
struct request *http_request_new(struct connection *conn);

/* The same for one that h2o has read. It is put when h2o disposes of it. */
struct request *http_request_of(h2o_req_t *req);

/* Begins a request for the probes, and its first piece of work. The path need not end in NUL. */
void http_request_begin(struct request *r, const char *path, size_t len);

/* Notes that the answer goes out now, with a body of so many bytes. */
void http_answer_begin(struct request *r, int status, size_t body_len);

void http_add_header(h2o_req_t *req, const char *name, const char *value);
void http_add_cors(struct request *r);

/* The body of an error; the table's message if message is NULL. To be freed; NULL without memory. */
char *http_error_text(const struct api_error_info *info, const char *message);

/* Has a host's own errors answered in our form. 0, or -ENOSYS if this libh2o is not as expected. */
int http_refusals_register(h2o_hostconf_t *host);

#endif
