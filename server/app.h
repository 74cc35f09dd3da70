/* SPDX-License-Identifier: MIT */
/*
 * What the threads of one server share. Filled by main.c before the loops start and constant
 * afterwards, except for what the members themselves lock.
 */
#ifndef COWORKING_APP_H
#define COWORKING_APP_H

#include "config.h"
#include "db.h"
#include "db_writer.h"
#include "jwt.h"
#include "limiter.h"
#include "password.h"

struct app {
	struct config config;
	struct jwt_secret secret;
	struct db writer_db; /* the writer thread's, once it runs */
	struct db_writer writer;
	struct password_hasher hasher;
	struct limiter limiter;		 /* of failed logins */
	struct ssl_ctx_st *tls;		 /* tls_new()'s; NULL for plain HTTP */
	struct st_h2o_globalconf_t *h2o; /* http_conf_new()'s */
};

#endif
