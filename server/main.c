/* SPDX-License-Identifier: MIT */
/*
 * coworkingd: starts the parts of the server in the order in which they need each other, waits for
 * a signal, and stops them in the opposite order. Whatever cannot be started is told in one line.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app.h"
#include "auth.h"
#include "faults.h"
#include "http.h"
#include "loop.h"
#include "probes.h"
#include "seed.h"
#include "tls.h"

/* Descriptors beside those of clients: for each loop about eight, and the rest. */
#define SPARE_FDS (64 + 8 * CONFIG_THREADS_MAX)

struct server {
	struct app app;
	int listen_fd;
	struct loop *loops;
	unsigned int loops_ready, loops_running;
	bool writer_running, hasher_running;
};

/* Says why the server cannot start; always -1. */
__attribute__((format(printf, 1, 2))) static int cannot(const char *fmt, ...)
{
	char line[2 * PATH_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	fprintf(stderr, "coworkingd: %s\n", line);
	return -1;
}

/* Signals are taken by main() alone; every thread inherits the mask. */
static void block_signals(sigset_t *stop_signals)
{
	sigemptyset(stop_signals);
	sigaddset(stop_signals, SIGTERM);
	sigaddset(stop_signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, stop_signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int init_libraries(void)
{
	json_object_seed(0); /* before there are threads */
	return sodium_init() < 0 ? cannot("libsodium does not start") : 0;
}

/* Running out of descriptors would make the loops spin on accept(), so it is ruled out. */
static int reserve_fds(const struct config *config)
{
	rlim_t need = (rlim_t)config->connections + SPARE_FDS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return cannot("getrlimit: %s", strerror(errno));
	if (limit.rlim_cur >= need)
		return 0;
	limit.rlim_cur = need < limit.rlim_max ? need : limit.rlim_max;
	if (limit.rlim_cur < need || setrlimit(RLIMIT_NOFILE, &limit) != 0)
		return cannot("%u connections need %llu open files: raise ulimit -n or lower"
			      " --connections",
			      config->connections, (unsigned long long)need);
	return 0;
}

static int open_database(struct server *server)
{
	struct app *app = &server->app;
	char why[256];
	int err;

	if (db_init(&app->writer_db, app->config.db_path, DB_WRITER) != 0)
		return cannot("cannot use database %s: %s", app->config.db_path,
			      app->writer_db.error);
	err = seed_database(&app->writer_db);
	if (err != 0)
		return cannot("cannot fill database %s: %s", app->config.db_path, strerror(-err));
	err = auth_load_secret(app->config.secret_path, &app->secret, why, sizeof(why));
	if (err != 0)
		return cannot("cannot use secret %s: %s", app->config.secret_path, why);
	return 0;
}

static int open_tls(struct app *app)
{
	char why[256];

	if (app->config.tls_certificate[0] == '\0')
		return 0;
	app->tls = tls_new(app->config.tls_certificate, app->config.tls_key, why, sizeof(why));
	return app->tls != NULL ? 0 : cannot("cannot use TLS: %s", why);
}

static int open_listener(struct server *server)
{
	const struct config *config = &server->app.config;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *info;
	int fd, on = 1, err;

	err = getaddrinfo(config->host, config->port, &hints, &info);
	if (err != 0)
		return cannot("cannot listen on %s: %s", config->host, gai_strerror(err));
	fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	err = fd < 0 ? errno : 0;
	/* a restart must not wait for the connections of its predecessor */
	if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
			bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, 1024) != 0))
		err = errno;
	freeaddrinfo(info);
	server->listen_fd = fd;
	if (err != 0)
		return cannot("cannot listen on %s port %s: %s", config->host, config->port,
			      strerror(err));
	return 0;
}

static int start_workers(struct server *server)
{
	struct app *app = &server->app;
	int err;

	limiter_init(&app->limiter);
	err = password_hasher_start(&app->hasher);
	if (err != 0)
		return cannot("cannot start the hashing thread: %s", strerror(-err));
	server->hasher_running = true;
	err = db_writer_start(&app->writer, &app->writer_db);
	if (err != 0)
		return cannot("cannot start the writer thread: %s", strerror(-err));
	server->writer_running = true;
	return 0;
}

