/* SPDX-License-Identifier: MIT */
/*
 * POST /auth/login: a token for a user name and a password. The user is read in the loop, the
 * password is checked in the hashing thread.
 *
 * POST /auth/signup: a new user. The password is hashed in the hashing thread, then the writer adds
 * the user, so the request passes through the loop three times.
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

/* ---- login --------------------------------------------------------------------------------- */

struct login {
	struct password_job check;
	struct limiter_key key;
	char user_id[UUID_SIZE]; /* empty for an unknown user */
};

static void login_free(struct login *login)
{
	password_job_wipe(&login->check);
	free(login);
}

/* Fills in what to check, from the body and the database. */
static int login_prepare(struct login *login, struct request *r)
{
	const char *username, *password;
	unsigned char address[16];
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
	login->key = limiter_key(&r->app->limiter, username, address, http_peer(r, address));
	r->retry_after = limiter_wait(&r->app->limiter, login->key);
	if (r->retry_after > 0) {
		err = -EUSERS;
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
	if (err == 0) {
		login->check.job.done = handle_auth_login_done;
		err = password_submit(&r->app->hasher, r, &login->check);
		if (err == 0)
			return 0;
	}
	login_free(login);
	if (err == -EINVAL) {
		http_send_error(r, API_VALIDATION,
				"the body must be {\"username\": text, \"password\": text}");
		return 0;
	}
	if (err == -EUSERS) {
		http_send_error(r, API_LOGINS, NULL);
		return 0;
	}
	return err;
}

void handle_auth_login_done(struct job *job)
{
	struct login *login = container_of(job, struct login, check.job);
	struct request *r = job->request;
	char *token;

	if (job->result != 0 && job->result != -EACCES) {
		http_send_error(r, api_error_from_errno(job->result), NULL);
	} else if (job->result != 0 || login->user_id[0] == '\0') {
		limiter_fail(&r->app->limiter, login->key);
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
}

/* ---- signup -------------------------------------------------------------------------------- */

struct signup {
	struct password_job hash;
	struct db_write write;
	struct model_user user;
};

static void signup_free(struct signup *signup)
{
	password_job_wipe(&signup->hash);
	free(signup);
}

STEP int signup_apply(struct db *db, struct db_write *write)
{
	struct signup *signup = container_of(write, struct signup, write);
	int err = model_user_add(db, &signup->user);

	step_end();
	return err;
}

/* Takes name and email over where they can be such; an email loses its capitals, to be unique. */
static int take_names(struct model_user *user, const char *email, const char *username)
{
	const char *at = strchr(email, '@');
	size_t n = 0;

	if (at == NULL || at == email || at[1] == '\0' || strchr(at + 1, '@') != NULL)
		return -EINVAL;
	for (; email[n] != '\0'; n++) {
		if ((unsigned char)email[n] <= ' ' || email[n] == 0x7f)
			return -EINVAL;
		user->email[n] = email[n];
		if (email[n] >= 'A' && email[n] <= 'Z')
			user->email[n] = (char)(email[n] - 'A' + 'a');
	}
	user->email[n] = '\0';
	for (const char *p = username; *p != '\0'; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return -EINVAL;
	}
	strcpy(user->username, username);
	return 0;
}

static int signup_prepare(struct signup *signup, struct request *r)
{
	const char *email, *username, *password;
	json_t *body;
	int err;

	err = json_parse_object(r->body, r->body_len, &body);
	if (err != 0)
		return err;
	email = json_string_member(body, "email", 3, EMAIL_MAX);
	username = json_string_member(body, "username", 1, USERNAME_MAX);
	password = json_string_member(body, "password", 1, PASSWORD_MAX);
	err = -EINVAL;
	if (email != NULL && username != NULL && password != NULL)
		err = take_names(&signup->user, email, username);
	if (err == 0) {
		strcpy(signup->hash.password, password);
		uuid_generate(signup->user.id);
		/* spares the hash; who signs up meanwhile is found out by the writer */
		err = model_user_taken(r->db, signup->user.email, signup->user.username);
	}
	json_decref(body);
	return err;
}

/* Answers a signup that came to its end, one way or the other. */
static void signup_answer(struct request *r, const struct signup *signup, int err)
{
	if (err == 0)
		http_send_json(r, 201, json_pack("{s:s}", "id", signup->user.id));
	else if (err == -EEXIST)
		http_send_error(r, API_EMAIL_TAKEN, NULL);
	else if (err == -EINVAL)
		http_send_error(r, API_VALIDATION,
				"the body must be {\"email\": address, \"username\": text,"
				" \"password\": text}");
	else
		http_send_error(r, api_error_from_errno(err), NULL);
}

int handle_auth_signup(struct request *r)
{
	struct signup *signup = calloc(1, sizeof(*signup));
	int err;

	if (signup == NULL)
		return -ENOMEM;
	err = signup_prepare(signup, r);
	if (err == 0) {
		signup->hash.create = true;
		signup->hash.job.done = handle_auth_signup_hashed;
		err = password_submit(&r->app->hasher, r, &signup->hash);
		if (err == 0)
			return 0;
	}
	signup_answer(r, signup, err);
	signup_free(signup);
	return 0;
}

void handle_auth_signup_hashed(struct job *job)
{
	struct signup *signup = container_of(job, struct signup, hash.job);
	struct request *r = job->request;
	int err = job->result;

	if (err == 0) {
		strcpy(signup->user.password_hash, signup->hash.hash);
		signup->write.apply = signup_apply;
		signup->write.job.done = handle_auth_signup_done;
		err = db_writer_submit(&r->app->writer, r, &signup->write);
		if (err == 0)
			return;
	}
	signup_answer(r, signup, err);
	signup_free(signup);
}

void handle_auth_signup_done(struct job *job)
{
	struct signup *signup = container_of(job, struct signup, write.job);

	signup_answer(job->request, signup, job->result);
	signup_free(signup);
}
