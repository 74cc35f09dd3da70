/* SPDX-License-Identifier: MIT */
#include "password.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "probes.h"

/* The least that OWASP's password storage guide asks for. */
#define MEMORY_BYTES (19U * 1024 * 1024)
#define PASSES	     2

/* Checks that may wait: over a second of hashing. Whoever comes later is told to come back. */
#define QUEUE_LIMIT 64

_Static_assert(PASSWORD_HASH_SIZE == crypto_pwhash_STRBYTES, "libsodium's text form");

int password_hash(const char *password, char ret[static PASSWORD_HASH_SIZE])
{
	if (crypto_pwhash_str_alg(ret, password, strlen(password), PASSES, MEMORY_BYTES,
				  crypto_pwhash_ALG_ARGON2ID13) != 0)
		return -ENOMEM;
	return 0;
}

int password_verify(const char *hash, const char *password)
{
	errno = 0;
	if (crypto_pwhash_str_verify(hash, password, strlen(password)) == 0)
		return 0;
	/* set for a mismatch only; else it had no memory, which is nobody's wrong password */
	return errno == EINVAL ? -EACCES : -ENOMEM;
}

static int run(struct password_job *pj)
{
	uint64_t begin = PROBE_TIME(pwhash__done);
	int err;

	PROBE(pwhash__start, probe_request, MEMORY_BYTES);
	if (pj->create)
		err = password_hash(pj->password, pj->hash);
	else
		err = password_verify(pj->hash, pj->password);
	PROBE(pwhash__done, probe_request, err, probe_since(begin));
	return err;
}

static void *hasher_main(void *arg)
{
	struct password_hasher *hasher = arg;
	struct job *job;
	int err;

	pthread_setname_np(pthread_self(), "cw-hasher");
	while ((job = job_take(&hasher->queue, 1)) != NULL) {
		probe_run(job->request_id, job->account);
		err = run(container_of(job, struct password_job, job));
		probe_leave(job->request_id);
		job_reply(job, err);
	}
	return NULL;
}

static int make_dummy(struct password_hasher *hasher)
{
	unsigned char random[24];
	char password[2 * sizeof(random) + 1];

	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(password, sizeof(password), random, sizeof(random));
	return password_hash(password, hasher->dummy);
}

int password_hasher_start(struct password_hasher *hasher)
{
	int err;

	err = make_dummy(hasher);
	if (err != 0)
		return err;
	job_queue_init(&hasher->queue, QUEUE_HASHER, QUEUE_LIMIT);
	err = pthread_create(&hasher->thread, NULL, hasher_main, hasher);
	if (err != 0)
		job_queue_release(&hasher->queue);
	return -err;
}

void password_hasher_stop(struct password_hasher *hasher)
{
	job_queue_close(&hasher->queue);
	pthread_join(hasher->thread, NULL);
	job_queue_release(&hasher->queue);
}

const char *password_dummy(const struct password_hasher *hasher)
{
	return hasher->dummy;
}

int password_submit(struct password_hasher *hasher, struct request *request,
		    struct password_job *pj)
{
	return job_submit(&hasher->queue, request, &pj->job);
}

void password_job_wipe(struct password_job *pj)
{
	sodium_memzero(pj->password, sizeof(pj->password));
}
