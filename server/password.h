/* SPDX-License-Identifier: MIT */
/*
 * Password hashes: argon2id, 19 MiB, two passes. One hash takes about 20 ms of CPU, which would
 * stall a loop and every request on it, so hashing has a thread of its own.
 */
#ifndef COWORKING_PASSWORD_H
#define COWORKING_PASSWORD_H

#include <pthread.h>
#include <stdbool.h>

#include "compiler.h"
#include "job.h"

#define PASSWORD_MAX	   1024 /* bytes of a password */
#define PASSWORD_HASH_SIZE 128	/* crypto_pwhash_STRBYTES; the text names its own parameters */

/* A password to check or to hash; the submitter's, who wipes it before freeing it. */
struct password_job {
	struct job job;
	bool create; /* fill in hash, instead of comparing with it */
	char password[PASSWORD_MAX + 1];
	char hash[PASSWORD_HASH_SIZE];
};

struct password_hasher {
	struct job_queue queue;
	pthread_t thread;
	char dummy[PASSWORD_HASH_SIZE];
};

/* Hashes a password; blocks for the whole time. 0, or -ENOMEM. */
STEP int password_hash(const char *password, char ret[static PASSWORD_HASH_SIZE]);

/* Compares a password with a hash; blocks as well. 0, -EACCES if they do not match, or -ENOMEM. */
STEP int password_verify(const char *hash, const char *password);

/* Starts the hashing thread. 0 or a negative errno. */
int password_hasher_start(struct password_hasher *hasher);

/* Ends the thread after the last queued check. */
void password_hasher_stop(struct password_hasher *hasher);

/*
 * A hash that no password matches. Checked for unknown users, so that they take as long as known
 * ones and cannot be told apart.
 */
const char *password_dummy(const struct password_hasher *hasher);

/*
 * Submits a job with password, hash or create, and job.done set. Its result is that of
 * password_verify() or password_hash(). See job_submit().
 */
int password_submit(struct password_hasher *hasher, struct request *request,
		    struct password_job *pj);

/* Overwrites the password. */
void password_job_wipe(struct password_job *pj);

#endif
