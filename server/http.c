/* SPDX-License-Identifier: MIT */
/*
 * The bridge to h2o: takes its requests apart for the handlers and puts the answers together.
 *
 * libh2o 2.2.5 is lenient in its framing: of two Content-Length headers the first counts, and
 * Transfer-Encoding overrules Content-Length. A proxy that takes it otherwise would see other
 * requests than we do, so such ones are refused here.
 */
#include "http.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evloop.h"
#include "app.h"
#include "faults.h"
#include "http_private.h"
#include "json.h"
#include "loop.h"
#include "probes.h"
#include "routes.h"

static h2o_iovec_t iovec(const char *text)
{
	return h2o_iovec_init(text, strlen(text));
}

void http_add_header(h2o_req_t *req, const char *name, const char *value)
{
	/* maybe_token: h2o wants its own constant for the names it knows */
	h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 1, NULL, value,
			      strlen(value));
}

/* ---- CORS: web pages of other origins ------------------------------------------------------ */

/*
 * What to answer as the allowed origin; NULL if the page must not see the answer, or if it is no
 * web page of another origin that asks. *ret_varies: whether it depends on the Origin header.
 */
static const char *origin_of(const struct request *r, bool *ret_varies)
{
	const struct config *config = &r->app->config;
	const h2o_headers_t *headers = &r->h2o->headers;
	ssize_t at = h2o_find_header_by_str(headers, "origin", 6, -1);
	bool any = config->origin_count == 1 && strcmp(config->origins[0], "*") == 0;

	if (ret_varies != NULL)
		*ret_varies = config->origin_count > 0 && !any;
	if (at == -1)
		return NULL;
	for (unsigned int i = 0; i < config->origin_count; i++) {
		const char *origin = config->origins[i];

		if (any || h2o_memis(headers->entries[at].value.base,
				     headers->entries[at].value.len, origin, strlen(origin)))
			return origin;
	}
	return NULL;
}

void http_add_cors(struct request *r)
{
	const char *origin;
	bool varies;

	origin = origin_of(r, &varies);
	if (varies)
		http_add_header(r->h2o, "vary", "Origin");
	if (origin == NULL)
		return;
	http_add_header(r->h2o, "access-control-allow-origin", origin);
	http_add_header(r->h2o, "access-control-expose-headers", "X-Request-Id, Retry-After");
}

/* ---- requests ------------------------------------------------------------------------------ */

static enum http_method method_of(const h2o_req_t *req)
{
	static const struct {
		const char *name;
		enum http_method method;
	} methods[] = {
		{ "GET", HTTP_GET },	   { "HEAD", HTTP_HEAD },	{ "POST", HTTP_POST },
		{ "DELETE", HTTP_DELETE }, { "OPTIONS", HTTP_OPTIONS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (h2o_memis(req->method.base, req->method.len, methods[i].name,
			      strlen(methods[i].name)))
			return methods[i].method;
	}
	return HTTP_OTHER;
}

struct request *http_hold(struct request *r)
{
	r->refs++;
	return r;
}

/* Whether anybody listens to how requests end. */
static bool end_is_told(void)
{
	return PROBE_ENABLED(request__done) || PROBE_ENABLED(request__account);
}

void http_put(struct request *r)
{
	unsigned int flags;

	if (--r->refs > 0)
		return;
	flags = (r->aborted ? PROBE_ABORTED : 0) | (r->keepalive ? PROBE_KEEPALIVE : 0);
	if (PROBE_ENABLED(request__account)) {
		r->account.sending_ns = probe_since(r->account.paused_at);
		PROBE(request__account, r->id, route_id(r->route), r->status, probe_since(r->begin),
		      flags, &r->account);
	}
	PROBE(request__done, r->id, route_id(r->route), r->status, r->bytes_sent,
	      probe_since(r->begin), flags);
	free(r);
}

/* h2o ends the request: it is answered and sent, or its connection broke. */
static void on_dispose(void *guard)
{
	struct request *r = *(struct request **)guard;

	connection_answer_end(r->conn);
	r->keepalive = r->h2o->http1_is_persistent;
	r->aborted = end_is_told() && (!r->answered || connection_broken(r->conn));
	r->h2o = NULL;
	http_put(r);
}

struct request *http_request_new(struct connection *conn)
{
	/* h2o_mem_alloc ends the process without memory, as everything in h2o does */
	struct request *r = h2o_mem_alloc(sizeof(*r));

