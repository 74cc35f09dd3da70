/* SPDX-License-Identifier: MIT */
/*
 * POST /auth/login: a token for a user name and a password. The user is read in the loop, the
 * password is checked in the hashing thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app.h"
#include "handlers.h"
#include "json.h"
#include "models.h"

#define USERNAME_MAX 256

struct login {
	struct password_check check;
	struct request *r;
	char user_id[UUID_SIZE]; /* empty for an unknown user */
};

static void login_free(struct login *login)
{
	password_check_wipe(&login->check);
	free(login);
}

/* Fills the check from the body and the database. */
static int login_prepare(struct login *login, struct request *r)
{
	const char *username, *password;
	struct model_user user;
	json_t *body;
	int err;

	err = json_parse_object(r->body, r->body_len, &body);
	if (err != 0)
		return err;
	username = json_string_member(body, "username", 1, USERNAME_MAX);
	password = json_string_member(body, "password", 1, PASSWORD_MAX);
	if (username == NULL || password == NULL) {
		err = -EINVAL;
		goto out;
	}
	strcpy(login->check.password, password);
	err = model_user_by_name(r->db, username, &user);
	if (err == 0) {
		strcpy(login->user_id, user.id);
		strcpy(login->check.hash, user.password_hash);
	} else if (err == -ENOENT) {
		/* goes the whole way too, so that the time tells nothing */
		strcpy(login->check.hash, password_dummy(&r->app->hasher));
		err = 0;
	}
out:
	json_decref(body);
	return err;
}

int handle_auth_login(struct request *r)
{
	struct login *login = calloc(1, sizeof(*login));
	int err;

	if (login == NULL)
		return -ENOMEM;
	err = login_prepare(login, r);
	if (err == -EINVAL) {
		http_send_error(r, API_VALIDATION,
				"the body must be {\"username\": text, \"password\": text}");
		err = 0;
		goto fail;
	}
	if (err != 0)
		goto fail;
	login->r = http_hold(r);
	login->check.job.done = handle_auth_login_done;
	err = password_submit(&r->app->hasher, r->mailbox, &login->check);
	if (err == 0)
		return 0;
	http_put(r);
fail:
	login_free(login);
	return err;
}

void handle_auth_login_done(struct job *job)
{
	struct login *login = container_of(job, struct login, check.job);
	struct request *r = login->r;
	char *token;

	if (job->result != 0 || login->user_id[0] == '\0') {
		http_send_error(r, API_CREDENTIALS, NULL);
	} else {
		token = jwt_issue(&r->app->secret, login->user_id, time(NULL));
		if (token != NULL)
			http_send_json(r, 200, json_pack("{s:s}", "token", token));
		else
			http_send_error(r, API_TOKEN_FAILURE, NULL);
		free(token);
	}
	login_free(login);
	http_put(r);
}