static int start_loops(struct server *server)
{
	struct app *app = &server->app;
	struct loop *loop;
	int err;

	app->h2o = http_conf_new();
	if (app->h2o == NULL)
		return cannot("this is not the libh2o-evloop 2.2.5 that it was made for");
	server->loops = calloc(app->config.threads, sizeof(*server->loops));
	if (server->loops == NULL)
		return cannot("out of memory");
	for (unsigned int i = 0; i < app->config.threads; i++) {
		loop = &server->loops[i];
		err = loop_init(loop, app, i, server->listen_fd);
		if (err != 0)
			return cannot("cannot prepare an event loop: %s",
				      loop->db.error[0] ? loop->db.error : strerror(-err));
		server->loops_ready++;
	}
	for (unsigned int i = 0; i < app->config.threads; i++) {
		err = loop_start(&server->loops[i]);
		if (err != 0)
			return cannot("cannot start an event loop: %s", strerror(-err));
		server->loops_running++;
	}
	return 0;
}

static void announce(const struct server *server)
{
	const struct config *config = &server->app.config;
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	char host[INET6_ADDRSTRLEN], port[6];
	bool v6;

	if (getsockname(server->listen_fd, (struct sockaddr *)&address, &len) != 0 ||
	    getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return;
	v6 = address.ss_family == AF_INET6;
	fprintf(stderr, "coworkingd: listening on %s%s%s%s:%s, %u threads, database %s\n",
		config->tls_key[0] != '\0' ? "https://" : "", v6 ? "[" : "", host, v6 ? "]" : "",
		port, config->threads, config->db_path);
	for (enum fault fault = 0; fault < FAULT_COUNT; fault++) {
		if (fault_on(fault))
			fprintf(stderr, "coworkingd: with the demo fault %s\n", fault_name(fault));
	}
}

static int start(struct server *server)
{
	int err;

	err = init_libraries();
	if (err == 0)
		err = reserve_fds(&server->app.config);
	if (err == 0)
		err = open_tls(&server->app);
	if (err == 0)
		err = open_listener(server);
	if (err == 0)
		err = open_database(server);
	if (err == 0)
		err = start_workers(server);
	if (err == 0)
		err = start_loops(server);
	return err;
}

/* Ends what start() started, as far as it came; why in this order: loop.h. */
static void stop(struct server *server)
{
	if (server->listen_fd >= 0)
		close(server->listen_fd);
	for (unsigned int i = 0; i < server->loops_running; i++)
		loop_stop(&server->loops[i]);
	for (unsigned int i = 0; i < server->loops_running; i++)
		loop_wait_drained(&server->loops[i]);
	if (server->writer_running)
		db_writer_stop(&server->app.writer);
	if (server->hasher_running)
		password_hasher_stop(&server->app.hasher);
	for (unsigned int i = 0; i < server->loops_running; i++)
		loop_finish(&server->loops[i]);
	for (unsigned int i = 0; i < server->loops_ready; i++)
		loop_release(&server->loops[i]);
	free(server->loops);
	if (server->app.h2o != NULL)
		http_conf_free(server->app.h2o);
	tls_free(server->app.tls);
	/* last of all connections: it moves the WAL into the database and removes it */
	db_release(&server->app.writer_db);
}

int main(int argc, char **argv)
{
	static struct server server = { .listen_fd = -1 };
	sigset_t stop_signals;
	int signal_number, err;

	switch (config_parse(&server.app.config, argc, argv)) {
	case CONFIG_RUN:
		break;
	case CONFIG_EXIT:
		return 0;
	case CONFIG_USAGE_ERROR:
		return 2;
	case CONFIG_ERROR:
		return 1;
	}
	PROBE(server__state, PROBE_STARTING, 0);
	block_signals(&stop_signals);
	err = start(&server);
	if (err == 0) {
		announce(&server);
		PROBE(server__state, PROBE_SERVING, server.app.config.connections);
		sigwait(&stop_signals, &signal_number);
		PROBE(server__state, PROBE_DRAINING, server.app.config.connections);
	}
	stop(&server);
	PROBE(server__state, PROBE_STOPPED, 0);
	sodium_memzero(&server.app.secret, sizeof(server.app.secret));
	return err == 0 ? 0 : 1;
}