	memset(r, 0, sizeof(*r));
	r->refs = 1;
	r->conn = conn;
	r->app = conn->loop->app;
	r->db = &conn->loop->db;
	r->mailbox = &conn->loop->mailbox;
	r->id = loop_next_id(conn->loop);
	snprintf(r->id_text, sizeof(r->id_text), "%016llx", (unsigned long long)r->id);
	r->method = HTTP_OTHER;
	r->body = "";
	return r;
}

struct request *http_request_of(h2o_req_t *req)
{
	struct request *r = http_request_new(connection_of(req->conn));
	struct request **guard = h2o_mem_alloc_shared(&req->pool, sizeof(*guard), on_dispose);

	*guard = r;
	r->h2o = req;
	r->method = method_of(req);
	if (req->entity.base != NULL)
		r->body = req->entity.base;
	r->body_len = req->entity.len;
	return r;
}

void http_request_begin(struct request *r, const char *path, size_t len)
{
	char text[256];

	connection_count_request(r->conn, r->body_len);
	probe_request = r->id;
	probe_account = &r->account;
	r->account.size = sizeof(r->account);
	r->begin = end_is_told() ? clock_ns() : 0;
	if (!PROBE_ENABLED(request__start))
		return;
	if (len >= sizeof(text))
		len = sizeof(text) - 1;
	if (len > 0)
		len = strnlen(path, len);
	memcpy(text, path, len);
	text[len] = '\0';
	PROBE(request__start, r->id, r->conn->id, r->method, text, route_id(r->route), r->body_len);
}

void http_answer_begin(struct request *r, int status, size_t body_len)
{
	r->answered = true;
	r->status = status;
	r->bytes_sent = body_len;
	connection_answer_begin(r->conn, body_len);
	PROBE(response__start, r->id, status, body_len);
}

static bool head_too_large(const h2o_req_t *req)
{
	size_t size = req->method.len + req->path.len;

	for (size_t i = 0; i < req->headers.size; i++)
		size += req->headers.entries[i].name->len + req->headers.entries[i].value.len + 4;
	return size > HTTP_HEAD_MAX;
}

/*
 * Whether a request tells in more than one way where its body ends (RFC 9112 section 6.3). h2o drops
 * these headers, but keeps what it has read, from this request on, until it is answered.
 */
static bool framing_ambiguous(const h2o_req_t *req)
{
	static const char length[] = "content-length:", encoding[] = "transfer-encoding:";
	const h2o_buffer_t *input = req->conn->callbacks->get_socket(req->conn)->input;
	const char *line = input->bytes, *end = line + input->size, *next;
	unsigned int count = 0;
	bool begun = false; /* h2o skips an empty line before a request */

	if (req->entity.base == NULL)
		return false;
	for (; (next = memchr(line, '\n', (size_t)(end - line))) != NULL; line = next + 1) {
		if (begun && (*line == '\r' || *line == '\n'))
			break;
		begun = begun || (*line != '\r' && *line != '\n');
		count += strncasecmp(line, length, sizeof(length) - 1) == 0 ||
			 strncasecmp(line, encoding, sizeof(encoding) - 1) == 0;
	}
	return count > 1;
}

/* The answer to OPTIONS: what the path takes, and to a browser's preflight what it may send. */
static void send_options(struct request *r)
{
	if (origin_of(r, NULL) != NULL) {
		http_add_header(r->h2o, "access-control-allow-methods", r->allow);
		/* "*" would not cover Authorization (Fetch standard, CORS-preflight fetch) */
		http_add_header(r->h2o, "access-control-allow-headers",
				"Authorization, Content-Type");
		http_add_header(r->h2o, "access-control-max-age", "600");
	}
	http_add_header(r->h2o, "allow", r->allow);
	http_send_empty(r, 204);
}

/* Runs the route that was found: err is route_find()'s. */
STEP void http_dispatch(struct request *r, const char *path, size_t len, int err)
{
	/* a NUL would end the path for whatever treats it as a string */
	if (memchr(path, '\0', len) != NULL) {
		http_send_error(r, API_BAD_REQUEST, "the path holds a NUL");
	} else if (framing_ambiguous(r->h2o)) {
		r->h2o->http1_is_persistent = 0; /* who knows what comes next */
		http_send_error(r, API_BAD_REQUEST,
				"more than one Content-Length or Transfer-Encoding");
	} else if (head_too_large(r->h2o)) {
		http_send_error(r, API_HEADERS, NULL);
	} else if (err == -ENOENT) {
		http_send_error(r, API_ROUTE_UNKNOWN, NULL);
	} else if (err != 0) {
		route_allow(path, len, r->allow, sizeof(r->allow));
		if (r->method == HTTP_OPTIONS)
			send_options(r);
		else
			http_send_error(r, API_METHOD, NULL);
	} else {
		err = route_run(r->route, r);
		if (err != 0)
			http_send_error(r, api_error_from_errno(err), NULL);
	}
	step_end();
}

static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
	struct request *r = http_hold(http_request_of(req));
	const char *path = req->path_normalized.base;
	size_t len = req->path_normalized.len;
	struct route_match match;
	int err;

