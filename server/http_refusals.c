/* SPDX-License-Identifier: MIT */
/*
 * What libh2o refuses by itself, before any handler runs and in plain text. Here these answers get
 * the form that all our errors have: JSON, an X-Request-Id, the probes of a request.
 *
 * A request whose body is too large or broken has an answer that passes the filters of the host's
 * fallback path. Bytes that are no HTTP have none: the library hands a constant text to
 * h2o_socket_write() (send_bad_request() in its lib/http1.c), and neither a setting nor a callback
 * comes into it. But it calls its own exported functions through the dynamic linker, which looks
 * into the program first. So the h2o_socket_write() below stands before the library's, and passes
 * everything on to it but that text, in whose place it writes another one.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler.h"
#include "http_private.h"
#include "loop.h"
#include "probes.h"

/* ---- requests ------------------------------------------------------------------------------ */

struct error_stream {
	h2o_ostream_t super;
	struct request *request;
	h2o_iovec_t body;
};

/* Sends our body in place of the library's; an answer to HEAD has none to replace. */
static void error_stream_send(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs, size_t count,
			      h2o_send_state_t state)
{
	struct error_stream *stream = container_of(self, struct error_stream, super);

	h2o_ostream_send_next(self, req, &stream->body, count > 0 ? 1 : 0, state);
	probe_pause(stream->request->id);
}

static void on_error(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
	struct request *r = http_request_of(req);
	const struct api_error_info *info;
	struct error_stream *stream;
	char *text;

	http_request_begin(r, req->path_normalized.base, req->path_normalized.len);
	info = api_error_info(api_error_from_status(req->res.status));
	text = http_error_text(info, NULL);
	stream = (struct error_stream *)h2o_add_ostream(req, sizeof(*stream), slot);
	stream->super.do_send = error_stream_send;
	stream->request = r;
	stream->body = h2o_strdup(&req->pool, text != NULL ? text : "{}", SIZE_MAX);
	free(text);
	memset(&req->res.headers, 0, sizeof(req->res.headers));
	http_add_header(req, "content-type", "application/json");
	http_add_header(req, "x-request-id", h2o_strdup(&req->pool, r->id_text, SIZE_MAX).base);
	http_add_cors(r);
	req->res.reason = info->reason;
	req->res.content_length = stream->body.len;
	http_answer_begin(r, info->status, r->method != HTTP_HEAD ? stream->body.len : 0);
	h2o_setup_next_ostream(req, &stream->super.next);
}

/* ---- what is no request -------------------------------------------------------------------- */

/* What the library says to it, to the letter. */
static const char bad_request[] = "HTTP/1.1 400 Bad Request\r\n"
				  "Content-Type: text/plain; charset=utf-8\r\n"
				  "Connection: close\r\n"
				  "Content-Length: 11\r\n"
				  "\r\n"
				  "Bad Request";

/* The whole answer, which the connection keeps; the library's own without memory. */
static h2o_iovec_t refuse(struct connection *conn)
{
	const struct api_error_info *info = api_error_info(API_BAD_REQUEST);
	struct request *r = http_request_new(conn);
	char *body, *text;
	int len;

	http_request_begin(r, "", 0);
	body = http_error_text(info, "this is no HTTP/1.1, or has over 100 headers");
	len = asprintf(
		&text,
		"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nConnection: close\r\n"
		"Cache-Control: no-store\r\nX-Request-Id: %s\r\nContent-Length: %zu\r\n\r\n%s",
		info->status, info->reason, r->id_text, body != NULL ? strlen(body) : 0,
		body != NULL ? body : "");
	http_answer_begin(r, info->status, body != NULL ? strlen(body) : 0);
	free(body);
	conn->refused = r;
	if (len < 0)
		return h2o_iovec_init(bad_request, sizeof(bad_request) - 1);
	conn->refusal = text;
	return h2o_iovec_init(text, (size_t)len);
}

typedef void socket_write(h2o_socket_t *sock, h2o_iovec_t *bufs, size_t count, h2o_socket_cb cb);

static socket_write *library_write;

void h2o_socket_write(h2o_socket_t *sock, h2o_iovec_t *bufs, size_t count, h2o_socket_cb cb)
{
	struct connection *conn;
	h2o_iovec_t answer;

	if (count != 1 || !h2o_memis(bufs->base, bufs->len, bad_request, sizeof(bad_request) - 1)) {
		library_write(sock, bufs, count, cb);
		return;
	}
	conn = connection_of_socket(sock);
	answer = refuse(conn);
	library_write(sock, &answer, 1, cb);
	probe_pause(conn->refused->id);
}

/* ---- both ---------------------------------------------------------------------------------- */

int http_refusals_register(h2o_hostconf_t *host)
{
	/* the definition after this program's: the library's */
	library_write = (socket_write *)dlsym(RTLD_NEXT, "h2o_socket_write");
	if (library_write == NULL)
		return -ENOSYS;
	h2o_create_filter(&host->fallback_path, sizeof(h2o_filter_t))->on_setup_ostream = on_error;
	return 0;
}