	err = route_find(r->method, path, len, &match);
	if (err == 0) {
		r->route = match.route;
		if (match.param != NULL)
			r->param = h2o_strdup(&req->pool, match.param, match.param_len).base;
	}
	http_request_begin(r, path, len);
	http_dispatch(r, path, len, err);
	job_pause(r);
	http_put(r);
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int decode_query(const char *text, const char *end, char *ret, size_t size)
{
	size_t n = 0;

	while (text < end) {
		int c = *text++;

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			if (end - text < 2 || hex_digit(text[0]) < 0 || hex_digit(text[1]) < 0)
				return -EINVAL;
			c = hex_digit(text[0]) * 16 + hex_digit(text[1]);
			text += 2;
		}
		if (c == '\0' || n + 1 >= size)
			return -EINVAL;
		ret[n++] = (char)c;
	}
	ret[n] = '\0';
	return 0;
}

int http_query(const struct request *r, const char *name, char *ret, size_t size)
{
	const h2o_iovec_t path = r->h2o->path;
	size_t name_len = strlen(name);
	const char *p, *end, *stop;

	if (r->h2o->query_at == SIZE_MAX)
		return -ENOENT;
	p = path.base + r->h2o->query_at + 1;
	end = path.base + path.len;
	for (; p < end; p = stop + 1) {
		stop = memchr(p, '&', (size_t)(end - p));
		if (stop == NULL)
			stop = end;
		if ((size_t)(stop - p) > name_len && p[name_len] == '=' &&
		    memcmp(p, name, name_len) == 0)
			return decode_query(p + name_len + 1, stop, ret, size);
	}
	return -ENOENT;
}

int http_query_number(const struct request *r, const char *name, unsigned int min, unsigned int max,
		      unsigned int *ret)
{
	unsigned int value = 0;
	char text[10]; /* nine digits fit any unsigned int */
	int err;

	err = http_query(r, name, text, sizeof(text));
	if (err == -ENOENT)
		return 0;
	if (err != 0 || text[0] == '\0')
		return -EINVAL;
	for (const char *p = text; *p != '\0'; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		value = value * 10 + (unsigned int)(*p - '0');
	}
	if (value < min || value > max)
		return -EINVAL;
	*ret = value;
	return 0;
}

int http_authorization(const struct request *r, const char **ret, size_t *ret_len)
{
	const h2o_headers_t *headers = &r->h2o->headers;
	ssize_t at = h2o_find_header(headers, H2O_TOKEN_AUTHORIZATION, -1);

	if (at == -1)
		return -ENOENT;
	if (h2o_find_header(headers, H2O_TOKEN_AUTHORIZATION, at) != -1)
		return -EINVAL;
	*ret = headers->entries[at].value.base;
	*ret_len = headers->entries[at].value.len;
	return 0;
}

size_t http_peer(const struct request *r, unsigned char address[static 16])
{
	h2o_conn_t *conn = r->h2o->conn;
	struct sockaddr_storage peer;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&peer;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&peer;

	if (conn->callbacks->get_peername(conn, (struct sockaddr *)&peer) == 0)
		return 0;
	if (peer.ss_family == AF_INET) {
		memcpy(address, &v4->sin_addr, 4);
		return 4;
	}
	if (peer.ss_family != AF_INET6)
		return 0;
	memcpy(address, &v6->sin6_addr, 16);
	return 16;
}

/* ---- responses ----------------------------------------------------------------------------- */

static const char *reason_of(int status)
{
	switch (status) {
	case 201:
		return "Created";
	case 202:
		return "Accepted";
	case 204:
		return "No Content";
	default:
		return "OK";
	}
}

/*
 * Answers: status and headers, and the body, which stays where it is until the request is over;
 * type is NULL for no body.
 */
STEP void http_send(struct request *r, int status, const char *reason, const char *type,
		    h2o_iovec_t body)
{
	static h2o_generator_t generator = { NULL, NULL };
	h2o_req_t *req = r->h2o;

	req->res.status = status;
	req->res.reason = reason;
	http_add_header(req, "x-request-id", h2o_strdup(&req->pool, r->id_text, SIZE_MAX).base);
	http_add_cors(r);
	if (type != NULL) {
		http_add_header(req, "content-type", type);
		req->res.content_length = body.len;
	}
	/* the answer to HEAD says how long the body would be, and stops there */
	http_answer_begin(r, status, type != NULL && r->method != HTTP_HEAD ? body.len : 0);
	h2o_start_response(req, &generator);
	h2o_send(req, &body, r->bytes_sent > 0 ? 1 : 0, H2O_SEND_STATE_FINAL);
	step_end();
}

static void send_text(struct request *r, int status, const char *reason, const char *text)
{
	if (fault_on(FAULT_LEAK))
		fault_leak();
	if (fault_on(FAULT_GROWING_CACHE))
		fault_remember(r->id_text, text);
	http_add_header(r->h2o, "cache-control", "no-store");
	http_send(r, status, reason, "application/json", h2o_strdup(&r->h2o->pool, text, SIZE_MAX));
}

void http_send_file(struct request *r, const char *type, const char *data, size_t len)
{
	if (r->h2o != NULL) {
		http_add_header(r->h2o, "cache-control", "public, max-age=86400");
		http_send(r, 200, reason_of(200), type, h2o_iovec_init(data, len));
	}
	step_end();
}

void http_send_json(struct request *r, int status, json_t *value)
{
	char *text = NULL;

	if (r->h2o != NULL && value != NULL)
		text = json_text(value);
	json_decref(value);
	if (r->h2o == NULL)
		return;
	if (text == NULL)
		http_send_error(r, API_INTERNAL, NULL);
	else
		send_text(r, status, reason_of(status), text);
	free(text);
}

void http_send_empty(struct request *r, int status)
{
	if (r->h2o != NULL)
		http_send(r, status, reason_of(status), NULL, h2o_iovec_init(NULL, 0));
	step_end();
}

char *http_error_text(const struct api_error_info *info, const char *message)
{
	json_t *body = json_pack("{s:s, s:s}", "code", info->code, "message",
				 message != NULL ? message : info->message);
	char *text = body != NULL ? json_text(body) : NULL;

	json_decref(body);
	return text;
}

void http_send_error(struct request *r, enum api_error error, const char *message)
{
	const struct api_error_info *info = api_error_info(error);
	char *text, seconds[16];

	if (r->h2o == NULL)
		return;
	if (error == API_METHOD)
		http_add_header(r->h2o, "allow", r->allow);
	if (error == API_TOKEN_INVALID)
		http_add_header(r->h2o, "www-authenticate",
				"Bearer realm=\"coworking\", error=\"invalid_token\"");
	else if (info->status == 401)
		http_add_header(r->h2o, "www-authenticate", "Bearer realm=\"coworking\"");
	if (info->status == 503 || info->status == 429) {
		snprintf(seconds, sizeof(seconds), "%u", r->retry_after > 0 ? r->retry_after : 1);
		http_add_header(r->h2o, "retry-after",
				h2o_strdup(&r->h2o->pool, seconds, SIZE_MAX).base);
	}
	text = http_error_text(info, message);
	send_text(r, info->status, info->reason, text != NULL ? text : "{}");
	free(text);
}

/* ---- settings ------------------------------------------------------------------------------ */

struct st_h2o_globalconf_t *http_conf_new(void)
{
	h2o_globalconf_t *conf = h2o_mem_alloc(sizeof(*conf));
	h2o_hostconf_t *host;
	h2o_pathconf_t *root;

	h2o_config_init(conf);
	conf->server_name = iovec("coworkingd");
	conf->max_request_entity_size = HTTP_BODY_MAX;
	conf->http1.req_timeout = HTTP_IDLE_TIMEOUT;
	/* HTTP/2 of this version has known holes (CVE-2023-44487, CVE-2025-8671) */
	conf->http1.upgrade_to_http2 = 0;
	/* it starts a timer that would make h2o_context_dispose() abort */
	conf->http2.callbacks.request_shutdown = NULL;
	host = h2o_config_register_host(conf, iovec("default"), 65535);
	if (http_refusals_register(host) != 0) {
		http_conf_free(conf);
		return NULL;
	}
	/* one path for all: routing is ours, since h2o's knows no methods and matches prefixes */
	root = h2o_config_register_path(host, "/", 0);
	h2o_create_handler(root, sizeof(h2o_handler_t))->on_req = on_request;
	return conf;
}

void http_conf_free(struct st_h2o_globalconf_t *conf)
{
	h2o_config_dispose(conf);
	free(conf);
}
